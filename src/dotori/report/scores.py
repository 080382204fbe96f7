"""Evaluation figures of a run as tiles and as bars beside their baselines, from the folders of `evaluate` stages.

evaluation.json: {"models": [{"name", "file", "storyworld": {...} | null, "bpb": {...} | null}], "transcript": {...}},
where the two reports have the keys of `dotori eval storyworld --json` and `dotori eval bpb --json`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from dotori.report.facts import RunFacts
from dotori.report.svg import Bar, bar_chart

# key -> (title, largest value, factor to what is shown, unit)
_STORYWORLD = {
    "qa_exact_match": ("Questions answered exactly", 100.0, 100.0, " %"),
    "chrf_ko_en": ("Korean to English, chrF", 100.0, 1.0, ""),
    "chrf_en_ko": ("English to Korean, chrF", 100.0, 1.0, ""),
    "feeling_accuracy": ("Feelings told right", 100.0, 100.0, " %"),
    "particle_accuracy": ("Korean particles right", 100.0, 100.0, " %"),
}
_LANGUAGES = {"ko": "Korean", "en": "English"}


def evaluated(run: RunFacts) -> list[dict[str, Any]]:
    """The models of all `evaluate` stages with their reports, in the order of the run."""
    return [model for stage in run.of_kind("evaluate") for model in stage.document.get("models", [])]


def headline(run: RunFacts) -> list[tuple[str, str]]:
    """(figure, what it is) of the model evaluated last: the one that is shipped."""
    models = evaluated(run)
    if not models:
        return []
    last, tiles = models[-1], []
    for key, (title, _, factor, unit) in _STORYWORLD.items():
        value = (last.get("storyworld") or {}).get(key)
        if value is not None:
            tiles.append((f"{value * factor:.1f}{unit}", title))
    for language, row in ((last.get("bpb") or {}).get("languages") or {}).items():
        tiles.append((f"{row['bits_per_byte']:.3f}", f"bits per byte, {_LANGUAGES.get(language, language)}"))
    return tiles


def evaluation_charts(run: RunFacts) -> list[str]:
    """One bar chart per figure: each model, then each baseline."""
    models = evaluated(run)
    charts = []
    for key, (title, maximum, factor, unit) in _STORYWORLD.items():
        bars = [
            _bar(model["name"], model["storyworld"], key, factor)
            for model in models
            if (model.get("storyworld") or {}).get(key) is not None
        ]
        if bars:
            bars += _baselines(models, "storyworld", key, factor)
            charts.append(bar_chart(title, [replace(bar, text=f"{bar.value:.1f}{unit}") for bar in bars], maximum))
    languages = dict.fromkeys(
        language for model in models for language in ((model.get("bpb") or {}).get("languages") or {})
    )
    for language in languages:
        bars = [
            Bar(model["name"], row["bits_per_byte"], *(row.get("ci95") or (None, None)))
            for model in models
            if (row := ((model.get("bpb") or {}).get("languages") or {}).get(language))
        ]
        bars += _language_baselines(models, language)
        bars = [replace(bar, text=f"{bar.value:.3f}") for bar in bars]
        charts.append(
            bar_chart(f"Bits per byte, {_LANGUAGES.get(language, language)}", bars, max(b.value for b in bars))
        )
    return charts


def _bar(name: str, report: dict[str, Any], key: str, factor: float) -> Bar:
    low, high = (report.get("ci95") or {}).get(key) or (None, None)
    scaled = [None if bound is None else bound * factor for bound in (low, high)]
    return Bar(name, report[key] * factor, scaled[0], scaled[1])


def _baselines(models: list[dict[str, Any]], report: str, key: str, factor: float) -> list[Bar]:
    """The baselines of the first model that has them: they do not depend on the model."""
    for model in models:
        rows = (model.get(report) or {}).get("baselines") or {}
        bars = [Bar(name, row[key] * factor, muted=True) for name, row in rows.items() if row.get(key) is not None]
        if bars:
            return bars
    return []


def _language_baselines(models: list[dict[str, Any]], language: str) -> list[Bar]:
    rows = [((model.get("bpb") or {}).get("languages") or {}).get(language) or {} for model in models]
    found: dict[str, float] = next((row["baselines"] for row in rows if row.get("baselines")), {})
    return [Bar(name.replace("_", " "), value, muted=True) for name, value in found.items()]
