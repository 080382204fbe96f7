"""`dotori eval storyworld`.

New plots that no training split holds. Every model path works, so the file that ships is what is measured.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Any

from dotori.cli.options import add_json, print_json

_FIGURES = {
    "qa_exact_match": "questions answered exactly",
    "chrf_ko_en": "Korean to English, chrF",
    "chrf_en_ko": "English to Korean, chrF",
    "feeling_accuracy": "feelings told right",
    "particle_accuracy": "Korean particles right",
}


def arguments(parser: ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument("model", help="model folder, export folder or .gguf file")
    parser.add_argument("--count", type=int, default=200, metavar="N", help="items of each task (default 200)")
    parser.add_argument("--seed", type=int, default=0, help="other plots of the same split (default 0)")
    parser.add_argument("--vocabulary", metavar="NAME", help="tiny, small, medium, full (default: the model's own)")
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads (default: all cores)")
    add_json(parser)


def run(options: Namespace) -> int:
    """Measures and prints."""
    from dotori.evaluate.storyworld import evaluate_storyworld
    from dotori.runlog import RunLog
    from dotori.runtime.open import open_model

    session = open_model(options.model, threads=options.threads)
    words = options.vocabulary
    vocabulary = int(words) if words is not None and words.isdigit() else words
    with RunLog() as log:
        report = evaluate_storyworld(session, log, options.seed, options.count, vocabulary)
    if options.json:
        print_json(report)
    else:
        print("\n".join(_line(key, words, report) for key, words in _FIGURES.items()))
    return 0


def _line(key: str, words: str, report: dict[str, Any]) -> str:
    value, interval = report[key], report["ci95"][key]
    beside = ", ".join(f"{name} {row[key]:g}" for name, row in report["baselines"].items() if key in row)
    text = "too few to say" if value is None else f"{value:g}"
    text += f" [{interval[0]:g}, {interval[1]:g}]" if interval else ""
    return f"{words:28} {text}" + (f"   (baselines: {beside})" if beside else "")
