"""The story world as an examination: questions, translation both ways, feelings and Korean particles on new plots.

Every item is one user message; the model answers greedily through its chat template, as people would use it. An answer
counts when it equals the expected text, in NFC and with single blanks. Particles are counted in all Korean that the
model wrote itself: its translations, and stories it was asked to continue.

Baselines: `majority` gives the most frequent expected answer of the task and language, `copy` gives back the sentence
to translate.
"""

from __future__ import annotations

import time
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from dotori.data.build import STORY_VOCABULARY
from dotori.data.storyworld.generate import documents, evaluation, particle_check
from dotori.data.storyworld.tasks import TO_ENGLISH, TO_KOREAN
from dotori.errors import UserError
from dotori.evaluate.chrf import chrf, chrf_counts, chrf_of_counts
from dotori.evaluate.stats import Interval, bootstrap_interval, share_interval
from dotori.runlog import RunLog
from dotori.tokenizer.chat import Message

# Fewer particles than this say nothing about the rule.
MIN_PARTICLES = 50
_STORY = "story"
_EXAMPLES = 4
_LANGUAGES = ("ko", "en")
Item = dict[str, Any]


class Talker(Protocol):
    """A scorer that also knows its chat template, what ends a turn and where it comes from; both sessions do."""

    context: int

    @property
    def stop_ids(self) -> list[int]:
        """Ids that end a text."""
        ...

    @property
    def lineage(self) -> dict | None:
        """Where the model comes from."""
        ...

    @property
    def metadata(self) -> dict:
        """A GGUF file's metadata, else empty."""
        ...

    def tokenize(self, text: str) -> list[int]:
        """Ids of `text`, no BOS added."""
        ...

    def detokenize(self, ids: list[int]) -> str:
        """Text of `ids`; special tokens give nothing."""
        ...

    def generate_batch(self, prompts: list[list[int]], max_tokens: int, stop_ids: list[int]) -> list[list[int]]:
        """Greedy continuations without the stop token, one per prompt."""
        ...

    def chat(self, messages: Sequence[Message]) -> list[int]:
        """The prompt ids of a conversation, up to where the assistant speaks next."""
        ...


@dataclass(frozen=True)
class Answered:
    """An item and what the model wrote; None where the prompt left no room in the context."""

    item: Item
    text: str | None

    @property
    def is_right(self) -> bool:
        """Whether the text is the expected answer."""
        return self.text is not None and _plain(self.text) == _plain(self.item["answer"])


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).split())


def vocabulary_of(talker: Talker) -> str | int | None:
    """The story vocabulary a model was trained on: `storyworld.vocabulary` in its lineage's data, or
    `dotori.storyworld.vocabulary` in its GGUF metadata; None when neither says."""
    found = ((talker.lineage or {}).get("data") or {}).get(STORY_VOCABULARY)
    found = found or talker.metadata.get(f"dotori.{STORY_VOCABULARY}")
    return int(found) if isinstance(found, str) and found.isdigit() else found


def story_items(seed: int, count: int, vocabulary: str | int) -> list[Item]:
    """`count` items of each task on plots of the test split, and half as many Korean stories to continue."""
    items = evaluation(seed, count, vocabulary, split="test")
    stories = documents(seed, count, vocabulary, split="test", kinds={"continue": 1.0})
    for story in stories:
        if story["lang"] == "ko":
            prompt, answer = (message["content"] for message in story["messages"])
            items.append({"task": _STORY, "lang": "ko", "prompt": prompt, "answer": answer})
    return items


def evaluate_storyworld(
    talker: Talker, log: RunLog, seed: int = 0, count: int = 200, vocabulary: str | int | None = None
) -> dict[str, Any]:
    """`dotori eval storyworld`: the figures of the fixed interface, their intervals, baselines and examples.

    `vocabulary` None takes the model's own, else "small". Plots are of the test split whatever the seed. Raises
    UserError for an impossible vocabulary or a model without a chat template.
    """
    if count < 1:
        raise UserError(f"count: {count}; at least one item of each task is needed; correct it")
    known = vocabulary_of(talker) if vocabulary is None else vocabulary
    started = time.monotonic()
    answered = answer_items(talker, story_items(seed, count, "small" if known is None else known), log)
    report = report_of(answered)
    report |= {"vocabulary": "small" if known is None else known, "seed": seed}
    return report | {"seconds": round(time.monotonic() - started, 2)}


def answer_items(talker: Talker, items: Sequence[Item], log: RunLog) -> list[Answered]:
    """Greedy answers to the `prompt` of each item, at most 16 tokens longer than the longest expected of its task."""
    texts: list[str | None] = [None] * len(items)
    with log.progress("story world", len(items), "answers") as meter:
        for task in dict.fromkeys(item["task"] for item in items):
            numbers = [number for number, item in enumerate(items) if item["task"] == task]
            prompts = {n: talker.chat([{"role": "user", "content": items[n]["prompt"]}]) for n in numbers}
            fitting = [n for n in numbers if len(prompts[n]) < talker.context]
            longest = max(len(talker.tokenize(items[n]["answer"])) for n in numbers)
            found = talker.generate_batch([prompts[n] for n in fitting], longest + 16, talker.stop_ids)
            for number, ids in zip(fitting, found, strict=True):
                texts[number] = talker.detokenize(ids).strip()
            meter.advance(len(numbers))
    return [Answered(item, text) for item, text in zip(items, texts, strict=True)]


def report_of(answered: Sequence[Answered]) -> dict[str, Any]:
    """Figures, intervals, baselines, languages, counts and examples of answered items."""
    figures: dict[str, float | None] = {}
    intervals: dict[str, list[float] | None] = {}
    baselines: dict[str, dict[str, float]] = {"majority": {}, "copy": {}}
    for task, key in (("qa", "qa_exact_match"), ("feeling", "feeling_accuracy")):
        rows = _of(answered, task)
        right = sum(row.is_right for row in rows)
        figures[key], intervals[key] = _share(right, len(rows)), _rounded(share_interval(right, len(rows)))
        baselines["majority"][key] = round(_majority_share(rows), 4)
    for task, key in (("translate_ko_en", "chrf_ko_en"), ("translate_en_ko", "chrf_en_ko")):
        rows = _of(answered, task)
        counts = np.array([chrf_counts(row.text or "", row.item["answer"]) for row in rows])
        figures[key] = round(chrf_of_counts(counts.sum(0)), 2) if rows else None
        intervals[key] = _rounded(bootstrap_interval(counts, chrf_of_counts))
        for name, guess in (("majority", _majority_of(rows)), ("copy", _source)):
            guesses = [guess(row.item) for row in rows]
            baselines[name][key] = round(chrf(guesses, [row.item["answer"] for row in rows]), 2)
    right, total = _particles(answered)
    figures["particle_accuracy"] = _share(right, total) if total >= MIN_PARTICLES else None
    intervals["particle_accuracy"] = _rounded(share_interval(right, total)) if total >= MIN_PARTICLES else None
    return figures | {
        "ci95": intervals,
        "baselines": baselines,
        "languages": {lang: _by_language(answered, lang) for lang in _LANGUAGES},
        "counts": _counts(answered) | {"particles": total},
        "examples": _examples(answered),
    }


def _of(answered: Sequence[Answered], task: str) -> list[Answered]:
    return [row for row in answered if row.item["task"] == task]


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def _rounded(interval: Interval | None) -> list[float] | None:
    return None if interval is None else [round(edge, 4) for edge in interval]


def _majority_of(rows: Sequence[Answered]) -> Callable[[Item], str]:
    """The most frequent expected answer of an item's language; the alphabet breaks ties."""
    frequent = {}
    for lang in _LANGUAGES:
        counts = Counter(row.item["answer"] for row in rows if row.item["lang"] == lang)
        frequent[lang] = min(counts, key=lambda answer: (-counts[answer], answer), default="")
    return lambda item: frequent[item["lang"]]


def _majority_share(rows: Sequence[Answered]) -> float:
    guess = _majority_of(rows)
    return sum(guess(row.item) == row.item["answer"] for row in rows) / max(len(rows), 1)


def _source(item: Item) -> str:
    return item["prompt"].removeprefix(TO_ENGLISH).removeprefix(TO_KOREAN)


def _particles(answered: Sequence[Answered]) -> tuple[int, int]:
    right = total = 0
    for row in answered:
        if row.text and row.item["task"] in ("translate_en_ko", _STORY):
            good, all_of_them = particle_check(unicodedata.normalize("NFC", row.text))
            right, total = right + good, total + all_of_them
    return right, total


def _by_language(answered: Sequence[Answered], lang: str) -> dict[str, float | None]:
    found: dict[str, float | None] = {}
    for task, key in (("qa", "qa_exact_match"), ("feeling", "feeling_accuracy")):
        rows = [row for row in _of(answered, task) if row.item["lang"] == lang]
        found[key] = _share(sum(row.is_right for row in rows), len(rows))
    return found


def _counts(answered: Sequence[Answered]) -> dict[str, int]:
    tasks = Counter(row.item["task"] for row in answered)
    return dict(sorted(tasks.items())) | {"too_long_for_context": sum(row.text is None for row in answered)}


def _examples(answered: Sequence[Answered]) -> list[dict[str, Any]]:
    """The first few items of each task, right or wrong."""
    chosen = [
        row for task in dict.fromkeys(row.item["task"] for row in answered) for row in _of(answered, task)[:_EXAMPLES]
    ]
    return [
        {key: row.item[key] for key in ("task", "lang", "prompt", "answer")}
        | {"output": row.text, "is_right": row.is_right}
        for row in chosen
    ]
