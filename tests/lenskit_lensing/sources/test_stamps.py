"""Isolation of galaxies from synthetic cutouts, compared with the known galaxy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from lenskit_lensing.sources.stamps import centred, half_light_radius, isolate

NOISE = 0.01


def exponential(shape: tuple[int, int], scale: float, x: float = 0, y: float = 0, q: float = 1) -> np.ndarray:
    """Exponential disc with a peak of one, at an offset in pixels from the middle."""
    rows, columns = (np.arange(length) - (length - 1) / 2 for length in shape)
    return np.exp(-np.hypot((columns - x) * q**0.5, (rows[:, None] - y) / q**0.5) / scale)


def sky(shape: tuple[int, int], seed: int = 1) -> np.ndarray:
    """Noise with correlated neighbouring pixels, as in drizzled images (COSMOS: 0.47)."""
    noise = gaussian_filter(np.random.default_rng(seed).normal(size=shape), 0.57, mode="wrap")
    return NOISE * noise / noise.std()


def test_a_galaxy_is_kept_as_it_is() -> None:
    galaxy = exponential((100, 90), 4.0, x=3, y=-5, q=0.6)
    kept = isolate(galaxy + sky(galaxy.shape) + 0.7)
    assert kept is not None
    assert kept.sum() == pytest.approx(galaxy.sum(), rel=0.08)
    assert abs(kept - galaxy).max() < 4 * NOISE
    assert half_light_radius(centred(kept, 100)) == pytest.approx(half_light_radius(centred(galaxy, 128)), rel=0.08)


def test_noise_is_taken_out_where_there_is_light_and_where_there_is_none() -> None:
    galaxy = exponential((140, 140), 5.0, q=0.8)
    kept = isolate(galaxy + sky(galaxy.shape))
    assert kept is not None
    nothing = galaxy < 0.03 * NOISE
    assert kept[nothing].max() < 0.5 * NOISE
    assert kept[nothing].sum() < 0.005 * kept.sum()
    assert (kept[nothing] == 0).mean() > 0.6
    faint = (galaxy > NOISE) & (galaxy < 10 * NOISE)
    assert np.std((kept - galaxy)[faint]) < 0.4 * NOISE
    pixel_to_pixel = np.diff(kept - galaxy, axis=0)[faint[1:] & faint[:-1]]
    assert np.std(pixel_to_pixel) < 0.15 * np.std(np.diff(sky(galaxy.shape), axis=0))


def test_the_cutouts_border_is_empty_even_if_the_galaxy_runs_across_it() -> None:
    kept = isolate(exponential((60, 60), 20.0, q=0.4) + sky((60, 60)))
    assert kept is not None
    assert kept[[0, -1]].max() == kept[:, [0, -1]].max() == 0
    assert kept[[1, -2]].max() < 0.05 * kept.max()


def test_neighbours_are_removed() -> None:
    galaxy, neighbour = exponential((100, 100), 4.0), 2 * exponential((100, 100), 2.0, x=30, y=25)
    kept = isolate(galaxy + neighbour + sky(galaxy.shape))
    assert kept is not None
    assert (kept[neighbour > 2 * NOISE] < 0.1 * NOISE).all()
    assert kept.sum() == pytest.approx(galaxy.sum(), rel=0.08)


def test_a_cutout_without_a_galaxy_in_the_middle_gives_none() -> None:
    assert isolate(np.ones((50, 50))) is None
    assert isolate(exponential((100, 100), 3.0, x=35, y=-35) + sky((100, 100))) is None


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), gain=st.floats(1e-3, 1e3), level=st.floats(-1, 1))
def test_units_sky_level_and_axes_do_not_matter(seed: int, gain: float, level: float) -> None:
    stamp = exponential((64, 64), 4.0, x=2, q=0.7) + sky((64, 64), seed)
    kept = isolate(stamp)
    assert kept is not None
    other = isolate(gain * (stamp.T + level))
    assert other is not None
    np.testing.assert_allclose(other.T, gain * kept, atol=1e-9 * gain)


@settings(max_examples=40, deadline=None)
@given(
    scale=st.floats(0.5, 15),
    x=st.floats(-10, 10),
    y=st.floats(-10, 10),
    q=st.floats(0.3, 1),
    shape=st.tuples(st.integers(40, 90), st.integers(40, 90)),
    size=st.sampled_from([16, 33, 64, 192]),
)
def test_centred_galaxies_have_unit_flux_in_the_middle_of_an_empty_border(
    scale: float, x: float, y: float, q: float, shape: tuple[int, int], size: int
) -> None:
    galaxy = exponential(shape, scale, x, y, q)
    galaxy[galaxy < 0.02 * galaxy.max()] = 0
    framed = centred(galaxy, size)
    assert framed.shape == (size, size)
    assert framed.sum() == pytest.approx(1)
    assert (framed >= 0).all()
    assert framed[[0, -1]].max() == framed[:, [0, -1]].max() == 0
    # Shrinking moves light, and so the centroid, to the middle of the new pixel; a shift alone does not.
    tolerance = 1e-9 if size == 192 else 0.1
    position = np.arange(size) - (size - 1) / 2
    assert abs(framed.sum(0) @ position) < tolerance
    assert abs(framed.sum(1) @ position) < tolerance


def test_shrinking_keeps_the_shape() -> None:
    """Shrinking by a whole factor sums over blocks of pixels."""
    galaxy = np.zeros((100, 100))
    galaxy[5:95, 5:95] = exponential((90, 90), 12.0, q=0.6)
    shrunk = centred(galaxy, 48)  # 45 pixels for the 90, and one and a half all around
    blocks = galaxy.reshape(50, 2, 50, 2).sum((1, 3))
    np.testing.assert_allclose(shrunk, (blocks / blocks.sum())[1:-1, 1:-1], atol=1e-15)
    assert half_light_radius(shrunk) == pytest.approx(half_light_radius(centred(galaxy, 128)) / 2, rel=0.01)


@pytest.mark.parametrize("radius", [3.0, 5.0, 12.0])
@pytest.mark.parametrize("size", [127, 128])
def test_half_light_radii_are_those_of_closed_forms(radius: float, size: int) -> None:
    """The half-light radius of a Gaussian is sqrt(2 ln 2) sigma."""
    offset = np.arange(size) - (size - 1) / 2
    sigma = radius / np.sqrt(2 * np.log(2))
    gaussian = np.exp(-(offset**2 + offset[:, None] ** 2) / (2 * sigma**2))
    assert half_light_radius(gaussian) == pytest.approx(radius, rel=0.01)
