"""Bits per byte of held-out answers: conversations are held back, and the figure is that of each answer by itself."""

import json
import math

import pytest
import torch

from dotori.data.build import build_dataset
from dotori.data.loader import held_out_answers, read_manifest
from dotori.data.settings import DataSettings, DomainSettings
from dotori.model.config import mup_config
from dotori.model.init import init_weights
from dotori.model.transformer import Transformer
from dotori.runlog import RunLog
from dotori.train.objective import IGNORED
from dotori.train.validate import answers_bits_per_byte


@pytest.fixture(scope="module")
def chats(tokenizer_folder, tmp_path_factory):
    """A dataset of conversations, a fifth of them held back."""
    folder = tmp_path_factory.mktemp("chats")
    rows = [{"instruction": f"{n} 더하기 {n}?", "output": f"답은 {2 * n}, the answer."} for n in range(200)]
    (folder / "sums.jsonl").write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows))
    domain = DomainSettings(paths=(str(folder / "sums.jsonl"),), format="chat")
    with RunLog(quiet=True) as log:
        build_dataset(
            DataSettings(domains={"sums": domain}, validation_share=0.2), tokenizer_folder, folder / "data", log
        )
    return folder / "data"


def test_a_share_of_conversations_is_held_back_and_not_trained_on(chats):
    splits = read_manifest(chats)["domains"]["sums"]["splits"]
    counts = {name: part["documents"] for name, part in splits.items()}
    assert sum(counts.values()) == 200
    assert 20 <= 200 - counts["train"] <= 60


def test_the_figure_is_that_of_each_answer_by_itself(chats, small_tokenizer):
    vocab = read_manifest(chats)["vocab_size"]
    config = mup_config(
        vocab_size=vocab,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=128,
    )
    model = Transformer(config)
    init_weights(model, torch.Generator().manual_seed(2))
    found = answers_bits_per_byte(model, small_tokenizer, chats, 128, ["sums"])
    nats, size, answers = 0.0, 0, 0
    for batch in held_out_answers(chats, 128, ["sums"], 64):
        for ids, targets, documents in zip(*(torch.from_numpy(part) for part in batch), strict=True):
            for number in range(int(documents.max()) + 1):
                place = documents == number
                logits = model(ids[place][None])[0].log_softmax(-1)
                learnt = targets[place]
                answers += bool((learnt != IGNORED).any())
                for row, target in zip(logits, learnt.tolist(), strict=True):
                    if target != IGNORED:
                        nats -= row[target].item()
                        if target not in small_tokenizer.special.values():
                            size += len(small_tokenizer.token_bytes(target))
    assert answers > 20
    assert found == pytest.approx(nats / math.log(2) / size, rel=1e-4)


def test_without_held_back_conversations_there_is_no_figure(micro_run, small_tokenizer):
    assert held_out_answers(micro_run / "data", 64, ["chat"], 8) == []
