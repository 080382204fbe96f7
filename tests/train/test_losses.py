"""The chunked head equals cross-entropy over whole logits, in value and gradient."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

import dotori.train.losses as losses
from dotori.train.losses import linear_cross_entropy


def plain(hidden, weight, targets, scale):
    return F.cross_entropy(scale * (hidden @ weight.t()), targets, reduction="sum", ignore_index=-100)


@settings(deadline=None, max_examples=30)
@given(
    tokens=st.integers(1, 150),
    vocab=st.integers(2, 90),
    scale=st.sampled_from([0.25, 1.0, 3.0]),
    seed=st.integers(0, 99),
)
def test_value_and_gradients_equal_the_plain_ones(tokens, vocab, scale, seed):
    generator = torch.Generator().manual_seed(seed)
    hidden = torch.randn(tokens, 8, generator=generator, dtype=torch.float64)
    weight = torch.randn(vocab, 8, generator=generator, dtype=torch.float64)
    targets = torch.randint(0, vocab, (tokens,), generator=generator)
    targets[torch.rand(tokens, generator=generator) < 0.3] = -100
    results = []
    for loss in (linear_cross_entropy, plain):
        h, w = hidden.float().requires_grad_(), weight.float().requires_grad_()
        value = loss(h, w, targets, scale)
        (3.0 * value).backward()
        results.append((value.detach(), h.grad, w.grad))
    for fast, slow in zip(*results, strict=True):
        torch.testing.assert_close(fast, slow, atol=2e-4, rtol=2e-4)


@pytest.mark.parametrize("is_half", [False, True])
def test_chunks_do_not_show(monkeypatch, is_half):
    torch.manual_seed(2)
    values = torch.randn(300, 8), torch.randn(50, 8)
    targets = torch.randint(0, 50, (300,))
    targets[::7] = -100

    def gradients():
        hidden, weight = (value.clone().requires_grad_() for value in values)
        with torch.autocast("cpu", torch.bfloat16, enabled=is_half):
            loss = linear_cross_entropy(hidden, weight, targets, 4 / 3)
        loss.backward()
        return loss.detach(), hidden.grad, weight.grad

    whole = gradients()
    monkeypatch.setattr(losses, "CHUNK_ELEMENTS", 50 * 64)
    monkeypatch.setattr(losses, "_CACHED_ELEMENTS", 50 * 20)
    # In bf16 the head's gradient is rounded chunk by chunk.
    for parts, one in zip(gradients(), whole, strict=True):
        torch.testing.assert_close(parts, one, **({"atol": 0.1, "rtol": 0.02} if is_half else {}))


def test_a_loss_beyond_what_a_probability_can_hold():
    hidden, weight = torch.tensor([[300.0], [-2.0]]), torch.tensor([[1.0], [-1.0], [0.5]], requires_grad=True)
    loss = linear_cross_entropy(hidden, weight, torch.tensor([1, 0]), 1.0)
    loss.backward()
    assert loss.item() == pytest.approx(600 + 4 + torch.tensor([0.0, -4.0, -3.0]).exp().sum().log().item())
    assert weight.grad[:, 0].isfinite().all()


def test_nothing_to_learn_gives_zero_and_no_gradient():
    hidden, weight = torch.randn(5, 8, requires_grad=True), torch.randn(9, 8, requires_grad=True)
    loss = linear_cross_entropy(hidden, weight, torch.full((5,), -100), 1.0)
    loss.backward()
    assert loss.item() == 0
    assert not hidden.grad.any()
    assert not weight.grad.any()


def test_bf16_autocast_stays_near_and_gives_float32_gradients():
    torch.manual_seed(5)
    values, targets = (torch.randn(64, 32), torch.randn(50, 32)), torch.randint(0, 50, (64,))
    found = []
    for is_half in (False, True):
        hidden, weight = (value.clone().requires_grad_() for value in values)
        with torch.autocast("cpu", torch.bfloat16, enabled=is_half):
            loss = linear_cross_entropy(hidden, weight, targets, 4 / 3)
        loss.backward()
        found.append((loss.item(), hidden.grad, weight.grad))
    (exact, *wanted), (near, *given) = found
    assert near == pytest.approx(exact, rel=0.02)  # bf16 keeps 8 bits
    for gradient, other in zip(given, wanted, strict=True):
        assert gradient.dtype == torch.float32
        assert (gradient - other).norm() < 0.02 * other.norm()
        # Rounding errors cancel in the projection, a wrong factor would not.
        assert ((gradient * other).sum() / other.square().sum()).item() == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("without", [torch.no_grad, torch.inference_mode])
def test_gradients_are_not_formed_without_need(monkeypatch, without):
    formed = []
    plain_pieces = losses._loss_and_gradient

    def noted(logits, targets, scale, with_gradient):
        formed.append(with_gradient)
        return plain_pieces(logits, targets, scale, with_gradient)

    monkeypatch.setattr(losses, "_loss_and_gradient", noted)
    weight = torch.randn(9, 8, requires_grad=True)
    with without():
        assert linear_cross_entropy(torch.randn(4, 8), weight, torch.tensor([1, 2, 3, -100]), 1.0) > 0
    linear_cross_entropy(torch.randn(4, 8), weight, torch.tensor([1, 2, 3, -100]), 1.0)
    assert formed == [False, True]
