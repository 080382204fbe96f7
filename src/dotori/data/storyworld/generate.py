"""The story world's way out: documents, preference pairs, few-shot tasks, evaluations, and the particle check.

Everything is a pure function of (seed, index, vocabulary, split): any range can be made anywhere, in any order.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import accumulate
from random import Random
from typing import Any

from dotori.config import nearest
from dotori.data.storyworld.particles import allomorphs, particle
from dotori.data.storyworld.plots import Story, story_at
from dotori.data.storyworld.tasks import (
    ASK_FEELING,
    CHATS,
    DEFAULT_KINDS,
    TEXTS,
    TO_ENGLISH,
    TO_KOREAN,
    document,
    excerpt,
    feeling_label,
    pair,
    text_of,
)
from dotori.data.storyworld.vocabulary import Vocabulary, vocabulary
from dotori.errors import UserError

LANGUAGES = ("ko", "en")
_KINDS = (*TEXTS, *CHATS)


def documents(
    seed: int,
    count: int,
    knob: str | int,
    split: str = "train",
    kinds: dict[str, float] | None = None,
    start: int = 0,
) -> Iterator[dict[str, Any]]:
    """Documents start .. start+count-1: {"id", "lang", "kind", "text"} or {..., "task", "messages"}.

    `kinds` are weights of story, parallel, lines, qa_text (texts) and qa, translate, feeling, continue, summarize,
    polite (conversations). Raises UserError for an unknown kind, split or vocabulary.
    """
    v, weights = vocabulary(knob), kinds or DEFAULT_KINDS
    for kind in weights:
        if kind not in _KINDS:
            raise UserError(f"kind: {kind!r}; {nearest(kind, list(_KINDS))}")
    names, bounds = list(weights), list(accumulate(weights.values()))
    if not bounds or bounds[-1] <= 0 or min(weights.values()) < 0:
        raise UserError(f"kinds: {weights}; weights must be >= 0 with a positive sum; correct them")
    for index in range(start, start + count):
        story, generator = story_at(seed, index, v, split)
        kind = generator.choices(names, cum_weights=bounds)[0]
        language = generator.choice(LANGUAGES)
        yield {"id": f"{split}-{seed}-{index}"} | document(story, generator, kind, language)


def preferences(seed: int, count: int, knob: str | int, split: str = "train") -> Iterator[dict[str, str]]:
    """Pairs {"prompt", "chosen", "rejected", "reason"} whose rejected side is wrong: another answer of the story, a
    word that the story does not hold, or a wrong particle."""
    v = vocabulary(knob)
    for index in range(count):
        story, generator = story_at(seed, index, v, split)
        language = generator.choice(LANGUAGES)
        yield _wrong_particle(story, generator) if index % 3 == 2 else _wrong_answer(story, generator, language, v)


def _wrong_answer(story: Story, generator: Random, language: str, v: Vocabulary) -> dict[str, str]:
    question, answer = pair(generator.choice(story.answers()), language)
    others = {pair(one, language)[1] for one in story.answers()} - {answer}
    strangers = [p.ko if language == "ko" else p.en for p in v.people if p.en not in story.plot]
    told = sorted(other for other in others if other not in answer and answer not in other)
    if told and generator.random() < 0.5:
        rejected, reason = generator.choice(told), "another answer"
    else:
        rejected, reason = generator.choice(strangers), "not in the story"
    prompt = f"{text_of(story, language)}\n{question}"
    return {"prompt": prompt, "chosen": answer, "rejected": rejected, "reason": reason}


def _wrong_particle(story: Story, generator: Random) -> dict[str, str]:
    ko, en = excerpt(story, generator, 1)
    forms = [match for match in _pattern().finditer(ko) if match["form"] in allomorphs()]
    if not forms:
        return _wrong_answer(story, generator, "ko", vocabulary("full"))
    match = generator.choice(forms)
    wrong = _other_form(match["form"])
    rejected = ko[: match.start("form")] + wrong + ko[match.end("form") :]
    return {"prompt": TO_KOREAN + en, "chosen": ko, "rejected": rejected, "reason": "wrong particle"}


def _other_form(form: str) -> str:
    name = allomorphs()[form]
    return next(other for other, same in allomorphs().items() if same == name and other != form)


def few_shot(
    seed: int, count: int, knob: str | int, split: str = "train", examples: int = 3
) -> Iterator[dict[str, Any]]:
    """Tasks told by examples: {"family", "lang", "prompt", "answer"}, of qa, feeling, to_english and to_korean."""
    v = vocabulary(knob)
    families = ("qa", "feeling", "to_english", "to_korean")
    for index in range(count):
        generator = Random(f"few/{seed}/{index}/{split}")
        family, language = generator.choice(families), generator.choice(LANGUAGES)
        shots = [_shot(seed, (index, number), v, split, family, language) for number in range(examples + 1)]
        prompt = "\n\n".join(f"{q}\n→ {a}" for q, a in shots[:-1]) + f"\n\n{shots[-1][0]}\n→"
        yield {"family": family, "lang": language, "prompt": prompt, "answer": shots[-1][1]}


def _shot(seed: int, place: tuple[int, int], v: Vocabulary, split: str, family: str, language: str) -> tuple[str, str]:
    story, generator = story_at(seed + 7919, place[0] * 64 + place[1], v, split)
    if family == "feeling":
        return text_of(story, language), feeling_label(story, language)
    if family == "qa":
        question, answer = pair(generator.choice(story.answers()), language)
        return f"{text_of(story, language)} {question}", answer
    ko, en = excerpt(story, generator, 1)
    return (ko, en) if family == "to_english" else (en, ko)


def evaluation(seed: int, count: int, knob: str | int, split: str = "test") -> list[dict[str, Any]]:
    """About `count` items of each task on plots of `split`: qa and feeling in both languages, translation both ways.

    {"task", "lang", "prompt", "answer"}, with "story" and "question" for qa and "choices" for feeling.
    """
    v, items = vocabulary(knob), list[dict[str, Any]]()
    choices = {"ko": [h.label for h in v.feelings], "en": [h.en for h in v.feelings]}
    for index in range(count):
        story, generator = story_at(seed, index, v, split)
        language = LANGUAGES[index % 2]
        told = text_of(story, language)
        question, answer = pair(generator.choice(story.answers()), language)
        common = {"lang": language, "story": told}
        items.append({"task": "qa", "question": question, "prompt": f"{told}\n{question}", "answer": answer} | common)
        ko, en = excerpt(story, generator, 2)
        items.append({"task": "translate_ko_en", "lang": "en", "prompt": TO_ENGLISH + ko, "answer": en})
        items.append({"task": "translate_en_ko", "lang": "ko", "prompt": TO_KOREAN + en, "answer": ko})
        prompt = f"{told}\n{ASK_FEELING[language]}"
        feeling: dict[str, Any] = {"task": "feeling", "prompt": prompt, "answer": feeling_label(story, language)}
        items.append(feeling | common | {"choices": choices[language]})
    return items


@lru_cache(maxsize=1)
def _pattern() -> re.Pattern:
    """A noun of the whole world with a particle that has two forms, at the end of a word."""
    v = vocabulary("full")
    lists = (v.people, v.places, v.shops, v.objects, v.foods, v.animals, v.colors, v.jobs)
    nouns = {word.ko for words in lists for word in words} | {thing.counter for thing in (*v.objects, *v.foods)}
    ordered = "|".join(sorted(map(re.escape, nouns), key=len, reverse=True))
    return re.compile(rf"(?<![가-힣])(?P<noun>{ordered})(?P<form>{'|'.join(allomorphs())})(?![가-힣])")


def particle_check(text: str) -> tuple[int, int]:
    """(right, total) of the particles with two forms that stand behind nouns of the world, anywhere in `text`."""
    right = total = 0
    for match in _pattern().finditer(text):
        total += 1
        right += particle(match["noun"], allomorphs()[match["form"]]) == match["form"]
    return right, total
