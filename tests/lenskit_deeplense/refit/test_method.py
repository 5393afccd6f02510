"""Refit: training without labels, scores of substructure, refused images."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import lenskit
from lenskit.config import Config
from lenskit.errors import UsageError
from lenskit.run import Run
from lenskit.store.plan import Plan
from lenskit.store.simulate import simulate
from lenskit.training.runner import Job, train
from lenskit_deeplense.refit.method import Refit
from lenskit_lensing.instruments.psf import profile_psf

LENSES = {"pixels": 50, "pixel_scale": 0.1}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def config(simulator: dict[str, Any] | None = None, **method: Any) -> Config:
    return Config.resolve({
        "train": {"lenses": 16, "epochs": 1, "batch_size": 8, "accelerator": "cpu"},
        "simulator": {"name": "deeplense-a", **LENSES} if simulator is None else simulator,
        "method": {"name": "refit", **method},
        "backbone": {"name": "tiny"},
    })  # fmt: skip


def made(**method: Any) -> Refit:
    found = Job(config(**method)).method
    assert isinstance(found, Refit)
    return found.eval()


def lenses(label: str, n: int = 16) -> tuple[Tensor, dict[str, Tensor]]:
    """Return images and their true parameters."""
    simulator = Config.resolve(
        {"simulator": {"name": "deeplense-a", **LENSES, "classes": [label]}}, only=("simulator",)
    ).build("simulator")
    scene = simulator.scene(0, "test", torch.arange(n))
    return simulator.render(scene), scene


@pytest.mark.slow
def test_two_batches_train_and_score(tmp_path: Path) -> None:
    run = train(config(steps=3), tmp_path / "run", progress=False)
    assert run.finished
    scores, _ = run.score(3)
    assert np.isfinite(scores).all()
    images, _ = run.reconstruct(3)
    assert images.shape == (3, 1, 50, 50)
    np.testing.assert_array_equal(Run(run.path).score(3)[0], scores)


@pytest.mark.slow
def test_substructure_raises_the_score_of_fits_from_the_truth() -> None:
    method = made(steps=8)
    scores = {}
    for label in ("none", "spherical", "vortex"):
        images, truth = lenses(label, 32)
        scores[label] = method.chi2(images, method.fit(images, truth))
    assert scores["none"].mean().item() == pytest.approx(0.95, abs=0.12)
    for label in ("spherical", "vortex"):
        auc = (scores[label][:, None] > scores["none"]).float().mean()
        assert auc > 0.8, label


@pytest.mark.slow
def test_estimated_noise_gives_nearly_the_same_score() -> None:
    images, truth = lenses("none")
    scores = []
    for noise in ("simulator", "image"):
        method = made(steps=6, noise=noise)
        scores.append(method.chi2(images, method.fit(images, truth)))
    torch.testing.assert_close(scores[1], scores[0], rtol=0.1, atol=0)


def test_scores_do_not_depend_on_the_unit_or_the_offset() -> None:
    images, truth = lenses("none", 4)
    method = made(steps=4)
    scores = [method.chi2(each, method.fit(each, truth)) for each in (300 * images - 20, images)]
    torch.testing.assert_close(*scores, rtol=1e-2, atol=0)


def test_failed_fits_are_counted() -> None:
    images, _ = lenses("none", 4)
    method = made(steps=1)
    method.score(images)
    assert method.figures(images)["failed fits"].tolist() == [1] * 4


def test_reconstructions_are_the_fits_of_the_score() -> None:
    images, _ = lenses("none", 4)
    method = made(steps=2)
    method.score(images)
    method.steps = 0  # another fit would end where it starts
    reconstructed = method.reconstruct(images)
    assert not torch.allclose(reconstructed, method.fit(images).image[:, None])
    method.steps = 2
    torch.testing.assert_close(reconstructed, method.fit(images).image[:, None])


def test_the_network_predicts_in_the_parameters_units() -> None:
    """A head with zero output predicts the mean."""
    method = made()
    torch.nn.init.zeros_(method.head.weight)
    torch.nn.init.zeros_(method.head.bias)
    images, truth = lenses("none", 4)
    for name, values in method.predict_macro(images).items():
        assert name in truth
        assert values.shape == (4,)
        low, high = method.model.bounds[name]
        assert (values.abs() < 0.1 * (high - low)).all()


def test_other_stretches_are_refused() -> None:
    with pytest.raises(UsageError, match="these are stretched by asinh: use --set input.stretch=linear"):
        Job(Config.resolve(config().sections, {"input": {"stretch": "asinh"}}))


def test_other_sizes_are_refused() -> None:
    with pytest.raises(UsageError, match=r"images of 50 pixels .* not resized to 32: leave out input.size"):
        Job(Config.resolve(config().sections, {"input": {"size": 32}}))


def test_a_simulator_without_a_macro_model_is_refused() -> None:
    with pytest.raises(UsageError, match=r"this simulator has none: use --simulator deeplense-a, deeplense-b"):
        Job(config({"name": "euclid-challenge", "supersampling": 1}))


def test_a_misspelt_parameter_is_refused() -> None:
    with pytest.raises(UsageError, match="did you mean source_n"):
        Job(config(free=["sourcen"]))


def test_noise_that_is_not_known_is_told(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "lenskit"):
        Job(config({"name": "deeplense-b", **LENSES, "snr": "uniform(10, 30)"}))
    assert "estimates it from each image" in caplog.text


@pytest.mark.slow
def test_lenskit_anomaly_shows_the_share_of_failed_fits(tmp_path: Path) -> None:
    simulator = {"name": "marked", "pixels": 32}
    run = train(config(simulator, steps=1), tmp_path / "run", progress=False)
    (judged,) = lenskit.evaluate("anomaly", [run.path], lenses=60, baselines=False, resamples=100).detectors.values()
    assert judged.scored.errors["failed fits"].shape == (60,)
    assert "failed fits none" in (run.path / "evaluations" / "anomaly" / "table.md").read_text()


@pytest.mark.slow
def test_lenses_of_hst_are_fitted(tmp_path: Path) -> None:
    np.save(tmp_path / "psf.npy", profile_psf(0.1, 0.05)[None].numpy())
    simulator = {"name": "hst", "pixels": 48, "theta_E": "uniform(0.6, 0.9)", "merger_fraction": 0.0,
                 "psf": str(tmp_path / "psf.npy"), "log_noise": "-2.5", "light_n": "uniform(3, 5)"}  # fmt: skip
    run = train(config(simulator, steps=4), tmp_path / "run", progress=False)
    scores, values = run.score(4)
    assert np.isfinite(scores).all()
    method = run.method()
    assert isinstance(method, Refit)
    assert set(method.targets) <= values.keys()
    assert set(method.targets) >= {"theta_E", "gamma", "source_dx", "light_radius"}


@pytest.mark.slow
def test_real_galaxies_and_mergers_need_shapelets(tmp_path: Path) -> None:
    np.save(tmp_path / "psf.npy", profile_psf(0.1, 0.05)[None].numpy())
    (tmp_path / "stamps").mkdir()
    axis = np.arange(32) - 15.5
    for k in range(2):
        clumps = [np.exp(-((axis - x) ** 2 + (axis[:, None] - 3 * k) ** 2) / 8) for x in (-5, 0, 4)]
        np.save(tmp_path / "stamps" / f"{k}.npy", sum(clumps))
    simulator = {"name": "hst", "pixels": 48, "theta_E": "uniform(0.6, 0.9)", "psf": str(tmp_path / "psf.npy"),
                 "log_noise": "-2", "stamps": str(tmp_path / "stamps"), "stamps_clean": True}  # fmt: skip
    with pytest.raises(UsageError, match=r"method.source=shapelets, or simulator.cosmos_fraction=0, .*merger_fraction"):
        Job(config(simulator))
    options = {"source": "shapelets", "shapelet_order": 3, "steps": 2}
    run = train(config(simulator, **options), tmp_path / "run", progress=False)
    assert np.isfinite(run.score(4)[0]).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["deeplense-1", "deeplense-2", "deeplense-3"])
def test_models_i_to_iii_are_fitted(tmp_path: Path, name: str) -> None:
    run = train(config({"name": name, **LENSES}, steps=6), tmp_path / "run", progress=False)
    assert np.isfinite(run.score(4)[0]).all()
    method = run.method()
    assert isinstance(method, Refit)
    scores = {}
    for label in ("none", "spherical"):
        simulator = run.simulator(classes=[label])
        scene = simulator.scene(0, "test", torch.arange(8))
        images = run.encoder().prepare(simulator.render(scene))
        scores[label] = method.chi2(images, method.fit(images, scene))
    assert scores["spherical"].mean() > scores["none"].mean()


def test_a_macro_model_that_traces_no_rays_has_no_shapelets() -> None:
    with pytest.raises(UsageError, match="traces no rays: leave out method.source=both"):
        Job(config({"name": "marked", "pixels": 32}, source="both"))


@pytest.mark.slow
def test_stored_images_know_the_simulator_that_made_them(tmp_path: Path) -> None:
    simulator = {"name": "deeplense-a", **LENSES}
    plan = Plan.of(Config.resolve({"simulator": simulator, "pairs": {"name": "single"}}), lenses=16)
    simulate(plan, tmp_path / "lenses.zarr")
    stored = {"data": {"name": "zarr", "path": str(tmp_path / "lenses.zarr")}}
    sections = {name: value for name, value in config(steps=1).sections.items() if name != "simulator"}
    run = train(Config.resolve(sections, stored), tmp_path / "run", progress=False)
    method = run.method()
    assert isinstance(method, Refit)
    assert method.model.bounds == made().model.bounds
