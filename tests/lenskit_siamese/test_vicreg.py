"""VICReg: expander, loss and optimiser."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lightly.loss import VICRegLoss

from lenskit.options import options_of
from lenskit.plugin import Budget
from lenskit.settings import OptimizerSettings
from lenskit_siamese.vicreg import VICReg, covariance_loss
from lenskit_toys.views import SmallNetwork, matched, pairs, train


def small(**options) -> VICReg:
    torch.manual_seed(0)
    return VICReg(SmallNetwork(), **{"projection_dim": 32, "hidden_dim": 64} | options)


def test_the_expander_is_that_of_the_paper():
    # Sec. 4.2: three layers of 8192, the first two with batch norm and ReLU.
    backbone = SmallNetwork()
    backbone.features = 2048
    with torch.device("meta"):
        method = VICReg(backbone)
    names = [type(layer).__name__ for layer in method.projector.layers]
    assert names == ["Linear", "BatchNorm1d", "ReLU", "Linear", "BatchNorm1d", "ReLU", "Linear"]
    shapes = [tuple(method.projector.layers[i].weight.shape) for i in (0, 3, 6)]
    assert shapes == [(8192, 2048), (8192, 8192), (8192, 8192)]


@given(st.integers(2, 9), st.integers(1, 6), st.integers(0, 2**31))
@settings(deadline=None, max_examples=20)
def test_covariances_are_numpys(n, d, seed):
    z = torch.randn(n, d, generator=torch.Generator().manual_seed(seed))
    covariances = torch.cov(z.T.double()).reshape(d, d)
    expected = sum(covariances[i, j] ** 2 for i in range(d) for j in range(d) if i != j) / d
    assert covariance_loss(z).item() == pytest.approx(float(expected), rel=1e-4, abs=1e-5)


def test_the_loss_is_equation_6():
    method = small(invariance=10.0, variance=20.0, covariance=3.0)
    batch = pairs(8, torch.Generator().manual_seed(1))
    out = method.step(batch)
    z1, z2 = (method.projector(method.backbone(view)) for view in batch.views)
    hinge = [(1 - (z.var(0) + 1e-4).sqrt()).clamp(min=0).mean() for z in (z1, z2)]
    offset = [torch.cov(z.T) - torch.diag(z.var(0)) for z in (z1, z2)]
    terms = {
        "invariance": (z1 - z2).square().mean(),
        "variance": (hinge[0] + hinge[1]) / 2,
        "covariance": sum(c.square().sum() / 32 for c in offset),
    }
    for name, value in terms.items():
        torch.testing.assert_close(out[name], value.detach())
    torch.testing.assert_close(out["loss"], 10 * terms["invariance"] + 20 * terms["variance"] + 3 * terms["covariance"])
    torch.testing.assert_close(out["loss"], VICRegLoss(10.0, 20.0, 3.0)(z1, z2))
    assert out["embedding"].shape == out["projection"].shape == (8, 32)
    assert not any(out[name].requires_grad for name in out if name != "loss")
    out["loss"].backward()
    assert all(parameter.grad is not None for parameter in method.parameters())


def test_the_loss_does_not_depend_on_the_last_bias():
    method, batch = small(), pairs(8, torch.Generator().manual_seed(1))
    before = method.step(batch)["loss"]
    with torch.no_grad():
        method.projector.layers[-1].bias.normal_()
    torch.testing.assert_close(method.step(batch)["loss"], before, rtol=1e-4, atol=1e-4)


def test_the_optimiser_is_the_papers():
    method = small()
    method.budget = Budget(batch_size=2048, batches_per_epoch=10, epochs=1000)
    method.optimizer_settings = OptimizerSettings(**VICReg.optimizer_defaults)
    decayed, spared = method.configure_optimizers().param_groups
    # Sec. 4.2: 2048 / 256 x 0.2 = 1.6.
    assert decayed["lr"] == spared["lr"] == pytest.approx(1.6)
    assert (decayed["weight_decay"], spared["weight_decay"], decayed["warmup_epochs"]) == (1e-6, 0, 10)
    assert {parameter.ndim for parameter in spared["params"]} == {1}


@pytest.mark.slow
def test_it_learns_what_two_views_share():
    method = small()
    method.optimizer_settings = OptimizerSettings(lr=0.03, lr_batch=0, warmup_epochs=0.1)
    assert matched(method) < 0.25
    train(method, 60)
    assert matched(method) > 0.4


def test_every_option_says_what_it_means():
    assert all(option.meaning for option in options_of(VICReg))
