"""Whole score matrices give what the blockwise kernel of PyTorch gives, with its gradients."""

import pytest
import torch
from torch.nn import functional as F

import dotori.model.attention as attention
from dotori.model.attention import attend, cache_mask, document_mask


def both(q, k, v, mask, is_causal, scale):
    """(output, gradients of q, k and v) of ours and of PyTorch's."""
    found = []
    for way in (attend, lambda *a: F.scaled_dot_product_attention(*a[:3], attn_mask=a[3], is_causal=a[4], scale=a[5])):
        parts = [part.clone().requires_grad_() for part in (q, k, v)]
        out = way(*parts, mask, is_causal, scale)
        out.square().sum().backward()
        found.append([out.detach(), *(part.grad for part in parts)])
    return found


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 0.06)])
@pytest.mark.parametrize("kind", ["documents", "causal", "cached"])
def test_attend_equals_the_kernel(kind, dtype, tolerance):
    torch.manual_seed(3)
    q, k, v = (torch.randn(3, 2, 20, 8).to(dtype) for _ in range(3))
    mask = None
    if kind == "documents":
        mask = document_mask((torch.arange(20)[None] >= torch.tensor([[0], [7], [13]])).int())
    elif kind == "cached":
        q, mask = q[:, :, :5], cache_mask(15, 5, torch.device("cpu"))
    for own, theirs in zip(*both(q, k, v, mask, kind == "causal", 0.3), strict=True):
        torch.testing.assert_close(own, theirs, atol=tolerance, rtol=tolerance)


def test_too_many_scores_take_the_kernel(monkeypatch):
    torch.manual_seed(4)
    q = torch.randn(2, 3, 16, 4).requires_grad_()
    whole = attend(q, q, q, None, True, 0.5)
    monkeypatch.setattr(attention, "WHOLE_SCORES", 2 * 3 * 16 * 16 - 1)
    blockwise = attend(q, q, q, None, True, 0.5)
    assert "ScaledDotProduct" in blockwise.grad_fn.name()
    assert "ScaledDotProduct" not in whole.grad_fn.name()
    torch.testing.assert_close(whole, blockwise)
