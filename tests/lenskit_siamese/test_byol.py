"""BYOL: heads, loss, target and optimiser."""

from __future__ import annotations

from math import cos, pi

import pytest
import torch
from torch import Tensor, nn

from lenskit.options import options_of
from lenskit.plugin import Budget
from lenskit.settings import OptimizerSettings
from lenskit_siamese.byol import BYOL
from lenskit_toys.views import SmallNetwork, matched, pairs, train


def small(**options) -> BYOL:
    torch.manual_seed(0)
    method = BYOL(SmallNetwork(), **{"projection_dim": 32, "hidden_dim": 64} | options)
    method.budget = Budget(batch_size=8, batches_per_epoch=10, epochs=4)
    return method


def layers(head: nn.Module) -> list[tuple]:
    return [
        (type(layer).__name__, *getattr(layer, "weight", torch.empty(0)).shape)
        for layer in head.modules()
        if not list(layer.children())
    ]


def test_the_heads_are_those_of_the_paper():
    # Sec. 3.3: a linear layer of 4096 with batch norm and ReLU, then a linear layer of 256; the predictor is the same.
    backbone = SmallNetwork()
    backbone.features = 2048
    with torch.device("meta"):
        method = BYOL(backbone)
    assert layers(method.projector) == [
        ("Linear", 4096, 2048), ("BatchNorm1d", 4096), ("ReLU", 0), ("Linear", 256, 4096),
    ]  # fmt: skip
    assert layers(method.predictor) == [
        ("Linear", 4096, 256), ("BatchNorm1d", 4096), ("ReLU", 0), ("Linear", 256, 4096),
    ]  # fmt: skip


def test_the_loss_is_the_squared_distance_of_normalised_vectors():
    method, batch = small(), pairs(8, torch.Generator().manual_seed(1))
    with torch.no_grad():  # a target that is not the online network
        for parameter in method.target.parameters():
            parameter.mul_(1.1).add_(0.01)
    out = method.step(batch)
    assert out["embedding"].shape == out["projection"].shape == (8, 32)
    assert not out["embedding"].requires_grad
    assert not out["projection"].requires_grad

    def unit(x: Tensor) -> Tensor:
        return x / x.norm(dim=1, keepdim=True)

    q1, q2 = (unit(method.predictor(method.projector(method.backbone(view)))) for view in batch.views)
    t1, t2 = (unit(method.target[1](method.target[0](view))) for view in batch.views)
    expected = (q1 - t2).square().sum(1).mean() + (q2 - t1).square().sum(1).mean()
    torch.testing.assert_close(out["loss"], expected)


def test_only_the_online_network_learns():
    method = small()
    method.step(pairs(8, torch.Generator()))["loss"].backward()
    for module in (method.backbone, method.projector, method.predictor):
        assert all(parameter.grad is not None for parameter in module.parameters())
    assert not any(parameter.requires_grad for parameter in method.target.parameters())


def test_the_momentum_rises_to_one_with_a_cosine():
    method = small()
    found = [method.target_momentum(k) for k in range(41)]
    assert found == pytest.approx([1 - (1 - 0.996) * (cos(pi * k / 40) + 1) / 2 for k in range(41)], abs=1e-12)
    assert (found[0], found[40]) == (pytest.approx(0.996), 1)


def test_the_target_follows():
    method = small(momentum=0.9)
    online = [*method.backbone.parameters(), *method.projector.parameters()]
    target = list(method.target.parameters())
    with torch.no_grad():
        for parameter in online:
            parameter.add_(1.0)
    before = [parameter.clone() for parameter in target]
    method.batches = 20
    method.after_update()
    tau = method.target_momentum(20)
    for old, new, weight in zip(before, target, online, strict=True):
        torch.testing.assert_close(new, tau * old + (1 - tau) * weight)


def test_the_targets_batch_norms_have_statistics_of_their_own():
    method, batch = small(momentum=0.0), pairs(8, torch.Generator().manual_seed(1))
    method.step(batch)
    with torch.no_grad():
        for parameter in method.backbone.parameters():
            parameter.mul_(-2.0)
    method.step(batch)
    seen = method.target[0].network[1].running_mean.clone()
    method.after_update()
    assert torch.equal(method.target[0].network[0].weight, method.backbone.network[0].weight)
    assert torch.equal(method.target[0].network[1].running_mean, seen)
    assert not torch.allclose(seen, method.backbone.network[1].running_mean)


def test_the_optimiser_is_the_papers():
    method = small()
    method.budget = Budget(batch_size=4096, batches_per_epoch=10, epochs=1000)
    method.optimizer_settings = OptimizerSettings(**BYOL.optimizer_defaults)
    optimiser = method.configure_optimizers()
    decayed, spared = optimiser.param_groups
    assert type(optimiser).__name__.upper() == "LARS"
    for group in (decayed, spared):
        assert (group["lr"], group["momentum"]) == (pytest.approx(0.2 * 16), 0.9)
        assert (group["trust_coeff"], group["warmup_epochs"]) == (0.001, 10)
    # LARS neither decays nor adapts biases and batch norms.
    assert (decayed["weight_decay"], spared["weight_decay"]) == (1.5e-6, 0)
    assert all(parameter.ndim > 1 for parameter in decayed["params"])
    assert all(parameter.ndim == 1 for parameter in spared["params"])
    trained = [p for module in (method.backbone, method.projector, method.predictor) for p in module.parameters()]
    assert {id(p) for group in optimiser.param_groups for p in group["params"]} == set(map(id, trained))


@pytest.mark.slow
def test_it_learns_what_two_views_share():
    method = small(momentum=0.9)
    method.optimizer_settings = OptimizerSettings(lr=0.3, lr_batch=0, warmup_epochs=0.1)
    assert matched(method) < 0.25
    train(method, 60)
    assert matched(method) > 0.4


def test_every_option_says_what_it_means():
    assert all(option.meaning for option in options_of(BYOL))
