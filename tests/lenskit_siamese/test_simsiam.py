"""SimSiam: heads, loss and optimiser, and the collapse without stop-gradient."""

from __future__ import annotations

import pytest
import torch
from lightly.models.modules.heads import SimSiamPredictionHead, SimSiamProjectionHead
from torch import Tensor, nn
from torch.nn import functional as F

from lenskit.options import options_of
from lenskit.plugin import Batch, Budget
from lenskit.settings import OptimizerSettings
from lenskit_siamese.simsiam import SimSiam
from lenskit_toys.views import SmallNetwork, pairs


def small(lr: float = 0.03, **options) -> SimSiam:
    torch.manual_seed(0)
    method = SimSiam(SmallNetwork(), **{"projection_dim": 32, "hidden_dim": 32, "predictor_dim": 8} | options)
    method.optimizer_settings = OptimizerSettings(**SimSiam.optimizer_defaults | {"lr": lr, "decay_all": True})
    return method


def shapes(module: nn.Module) -> list[tuple[int, ...]]:
    return [tuple(tensor.shape) for tensor in module.state_dict().values()]


def test_the_defaults_are_the_heads_of_the_paper():
    backbone = SmallNetwork()
    backbone.features = 2048
    with torch.device("meta"):
        method, code = SimSiam(backbone), SimSiam(backbone, projector_affine=False)
        theirs, predictor = SimSiamProjectionHead(2048, 2048, 2048), SimSiamPredictionHead(2048, 512, 2048)
    assert shapes(code.projector) == shapes(theirs)
    assert [type(layer) for layer in method.projector.layers] == [type(layer) for layer in theirs.layers]
    assert shapes(method.predictor) == shapes(predictor)
    # Batch norm on every layer of the projector, but a ReLU only between them (paper, Sec. 3).
    assert [type(layer).__name__ for layer in method.projector.layers] == [
        "Linear", "BatchNorm1d", "ReLU", "Linear", "BatchNorm1d", "ReLU", "Linear", "BatchNorm1d",
    ]  # fmt: skip


@pytest.mark.parametrize("layers", [1, 2, 3, 4])
@pytest.mark.parametrize("affine", [True, False])
def test_heads_of_any_width_fit_together(layers, affine):
    method = small(projection_dim=12, hidden_dim=20, predictor_dim=5, projector_layers=layers, projector_affine=affine)
    out = method.step(pairs(4, torch.Generator()))
    assert out["embedding"].shape == (4, 32)
    assert out["projection"].shape == (4, 12)
    assert not out["embedding"].requires_grad
    assert not out["projection"].requires_grad
    out["loss"].backward()
    assert all(parameter.grad is not None for parameter in method.parameters())


def test_the_loss_is_equation_4():
    method, batch = small(), pairs(8, torch.Generator().manual_seed(1))
    loss = method.step(batch)["loss"]
    z1, z2 = (method.projector(method.backbone(view)) for view in batch.views)
    p1, p2 = method.predictor(z1), method.predictor(z2)

    def negative_cosine(p: Tensor, z: Tensor) -> Tensor:
        return -((p / p.norm(dim=1, keepdim=True)) * (z / z.norm(dim=1, keepdim=True))).sum(1).mean()

    torch.testing.assert_close(loss, negative_cosine(p1, z2) / 2 + negative_cosine(p2, z1) / 2)


def test_each_view_has_batch_statistics_of_its_own():
    # The views differ by an offset. Batch norm of each view removes it; batch norm of both together would not.
    method = small()
    view = pairs(8, torch.Generator().manual_seed(1)).views[0]
    batches = [Batch((view, view * factor), {}, torch.arange(8)) for factor in (1.0, 100.0)]
    same, scaled = (method.step(batch)["loss"] for batch in batches)
    torch.testing.assert_close(same, scaled, atol=1e-3, rtol=0)


def test_the_optimiser_is_the_papers():
    method = small()
    method.budget = Budget(batch_size=400, batches_per_epoch=250, epochs=800)
    optimiser = method.configure_optimizers()
    encoder, predictor = optimiser.param_groups
    for group in (encoder, predictor):
        assert group["lr"] == pytest.approx(0.03 * 400 / 256)
        assert (group["momentum"], group["weight_decay"]) == (0.9, 5e-4)
        group["peak_lr"] = group["lr"]
    grouped = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    assert {id(parameter) for parameter in grouped} == {id(parameter) for parameter in method.parameters()}
    assert len(grouped) == len(set(map(id, grouped)))
    assert {id(parameter) for parameter in predictor["params"]} == set(map(id, method.predictor.parameters()))

    peak, epoch = encoder["lr"], 250
    assert method.learning_rate(encoder, 5 * epoch - 1) == pytest.approx(peak / 2)  # half of 10 epochs of warm-up
    assert method.learning_rate(encoder, 10 * epoch) == pytest.approx(peak)
    assert method.learning_rate(encoder, 405 * epoch) == pytest.approx(peak / 2, rel=1e-4)  # half of the cosine
    assert method.learning_rate(encoder, 800 * epoch) == 0
    assert {method.learning_rate(predictor, batches) for batches in (0, 10 * epoch, 800 * epoch)} == {peak}


def train(method: SimSiam, batches: int) -> tuple[float, Tensor]:
    """Train and return the last batch's loss and projection."""
    method.budget = Budget(batch_size=128, batches_per_epoch=batches, epochs=1)
    optimiser, generator = method.configure_optimizers(), torch.Generator().manual_seed(0)
    for index in range(batches):
        out = method.training_step(pairs(128, generator), index)
        optimiser.zero_grad()
        out["loss"].backward()
        optimiser.step()
    return out["loss"].item(), out["projection"]


def spread(projection: Tensor) -> float:
    """Return std x sqrt(d) of the normalised projection: 1 on a sphere, 0 at a point.

    See the paper, Sec. 4.1.
    """
    return (F.normalize(projection, dim=1).std(0).mean() * projection.shape[1] ** 0.5).item()


@pytest.mark.slow
def test_without_stop_gradient_it_collapses_to_a_point_with_a_perfect_loss():
    # A small version of the paper's Figure 2.
    loss, projection = train(small(lr=1.0, stop_gradient=False), 200)
    assert loss < -0.99
    assert spread(projection) < 0.1
    loss, projection = train(small(lr=1.0), 200)
    assert -0.9 < loss < -0.5
    assert spread(projection) > 0.8


@pytest.mark.parametrize("scale", [1e-2, 1.0, 1e4])
def test_without_an_offset_the_projections_cannot_become_a_point(scale):
    # For any features: each component has mean zero, and variance v / (v + eps) if the last layer's output has v.
    method = small(projector_affine=False).double()
    features = scale * torch.randn(64, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) + 5 * scale
    projection = method.project(features)
    last = method.projector.layers[-1]
    before = method.projector.layers[:-1](features).var(0, correction=0)
    torch.testing.assert_close(projection.mean(0), torch.zeros(32, dtype=torch.float64), atol=1e-9, rtol=0)
    torch.testing.assert_close(projection.var(0, correction=0), before / (before + last.eps), atol=1e-9, rtol=0)
    # With an offset a collapse to a point is possible: the paper's projector with a scale of zero.
    method = small().double()
    torch.nn.init.zeros_(method.projector.layers[-1].weight)
    torch.nn.init.ones_(method.projector.layers[-1].bias)
    assert spread(method.project(features)) < 1e-6


def test_every_option_says_what_it_means():
    assert all(option.meaning for option in options_of(SimSiam))
