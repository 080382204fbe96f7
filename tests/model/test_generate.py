import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dotori.errors import UserError
from dotori.model.config import ModelConfig
from dotori.model.generate import generate, generate_batch
from dotori.model.sampling import Sampling, sample
from dotori.model.transformer import Transformer


@pytest.fixture(scope="module")
def model() -> Transformer:
    config = ModelConfig(
        model_type="qwen3",
        vocab_size=97,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        max_position_embeddings=48,
        qk_norm=True,
        tie_word_embeddings=True,
    )
    generator = torch.Generator().manual_seed(1)
    model = Transformer(config)
    for parameter in model.parameters():
        # Large weights keep the two best logits far apart, so that rounding cannot choose another id.
        torch.nn.init.normal_(parameter.data, std=0.5 if parameter.ndim > 1 else 1.0, generator=generator)
    return model.eval()


@torch.inference_mode()
def _without_cache(
    model: Transformer, ids: list[int], max_tokens: int, sampling: Sampling, stop: set[int]
) -> list[int]:
    """The twin: every step computes everything anew."""
    found: list[int] = []
    for _ in range(max_tokens):
        logits = model(torch.tensor([ids + found]))[0, -1].numpy()
        index = sample(logits, sampling, len(ids + found), ids + found)
        if index in stop:
            break
        found.append(index)
    return found


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(0, 96), min_size=1, max_size=20),
    st.builds(
        Sampling,
        temperature=st.sampled_from([0.0, 0.8]),
        top_k=st.sampled_from([0, 5]),
        repetition_penalty=st.sampled_from([1.0, 1.2]),
        seed=st.integers(0, 9),
    ),
    st.sets(st.integers(0, 96), max_size=10),
)
def test_cached_equals_uncached(model: Transformer, ids: list[int], sampling: Sampling, stop: set[int]):
    cached = list(generate(model, ids, 12, sampling, stop))
    assert cached == _without_cache(model, ids, 12, sampling, stop)
    assert cached == list(generate(model, ids, 12, sampling, stop))
    assert not set(cached) & stop


def test_a_cache_that_grows_changes_nothing(model: Transformer, monkeypatch: pytest.MonkeyPatch):
    expected = list(generate(model, [1, 2, 3], 40, Sampling()))
    monkeypatch.setattr("dotori.model.generate._FIRST_ROOM", 1)
    assert list(generate(model, [1, 2, 3], 40, Sampling())) == expected


def test_seeds_differ_and_a_continued_text_repeats(model: Transformer):
    runs = {tuple(generate(model, [1, 2], 20, Sampling(temperature=2.0, seed=seed))) for seed in range(5)}
    assert len(runs) == 5
    sampling = Sampling(temperature=2.0, seed=3)
    whole = list(generate(model, [1, 2], 20, sampling))
    assert list(generate(model, [1, 2, *whole[:7]], 13, sampling)) == whole[7:]


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 96), min_size=1, max_size=30), max_size=9),
    st.sets(st.integers(0, 96), max_size=30),
    st.integers(0, 15),
)
def test_a_batch_gives_what_each_gives_alone(model: Transformer, prompts, stop, max_tokens):
    expected = [list(generate(model, prompt, max_tokens, Sampling(), stop)) for prompt in prompts]
    assert generate_batch(model, prompts, max_tokens, stop) == expected


def test_many_prompts_keep_their_order(model: Transformer):
    draw = np.random.default_rng(0)
    prompts = [draw.integers(0, 97, draw.integers(1, 40)).tolist() for _ in range(150)]
    answers = generate_batch(model, prompts, 5, {3})
    for row in (0, 70, 149):
        assert answers[row] == list(generate(model, prompts[row], 5, Sampling(), {3}))


def test_a_batch_row_ends_where_the_context_does(model: Transformer):
    answers = generate_batch(model, [[5] * 48, [5] * 45, [5]], 10)
    assert [len(answer) for answer in answers] == [0, 3, 10]


@pytest.mark.parametrize(
    ("ids", "max_tokens", "message"),
    [
        ([], 1, "no tokens"),
        ([97], 1, "token id 97"),
        ([-1], 1, "token id -1"),
        ([1], -1, "max_tokens: -1"),
        ([1] * 40, 9, "ask for at most 8"),
        ([1] * 60, 0, "ask for at most 0"),
    ],
)
def test_bad_prompts_are_named_at_once(model: Transformer, ids: list[int], max_tokens: int, message: str):
    with pytest.raises(UserError, match=message):
        generate(model, ids, max_tokens, Sampling())


def test_a_bad_row_of_a_batch_is_named(model: Transformer):
    with pytest.raises(UserError, match="token id 200"):
        generate_batch(model, [[1], [200]], 3)
    assert generate_batch(model, [], 3) == []
