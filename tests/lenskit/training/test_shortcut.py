"""The shortcut control: its figures and its lines."""

from __future__ import annotations

import logging
from types import MappingProxyType

import numpy as np
import pytest
import torch
from torch import Tensor

from lenskit.training.probe_lenses import held_out, omit_source
from lenskit.training.runner import Job, train
from lenskit.training.shortcut import Reading, read_without_source, ring_features, shortcuts
from lenskit_lensing.simulators.euclid import EuclidChallenge
from lenskit_lensing.simulators.hst import HST

N = 400


def blobs(width: Tensor, channels: int = 1, pixels: int = 24) -> Tensor:
    """Return round Gaussians with noise, (n, channels, pixels, pixels)."""
    axis = torch.arange(pixels) - (pixels - 1) / 2
    r2 = axis**2 + axis[:, None] ** 2
    noise = 0.02 * torch.randn(len(width), channels, pixels, pixels, generator=torch.Generator().manual_seed(2))
    return torch.exp(-r2 / (2 * width[:, None, None, None] ** 2)) + noise


def uniform(seed: int) -> Tensor:
    return 2 + 3 * torch.rand(N, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("channels", [1, 3])
def test_it_finds_what_the_light_tells_and_nothing_else(channels: int) -> None:
    width, other = uniform(0), uniform(1)
    unknown = np.where(np.arange(N) == 7, np.nan, other)
    values = {"width": width.numpy(), "other": other.numpy(), "same": np.ones(N), "unknown": unknown}
    found = read_without_source(blobs(width.float(), channels), values)
    assert set(found) == {"width", "other"}
    assert found["width"].low > 0.9
    assert found["other"].r2 < 0.05
    assert all(reading.low < reading.r2 for reading in found.values())


def test_images_that_are_not_finite_or_too_few_give_nothing() -> None:
    width = uniform(0)
    images = blobs(width.float())
    assert read_without_source(images[:4], {"width": width[:4].numpy()}) == {}
    images[3, 0, 5, 5:9] = torch.nan
    images[3] = torch.nan
    assert read_without_source(images, {"width": width.numpy()}) == {}


@pytest.mark.parametrize("pixels", [2, 3, 16, 31])
def test_rings_do_not_see_how_an_image_is_turned(pixels: int) -> None:
    images = torch.rand(20, 2, pixels, pixels, generator=torch.Generator().manual_seed(0))
    features = ring_features(images)
    assert features.isfinite().all()
    torch.testing.assert_close(ring_features(images.rot90(1, (2, 3))), features)
    torch.testing.assert_close(ring_features(images.flip(3)), features)


def test_what_is_said() -> None:
    simulator = HST(pixels=16)
    readings = {"theta_E": Reading(0.2, 0.14), "gamma": Reading(0.09, 0.04), "e1": Reading(0.9, 0.8)}
    (first, warns), (second, also) = shortcuts(simulator, readings)
    assert first.startswith("shortcut: images without a source predict theta_E (R2 0.20, at least 0.14)")
    assert "light_radius_unit=arcsec" in first
    assert second.endswith("sample all other light independently of e1")
    assert warns
    assert also
    simulator.natural_correlations = MappingProxyType({"theta_E": "bigger is heavier"})
    assert shortcuts(simulator, {"theta_E": Reading(0.2, 0.14)}) == [
        ("images without a source predict theta_E (R2 0.20, at least 0.14), as in nature: bigger is heavier", False)
    ]
    assert shortcuts(simulator, {"theta_E": Reading(0.2, float("nan"))}) == []
    assert not HST(pixels=16, light_radius_unit="arcsec").shortcut_remedies
    assert "theta_E" in EuclidChallenge.natural_correlations


def test_images_without_a_source_are_of_the_same_scenes(toys) -> None:
    job = Job(toys())
    simulator = job.config.build("simulator")
    images, values = omit_source(simulator, job.training_set, 70)
    assert torch.equal(values["width"], held_out(job.training_set, 70).values["width"])
    scene = simulator.scene(0, "probe", torch.arange(70))
    expected = job.training_set.preprocess(simulator.render(scene, {"source"}))
    torch.testing.assert_close(images, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(("options", "warned"), [({}, True), ({"light_radius_unit": "arcsec"}, False)])
def test_the_training_log_warns_of_a_shortcut(
    options: dict[str, str], warned: bool, toys, tmp_path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "lenskit")
    small = {"pixels": 16, "pixel_scale": 0.2, "theta_E": "choice(0.3, 2)", "light_radius": 1, "light_n": 1}
    simulator = {"name": "hst", **small, **options}
    monitor = {"probe_every": 2, "probe_lenses": 128}
    config = toys(simulator=simulator, monitor=monitor, train={"lenses": 16, "epochs": 1, "batch_size": 8})
    train(config, tmp_path / "run", progress=False)
    said = [record.getMessage() for record in caplog.records if "shortcut" in record.getMessage()]
    assert len(said) == warned
    assert all("images without a source predict theta_E" in line for line in said)
