"""Tests of statistics of features against closed forms and a direct computation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import lenskit
from lenskit.errors import LenskitError
from lenskit.evaluation import Embeddings, Run, training_set_of
from lenskit_evaluation.statistics import statistics, statistics_of


def directions(n: int, d: int, seed: int = 0) -> np.ndarray:
    """Return vectors with uniform directions and unequal lengths."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)) * rng.uniform(0.5, 2, size=(n, 1))


def test_evenly_spread_directions() -> None:
    found = statistics(directions(4000, 32), (directions(4000, 32), directions(4000, 32, 1)))
    assert found.std == pytest.approx(1, abs=0.02)
    assert found.effective_rank == pytest.approx(32, rel=0.01)
    assert found.alignment == pytest.approx(2, abs=0.03)  # independent directions are orthogonal on average
    # E exp(-2 |u - v|^2) = e^-4 E exp(4 u.v), and in d dimensions u.v is nearly normal with variance 1/d.
    assert found.uniformity == pytest.approx(-4 + 8 / 32, abs=0.03)
    assert (found.n, found.features, found.pairs) == (4000, 32, 4000)


def test_collapsed() -> None:
    rng = np.random.default_rng(0)
    point = np.full((100, 8), 3.0)
    found = statistics(point, (point, point))
    assert [found.std, found.alignment, found.uniformity] == pytest.approx([0, 0, 0], abs=1e-6)
    line = rng.normal(size=(100, 1)) * np.ones(8) + 50 * rng.normal(size=8)
    assert statistics(line).effective_rank_centred == pytest.approx(1, abs=0.01)


def test_rank_is_that_of_the_definition() -> None:
    x = np.random.default_rng(1).normal(size=(60, 20)) * np.logspace(0, -2, 20) + 1
    for figure, matrix in (("effective_rank", x), ("effective_rank_centred", x - x.mean(0))):
        values = np.linalg.svd(matrix, compute_uv=False)
        shares = values / values.sum()
        assert getattr(statistics(x), figure) == pytest.approx(np.exp(-(shares * np.log(shares)).sum()), rel=1e-4)


def test_two_images_of_a_lens_are_its_views() -> None:
    x = directions(7, 5)
    lens = [4, 1, 4, 9, 1, 4, 2]
    found = statistics_of(Embeddings(x, lens=lens))
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    assert found.alignment == pytest.approx(((unit[[0, 1]] - unit[[2, 4]]) ** 2).sum(1).mean(), rel=1e-5)
    assert (found.pairs, found.n) == (2, 4)
    alone = statistics_of(Embeddings(x))
    assert np.isnan(alone.alignment)
    assert alone.row()["alignment"] == "-"
    assert alone.n == 7


@pytest.mark.slow
def test_of_a_run(run: Run) -> None:
    found = statistics_of(run, lenses=300)
    assert (found.n, found.pairs) == (300, 256)
    # The same computed directly: two renderings that share the lens, in the split that training does not use.
    import torch

    simulator, encoder = run.simulator(), run.encoder()
    features = []
    for view in (0, 1):
        scene = simulator.scene(
            0, "probe", torch.arange(256), view, shared=training_set_of(run.config).pairs.shared_groups
        )
        features.append(encoder.embed(simulator.render(scene)))
    a, b = (each / np.linalg.norm(each, axis=1, keepdims=True) for each in features)
    assert found.alignment == pytest.approx(((a - b) ** 2).sum(1).mean(), rel=1e-4)


def test_bad_input() -> None:
    with pytest.raises(LenskitError, match="at least two lenses, got 1"):
        statistics(np.ones((1, 3)))
    with pytest.raises(LenskitError, match="not finite"):
        statistics([[1.0, np.nan], [1, 2]])


@pytest.mark.slow
def test_of_a_run_whose_backbone_decides_the_size(tmp_path: Path) -> None:
    run = lenskit.train(
        out=tmp_path / "run", simulator="blobs", method="restless", backbone="timm:test_vit", lenses=4, epochs=1,
        batch_size=2, accelerator="cpu", progress=False, set={"simulator.pixels": 20, "monitor.probe_every": 0},
    )  # fmt: skip
    assert run.encoder().preprocess.size == 16
    assert statistics_of(run, lenses=8).n == 8
