"""RBM: free energies and probabilities, compared with sums over all states."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from lenskit.config import Config
from lenskit.generator import KeyedGenerator
from lenskit.plugin import Batch, UsageError
from lenskit.run import Run
from lenskit.training.runner import LOOKED_AT, Job, train
from lenskit_deeplense.hidden import RBMHidden
from lenskit_deeplense.rbm import RBM, Known
from lenskit_toys.components import Tiny

SIGMA = 0.7
HIDDEN = torch.tensor(list(itertools.product([0.0, 1.0], repeat=3)), dtype=torch.float64)
"""All states of three hidden units."""

Visible = Literal["bernoulli", "gaussian"]
KINDS: tuple[Visible, ...] = ("bernoulli", "gaussian")


def rbm(visible: Visible = "bernoulli", size: int = 2, hidden: int = 3, **options: Any) -> RBM:
    """Return a machine with four pixels and three hidden units by default."""
    torch.manual_seed(0)
    method = RBM(RBMHidden(1, size, hidden=hidden), visible=visible, **{"sigma": SIGMA, "init_std": 1.0} | options)
    method.seed = 0
    return method.double()


def pixels(n: int = 5, size: int = 2) -> Tensor:
    return torch.rand(n, size**2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def energy(method: RBM, v: Tensor, h: Tensor) -> Tensor:
    """Return E(v, h) (n, m) of all pairs of (n, visible) and (m, hidden), by terms."""
    w, c, b = method.backbone.layer.weight, method.backbone.layer.bias, method.bias
    own = ((v - b) ** 2).sum(1) / (2 * SIGMA**2) if method.gaussian else -(v * b).sum(1)
    return own[:, None] - torch.einsum("mj,ji,ni->nm", h, w, v) - (h * c).sum(1)


@pytest.mark.parametrize("visible", KINDS)
def test_free_energy_is_the_sum_over_all_hidden_states(visible: Visible) -> None:
    method, v = rbm(visible), pixels()
    torch.testing.assert_close(method.free_energy(v), -(-energy(method, v, HIDDEN)).logsumexp(1))


@pytest.mark.parametrize("visible", KINDS)
def test_hidden_units_are_on_as_often_as_their_energy_says(visible: Visible) -> None:
    method, v = rbm(visible), pixels()
    states = (-energy(method, v, HIDDEN)).softmax(1)
    torch.testing.assert_close(method.hidden(v), states @ HIDDEN)


def test_bernoulli_pixels_are_on_as_often_as_their_energy_says() -> None:
    method = rbm()
    all_pixels = torch.tensor(list(itertools.product([0.0, 1.0], repeat=4)), dtype=torch.float64)
    states = (-energy(method, all_pixels, HIDDEN)).softmax(0)
    torch.testing.assert_close(method.pixels(HIDDEN), states.mT @ all_pixels)


def test_gaussian_pixels_are_normal_with_the_mean_that_their_energy_says() -> None:
    """The energy differs from that of the normal density by a constant."""
    method, v = rbm("gaussian"), pixels()
    normal = torch.distributions.Normal(method.pixels(HIDDEN), SIGMA)
    rest = energy(method, v, HIDDEN) + normal.log_prob(v[:, None]).sum(2)
    torch.testing.assert_close(rest, rest[:1].expand_as(rest))


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("visible", KINDS)
def test_the_gradient_is_that_of_contrastive_divergence(visible: Visible, k: int) -> None:
    """The gradient is <h v> under the data minus <h v> under the samples.

    The same holds for the biases (Hinton 2002, Eq. 5).
    """
    method, v = rbm(visible, k=k), pixels()
    batch = Batch((v.view(-1, 1, 2, 2),), {}, torch.arange(5))
    method.step(batch)["loss"].backward()
    rng, model = method.rng(batch, "gibbs"), v
    with torch.no_grad():
        for step in range(k):
            model = method.draw(method.hidden(model), rng, f"{step}/" if step else "")
    assert not model.requires_grad
    down = [method.hidden(x).mT @ x / len(x) for x in (v, model)]
    torch.testing.assert_close(method.backbone.layer.weight.grad, down[1] - down[0])
    torch.testing.assert_close(method.backbone.layer.bias.grad, (method.hidden(model) - method.hidden(v)).mean(0))
    unit = SIGMA**2 if visible == "gaussian" else 1
    torch.testing.assert_close(method.bias.grad, (model - v).mean(0) / unit)


def test_weights_have_the_gradient_of_a_linear_layer_where_units_are_certain() -> None:
    """Subnormal gradients of certain units become zero, which changes only rounding."""
    generator = torch.Generator().manual_seed(0)
    x, weight, bias = (torch.randn(shape, generator=generator) for shape in ((20, 7), (5, 7), (5,)))
    inputs = torch.linspace(-110, 20, 100).reshape(20, 5)
    found = [each.clone().requires_grad_() for each in (weight, bias)]
    Known.apply(x, inputs, *found).backward(inputs.sigmoid())
    assert ((inputs.sigmoid() > 0) & (inputs.sigmoid() < torch.finfo(torch.float32).tiny)).any()
    expected = [each.clone().requires_grad_() for each in (weight, bias)]
    F.linear(x, *expected).backward(inputs.sigmoid())
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-6, atol=1e-36)


@pytest.mark.parametrize("visible", KINDS)
def test_draws_are_distributed_as_the_layers_say(visible: Visible) -> None:
    """The mean of the pixels agrees with that over all hidden states, within 5 sigma."""
    method, n = rbm(visible), 20_000
    given = method.hidden(pixels(1))
    rng = KeyedGenerator(0, "test", "gibbs", torch.arange(n), torch.zeros(n, dtype=torch.int64))
    drawn = method.draw(given.expand(n, -1), rng).detach()
    weights = torch.where(HIDDEN == 1, given, 1 - given).prod(1)
    expected = weights @ method.pixels(HIDDEN)
    error = drawn.std(0) / n**0.5
    assert ((drawn.mean(0) - expected).abs() < 5 * error).all()
    if visible == "bernoulli":
        assert set(drawn.unique().tolist()) == {0.0, 1.0}


@pytest.mark.parametrize("reconstruction", ["mean", "sample"])
@pytest.mark.parametrize("visible", KINDS)
def test_scores_are_mean_squared_errors_and_repeat_whatever_the_batch(visible: Visible, reconstruction: str) -> None:
    method = rbm(visible, size=4, reconstruction=reconstruction)
    images = pixels(6, 4).view(6, 1, 4, 4)
    made = method.reconstruct(images)
    assert made.shape == images.shape
    scores = method.score(images)
    expected = torch.stack([F.mse_loss(one, other) for one, other in zip(made, images, strict=True)])
    torch.testing.assert_close(scores, expected)
    torch.testing.assert_close(torch.cat([method.score(images[:1]), method.score(images[1:])]), scores)
    if reconstruction == "mean":
        torch.testing.assert_close(made.flatten(1), method.pixels(method.hidden(images.flatten(1))))
    elif visible == "bernoulli":
        assert set(made.unique().tolist()) <= {0.0, 1.0}


def test_it_learns_the_images_it_is_shown() -> None:
    """Learned patterns of 36 pixels are reconstructed; others have a far larger score."""
    method = rbm(size=6, hidden=8, init_std=0.01)
    patterns = torch.rand(2, 36, dtype=torch.float64, generator=torch.Generator().manual_seed(2)).round()
    batch = Batch((patterns.repeat(16, 1).view(-1, 1, 6, 6),), {}, torch.arange(32))
    optimiser = torch.optim.Adam(method.parameters(), lr=0.05)
    for method.batches in range(60):
        optimiser.zero_grad()
        method.step(batch)["loss"].backward()
        optimiser.step()
    scores = method.score(torch.cat([patterns, 1 - patterns]).view(4, 1, 6, 6))
    assert scores[:2].max() < 0.02
    assert scores[2:].min() > 0.2


def test_weights_and_biases_start_as_wide_as_is_said() -> None:
    """Check the standard deviation of at least a thousand numbers, within 5 sigma.

    The tolerance contains their number.
    """
    for options, std in (({}, 1.0), ({"visible": "gaussian"}, 0.01), ({"init_std": 0.1}, 0.1)):
        method = rbm(size=16, hidden=256, **{"init_std": None} | options)
        for parameter in method.parameters():
            assert parameter.std().item() == pytest.approx(std, rel=5 / (2 * parameter.numel()) ** 0.5)


@pytest.mark.parametrize(
    ("images", "complaint"),
    [
        (torch.tensor([-0.1, 1.0]), "go from -0.1 to 1: .*visible=gaussian.*stretch=zscale"),
        (torch.tensor([0.0, 7.0]), "go from 0 to 7: .*visible=gaussian.*normalise=peak"),
    ],
)
def test_bernoulli_pixels_are_from_0_to_1(images: Tensor, complaint: str) -> None:
    method = rbm()
    images = images.double().repeat(2, 2).view(2, 1, 2, 2)
    with pytest.raises(UsageError, match=complaint):
        method.check_range(float(images.min()), float(images.max()))
    for ask in (method.reconstruct, method.score):
        with pytest.raises(UsageError, match=complaint):
            ask(images)
    gaussian = rbm("gaussian")
    gaussian.check_range(float(images.min()), float(images.max()))
    assert gaussian.score(images).isfinite().all()


def test_images_are_looked_at_before_anything_is_written(tmp_path: Path) -> None:
    noisy = Config.resolve({
        "train": {"lenses": 8, "batch_size": 8, "accelerator": "cpu"},
        "input": {"stretch": "linear"},
        "simulator": {"name": "blobs"},
        "method": {"name": "rbm"},
        "backbone": {"hidden": 4},
    })  # fmt: skip
    with pytest.raises(UsageError, match="takes pixels from 0 to 1 as probabilities"):
        train(noisy, tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_images_are_looked_at_while_training(tmp_path: Path) -> None:
    """The check before training covers only a part of the images."""
    images = np.random.default_rng(0).random((2 * LOOKED_AT, 4, 4), np.float32)
    np.save(tmp_path / "lenses.npy", images)
    config = Config.resolve({
        "train": {"batch_size": 256, "epochs": 1, "accelerator": "cpu"},
        "input": {"stretch": "linear", "normalise": "none"},
        "data": {"name": "deeplense-npy", "path": str(tmp_path / "lenses.npy")},
        "method": {"name": "rbm"},
        "backbone": {"hidden": 4},
    })  # fmt: skip
    covered = Job(config).training_set.sample(LOOKED_AT).index.tolist()
    images[min(set(range(len(images))) - set(covered)), 0, 0] = -1
    np.save(tmp_path / "lenses.npy", images)
    with pytest.raises(UsageError, match="takes pixels from 0 to 1 as probabilities, but these go from -1"):
        Job(config).fit(Run.create(tmp_path / "run", config), None, False)
    assert not (tmp_path / "run" / "checkpoints").exists()


@pytest.mark.parametrize(("low", "high"), [(0, 1.2), (-0.2, 1), (-1, 7)])
def test_pixels_that_are_no_probabilities_are_refused(low: float, high: float) -> None:
    rbm().check_range(0, 1)
    rbm("gaussian").check_range(low, high)
    with pytest.raises(UsageError, match=f"go from {low} to {high}"):
        rbm().check_range(low, high)


def test_another_backbone_is_refused_with_the_remedy() -> None:
    with pytest.raises(UsageError, match="method 'rbm' .*: use --backbone rbm-hidden"):
        RBM(Tiny(1, 8))
