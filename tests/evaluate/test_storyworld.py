from collections.abc import Callable, Sequence

import pytest

from dotori.data.storyworld.particles import particle
from dotori.data.storyworld.tasks import TO_ENGLISH, TO_KOREAN
from dotori.data.storyworld.vocabulary import vocabulary
from dotori.errors import UserError
from dotori.evaluate.storyworld import Answered, evaluate_storyworld, report_of, story_items, vocabulary_of
from dotori.runlog import RunLog
from dotori.tokenizer.chat import Message

SEED, COUNT, WORDS = 3, 40, "tiny"


class Speaker:
    """A model whose tokens are characters and whose answer to a message is what `answer` says."""

    bos_id, eos_id, stop_ids = 0x10FFFF, 0, [0]

    def __init__(self, answer: Callable[[str], str], context: int = 4096, lineage: dict | None = None) -> None:
        self.answer, self.context, self.lineage, self.metadata = answer, context, lineage, {}

    def tokenize(self, text: str) -> list[int]:
        return [ord(character) for character in text]

    def detokenize(self, ids: list[int]) -> str:
        return "".join(map(chr, ids))

    def chat(self, messages: Sequence[Message]) -> list[int]:
        return self.tokenize(messages[-1]["content"])

    def generate_batch(self, prompts: list[list[int]], max_tokens: int, stop_ids: list[int]) -> list[list[int]]:
        return [self.tokenize(self.answer(self.detokenize(prompt)))[:max_tokens] for prompt in prompts]

    def loglikelihood(self, sequences: list[list[int]], starts: list[int]) -> list[float]:
        return [0.0 for _ in sequences]


def _evaluate(answer: Callable[[str], str], **settings) -> dict:
    return evaluate_storyworld(Speaker(answer, **settings), RunLog(quiet=True), SEED, COUNT, WORDS)


@pytest.fixture(scope="module")
def answers() -> dict[str, str]:
    return {item["prompt"]: item["answer"] for item in story_items(SEED, COUNT, WORDS)}


def test_one_who_knows_has_every_mark(answers: dict[str, str]):
    report = _evaluate(lambda prompt: f" {answers[prompt]}\n")
    for key in ("qa_exact_match", "feeling_accuracy", "particle_accuracy"):
        assert report[key] == 1
    assert report["chrf_ko_en"] == report["chrf_en_ko"] == 100
    assert report["counts"]["qa"] == report["counts"]["translate_ko_en"] == COUNT
    assert report["counts"]["particles"] >= 50
    assert report["languages"]["ko"] == report["languages"]["en"] == {"qa_exact_match": 1, "feeling_accuracy": 1}
    assert report["ci95"]["qa_exact_match"][0] < 1
    assert all(example["is_right"] for example in report["examples"])
    assert (report["vocabulary"], report["seed"]) == (WORDS, SEED)


def test_a_parrot_reaches_the_copy_baseline():
    report = _evaluate(lambda prompt: prompt.removeprefix(TO_ENGLISH).removeprefix(TO_KOREAN))
    assert report["qa_exact_match"] == report["feeling_accuracy"] == 0
    for key in ("chrf_ko_en", "chrf_en_ko"):
        # Its answers are cut at 16 tokens beyond the longest expected one, the baseline's are not.
        assert report[key] == pytest.approx(report["baselines"]["copy"][key], abs=0.5)
        assert report[key] < 20
    assert report["baselines"]["majority"]["feeling_accuracy"] > 0.1


def test_one_who_always_says_the_same_stays_at_the_majority(answers: dict[str, str]):
    feelings = [item for item in story_items(SEED, COUNT, WORDS) if item["task"] == "feeling" and item["lang"] == "ko"]
    report = _evaluate(lambda prompt: feelings[0]["answer"])
    assert report["feeling_accuracy"] <= report["baselines"]["majority"]["feeling_accuracy"]
    assert report["qa_exact_match"] <= report["baselines"]["majority"]["qa_exact_match"] + 0.05


def test_wrong_particles_are_seen_and_few_say_nothing(answers: dict[str, str]):
    name = vocabulary("full").people[0].ko
    right = particle(name, "를")
    other = {"을": "를", "를": "을"}[right]
    report = _evaluate(lambda prompt: f"{name}{other} {name}{other} {name}{right}." if TO_KOREAN in prompt else "")
    assert report["particle_accuracy"] == pytest.approx(1 / 3, abs=1e-4)
    assert report["counts"]["particles"] == 3 * COUNT
    silent = _evaluate(lambda prompt: "")
    assert silent["particle_accuracy"] is None
    assert silent["ci95"]["particle_accuracy"] is None
    assert silent["counts"]["particles"] == 0


def test_prompts_beyond_the_context_count_as_wrong(answers: dict[str, str]):
    lengths = sorted(len(item["prompt"]) for item in story_items(SEED, COUNT, WORDS) if item["task"] == "qa")
    report = _evaluate(lambda prompt: answers[prompt], context=lengths[len(lengths) // 2])
    assert 0.3 < report["qa_exact_match"] < 0.7
    assert report["counts"]["too_long_for_context"] >= len(lengths) // 2
    assert report["chrf_ko_en"] == 100


def test_answers_are_compared_in_nfc_with_single_blanks():
    item = {"task": "qa", "lang": "ko", "prompt": "?", "answer": "빨간 집"}
    assert Answered(item, "\u1108\u1161\u11af\u1100\u1161\u11ab  집").is_right
    assert not Answered(item, "빨간 집.").is_right
    assert not Answered(item, None).is_right


def test_a_report_of_one_task_has_no_figures_for_the_others():
    item = {"task": "qa", "lang": "ko", "prompt": "?", "answer": "집"}
    report = report_of([Answered(item, "집"), Answered(item, "나무")])
    assert report["qa_exact_match"] == 0.5
    assert report["chrf_ko_en"] is None
    assert report["feeling_accuracy"] is None


def test_the_vocabulary_comes_from_the_lineage():
    assert vocabulary_of(Speaker(str)) is None
    assert vocabulary_of(Speaker(str, lineage={"data": {"storyworld.vocabulary": "medium"}})) == "medium"
    assert vocabulary_of(Speaker(str, lineage={"data": {"storyworld.vocabulary": "120"}})) == 120
    speaker = Speaker(str)
    speaker.metadata = {"dotori.storyworld.vocabulary": "tiny"}
    assert vocabulary_of(speaker) == "tiny"
    assert evaluate_storyworld(speaker, RunLog(quiet=True), 1, 2)["vocabulary"] == "tiny"


def test_bad_settings_are_named():
    with pytest.raises(UserError, match="count: 0"):
        evaluate_storyworld(Speaker(str), RunLog(quiet=True), 1, 0)
    with pytest.raises(UserError, match="vocabulary"):
        evaluate_storyworld(Speaker(str), RunLog(quiet=True), 1, 2, "huge")
