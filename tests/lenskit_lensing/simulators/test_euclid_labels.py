"""The challenge's rule on hand-made scenes, and numbers of groups against scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from lenskit_lensing.simulators.euclid_labels import GROUPED_PIXELS, count_groups, measure, rule

torch.set_num_threads(1)

TOUCHING = np.ones((3, 3))
"""Pixels touch at corners, too."""


def arc_of(*patches: tuple[int, float], bands: int = 1, size: int = 30) -> torch.Tensor:
    """Image with patches in the first band, three rows apart.

    A patch is a number of pixels in a row, and their value.
    """
    image = torch.zeros(1, bands, size, size)
    for number, (pixels, value) in enumerate(patches):
        image[0, 0, 3 * number, :pixels] = value
    return image


def label_of(arc: torch.Tensor, flux: float, sigma: tuple[float, ...] = (1.0,)) -> dict[str, float]:
    measured = measure(arc, sigma, torch.full((1, arc.shape[1]), flux))
    return {name: float(values) for name, values in measured.items()}


def test_two_bright_images_are_a_lens() -> None:
    measured = label_of(arc_of((15, 2.0), (10, 4.0)), flux=20.0)
    assert measured == {"n_source_im": 2, "mag_eff": 3.5, "n_pix_source": 25, "is_lens": 1}


def test_no_source_is_no_lens() -> None:
    measured = label_of(arc_of(), flux=0.0)
    assert measured == {"n_source_im": 0, "mag_eff": 0, "n_pix_source": 0, "is_lens": 0}


def test_an_image_without_magnification_is_no_lens() -> None:
    measured = label_of(arc_of((25, 2.0)), flux=50.0)
    assert measured == {"n_source_im": 1, "mag_eff": 1, "n_pix_source": 25, "is_lens": 0}


@pytest.mark.parametrize(("pixels", "is_lens"), [(20, 0), (21, 1)])
def test_more_than_twenty_pixels_are_needed(pixels: int, is_lens: int) -> None:
    assert label_of(arc_of((pixels, 2.0)), flux=10.0)["is_lens"] == is_lens


@pytest.mark.parametrize(("flux", "is_lens"), [(25 / 1.6 * 1.001, 0), (25 / 1.6 * 0.999, 1)])
def test_a_magnification_above_1_6_is_needed(flux: float, is_lens: int) -> None:
    assert label_of(arc_of((25, 1.0)), flux, sigma=(0.5,))["is_lens"] == is_lens


def test_light_below_the_noise_does_not_count() -> None:
    """Neither pixels nor flux below the noise count.

    A strongly magnified source may be too faint to be seen.
    """
    measured = label_of(arc_of((5, 1.01), (28, 0.99)), flux=0.505)
    assert measured == pytest.approx({"n_source_im": 1, "mag_eff": 10, "n_pix_source": 5, "is_lens": 0})
    assert label_of(arc_of((28, 0.99)), flux=1.0)["n_source_im"] == 0


def test_one_band_that_shows_it_is_enough() -> None:
    """The flux is the flux of the first band in those pixels."""
    arc = torch.zeros(1, 2, 30, 30)
    arc[0, 0, 4, :25], arc[0, 1, 4, :25] = 0.5, 9.0
    measured = label_of(arc, flux=5.0, sigma=(1.0, 3.0))
    assert measured == {"n_source_im": 1, "mag_eff": 2.5, "n_pix_source": 25, "is_lens": 1}


def test_what_is_not_known_is_no_lens() -> None:
    """The challenge's catalogue contains NaNs."""
    values = torch.tensor([2.0, math.nan])
    assert rule(values, torch.tensor([3.0, 3.0]), torch.tensor([50.0, 50.0])).tolist() == [True, False]
    assert rule(torch.ones(2), values, torch.tensor([50.0, 50.0])).tolist() == [True, False]


@settings(deadline=None, max_examples=60)
@given(
    arrays(np.bool_, st.tuples(st.just(3), st.integers(1, 40), st.integers(1, 40))),
    st.integers(0, 3),
)
def test_groups_are_scipys(masks: np.ndarray, thickened: int) -> None:
    masks = np.stack([ndimage.binary_opening(mask, iterations=thickened) if thickened else mask for mask in masks])
    assert count_groups(torch.from_numpy(masks)).tolist() == [ndimage.label(mask, TOUCHING)[1] for mask in masks]


def test_rings_arcs_and_spirals_are_one_group_each() -> None:
    y, x = np.indices((66, 66)) - 32.5
    r, angle = np.hypot(x, y), np.arctan2(y, x)
    thin = np.abs(r - 20) < 1
    spiral = np.abs(r - 4 * (angle + np.pi) % 8 - 12) < 1
    shapes = {
        "ring": thin, "below": thin & (y < 5), "above": thin & (y > -5), "left": thin & (x < 3),
        "two": thin & (np.abs(y) > 4), "ring with image": thin | (r < 3), "spiral": spiral,
    }  # fmt: skip
    expected = [ndimage.label(mask, TOUCHING)[1] for mask in shapes.values()]
    assert expected[:6] == [1, 1, 1, 1, 2, 2]
    assert count_groups(torch.from_numpy(np.stack(list(shapes.values())))).tolist() == expected


@pytest.mark.parametrize("size", [66, 200])
def test_percolating_pixels_are_grouped_right(size: int) -> None:
    """Groups at the percolation threshold have the longest paths."""
    noise = ndimage.gaussian_filter(np.random.default_rng(5).standard_normal((4, size, size)), (0, 2, 2))
    masks = noise > 0.1 * noise.std()
    step = -(-size // GROUPED_PIXELS)
    padded = np.pad(masks, ((0, 0), (0, -size % step), (0, -size % step)))
    coarse = padded.reshape(4, padded.shape[1] // step, step, -1, step).any((2, 4))
    assert count_groups(torch.from_numpy(masks)).tolist() == [ndimage.label(mask, TOUCHING)[1] for mask in coarse]
