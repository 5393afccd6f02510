"""Barlow Twins: projector, loss and optimiser."""

from __future__ import annotations

import pytest
import torch

from lenskit.options import options_of
from lenskit.plugin import Budget
from lenskit.settings import OptimizerSettings
from lenskit_siamese.barlow_twins import BarlowTwins
from lenskit_toys.views import SmallNetwork, matched, pairs, train


def small(**options) -> BarlowTwins:
    torch.manual_seed(0)
    return BarlowTwins(SmallNetwork(), **{"projection_dim": 32, "hidden_dim": 64} | options)


def test_the_projector_is_that_of_the_paper():
    # Sec. 2.2: three layers of 8192, the first two with batch norm and ReLU.
    backbone = SmallNetwork()
    backbone.features = 2048
    with torch.device("meta"):
        method = BarlowTwins(backbone)
    names = [type(layer).__name__ for layer in method.projector.layers]
    assert names == ["Linear", "BatchNorm1d", "ReLU", "Linear", "BatchNorm1d", "ReLU", "Linear"]
    shapes = [tuple(method.projector.layers[i].weight.shape) for i in (0, 3, 6)]
    assert shapes == [(8192, 2048), (8192, 8192), (8192, 8192)]


def test_the_loss_is_equation_1():
    method, batch = small(redundancy=0.02), pairs(8, torch.Generator().manual_seed(1))
    out = method.step(batch)
    z1, z2 = (method.projector(method.backbone(view)) for view in batch.views)
    # Eq. 2: the correlation of each dimension of one view with each of the other. (No variance here is near 1e-5.)
    correlation = torch.corrcoef(torch.cat([z1, z2], 1).T)[:32, 32:]
    diagonal = correlation.diagonal()
    expected = (1 - diagonal).square().sum() + 0.02 * (correlation.square().sum() - diagonal.square().sum())
    torch.testing.assert_close(out["loss"], expected, rtol=1e-3, atol=1e-3)
    assert out["embedding"].shape == out["projection"].shape == (8, 32)
    assert not out["embedding"].requires_grad
    assert not out["projection"].requires_grad
    out["loss"].backward()
    assert all(parameter.grad is not None for parameter in method.parameters())


def test_the_optimiser_is_the_papers():
    method = small()
    method.budget = Budget(batch_size=2048, batches_per_epoch=10, epochs=1000)
    method.optimizer_settings = OptimizerSettings(**BarlowTwins.optimizer_defaults)
    weights, biases = method.configure_optimizers().param_groups
    for group in (weights, biases):
        group["peak_lr"], group["peak_weight_decay"] = group["lr"], group["weight_decay"]
    assert (weights["weight_decay"], biases["weight_decay"], weights["warmup_epochs"]) == (1.5e-6, 0, 10)
    assert {parameter.ndim for parameter in biases["params"]} == {1}
    # Sec. 2.2: 0.2 and 0.0048, times 2048 / 256, after the warm-up.
    assert method.learning_rate(weights, 100) == pytest.approx(0.2 * 8)
    assert method.learning_rate(biases, 100) == pytest.approx(0.0048 * 8)
    assert method.learning_rate(biases, 49) == pytest.approx(0.0048 * 4)


@pytest.mark.parametrize("settings", [{"decay_all": True}, {"weight_decay": 0.0}])
def test_without_groups_there_is_one_learning_rate(settings):
    method = small()
    method.budget = Budget(batch_size=256, batches_per_epoch=10, epochs=10)
    method.optimizer_settings = OptimizerSettings(**BarlowTwins.optimizer_defaults | settings)
    for group in method.configure_optimizers().param_groups:
        group["peak_lr"], group["peak_weight_decay"] = group["lr"], group["weight_decay"]
        assert method.learning_rate(group, 50) == pytest.approx(0.2)


@pytest.mark.slow
def test_it_learns_what_two_views_share():
    method = small()
    method.optimizer_settings = OptimizerSettings(lr=0.03, lr_batch=0, warmup_epochs=0.1)
    assert matched(method) < 0.25
    train(method, 60)
    assert matched(method) > 0.4


def test_every_option_says_what_it_means():
    assert all(option.meaning for option in options_of(BarlowTwins))
