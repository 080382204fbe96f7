"""The story world: grammar that agrees, answers that are entailed, splits by plot, no document twice."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dotori.data.storyworld.generate import documents, evaluation, few_shot, particle_check, preferences
from dotori.data.storyworld.particles import particle, with_particle
from dotori.data.storyworld.patterns import PATTERNS
from dotori.data.storyworld.plots import split_of_plot, story_at
from dotori.data.storyworld.tasks import plain_form
from dotori.data.storyworld.vocabulary import TOTAL, vocabulary
from dotori.data.storyworld.words_people import PEOPLE
from dotori.data.storyworld.words_things import OBJECTS, plural_of
from dotori.errors import UserError

KNOBS = ("tiny", "small", "medium", "full")
anywhere = (st.sampled_from(KNOBS), st.integers(0, 10**6), st.sampled_from(("train", "validation", "test")))


@settings(deadline=None, max_examples=150)
@given(*anywhere)
def test_every_particle_agrees_and_both_sides_keep_step(knob, index, split):
    story, _ = story_at(3, index, vocabulary(knob), split)
    right, total = particle_check(" ".join(story.ko))
    assert right == total
    assert len(story.ko) == len(story.en) == len(story.events)
    assert all(sentence.endswith("어요.") for sentence in story.ko)
    assert all(sentence.endswith(".") and sentence[0].isupper() for sentence in story.en)
    assert not any(mark in " ".join((*story.ko, *story.en)) for mark in "{}<>|@=+*")
    assert 2 <= len(story.ko) <= 12


@settings(deadline=None, max_examples=150)
@given(*anywhere)
def test_answers_are_entailed_and_said_in_the_story(knob, index, split):
    story, _ = story_at(5, index, vocabulary(knob), split)
    ko, en = " ".join(story.ko), " ".join(story.en).lower()
    answers = story.answers()
    assert answers
    for one in answers:
        assert one.answer_ko in ko, one
        assert one.answer_en.lower() in en, one
        assert one.ko.endswith("?")
        assert one.en.endswith("?")
    assert len({one.ko for one in answers}) == len({one.en for one in answers}) == len(answers)


@settings(deadline=None, max_examples=100)
@given(st.sampled_from(KNOBS), st.integers(0, 10**6))
def test_events_follow_from_each_other(knob, index):
    story, _ = story_at(1, index, vocabulary(knob), "train")
    has_thing, known = False, False
    for event in story.events:
        name = event.pattern.id
        if name in ("give", "lose", "put", "hide", "trade", "break", "show", "clean", "carry", "forget"):
            assert has_thing, story.ko
        if name in ("find", "buy", "make", "lend"):
            assert not known, story.ko
            has_thing = known = True
        if name in ("give", "lose", "put", "hide", "trade", "break", "forget"):
            has_thing = False


def test_honored_people_get_honorifics():
    texts = [d["text"] for d in documents(2, 400, "tiny", kinds={"story": 1}) if "할머니" in d["text"]]
    assert texts
    for text in texts:
        assert "할머니는" not in text
        assert "할머니에게" not in text
        assert "할머니께서는" not in text or "셨어요" in text


def test_splits_share_no_plot_whatever_the_seed():
    v = vocabulary("tiny")
    plots = {
        split: {story_at(seed, index, v, split)[0].plot for seed in (1, 2) for index in range(400)}
        for split in ("train", "validation", "test")
    }
    assert not plots["train"] & plots["test"]
    assert not plots["train"] & plots["validation"]
    assert all(split_of_plot(plot) == split for split, found in plots.items() for plot in found)


def test_any_range_can_be_made_alone():
    whole = list(documents(9, 60, "small"))
    assert list(documents(9, 20, "small", start=25)) == whole[25:45]
    assert list(documents(9, 60, "small")) == whole


def test_no_document_twice_at_full_size():
    texts = [d.get("text") or str(d["messages"]) for d in documents(4, 8000, "full")]
    assert len(set(texts)) == len(texts)


@pytest.mark.slow
def test_no_document_twice_in_a_million_stories():
    seen = set()
    for d in documents(4, 1_000_000, "full", kinds={"story": 1, "lines": 1}):
        seen.add(hash(d["text"]))
    assert len(seen) == 1_000_000


def test_the_knob_grows_everything():
    sizes = [vocabulary(knob) for knob in KNOBS]
    words = [v.content_words for v in sizes]
    assert words == sorted(words)
    assert words[0] <= 120
    assert words[-1] >= 600
    assert len(sizes[-1].patterns) >= 40
    assert len(PATTERNS) == len({pattern.id for pattern in PATTERNS})
    assert abs(vocabulary(300).content_words - 300) < 40


@pytest.mark.parametrize("bad", ["huge", 10, TOTAL + 1])
def test_unknown_sizes_are_refused(bad):
    with pytest.raises(UserError, match="vocabulary"):
        vocabulary(bad)


def test_unknown_kinds_and_splits_are_refused():
    with pytest.raises(UserError, match="did you mean 'story'"):
        list(documents(1, 1, "tiny", kinds={"stori": 1}))
    with pytest.raises(UserError, match="split"):
        list(documents(1, 1, "tiny", split="tset"))
    with pytest.raises(UserError, match="weights"):
        list(documents(1, 1, "tiny", kinds={"story": 0}))


def test_preferences_are_provably_wrong():
    reasons = set()
    for pair in preferences(6, 300, "small"):
        reasons.add(pair["reason"])
        assert pair["chosen"] != pair["rejected"]
        if pair["reason"] == "wrong particle":
            right, total = particle_check(pair["rejected"])
            assert right == total - 1
        elif pair["reason"] == "not in the story":
            assert pair["rejected"] not in pair["prompt"].split("\n")[0]
        else:
            assert pair["rejected"] not in pair["chosen"]
            assert pair["chosen"] not in pair["rejected"]
    assert reasons == {"wrong particle", "not in the story", "another answer"}


def test_few_shot_tasks_end_in_the_question():
    families = set()
    for task in few_shot(2, 60, "tiny"):
        families.add(task["family"])
        assert task["prompt"].count("→") == 4
        assert task["prompt"].endswith("→")
        assert task["answer"]
    assert len(families) == 4


def test_evaluation_items_are_of_test_plots_only():
    train = {d["text"] for d in documents(1, 3000, "tiny", kinds={"story": 1})}
    items = evaluation(1, 100, "tiny")
    assert {item["task"] for item in items} == {"qa", "feeling", "translate_ko_en", "translate_en_ko"}
    for item in items:
        if item["task"] in ("qa", "feeling"):
            assert item["story"] not in train
        if item["task"] == "qa":
            assert item["prompt"] == f"{item['story']}\n{item['question']}"
            assert item["answer"].lower() in item["story"].lower()
        if item["task"] == "feeling":
            assert item["answer"] in item["choices"]


def test_conversations_alternate_and_answer_the_asked_task():
    kinds = dict.fromkeys(("qa", "translate", "feeling", "continue", "summarize", "polite"), 1.0)
    tasks = set()
    for d in documents(8, 300, "medium", kinds=kinds):
        tasks.add(d["task"])
        assert [m["role"] for m in d["messages"]] == ["user", "assistant"] * (len(d["messages"]) // 2)
        assert all(m["content"].strip() for m in d["messages"])
        if d["task"] == "polite" and d["lang"] == "ko":
            assert plain_form(d["messages"][1]["content"]) in d["messages"][0]["content"]
    assert tasks == set(kinds)


def test_particles_by_final_consonant():
    assert [particle(word, "로") for word in ("학교", "집", "교실")] == ["로", "으로", "로"]
    assert [particle(word, "는") for word in ("미나", "도윤")] == ["는", "은"]
    assert with_particle("할머니", "가", honored=True) == "할머니께서"
    assert with_particle("할머니", "를", honored=True) == "할머니를"


def test_the_particle_check_finds_planted_mistakes():
    assert particle_check("미나은 사과을 먹었어요.") == (0, 2)
    assert particle_check("미나는 사과를 먹었어요. 모르는말을 했어요.") == (2, 2)


def test_word_tables_are_sound():
    for words in (PEOPLE, OBJECTS):
        assert len({word.ko for word in words}) == len({word.en for word in words}) == len(words)
    assert [plural_of(word) for word in ("box", "city", "toy", "glass of milk", "sweet potato", "loaf")] == [
        "boxes",
        "cities",
        "toys",
        "glasses of milk",
        "sweet potatoes",
        "loaves",
    ]
