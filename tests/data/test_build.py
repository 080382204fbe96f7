"""The data stage: counts that add up, builds that continue, settings that are checked."""

import gzip
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path

import pytest

from dotori.data.build import build_dataset, iterate_texts
from dotori.data.loader import Loader, read_manifest, validation_languages
from dotori.data.settings import DataSettings, DomainSettings, StorySettings
from dotori.errors import UserError
from dotori.files import sha256_file
from dotori.runlog import RunLog
from dotori.tokenizer.train_bpe import train_bpe


def text_of(number: int) -> str:
    rng = random.Random(number)
    return f"글 {number}. " + " ".join(f"낱말{rng.randrange(500)}" for _ in range(60))


@pytest.fixture
def corpus(tmp_path) -> Path:
    folder = tmp_path / "corpus"
    folder.mkdir()
    for part in range(4):
        rows = [{"text": text_of(100 * part + i)} for i in range(60)] + [{"text": text_of(0)}, {"text": "짧다"}]
        data = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode() + b'{"text": "\xff"}\n'
        (folder / f"part-{part}.jsonl.gz").write_bytes(gzip.compress(data))
    train_bpe([text_of(i) for i in range(50)], 400, tmp_path / "tokenizer")
    return folder


def settings_for(corpus: Path, **changes) -> DataSettings:
    domains = {
        "web": DomainSettings(paths=(str(corpus),), lang="ko"),
        "story": DomainSettings(storyworld=StorySettings(count=200, vocabulary="tiny")),
        "chat": DomainSettings(format="chat", storyworld=StorySettings(count=50, vocabulary="tiny", kinds={"qa": 1.0})),
    }
    return DataSettings(**({"domains": domains, "validation_share": 0.1} | changes))


def build(s: DataSettings, tmp_path: Path, name: str = "data") -> Path:
    build_dataset(s, tmp_path / "tokenizer", tmp_path / name, RunLog(None, quiet=True))
    return tmp_path / name


def test_every_record_is_kept_or_counted(corpus, tmp_path):
    dataset = build(settings_for(corpus), tmp_path)
    manifest = read_manifest(dataset)
    for entry in manifest["domains"].values():
        kept = sum(part["documents"] for part in entry["splits"].values())
        assert entry["read"] == kept + sum(entry["dropped"].values())
    web = manifest["domains"]["web"]
    assert web["dropped"] == {"duplicate": 4, "too short": 4, "broken UTF-8": 4}
    assert web["splits"]["validation-ko"]["documents"] > 5
    quarantine = [json.loads(line) for line in (dataset / "quarantine.jsonl").read_text().splitlines()]
    assert {row["reason"] for row in quarantine} == {"broken UTF-8"}
    assert all(":63" in row["at"] for row in quarantine)
    assert all(sha256_file(dataset / name) == digest for name, digest in manifest["files"].items())
    assert validation_languages(dataset) == ["en", "ko"]
    assert Loader(dataset, 64, 0).rows(0, 4).ids.shape == (4, 64)
    assert not (tmp_path / "data.partial").exists()


def test_the_same_build_gives_the_same_bytes(corpus, tmp_path):
    files = [read_manifest(build(settings_for(corpus), tmp_path, name))["files"] for name in ("a", "b")]
    assert files[0] == files[1]


_BUILD = """
import sys; from pathlib import Path
sys.path.insert(0, sys.argv[3])
from test_build import build, settings_for
build(settings_for(Path(sys.argv[1])), Path(sys.argv[2]), "killed")
"""


def kill_builds(corpus: Path, tmp_path: Path, times: int) -> None:
    expected = read_manifest(build(settings_for(corpus), tmp_path))["files"]
    rng = random.Random(5)
    command = [sys.executable, "-c", _BUILD, str(corpus), str(tmp_path), str(Path(__file__).parent)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    for _ in range(times):
        process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
        time.sleep(0.6 + rng.random() * 1.5)
        process.send_signal(signal.SIGKILL)
        process.wait()
        if (tmp_path / "killed").exists():
            assert read_manifest(tmp_path / "killed")["files"] == expected
            shutil.rmtree(tmp_path / "killed")
    subprocess.run(command, env=environment, check=True, stderr=subprocess.DEVNULL)
    assert read_manifest(tmp_path / "killed")["files"] == expected


def test_a_killed_build_goes_on_to_the_same_bytes(corpus, tmp_path):
    kill_builds(corpus, tmp_path, 2)


@pytest.mark.slow
def test_twenty_killed_builds_go_on_to_the_same_bytes(corpus, tmp_path):
    kill_builds(corpus, tmp_path, 20)


def test_limits_masks_and_evaluations_are_applied(corpus, tmp_path):
    evaluation = tmp_path / "eval.jsonl"
    evaluation.write_text(json.dumps({"question": text_of(103)}, ensure_ascii=False))
    domains = {"web": DomainSettings(paths=(str(corpus),), limit_bytes=90_000)}
    dataset = build(settings_for(corpus, domains=domains, decontaminate=(str(evaluation),)), tmp_path)
    entry = read_manifest(dataset)["domains"]["web"]
    assert entry["dropped"]["in an evaluation"] == 1
    kept = sum(part["bytes"] for part in entry["splits"].values())
    assert 90_000 <= kept < 92_000


def test_text_for_the_tokenizer_takes_turns_between_domains(corpus):
    texts = list(iterate_texts(settings_for(corpus).domains))
    assert len(texts) == 4 * 62 + 200 + 50
    assert texts[0].startswith("글 0.")
    assert "\n" in texts[2]


def test_text_for_the_tokenizer_comes_from_all_files_however_early_it_stops(tmp_path):
    for name in "abc":
        lines = [json.dumps({"text": f"{name} {number}"}) for number in range(50)]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines))
    files = (str(tmp_path),)
    texts = list(islice(iterate_texts({"web": DomainSettings(paths=files)}), 30))
    assert {name: sum(text.startswith(name) for text in texts) for name in "abc"} == {"a": 10, "b": 10, "c": 10}
    limited = list(iterate_texts({"web": DomainSettings(paths=files, limit_bytes=40)}))
    assert limited == [f"a {number}" for number in range(len(limited))]  # what the dataset has of it


@pytest.mark.parametrize(
    "make",
    [
        lambda: DataSettings(domains={}),
        lambda: DataSettings(domains={"a/b": DomainSettings(paths=("x",))}),
        lambda: DomainSettings(),
        lambda: DomainSettings(paths=("x",), storyworld=StorySettings()),
        lambda: DomainSettings(paths=("x",), limit_bytes=0),
        lambda: DataSettings(domains={"a": DomainSettings(paths=("x",))}, validation_share=0.9),
    ],
)
def test_impossible_settings_are_refused(make):
    with pytest.raises(UserError):
        make()


def test_nothing_left_is_an_error_that_says_why(corpus, tmp_path):
    (tmp_path / "empty.jsonl").write_text('{"text": "짧다"}\n')
    domains = {"web": DomainSettings(paths=(str(tmp_path / "empty.jsonl"),))}
    with pytest.raises(UserError, match="too short"):
        build(settings_for(corpus, domains=domains), tmp_path)
    assert not (tmp_path / "data").exists()


def test_conversations_in_a_text_domain_are_counted_not_mixed_in(tmp_path, corpus):
    (tmp_path / "sft.jsonl").write_text('{"instruction": "a question", "output": "an answer"}\n')
    domains = {"web": DomainSettings(paths=(str(corpus), str(tmp_path / "sft.jsonl")))}
    entry = read_manifest(build(settings_for(corpus, domains=domains), tmp_path))["domains"]["web"]
    assert entry["dropped"]["a conversation in a text domain"] == 1
