"""Instruction tuning: what is learnt and what is not, masks that teach nothing, and a model that comes out better."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from dotori.adapt.sft import inspect_mask, sft_stage
from dotori.checkpoint.lineage import read_lineage
from dotori.errors import UserError
from dotori.runlog import RunLog
from dotori.tokenizer.load import load_tokenizer
from dotori.train.settings import Phase, TrainSettings


def copied(micro_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(micro_run / "data", tmp_path / "data"))


def with_mask(folder: Path, value: int) -> Path:
    """The same dataset with every token of its conversations learnt, or none."""
    for path in (folder / "chat").glob("*.mask"):
        path.write_bytes(np.full(path.stat().st_size, value, dtype=np.uint8).tobytes())
    return folder


def test_answers_and_their_stop_token_are_learnt_and_questions_are_not(micro_run):
    data = micro_run / "data"
    found = inspect_mask(data, 64, load_tokenizer(data / "tokenizer"))
    learnt = [text for text, is_learnt in found.stretches if is_learnt]
    rest = "".join(text for text, is_learnt in found.stretches if not is_learnt)
    assert learnt
    assert all(text.endswith("<|im_end|>") and "<|im_start|>" not in text for text in learnt)
    assert rest.startswith("<|endoftext|><|im_start|>user\n")
    assert rest.count("<|im_start|>assistant\n") == len(learnt)
    assert 0 < found.share < 1
    assert 0 < found.total_share < 1


@pytest.mark.parametrize(("value", "said"), [(0, "nothing to learn"), (1, "everything")])
def test_a_mask_that_is_empty_or_full_is_refused(micro_run, tmp_path, value, said):
    data = with_mask(copied(micro_run, tmp_path), value)
    with pytest.raises(UserError, match=said):
        inspect_mask(data, 64, load_tokenizer(data / "tokenizer"))


def test_a_dataset_without_conversations_is_refused(micro_run, tmp_path):
    data = copied(micro_run, tmp_path)
    manifest = json.loads((data / "manifest.json").read_text())
    del manifest["domains"]["chat"]
    (data / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(UserError, match="no chat domain"):
        inspect_mask(data, 64, load_tokenizer(data / "tokenizer"))


def test_tuning_lowers_the_loss_on_answers_and_says_what_it_learnt(micro_run, tmp_path):
    phases = (Phase(weights={"chat": 1.0}),)
    s = TrainSettings(steps=30, context=64, batch_tokens=512, lr=0.003, warmup_steps=2, phases=phases)
    with RunLog(tmp_path / "log.jsonl", quiet=True) as log:
        sft_stage(s, micro_run / "train", micro_run / "data", tmp_path / "tuned", log, lambda: None)
    lines = [json.loads(line) for line in (tmp_path / "tuned" / "metrics.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines if line["kind"] == "step"]
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])
    lineage = read_lineage(tmp_path / "tuned")
    assert lineage.stage == "sft"
    assert {"loss mask", "packed = alone", "resume, loss", "resume, weights"} <= {
        proof.name for proof in lineage.proofs
    }
    assert lineage.tokens_seen == read_lineage(micro_run / "train").tokens_seen + 30 * 512
    assert not (tmp_path / "tuned.partial").exists()


def test_a_model_of_another_tokenizer_is_refused(micro_run, tmp_path):
    model = Path(shutil.copytree(micro_run / "train", tmp_path / "model"))
    words = json.loads((model / "tokenizer.json").read_text())
    words["model"]["merges"].pop()
    (model / "tokenizer.json").write_text(json.dumps(words))
    s = TrainSettings(steps=1, context=64, batch_tokens=512)
    with RunLog(quiet=True) as log, pytest.raises(UserError, match="tokenizer"):
        sft_stage(s, model, micro_run / "data", tmp_path / "tuned", log, lambda: None)
    assert not (tmp_path / "tuned").exists()
