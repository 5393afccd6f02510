"""Macro models are fitted: from the truth, from near it, and without a minimum."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from lenskit.chosen import build
from lenskit_deeplense.refit.fit import Fit, fit
from lenskit_deeplense.refit.rendered import Rendered, Source

N = 12
MADE = build("simulator", "deeplense-b", {"pixels": 50, "pixel_scale": 0.1, "snr": "60"})
MODEL = MADE.macro_model()
MODEL_NAMES = list(MODEL.bounds)
SCENE = MADE.scene(0, "test", torch.arange(N))
TRUTH = torch.stack([SCENE[name] for name in MODEL.bounds], 1)
HALF = torch.tensor([(high - low) / 2 for low, high in MODEL.bounds.values()])
CLEAN = MADE.clean(SCENE)
CLEAN /= CLEAN.amax((1, 2), keepdim=True)
VARIANCE = MODEL.variance(CLEAN)


def noisy() -> Tensor:
    return CLEAN + VARIANCE.sqrt() * torch.randn(CLEAN.shape, generator=torch.Generator().manual_seed(1))


def near() -> Tensor:
    return TRUTH + 0.1 * HALF * torch.randn(TRUTH.shape, generator=torch.Generator().manual_seed(2))


def chi2(images: Tensor, found: Fit) -> Tensor:
    return ((images - found.image).square() / VARIANCE).sum((1, 2))


@pytest.mark.slow
def test_without_noise_a_fit_stays_at_the_truth() -> None:
    images = 3 * CLEAN + 0.5
    found = fit(Rendered(MODEL), images, TRUTH, 12)
    assert found.converged.all()
    torch.testing.assert_close(found.image, images, rtol=0, atol=1e-3)
    torch.testing.assert_close(found.offset, torch.full((N,), 0.5), rtol=0, atol=1e-3)
    assert ((found.values - TRUTH).abs() / HALF).max() < 0.01


@pytest.mark.slow
@pytest.mark.parametrize("jacobian", ["differences", "autodiff"])
def test_a_fit_from_near_the_truth_ends_where_one_from_the_truth_does(jacobian: str) -> None:
    images = noisy()
    best = fit(Rendered(MODEL), images, TRUTH, 30)
    found = fit(Rendered(MODEL, jacobian), images, near(), 30)  # type: ignore[arg-type]
    assert found.converged.all()
    # A converged fit is within about 1 of its minimum, which is near the number of pixels.
    torch.testing.assert_close(chi2(images, found), chi2(images, best), rtol=0, atol=5)
    assert (chi2(images, best) / 50**2).mean().item() == pytest.approx(1, abs=0.05)


def test_each_fit_is_its_own() -> None:
    images, start = noisy(), near()
    together = fit(Rendered(MODEL), images, start, 12)
    alone = fit(Rendered(MODEL), images[5:6], start[5:6], 12)
    torch.testing.assert_close(together.image[5], alone.image[0], rtol=0, atol=1e-4)


@pytest.mark.slow
def test_bounds_are_soft() -> None:
    """A lens beyond the bounds is fitted by values near them, at a cost in chi-square."""
    far = TRUTH.clone()
    gamma1 = list(MODEL.bounds).index("gamma1")
    far[:, gamma1] = 0.5
    rendered = Rendered(MODEL)
    with torch.no_grad():
        images = rendered.components(far)[:, 0]
    images = images / images.amax((1, 2), keepdim=True)
    start = far.clone()
    start[:, gamma1] = 0.3
    found = fit(rendered, images, start, 12)
    assert (found.values[:, gamma1] > 0.3).any()
    assert (found.values[:, gamma1] <= 0.3 * 1.2 + 1e-6).all()


def test_fits_that_have_not_ended_are_told() -> None:
    images = noisy()
    assert not fit(Rendered(MODEL), images, near(), 1).converged.any()
    assert fit(Rendered(MODEL), images, near(), 0).steps.tolist() == [0] * N


def test_noise_without_a_lens_gives_finite_fits() -> None:
    images = torch.randn(3, 50, 50, generator=torch.Generator().manual_seed(0))
    found = fit(Rendered(MODEL), images, TRUTH[:3], 12)
    assert found.image.isfinite().all()
    assert fit(Rendered(MODEL), torch.zeros(1, 50, 50), TRUTH[:1], 3).image.isfinite().all()


def test_a_start_that_is_not_finite_is_the_middle_of_the_range() -> None:
    found = fit(Rendered(MODEL), noisy()[:2], torch.full((2, TRUTH.shape[1]), torch.nan), 0)
    middle = torch.tensor([sum(bounds) / 2 for bounds in MODEL.bounds.values()])
    torch.testing.assert_close(found.values, middle.expand(2, -1))


@pytest.mark.slow
def test_runs_in_inference_mode() -> None:
    with torch.inference_mode():
        images = noisy()
        found = fit(Rendered(MODEL, "autodiff"), images, near(), 2)
    assert found.image.isfinite().all()


@pytest.mark.slow
def test_shapelets_do_not_fit_the_noise() -> None:
    """For sources without structure, few of 36 more amplitudes are used."""
    images = noisy()
    plain = fit(Rendered(MODEL), images, TRUTH, 12)
    rendered = Rendered(MODEL, source="both", order=7)
    scale = sum(rendered.bounds["source_scale"]) / 2
    found = fit(rendered, images, torch.cat([TRUTH, torch.full((N, 1), scale)], 1), 12)
    gain = (chi2(images, plain) - chi2(images, found)).mean().item()
    assert -3 < gain < 18
    assert found.light.shape == plain.light.shape


@pytest.mark.slow
def test_shapelets_fit_sources_with_structure() -> None:
    """For sources with clumps, shapelets leave noise and a Sersic profile much more."""
    rendered = Rendered(MODEL, source="both", order=8)
    truth = torch.cat([TRUTH, TRUTH[:, [MODEL_NAMES.index("source_radius")]] / 3], 1)
    clumps = torch.randn(N, 45, generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        parts = rendered.components(truth)
    arc = (clumps[:, :, None, None] * parts[:, 1:46]).sum(1)
    images = noisy() + 0.3 * arc / arc.abs().amax((1, 2), keepdim=True)
    left = {}
    sources: tuple[Source, ...] = ("simulator", "both")
    for source in sources:
        rendered = Rendered(MODEL, source=source, order=8)
        found = fit(rendered, images, truth[:, : len(rendered.names)], 20)
        left[source] = (chi2(images, found) / 50**2).median().item()
    assert left["both"] == pytest.approx(1, abs=0.05)
    assert left["simulator"] > 1.5


def test_the_width_of_the_psf_is_fitted() -> None:
    """The images have a Gaussian PSF that is wider than the simulator's."""
    options = {"pixels": 50, "pixel_scale": 0.1, "snr": "60", "psf": "gaussian"}
    narrow, wide = (build("simulator", "deeplense-b", {**options, "psf_fwhm": fwhm}) for fwhm in (0.2, 0.24))
    scene = wide.scene(0, "test", torch.arange(N))
    images = wide.clean(scene)
    rendered = Rendered(narrow.macro_model(), broad=True)
    start = torch.cat([torch.stack([scene[name] for name in rendered.names[:-1]], 1), torch.full((N, 1), 0.05)], 1)
    found = fit(rendered, images, start, 12)
    added = math.sqrt(0.24**2 - 0.2**2) / math.sqrt(8 * math.log(2))
    assert rendered.bounds["psf_sigma"] == (0, 0.1)
    assert found.values[:, -1].abs().median().item() == pytest.approx(added, rel=0.1)
