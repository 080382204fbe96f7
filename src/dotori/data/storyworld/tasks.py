"""Stories as documents: plain, parallel, with questions, and as conversations of seven tasks.

A document is a pure function of (seed, index, vocabulary, split). Conversations carry messages, the others text.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from dotori.data.storyworld.plots import Answered, Story

TO_ENGLISH, TO_KOREAN = "영어로: ", "Korean: "
ASK_FEELING = {"ko": "기분은?", "en": "Feeling?"}
CONTINUE = {"ko": "이어서: ", "en": "Continue: "}
SUMMARIZE = {"ko": "한 문장으로: ", "en": "In one sentence: "}
POLITE = {"ko": "공손하게: ", "en": "Politely: "}
_QUESTION = {"ko": ("질문", "답"), "en": ("Q", "A")}

Messages = list[dict[str, str]]


def text_of(story: Story, language: str) -> str:
    """The whole story in one language."""
    return " ".join(story.ko if language == "ko" else story.en)


def pair(answered: Answered, language: str) -> tuple[str, str]:
    """Question and answer in a language."""
    return (answered.ko, answered.answer_ko) if language == "ko" else (answered.en, answered.answer_en)


def turn(prompt: str, answer: str) -> Messages:
    """One question and its answer as messages."""
    return [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]


def excerpt(story: Story, generator: Random, longest: int) -> tuple[str, str]:
    """One to `longest` sentences in a row, in both languages."""
    count = generator.randint(1, min(longest, len(story.ko)))
    start = generator.randrange(len(story.ko) - count + 1)
    return " ".join(story.ko[start : start + count]), " ".join(story.en[start : start + count])


def _story(story: Story, generator: Random, language: str) -> str:
    return text_of(story, language)


def _parallel(story: Story, generator: Random, language: str) -> str:
    sides = [text_of(story, "ko"), text_of(story, "en")]
    return "\n".join(sides if language == "ko" else sides[::-1])


def _lines(story: Story, generator: Random, language: str) -> str:
    """Sentence by sentence, both languages: the densest lesson in words."""
    rows = [(ko, en) if language == "ko" else (en, ko) for ko, en in zip(story.ko, story.en, strict=True)]
    return "\n".join(f"{first}\n{second}" for first, second in rows)


def _qa_text(story: Story, generator: Random, language: str) -> str:
    asked = story.answers()
    generator.shuffle(asked)
    question, answer = _QUESTION[language]
    rows = [f"{question}: {q}\n{answer}: {a}" for q, a in (pair(one, language) for one in asked[:5])]
    return "\n".join([text_of(story, language), *rows])


def _qa(story: Story, generator: Random, language: str) -> Messages:
    """One to four questions; the story stands before the first."""
    asked = story.answers()
    generator.shuffle(asked)
    messages: Messages = []
    for number, one in enumerate(asked[: generator.randint(1, 4)]):
        question, answer = pair(one, language)
        messages += turn(f"{text_of(story, language)}\n{question}" if number == 0 else question, answer)
    return messages


def _translate(story: Story, generator: Random, language: str) -> Messages:
    ko, en = excerpt(story, generator, 2)
    return turn(TO_ENGLISH + ko, en) if language == "ko" else turn(TO_KOREAN + en, ko)


def _feeling(story: Story, generator: Random, language: str) -> Messages:
    return turn(f"{text_of(story, language)}\n{ASK_FEELING[language]}", feeling_label(story, language))


def feeling_label(story: Story, language: str) -> str:
    """The name of the feeling a story ends with."""
    return story.feeling.label if language == "ko" else story.feeling.en


def _continue(story: Story, generator: Random, language: str) -> Messages:
    sentences = story.ko if language == "ko" else story.en
    cut = generator.randint(1, len(sentences) - 1)
    return turn(CONTINUE[language] + " ".join(sentences[:cut]), " ".join(sentences[cut:]))


def _summarize(story: Story, generator: Random, language: str) -> Messages:
    """A story comes down to what moved its hero: the cause of the last feeling, else the first event."""
    sentences = story.ko if language == "ko" else story.en
    chosen = sentences[-1] if "cause" in story.roles else sentences[0]
    return turn(SUMMARIZE[language] + text_of(story, language), chosen)


def plain_form(sentence: str) -> str:
    """The plain form of a polite past sentence: 갔어요 -> 갔다."""
    return sentence.removesuffix("어요.") + "다."


def _polite(story: Story, generator: Random, language: str) -> Messages:
    if language == "ko":
        sentence = generator.choice(story.ko)
        return turn(POLITE["ko"] + plain_form(sentence), sentence)
    thing, person = story.roles["o"].en, story.roles["q"].en
    place = story.roles["a"].en
    order = generator.choice(
        (f"Give the {thing} to {person}.", f"Bring the {thing} to {place}.", f"Look for {person}.")
    )
    return turn(POLITE["en"] + order, f"Could you please {order[0].lower()}{order[1:-1]}?")


TEXTS: dict[str, Callable[[Story, Random, str], str]] = {
    "story": _story,
    "parallel": _parallel,
    "lines": _lines,
    "qa_text": _qa_text,
}
CHATS: dict[str, Callable[[Story, Random, str], Messages]] = {
    "qa": _qa,
    "translate": _translate,
    "feeling": _feeling,
    "continue": _continue,
    "summarize": _summarize,
    "polite": _polite,
}
DEFAULT_KINDS = {"story": 3.0, "parallel": 1.0, "lines": 2.0, "qa_text": 4.0}


def document(story: Story, generator: Random, kind: str, language: str) -> dict[str, Any]:
    """The fields that a kind of document adds: text, or task and messages."""
    if kind in TEXTS:
        mixed = kind in ("parallel", "lines")
        return {"kind": kind, "lang": "mixed" if mixed else language, "text": TEXTS[kind](story, generator, language)}
    return {"kind": "chat", "task": kind, "lang": language, "messages": CHATS[kind](story, generator, language)}
