"""Scores and reconstructions of images by a run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from lenskit.config import Config
from lenskit.errors import LenskitError, UsageError
from lenskit.run import Run
from lenskit.training.runner import train


def trained(out: Path, **method: object) -> Run:
    sections = {
        "train": {"lenses": 32, "epochs": 1, "batch_size": 16},
        "simulator": {"name": "marked"},
        "method": method,
        "backbone": {"name": "tiny"},
    }
    return train(Config.resolve(sections), out, progress=False)


@pytest.fixture(scope="module")
def linear(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run that scores and reconstructs."""
    return trained(tmp_path_factory.mktemp("runs") / "linear", name="linear")


def test_scores_and_reconstructions_are_of_the_images_that_the_network_is_given(linear: Run):
    simulator = linear.simulator(marks=("row",))
    images = simulator.render(simulator.scene(4, "embed", torch.arange(10)))
    scores, none = linear.score(images, batch_size=4)
    made, _ = linear.reconstruct(images.numpy(), batch_size=3)
    assert none == {}
    assert made.shape == (10, 1, 16, 16)
    assert made.dtype == np.float32
    residual = linear.encoder().prepare(images).numpy() - made
    assert scores == pytest.approx((residual**2).mean((1, 2, 3)), rel=1e-5)


def test_simulated_lenses_are_the_ones_that_are_embedded(linear: Run):
    scores, values = linear.score(6, seed=4, split="other")
    _, embedded = linear.embed(6, seed=4, split="other")
    assert scores.shape == (6,)
    assert values.keys() == embedded.keys() == {"width", "x", "mark"}
    assert np.array_equal(values["x"], embedded["x"])


def test_stored_images_are_read(linear: Run, tmp_path: Path):
    image = np.random.default_rng(0).normal(size=(16, 16)).astype(np.float32)
    np.save(tmp_path / "image.npy", image)
    assert linear.score(str(tmp_path / "image.npy"))[0] == pytest.approx(linear.score(image[None, None])[0], rel=1e-5)


def test_what_a_method_draws_follows_from_the_seed(tmp_path: Path):
    run, images = trained(tmp_path / "run", name="linear", draw=1.0), np.zeros((3, 1, 16, 16))
    first, same, other = (run.score(images, seed=seed)[0] for seed in (1, 1, 2))
    assert np.array_equal(first, same)
    assert not np.array_equal(first, other)


def test_a_method_that_cannot_says_so_in_one_line(tmp_path: Path):
    run = trained(tmp_path / "run", name="restless")
    with pytest.raises(LenskitError, match="restless@lenskit-ssl-toys, does not score images"):
        run.score(2)
    with pytest.raises(LenskitError, match="restless@lenskit-ssl-toys, does not reconstruct images"):
        run.reconstruct(2)


def test_images_that_are_none(linear: Run):
    with pytest.raises(UsageError, match="the number of lenses must be 1 or more, got 0"):
        linear.score(0)
    with pytest.raises(UsageError, match="there are no images to score"):
        linear.score(np.zeros((0, 1, 16, 16)))
    with pytest.raises(LenskitError, match="1 of 2 images hold NaN"):
        linear.reconstruct(np.stack([np.zeros((1, 16, 16)), np.full((1, 16, 16), np.nan)]))
