"""The decoder against itself: cached = uncached, packed = apart, causal; and its counts against the published ones."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dotori.errors import UserError
from dotori.model.config import ModelConfig, mup_config
from dotori.model.count import (
    flops_per_token,
    kv_bytes,
    non_embedding_parameters,
    parameters,
    training_memory_bytes,
)
from dotori.model.init import init_weights
from dotori.model.kv_cache import KVCache
from dotori.model.transformer import Transformer


def small(**changes) -> ModelConfig:
    fields = {
        "model_type": "llama",
        "vocab_size": 50,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "max_position_embeddings": 64,
    }
    return ModelConfig(**(fields | changes))


def filled(config: ModelConfig, seed: int = 0) -> Transformer:
    """A model with every parameter random, so that nothing hides behind a zero."""
    model = Transformer(config)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.3, generator=generator)
    return model


VARIANTS = {
    "plain": {},
    "tied": {"tie_word_embeddings": True},
    "bias": {"attention_bias": True},
    "qk_norm": {"qk_norm": True},
    "wide_head": {"head_dim": 16},
    "granite": {
        "embedding_multiplier": 12.0,
        "residual_multiplier": 0.2,
        "attention_multiplier": 0.1,
        "logits_scaling": 4.0,
    },
    "llama3": {
        "rope_scaling": {
            "rope_type": "llama3",
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 32,
        }
    },
}


@pytest.mark.parametrize("name", VARIANTS)
@torch.no_grad()
def test_cached_equals_uncached_however_it_is_cut(name):
    model = filled(small(**VARIANTS[name]))
    ids = torch.randint(0, 50, (3, 20), generator=torch.Generator().manual_seed(1))
    whole = model(ids)
    cache = KVCache(model.config, 3, 20)
    parts = [model(part, cache=cache) for part in ids.split((7, 1, 1, 11), dim=1)]
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, atol=2e-5, rtol=1e-4)


@settings(deadline=None, max_examples=20)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=5), st.integers(0, 99))
@torch.no_grad()
def test_packed_documents_do_not_see_each_other(lengths, seed):
    model = filled(small())
    parts = [
        torch.randint(0, 50, (1, n), generator=torch.Generator().manual_seed(seed + i)) for i, n in enumerate(lengths)
    ]
    documents = torch.cat([torch.full((1, n), i) for i, n in enumerate(lengths)], dim=1)
    packed = model.hidden(torch.cat(parts, dim=1), documents)
    apart = torch.cat([model.hidden(part) for part in parts], dim=1)
    # Positions differ by a constant within a document, which RoPE does not see; the rounding does.
    torch.testing.assert_close(packed, apart, atol=1e-4, rtol=1e-3)


@torch.no_grad()
def test_later_tokens_change_nothing_before_them():
    model = filled(small())
    ids = torch.randint(0, 50, (1, 12))
    changed = ids.clone()
    changed[0, 8] = (ids[0, 8] + 1) % 50
    difference = (model(ids) - model(changed)).abs().amax(dim=-1)[0]
    assert not difference[:8].any()
    assert difference[8:].all()


def test_a_full_cache_is_a_user_error():
    model = filled(small())
    with pytest.raises(UserError, match="the cache holds 4"):
        model(torch.zeros(1, 5, dtype=torch.int64), cache=KVCache(model.config, 1, 4))


def minicpm(layers, hidden, ffn, heads, kv_heads, vocab) -> ModelConfig:
    return mup_config(
        vocab_size=vocab,
        hidden_size=hidden,
        intermediate_size=ffn,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        max_position_embeddings=4096,
    )


def test_the_published_minicpm_counts_come_out_exactly():
    assert non_embedding_parameters(minicpm(40, 2304, 5760, 36, 36, 122_753)) == 2_442_057_984
    assert non_embedding_parameters(minicpm(52, 1536, 3840, 24, 8, 73_440)) == 1_247_442_432


def test_mup_rules_at_the_published_width():
    config = minicpm(40, 2304, 5760, 36, 36, 122_753)
    assert config.residual_multiplier == pytest.approx(0.2214, abs=1e-4)
    assert config.initializer_range == pytest.approx(0.0333, abs=1e-4)
    assert config.logits_scaling == 9


@pytest.mark.parametrize("name", VARIANTS)
def test_counted_parameters_are_the_ones_there(name):
    config = small(**VARIANTS[name])
    assert parameters(config) == sum(p.numel() for p in Transformer(config).parameters())


def test_other_counts_by_hand():
    config = small()
    matrices = 2 * (32 * 8 * (4 + 4 + 2 + 2) + 3 * 32 * 48)
    assert flops_per_token(config, 64) == 6 * (matrices + 50 * 32) + 6 * 2 * 32 * 64
    assert kv_bytes(config, 10) == 2 * 2 * 2 * 8 * 10 * 2
    assert training_memory_bytes(config, 128, 64, "cuda") > 16 * parameters(config)
    # Two layers keep 4 heads x 64 probabilities a token, unless there are too many of them.
    kept = [
        training_memory_bytes(config, n, 64, "cpu") - training_memory_bytes(config, n, 64, "cuda")
        for n in (128, 1 << 20)
    ]
    assert kept == [128 * 2 * 4 * 4 * 64, 0]


def test_init_is_uniform_at_first_and_repeats():
    models = [Transformer(small()) for _ in range(2)]
    for model in models:
        init_weights(model, torch.Generator().manual_seed(5))
    assert not models[0](torch.randint(0, 50, (2, 6))).any()
    for a, b in zip(models[0].parameters(), models[1].parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"num_key_value_heads": 3}, "set num_key_value_heads to one of 1, 2, 4"),
        ({"head_dim": 7}, "even"),
        ({"vocab_size": 0}, "vocab_size"),
        ({"model_type": "gpt2"}, "llama"),
        ({"rms_norm_eps": 0.0}, "positive"),
        ({"eos_token_id": (3, 50)}, "below vocab_size"),
        ({"rope_scaling": {"rope_type": "yarn"}}, "yarn"),
    ],
)
def test_impossible_shapes_are_refused(changes, word):
    with pytest.raises(UserError, match=word):
        Transformer(small(**changes))
