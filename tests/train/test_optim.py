"""AdamW equals torch's; Muon's update is semi-orthogonal; groups follow the muP table."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn

from dotori.train.optim import MuonAdamW, make_optimizer, orthogonalize
from dotori.train.settings import ModelSettings, TrainSettings


class Tiny(nn.Module):
    """Named as the decoder names its parts."""

    def __init__(self, width=32):
        super().__init__()
        self.model = nn.Module()
        self.model.embed_tokens = nn.Embedding(20, width)
        self.model.layers = nn.ModuleList(nn.Linear(width, 2 * width, bias=True) for _ in range(2))
        self.lm_head = nn.Linear(2 * width, 20, bias=False)

    def loss(self, ids):
        x = self.model.embed_tokens(ids)
        return self.lm_head(sum(layer(x) for layer in self.model.layers)).square().mean()


def optimizer_for(model, kind, width_ratio=2.0, **changed):
    given = {"lr": 0.01, "matrix_lr": 0.02, "weight_decay": 0.1} | changed
    return make_optimizer(model, width_ratio, TrainSettings(steps=1, optimizer=kind, **given), torch.float32)


def test_groups_follow_the_table():
    model = Tiny()
    adamw, muon = optimizer_for(model, "adamw"), optimizer_for(model, "muon")
    assert [g["peak_lr"] for g in adamw.param_groups] == [0.005, 0.01]
    assert [g["peak_lr"] for g in muon.param_groups] == [0.02, 0.01]
    assert [len(g["params"]) for g in muon.param_groups] == [2, 4]
    assert [g["weight_decay"] for g in muon.param_groups] == [0.1, 0.0]


def test_without_the_width_rules_all_rates_are_lr():
    groups = optimizer_for(Tiny(), "adamw", mup=False).param_groups
    assert [g["peak_lr"] for g in groups] == [0.01, 0.01]


def test_the_width_rules_count_from_the_base_width():
    groups = optimizer_for(Tiny(), "adamw", 8.0).param_groups
    assert [g["peak_lr"] for g in groups] == [0.01 / 8, 0.01]
    settings = TrainSettings(steps=1, dim_model_base=64)
    shape = ModelSettings(hidden_size=128, num_hidden_layers=1, num_attention_heads=2, init_std=0.1)
    config = shape.config(100, 32, (0, 1, 2), settings.base_width)
    assert (config.logits_scaling, config.initializer_range) == (2.0, pytest.approx(0.1 / 2**0.5))
    plain = shape.config(100, 32, (0, 1, 2), replace(settings, mup=False).base_width)
    assert (plain.logits_scaling, plain.initializer_range) == (1.0, pytest.approx(0.1))


def test_the_literal_rule_scales_the_embedding_too():
    groups = optimizer_for(Tiny(), "adamw", scale_embedding_lr=True).param_groups
    assert [(len(g["params"]), g["peak_lr"]) for g in groups] == [(2, 0.005), (2, 0.01), (2, 0.005)]


def test_independent_weight_decay_shrinks_by_the_same_share_whatever_the_rate():
    for kind, width_ratio in (("adamw", 2.0), ("adamw", 0.25), ("muon", 2.0)):
        model = Tiny()
        optimizer = optimizer_for(model, kind, width_ratio, weight_decay=0.01, independent_weight_decay=True)
        before = [p.detach().clone() for p in optimizer.param_groups[0]["params"]]
        for group in optimizer.param_groups:
            group["lr"] = group["peak_lr"] * 0.5  # half way down the schedule
            for p in group["params"]:
                p.grad = torch.zeros_like(p)
        optimizer.step()
        for p, old in zip(optimizer.param_groups[0]["params"], before, strict=True):
            torch.testing.assert_close(p.detach(), old * (1 - 0.005))


def test_adamw_group_equals_torch_adamw():
    torch.manual_seed(0)
    ours, theirs = nn.Linear(6, 5), nn.Linear(6, 5)
    theirs.load_state_dict(ours.state_dict())
    group = {"params": list(ours.parameters()), "kind": "adamw", "weight_decay": 0.1, "lr": 0.01}
    a = MuonAdamW([group], 0.9, 0.95, torch.float32)
    b = torch.optim.AdamW(theirs.parameters(), lr=0.01, betas=(0.9, 0.95), eps=1e-10, weight_decay=0.1)
    for _ in range(20):
        x = torch.randn(7, 6)
        for model, optimizer in ((ours, a), (theirs, b)):
            optimizer.zero_grad()
            model(x).square().sum().backward()
            optimizer.step()
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(p, q, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 40, 16), (1, 16, 40), (3, 24, 24)])
def test_orthogonalize_flattens_the_spectrum(shape):
    torch.manual_seed(1)
    values = torch.linalg.svdvals(orthogonalize(torch.randn(shape)))
    assert values.max() < 1.3
    assert values.median() > 0.6


def test_orthogonalize_of_zero_is_zero():
    assert not orthogonalize(torch.zeros(1, 4, 6)).any()


def test_equal_shapes_as_a_batch_equal_one_by_one():
    torch.manual_seed(2)
    grads = torch.randn(5, 12, 20)
    torch.testing.assert_close(orthogonalize(grads), torch.cat([orthogonalize(g[None]) for g in grads]))


@pytest.mark.parametrize("kind", ["adamw", "muon"])
def test_state_survives_a_round_trip_bit_exactly(kind):
    torch.manual_seed(3)
    model = Tiny()
    optimizer = optimizer_for(model, kind)

    def step(model, optimizer, seed):
        for group in optimizer.param_groups:
            group["lr"] = group["peak_lr"]
        ids = torch.randint(0, 20, (4, 6), generator=torch.Generator().manual_seed(seed))
        model.loss(ids).backward()
        optimizer.step()
        optimizer.zero_grad()

    for seed in range(3):
        step(model, optimizer, seed)
    other = Tiny()
    other.load_state_dict(model.state_dict())
    restored = optimizer_for(other, kind)
    restored.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for m, o in ((model, optimizer), (other, restored)):
        step(m, o, 9)
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize("kind", ["adamw", "muon"])
def test_the_loss_falls(kind):
    torch.manual_seed(4)
    model = Tiny()
    optimizer = optimizer_for(model, kind)
    ids = torch.randint(0, 20, (8, 6))
    first = model.loss(ids).item()
    for _ in range(30):
        for group in optimizer.param_groups:
            group["lr"] = group["peak_lr"]
        optimizer.zero_grad()
        model.loss(ids).backward()
        optimizer.step()
    assert model.loss(ids).item() < first / 2
