"""SimCLR: head, loss and optimiser."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lightly.loss import NTXentLoss

from lenskit.options import options_of
from lenskit.plugin import Budget
from lenskit.settings import OptimizerSettings
from lenskit_siamese.simclr import SimCLR, nt_xent
from lenskit_toys.views import SmallNetwork, matched, pairs, train


def small(**options) -> SimCLR:
    torch.manual_seed(0)
    return SimCLR(SmallNetwork(), **{"projection_dim": 32, "hidden_dim": 64} | options)


def test_the_head_is_that_of_the_paper():
    # Sec. 2.1 and 2.3: two layers to 128 dimensions; the batch norms are from the authors' code.
    backbone = SmallNetwork()
    backbone.features = 2048
    with torch.device("meta"):
        method = SimCLR(backbone)
    names = [type(layer).__name__ for layer in method.projector.layers]
    assert names == ["Linear", "BatchNorm1d", "ReLU", "Linear", "BatchNorm1d"]
    assert [tuple(method.projector.layers[i].weight.shape) for i in (0, 3)] == [(2048, 2048), (128, 2048)]


@given(st.integers(2, 9), st.integers(1, 12), st.floats(0.05, 2), st.integers(0, 2**31))
@settings(deadline=None, max_examples=20)
def test_the_loss_is_equation_1(n, d, temperature, seed):
    generator = torch.Generator().manual_seed(seed)
    z1, z2 = (torch.randn(n, d, generator=generator) for _ in range(2))
    # Algorithm 1, view by view.
    z = torch.stack([z1, z2], 1).flatten(0, 1).double()
    z = z / z.norm(dim=1, keepdim=True)
    total = 0.0
    for i in range(2 * n):
        j = i + 1 if i % 2 == 0 else i - 1
        others = [k for k in range(2 * n) if k != i]
        total += torch.logsumexp(z[others] @ z[i] / temperature, 0).item() - (z[i] @ z[j]).item() / temperature
    loss = nt_xent(z1, z2, temperature)
    assert loss.item() == pytest.approx(total / (2 * n), rel=1e-4, abs=1e-4)
    torch.testing.assert_close(loss, NTXentLoss(temperature)(z1, z2), rtol=1e-4, atol=1e-4)


def test_a_step_gives_what_is_watched():
    method = small(temperature=0.5)
    batch = pairs(8, torch.Generator().manual_seed(1))
    out = method.step(batch)
    assert out["embedding"].shape == out["projection"].shape == (8, 32)
    assert not out["embedding"].requires_grad
    assert not out["projection"].requires_grad
    z1, z2 = (method.projector(method.backbone(view)) for view in batch.views)
    torch.testing.assert_close(out["loss"], NTXentLoss(0.5)(z1, z2))
    out["loss"].backward()
    assert all(parameter.grad is not None for parameter in method.parameters())


@pytest.mark.parametrize("layers", [2, 3, 4])
def test_a_head_of_any_depth_fits(layers):
    method = small(projection_dim=5, hidden_dim=7, projector_layers=layers)
    assert method.step(pairs(4, torch.Generator()))["projection"].shape == (4, 5)


def test_the_optimiser_is_the_papers():
    method = small()
    method.budget = Budget(batch_size=4096, batches_per_epoch=10, epochs=100)
    method.optimizer_settings = OptimizerSettings(**SimCLR.optimizer_defaults)
    decayed, spared = method.configure_optimizers().param_groups
    # Sec. 2.3: 0.3 x 4096 / 256 = 4.8.
    assert decayed["lr"] == spared["lr"] == pytest.approx(4.8)
    assert (decayed["weight_decay"], spared["weight_decay"], decayed["warmup_epochs"]) == (1e-6, 0, 10)
    assert {parameter.ndim for parameter in spared["params"]} == {1}


@pytest.mark.slow
def test_it_learns_what_two_views_share():
    method = small()
    method.optimizer_settings = OptimizerSettings(lr=0.3, lr_batch=0, warmup_epochs=0.1)
    assert matched(method) < 0.25
    train(method, 40)
    assert matched(method) > 0.5


def test_every_option_says_what_it_means():
    assert all(option.meaning for option in options_of(SimCLR))
