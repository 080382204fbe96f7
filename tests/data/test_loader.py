"""Shards to rows: every token once, documents kept apart, pure in the sample number; broken folders named."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dotori.data.loader import (
    IGNORED,
    Loader,
    spread,
    validation,
    validation_languages,
    window_bounds,
    window_count,
)
from dotori.data.mix import Phase
from dotori.data.pack import pack
from dotori.data.shards import ShardWriter, Stream
from dotori.errors import UserError

BOS = 0


def write_dataset(
    folder: Path,
    texts: list[list[list[int]]],
    chats: list[tuple[list[int], list[int]]] = (),
    held_out: list[list[int]] = ([BOS, *range(1, 31)], [BOS, 7]),
) -> Path:
    """A dataset folder of one text domain in as many shards as there are lists, and a chat domain."""

    def shard(name, documents):
        writer = ShardWriter(folder / name, 1000, with_mask=name.startswith("chat"))
        for ids, mask in documents:
            writer.append(ids, 3 * len(ids), mask)
        writer.close()
        return {"documents": writer.documents, "tokens": writer.tokens, "bytes": writer.bytes}

    domains = {}
    if texts:
        parts = [shard(f"text/train-{i}", [(ids, None) for ids in documents]) for i, documents in enumerate(texts)]
        held = shard("text/validation-ko-0", [(ids, None) for ids in held_out])
        train = {"shards": [f"train-{i}" for i in range(len(texts))]} | parts[0]
        domains["text"] = {
            "format": "text",
            "splits": {"train": train, "validation-ko": {"shards": ["validation-ko-0"]} | held},
        }
    if chats:
        part = shard("chat/train-0", chats)
        held = shard("chat/validation-ko-0", chats[:1])
        splits = {"train": {"shards": ["train-0"]} | part, "validation-ko": {"shards": ["validation-ko-0"]} | held}
        domains["chat"] = {"format": "chat", "splits": splits}
    folder.mkdir(exist_ok=True)
    (folder / "manifest.json").write_text(json.dumps({"vocab_size": 1000, "domains": domains}))
    return folder


def document(length: int, start: int = 1) -> list[int]:
    return [BOS, *range(start, start + length)]


def test_rows_are_the_stream_cut_in_pieces_over_shards(tmp_path):
    parts = [[document(4), document(9, 20)], [document(6, 50)]]
    dataset = write_dataset(tmp_path / "d", parts)
    stream = [token for part in parts for ids in part for token in ids]
    loader = Loader(dataset, context=5, seed=3)
    rows = {}
    for sample in range(4):
        batch = loader.rows(sample, 1)
        at = next(i for i in range(0, 20, 5) if stream[i : i + 5] == batch.ids[0].tolist())
        rows[at] = batch
    assert sorted(rows) == [0, 5, 10, 15]
    for at, batch in rows.items():
        assert batch.ids[0].tolist() == stream[at : at + 5]
        assert batch.targets[0].tolist() == stream[at + 1 : at + 6]
        changes = np.flatnonzero(np.diff(batch.documents[0])) + 1
        assert changes.tolist() == [i for i in range(1, 5) if stream[at + i] == BOS]


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 50), st.lists(st.integers(1, 9), min_size=1, max_size=6))
def test_rows_do_not_depend_on_the_batch(tmp_path_factory, seed, cuts):
    folder = tmp_path_factory.getbasetemp() / "same"
    if not folder.exists():
        chats = [(document(n), [1] * (n + 1)) for n in range(2, 12)]
        write_dataset(folder, [[document(n) for n in range(3, 30)]], chats)
    loader = Loader(folder, 8, seed, [Phase(0, {"text": 2, "chat": 1}), Phase(9, {"chat": 1}, "all")])
    whole = loader.rows(0, sum(cuts))
    parts, at = [], 0
    for cut in cuts:
        parts.append(loader.rows(at, cut))
        at += cut
    for name in whole._fields:
        assert np.array_equal(getattr(whole, name), np.concatenate([getattr(part, name) for part in parts]))


@given(st.lists(st.integers(1, 40), min_size=1, max_size=60), st.integers(4, 32))
def test_packing_keeps_every_document_whole_and_rows_within_bounds(lengths, capacity):
    rows, cut = pack(np.array(lengths), capacity)
    assert sorted(document for row in rows for document in row) == list(range(len(lengths)))
    assert all(sum(min(lengths[d], capacity) for d in row) <= capacity for row in rows)
    assert cut == sum(length > capacity for length in lengths)


def test_chat_rows_learn_the_assistant_alone_or_everything(tmp_path):
    chat = ([BOS, 11, 12, 13, 14], [0, 0, 0, 1, 1])
    dataset = write_dataset(tmp_path / "d", [], [chat, chat])
    answers = Loader(dataset, 12, 0).rows(0, 1)
    assert answers.targets[0].tolist() == [IGNORED, IGNORED, 13, 14, IGNORED] * 2 + [IGNORED] * 2
    assert answers.documents[0].tolist() == [0] * 5 + [1] * 5 + [-1] * 2
    everything = Loader(dataset, 12, 0, [Phase(0, {"chat": 1.0}, "all")]).rows(0, 1)
    assert everything.targets[0].tolist() == [11, 12, 13, 14, IGNORED] * 2 + [IGNORED] * 2


def test_a_conversation_longer_than_a_row_is_cut_and_counted(tmp_path):
    dataset = write_dataset(tmp_path / "d", [], [(document(30), [1] * 31)])
    loader = Loader(dataset, 12, 0)
    assert loader.cut == {"chat": 1}
    assert loader.rows(0, 1).ids[0].tolist() == document(30)[:12]


@given(st.integers(2, 200), st.integers(2, 40))
def test_windows_score_every_token_once(length, context):
    bounds = [window_bounds(length, context, number) for number in range(window_count(length, context))]
    scored = [token for start, end, first in bounds for token in range(start + first, end)]
    assert scored == list(range(1, length))
    assert all(end - start <= context + 1 for start, end, _ in bounds)
    assert all(first >= context // 2 for _, _, first in bounds[1:])


def test_validation_reads_a_language_with_its_bytes(tmp_path):
    chat = ([BOS, 11, 12, 13, 14], [0, 0, 0, 1, 1])
    dataset = write_dataset(tmp_path / "d", [[document(40)]], [chat])  # conversations are no validation text
    assert validation_languages(dataset) == ["ko"]
    held = validation(dataset, "ko", 8, 10**6)
    assert held.bytes == pytest.approx(3 * 33)
    assert sum(len(window.ids) - window.first for window in held.windows) == 31
    [first] = validation(dataset, "ko", 8, 1).windows
    assert first.ids.tolist() == held.windows[0].ids.tolist()


def test_a_part_of_the_validation_text_lies_evenly_over_all_of_it(tmp_path):
    """Files of one kind stand together: the first tenth of the text would be the first kind alone."""
    held_out = [[BOS] + [1 + kind] * 200 for kind in range(10) for _ in range(20)]
    dataset = write_dataset(tmp_path / "d", [[document(40)]], held_out=held_out)
    whole, part = (validation(dataset, "ko", 16, limit) for limit in (10**9, 3 * 200 * 20))
    assert part.bytes == pytest.approx(whole.bytes / 10, rel=0.03)
    seen = np.bincount(np.concatenate([window.ids[window.first :] for window in part.windows]))[1:]
    assert len(seen) == 10
    assert seen.min() > 0.7 * seen.max()


@given(st.integers(1, 3000), st.integers(1, 300))
def test_every_beginning_of_a_spread_order_lies_evenly(count, taken):
    order = spread(count)
    assert sorted(order) == list(range(count))
    kept = sorted(order[:taken])
    gaps = np.diff([-1, *kept, count])
    # The gaps between multiples of the golden ratio have three sizes, of which the largest is below three times 1/n.
    assert gaps.max() <= 3 * count / len(kept) + 2


def test_streams_read_across_shards(tmp_path):
    write_dataset(tmp_path / "d", [[document(3)], [document(2, 10)], [document(4, 20)]])
    stream = Stream([tmp_path / "d" / "text" / f"train-{i}" for i in range(3)], 1000, with_mask=False)
    whole = [*document(3), *document(2, 10), *document(4, 20)]
    for start in range(len(whole)):
        for end in range(start + 1, len(whole) + 1):
            assert stream.read(start, end).tolist() == whole[start:end]
    assert stream.document_starts.tolist() == [0, 4, 7, 12]


@pytest.mark.parametrize("damage", ["missing", "short", "odd", "too small"])
def test_broken_datasets_are_named(tmp_path, damage):
    dataset = write_dataset(tmp_path / "d", [[document(40)]])
    tokens = dataset / "text" / "train-0.tokens"
    if damage == "missing":
        tokens.unlink()
    elif damage != "too small":
        tokens.write_bytes(tokens.read_bytes()[: -1 if damage == "odd" else -2])
    with pytest.raises(UserError, match=r"anew|context"):
        Loader(dataset, 64 if damage == "too small" else 8, 0)
