"""The page shows what the chapters found, changes when they change, loads nothing, and says what is missing."""

import copy
import json
import math
import random
import re

import numpy as np
import planted_folder as planted
import pytest
from parsed_page import Page

from dotori.errors import UserError
from dotori.tunnel.page.advice import advice
from dotori.tunnel.page.findings import findings, verdict
from dotori.tunnel.page.limits import limits
from dotori.tunnel.page.shapes import SHAPES, read_chapters
from dotori.tunnel.page.verdicts import drift, effective
from dotori.tunnel.page.words import count
from dotori.tunnel.page.write import write_page
from dotori.tunnel.power_law import effective_tokens


def read_page(path):
    return Page(path.read_text(encoding="utf-8"))


@pytest.fixture
def folder(tmp_path):
    return planted.write_folder(tmp_path / "tunnel")


def said(chapters, anchor):
    return " ".join(finding.text for finding in findings(chapters) if finding.anchor == anchor)


def test_the_page_shows_every_chapter(folder):
    path = write_page(folder)
    page = read_page(path)
    assert path == folder / "index.html"
    for part in (
        "one learning rate serves widths 24 to 192",
        "Width rules off, AdamW", "layer 1 residual stream", "16-fold",  # check
        "2.313", "2.342", "71 %", "scale_depth",  # search
        "0.0051", "6.1 times too high", "Muon", "width 192", "diverged",  # transfer
        "90k / loss^5", "3.6 to 6.3", "R² 0.94", "Step Law",  # batch
        "at all 5 lengths", "40 %", "last 2.5 % of the run", "averaged weights", "0.810",  # schedules
        "55.3k parameters", "24 to 210", "1.184", "1.194", "Chinchilla 20", "inside",  # ladder
        "What this cannot tell", "All 65 runs", "not sure", "recipes/demo.toml",
    ):  # fmt: skip
        assert part in page.text, part
    assert page.source.count("<figure>") >= 17
    assert page.source.count("<figure>") == page.source.count('class="reading"') == page.source.count("<figcaption>")
    assert "nan" not in page.source.lower().replace("nanum", "")


def test_order_of_the_page(folder):
    text = read_page(write_page(folder)).text
    heads = ["Settings to use", "What was found", "A wide model adds up", "What this cannot tell", "All 65 runs"]
    places = [text.index(head) for head in heads]
    assert places == sorted(places)


def test_the_page_loads_nothing(folder):
    page = read_page(write_page(folder))
    assert not {"script", "link", "img", "iframe", "object"} & set(page.tags)
    outside = [(n, v) for n, v in page.attributes if n in ("src", "href", "srcset") and not v.startswith("#")]
    assert not outside
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert "url(" not in page.source
    assert not re.search(r"https?://|@import", page.source)


def test_links_lead_to_something_on_the_page(folder):
    page = read_page(write_page(folder))
    ids = [value for name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert {value[1:] for name, value in page.attributes if name == "href"} <= set(ids)


def test_hostile_text_stays_text(tmp_path):
    hostile = '</style></svg><script>alert("1")</script><img src=x onerror=alert(1)>'
    chapters = planted.chapters()
    chapters["check"]["variants"][hostile] = chapters["check"]["variants"].pop("mup muon")
    chapters["transfer"]["variants"][hostile] = chapters["transfer"]["variants"].pop("muon")
    layers = chapters["check"]["variants"]["mup adamw"]
    layers["activations"][hostile] = layers["activations"]["logits"]
    layers["slopes"][hostile] = {"slope": 3.0, "low": 2.9, "high": 3.1}
    chapters["search"]["trials"][0]["params"][hostile] = hostile
    chapters["search"]["importance"][hostile] = 0.9
    chapters["search"]["evidence"].append(hostile)
    chapters["batch"] |= {"law": None, "why": hostile, "priors": {hostile: 3.0}}
    chapters["schedules"]["forms"][hostile] = 2.0
    chapters["schedules"]["mixing"][hostile] = {"answers_bpb": 1.0, "text_bpb": 2.0}
    for point in chapters["ladder"]["points"]:
        point["bits_per_byte"][hostile] = 2.0
    folder = planted.write_folder(tmp_path / "a b<c>", {n: c for n, c in chapters.items() if n != "search"})
    (folder / "search.json").write_text(json.dumps(chapters["search"]))
    (folder / "settings.json").write_text(json.dumps({"source": hostile, hostile: hostile}))
    run = next((folder / "runs").glob("*.job.json"))
    run.write_text(json.dumps({"label": hostile, "settings": {hostile: hostile}}))
    page = read_page(write_page(folder))
    assert not {"script", "img"} & set(page.tags)
    assert page.text.count("<script>alert") > 10


def test_chapters_that_were_not_run_are_named_with_their_command(tmp_path):
    folder = planted.write_folder(tmp_path / "my tunnel", {"check": planted.check()})
    page = read_page(write_page(folder))
    assert f"dotori tunnel transfer recipes/demo.toml --out '{folder.as_posix()}'" in page.text
    assert "Not run: search, transfer, batch, schedules and ladder" in page.text
    assert "Nothing is known here of what was not run: search" in page.text
    assert "Too little has been run" in page.text


def test_an_empty_folder_and_no_folder(tmp_path):
    page = read_page(write_page(tmp_path))
    assert "dotori tunnel check SOURCE" in page.text
    assert "No runs are in this folder" in page.text
    with pytest.raises(UserError, match="no such folder"):
        write_page(tmp_path / "none")


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize(
    "text", ["{", "[]", '"x"', "{}", "", '{"variants": 3, "trials": 3, "points": 3, "curves": 3, "wsd": 3}']
)
def test_a_malformed_chapter_is_named(folder, name, text):
    before = write_page(folder).read_text()
    (folder / f"{name}.json").write_text(text)
    with pytest.raises(UserError, match=f"{name}.json"):
        write_page(folder)
    assert (folder / "index.html").read_text() == before


def test_a_malformed_job_is_named(folder):
    path = next((folder / "runs").glob("*.job.json"))
    path.write_text("{")
    with pytest.raises(UserError, match=path.name):
        write_page(folder)


def complaint(folder, otherwise):
    """The message of the one error that is allowed, or else the name of the file that made a page."""
    try:
        read_page(write_page(folder))
    except UserError as error:
        return str(error)
    return f"{otherwise}.json"


def places(value, at=()):
    """The paths of everything inside a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*at, key)
        yield from places(item, (*at, key))


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("put", [None, math.nan, 0.0, -1.0, {}, [], "x"], ids=str)
def test_holes_anywhere_give_a_page_or_one_clear_error(tmp_path, name, put):
    chapter = planted.chapters()[name]
    every = list(places(chapter))
    for at in random.Random(6).sample(every, min(10, len(every))):
        broken = copy.deepcopy(chapter)
        inner = broken
        for key in at[:-1]:
            inner = inner[key]
        inner[at[-1]] = put
        (tmp_path / f"{name}.json").write_text(json.dumps(broken))
        assert f"{name}.json" in complaint(tmp_path, name), at


@pytest.mark.parametrize("name", SHAPES)
def test_missing_keys_give_a_page_or_one_clear_error(tmp_path, name):
    chapter = planted.chapters()[name]
    for key in chapter:
        (tmp_path / f"{name}.json").write_text(json.dumps({k: v for k, v in chapter.items() if k != key}))
        assert f"{name}.json" in complaint(tmp_path, name), key


def test_a_drift_beyond_one_step_turns_the_sentence():
    fine, far, wide = ({"transfer": planted.transfer(drift)} for drift in (-0.2, -1.6, -0.8))
    assert "Width rules on: the learning rate transfers;" in said(fine, "transfer")
    assert "Width rules on: the learning rate does not transfer;" in said(far, "transfer")
    assert "Width rules on: the learning rate probably transfers;" in said(wide, "transfer")
    assert "the best learning rate changes" in verdict(far)
    sureness = [next(a.sureness for a in advice(c) if a.setting == "learning rate") for c in (fine, wide, far)]
    assert sureness == ["sure", "fairly sure", "not sure"]


def test_an_optimum_at_the_edge_leaves_it_open():
    chapter = planted.transfer()
    chapter["variants"]["mup"]["is_edge"]["192"] = True
    assert "Width rules on: whether the learning rate transfers stays open" in said({"transfer": chapter}, "transfer")
    assert any("width 192 lies at the end" in line for line in limits({"transfer": chapter}))
    del chapter["variants"]["mup"]["is_edge"]
    chapter["variants"]["mup"]["optimum"]["24"] = 0.01 * 2**-4
    assert any("width 24 lies at the end" in line for line in limits({"transfer": chapter}))


def test_a_large_drift_with_a_wide_interval_stays_open():
    chapter = planted.transfer(-1.6)
    for variant in chapter["variants"].values():
        variant["drift_interval"] = [-4.1, 2.5]
    assert all(drift(variant).kind == "unclear" for variant in chapter["variants"].values())


def test_no_drift_found_is_no_claim():
    chapter = planted.transfer()
    for variant in chapter["variants"].values():
        variant |= {"optimum": None, "interval": None, "drift_steps": None, "drift_interval": None}
    chapter["chosen"] = None
    assert findings({"transfer": chapter}) == []
    assert advice({"transfer": chapter}) == []


def test_signals_that_grow_with_the_rules_on_are_not_as_expected():
    chapter = planted.check()
    chapter["variants"]["mup adamw"]["passed"] = False
    first = findings({"check": chapter})[0]
    assert first.mood == "bad"
    assert "change their size" in first.text
    assert advice({"check": chapter})[0].sureness == "not sure"


def test_signals_that_shrink_are_not_said_to_keep_their_size():
    chapter = planted.check()
    variant = chapter["variants"]["mup muon"]
    variant["slopes"]["logits"], variant["shrinks"] = {"slope": -0.5, "low": -0.52, "high": -0.48}, ["logits"]
    text = next(finding.text for finding in findings({"check": chapter}) if "Muon" in finding.text)
    assert "do not grow" in text
    assert "keep their size" not in text


def test_the_rate_that_is_advised_is_that_of_long_runs():
    chapters = planted.chapters()
    rate = next(row for row in advice(chapters) if row.anchor == "transfer")
    assert rate.value == "0.0051"
    assert "0.5 of it was best after 2.7M tokens" in rate.reason
    assert "Longer runs want a lower rate: after 2.7M tokens" in said(chapters, "ladder")
    assert "chance alone" not in said(chapters, "ladder")
    chapters["ladder"]["noise"] = {"en": 0.03}
    assert "Longer runs may want a lower rate" in said(chapters, "ladder")
    assert "chance alone can make 0.083" in said(chapters, "ladder")
    chapters["ladder"]["rates"] |= {"factor": 1, "tried": {"0.5": 2.08, "1": 2.06}}
    assert "Longer runs keep the rate of the short ones" in said(chapters, "ladder")


def test_the_batch_law_is_read_at_the_loss_that_is_foretold():
    chapters = planted.chapters()
    told = [chapters["ladder"]["prediction"][code]["value"] for code in planted.LAW]
    row = next(row for row in advice(chapters) if row.anchor == "batch")
    assert f"foretells, it says {count(9e4 / (sum(told) / 2) ** 5)}" in row.reason
    del chapters["ladder"]
    assert "foretells" not in next(row for row in advice(chapters) if row.anchor == "batch").reason


def test_schedules_are_equal_only_length_by_length():
    chapter = planted.schedules()
    assert "end as low as separate cosine runs at all 5 lengths" in said({"schedules": chapter}, "schedules")
    shuffled = copy.deepcopy(chapter)
    values = list(chapter["wsd"].values())
    shuffled["wsd"] = dict(zip(chapter["wsd"], values[2:] + values[:2], strict=True))
    text = said({"schedules": shuffled}, "schedules")
    assert "as low as separate cosine runs at all" not in text
    assert "higher than a separate cosine run" in text
    assert "end higher than separate runs" in verdict({"schedules": shuffled})
    alone = chapter | {"noise": None}
    assert "cannot be called equal" in said({"schedules": alone}, "schedules")
    assert any("without repeating a seed" in line for line in limits({"schedules": alone}))


def test_a_choice_is_as_sure_as_chance_allows():
    for scores, level in (
        ((2.0, None, None), "not sure"),
        ((2.0, 2.5, 2.6), "sure"),
        ((2.0, 2.001, 2.6), "fairly sure"),
        ((2.0, 2.001, 2.002), "not sure"),
    ):
        forms = dict(zip(("linear", "exponential", "sqrt"), scores, strict=True)) | {"average": None}
        chapter = planted.schedules() | {"forms": forms, "best_form": "linear"}
        row = next(row for row in advice({"schedules": chapter}) if row.setting == "shape of the decay")
        assert row.sureness == level


def test_the_law_holds_misses_or_is_untested():
    held, missed, untested = planted.ladder(), planted.ladder(0.09), planted.ladder() | {"held_out": None}
    diverged = planted.ladder() | {"held_out": {"run": "a", "bits_per_byte": {}, "status": "diverged"}}
    assert "The law held for a larger run" in said({"ladder": held}, "ladder")
    assert "Korean and English lies outside" in said({"ladder": missed}, "ladder")
    assert "has not been measured yet" in said({"ladder": untested}, "ladder")
    assert "ended without a figure: diverged" in said({"ladder": diverged}, "ladder")
    assert any("No run outside the fit" in line for line in limits({"ladder": untested}))


def test_a_size_for_an_hour_is_as_sure_as_its_compute_is_near(folder):
    def size(chapter):
        return next(row for row in advice({"ladder": chapter}) if row.setting.startswith("model for an hour"))

    near, missed, far = planted.ladder(), planted.ladder(measured_off=0.2), planted.ladder()
    far["budgets"][1]["flops"] *= 100
    assert size(near).value == "168 wide, 7 layers"
    assert "90M tokens; widths 144 to 216" in size(near).reason
    assert [size(chapter).sureness for chapter in (near, missed, far)] == ["fairly sure", "not sure", "not sure"]
    text = read_page(write_page(folder)).text
    assert "What to train on this machine alone, by the law" in text
    assert "8 h 00 min" in text
    assert "times the compute tested" in text


def test_batch_laws_that_say_nothing():
    chapter = planted.batch()
    assert "The best batch grows as the loss falls" in said({"batch": chapter}, "batch")
    chapter["law"] |= {"b_interval": [-1.0, 6.0], "r2": 0.3}
    assert "stays open" in said({"batch": chapter}, "batch")
    assert any("R² 0.3" in line for line in limits({"batch": chapter}))
    chapter |= {"law": None, "why": "two minima inside the range"}
    assert "No law of the best batch was found: two minima" in said({"batch": chapter}, "batch")


def test_a_search_that_found_nothing():
    chapter = planted.search() | {"is_better": False, "best_bits_per_byte": 2.339}
    assert "found nothing surely better than the defaults" in said({"search": chapter}, "search")


def test_a_search_is_judged_by_means_over_its_seeds():
    one, many = (said({"search": planted.search() | {"repeats": n}}, "search") for n in (1, 4))
    assert "chance alone can make 0.017" in one
    assert "chance alone can make 0.008" in many


def test_instructions_in_the_decay_may_not_help():
    chapter = planted.schedules()
    chapter["mixing"]["A-2"]["answers_bpb"] = 0.928
    assert "no difference that can be told from chance" in said({"schedules": chapter}, "schedules")
    chapter["mixing"]["A-2"]["answers_bpb"] = 1.2
    assert "make answers worse" in said({"schedules": chapter}, "schedules")


def test_instructions_in_the_decay_are_judged_by_their_own_noise():
    chapter = planted.schedules()
    assert "make answers better" in said({"schedules": chapter}, "schedules")
    assert "make answers better" not in said({"schedules": chapter | {"mixing_noise": 0.2}}, "schedules")
    del chapter["mixing_noise"]
    assert "no seed was repeated, so it may be chance" in said({"schedules": chapter}, "schedules")


def test_the_part_that_grows_is_named_where_the_check_fails_not_the_one_that_shrinks_most():
    chapter = planted.check()
    variant = chapter["variants"]["mup adamw"]
    layer = next(iter(variant["slopes"]))
    variant["slopes"] = {name: {"slope": 0.0, "low": -0.1, "high": 0.1} for name in variant["slopes"]}
    variant["slopes"] |= {"logits": {"slope": -0.5, "low": -0.6, "high": -0.4}}
    variant["slopes"] |= {layer: {"slope": 0.2, "low": 0.1, "high": 0.3}}
    variant["passed"] = False
    text = said({"check": chapter}, "check")
    assert f"change their size with its width; {layer} follows width to the power 0.2" in text


def test_limits_follow_the_figures():
    lines = " ".join(limits(planted.chapters()))
    for part in ("864k parameters", "1200 times", "3 times the compute", "24 to 210 only, a factor of 8.8",
                 "2 runs of the ladder read the text more than once", "1 of 6 best batches lies"):  # fmt: skip
        assert part in lines, part
    single = planted.transfer()
    for bowl in single["variants"]["mup"]["bowls"].values():
        for rate in bowl:
            bowl[rate] = bowl[rate][:1]
    assert any("one seed only" in line for line in limits({"transfer": single}))


def test_every_finding_names_its_chapter_and_its_runs():
    chapters = planted.chapters()
    for finding in findings(chapters):
        assert finding.anchor in chapters
        assert list(finding.evidence) == chapters[finding.anchor]["evidence"]
        assert finding.text.rstrip().endswith(".")
        assert re.search(r"\d", finding.text)


def test_runs_of_every_kind_are_listed(folder):
    text = read_page(write_page(folder)).text
    for part in ("diverged: loss is not finite", "under way", "done", "41k", "The same in all of them", "context 128"):
        assert part in text, part


def test_nan_is_read_as_nothing(tmp_path):
    chapter = planted.schedules()
    chapter["wsd"][next(iter(chapter["wsd"]))] = math.nan
    (tmp_path / "schedules.json").write_text(json.dumps(chapter))
    assert None in read_chapters(tmp_path)["schedules"]["wsd"].values()
    assert "at all 4 lengths" in read_page(write_page(tmp_path)).text


@pytest.mark.parametrize("tokens", [1e5, 1e6, 3e6, 5e7, 1e9])
def test_repeated_tokens_count_as_in_the_fit(tokens):
    assert effective(tokens, 1e6) == pytest.approx(float(np.asarray(effective_tokens(tokens, 1e6))))
