"""Averages over pixels against much finer integration."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from lenskit_lensing.light import sersic
from lenskit_lensing.render.cusp import BLOCK, cusp_rule, put_blocks

torch.set_num_threads(1)

PIXELS, SCALE = 21, 0.05


def profiles(count: int, generator: np.random.Generator) -> dict[str, torch.Tensor]:
    """Sample lens light from the LenSiam prior."""
    e = generator.uniform(-0.5, 0.5, (2, count))
    values = {
        "R_sersic": generator.uniform(0.5, 2.6, count) * generator.uniform(0.8, 1.8, count),
        "n_sersic": generator.uniform(3, 8, count),
        "e1": e[0],
        "e2": e[1],
        "center_x": generator.uniform(-0.15, 0.15, count),
        "center_y": generator.uniform(-0.15, 0.15, count),
    }
    return {name: torch.from_numpy(value) for name, value in values.items()}


def averaged(lights: dict[str, torch.Tensor]) -> torch.Tensor:
    axis = (torch.arange(PIXELS, dtype=torch.float64) - (PIXELS - 1) / 2) * SCALE
    rule_x, rule_y = (cusp_rule(lights[name], PIXELS, SCALE) for name in ("center_x", "center_y"))
    values = sersic(rule_x.nodes[:, None, :], rule_y.nodes[:, :, None], **lights)
    return put_blocks(sersic(axis[None, :], axis[:, None], **lights), values, rule_x, rule_y)


def polar(light: dict[str, float], column: int, row: int) -> float:
    """Average over the pixel with the centre, in polar coordinates about the centre.

    The integral over the radius uses a graded Gauss rule.
    """
    left, bottom = ((i - PIXELS / 2) * SCALE for i in (column, row))
    low_x, low_y = left - light["center_x"], bottom - light["center_y"]
    corners = [math.atan2(y, x) for x in (low_x, low_x + SCALE) for y in (low_y, low_y + SCALE)]
    edges = sorted([*corners, -math.pi, -math.pi / 2, 0.0, math.pi / 2, math.pi])
    s, weight = np.polynomial.legendre.leggauss(60)
    s, weight = (s + 1) / 2, weight / 2
    total = 0.0
    for start, stop in pairwise(edges):
        if stop - start < 1e-12:
            continue
        # The brightness of an ellipse varies quickly with the angle: integrate over short pieces.
        for a, b in pairwise(np.linspace(start, stop, 9)):
            phi = a + (b - a) * s
            cos, sin = np.cos(phi), np.sin(phi)
            with np.errstate(divide="ignore"):
                reach = np.minimum(
                    np.where(cos > 0, (low_x + SCALE) / cos, low_x / cos),
                    np.where(sin > 0, (low_y + SCALE) / sin, low_y / sin),
                )
            r, dr = reach[:, None] * s**6, reach[:, None] * 6 * s**5 * weight
            x, y = r * cos[:, None], r * sin[:, None]
            values = brightness(light, x, y)
            total += ((values * r * dr).sum(1) * weight).sum() * (b - a)
    return total / SCALE**2


def brightness(light: dict[str, float], x: np.ndarray, y: np.ndarray) -> np.ndarray:
    n, e1, e2 = light["n_sersic"], light["e1"], light["e2"]
    b = 1.9992 * n - 0.3271
    e = math.hypot(e1, e2)
    phi, q = math.atan2(e2, e1) / 2, (1 - e) / (1 + e)
    major, minor = x * math.cos(phi) + y * math.sin(phi), y * math.cos(phi) - x * math.sin(phi)
    radius = np.maximum(np.sqrt(q * major**2 + minor**2 / q), 1e-4)
    return np.exp(-b * ((radius / light["R_sersic"]) ** (1 / n) - 1))


@pytest.mark.slow
def test_peak_is_the_integral_over_its_pixel() -> None:
    """Errors are below 1 % over the whole prior, and typically 1e-4.

    The reference is the integral in polar coordinates.
    """
    lights = profiles(40, np.random.default_rng(1))
    found = averaged(lights)
    errors = []
    for i, image in enumerate(found):
        light = {name: float(values[i]) for name, values in lights.items()}
        column, row = (math.floor(light[name] / SCALE + PIXELS / 2) for name in ("center_x", "center_y"))
        errors.append(abs(float(image[row, column]) / polar(light, column, row) - 1))
    assert max(errors) < 0.01
    assert np.median(errors) < 3e-4


@pytest.mark.slow
def test_pixels_around_the_centre_are_averages_over_fine_sub_pixels() -> None:
    """Compare all 25 pixels with 96 x 96 evenly spaced points in each."""
    lights = profiles(4, np.random.default_rng(2))
    found = averaged(lights)
    fine = 96
    axis = (torch.arange(PIXELS * fine, dtype=torch.float64) - (PIXELS * fine - 1) / 2) * SCALE / fine
    for i in range(4):
        one = {name: values[i : i + 1] for name, values in lights.items()}
        exact = sersic(axis[None, :], axis[:, None], **one).unflatten(2, (PIXELS, fine)).unflatten(1, (PIXELS, fine))
        exact = exact.mean((2, 4))[0]
        column, row = (math.floor(float(one[name]) / SCALE + PIXELS / 2) for name in ("center_x", "center_y"))
        half = BLOCK // 2
        block = slice(row - half, row + half + 1), slice(column - half, column + half + 1)
        assert ((found[i][block] - exact[block]).abs() < 0.01 * exact[block]).all()


@pytest.mark.parametrize("center", [-0.6, -0.51, 0.0, 0.024999, 0.025, 0.5, 0.7])
def test_rule_integrates_constants_and_lines_wherever_the_centre_is(center: float) -> None:
    """Centres include a pixel's edge, places near the frame's border, and outside."""
    rule = cusp_rule(torch.tensor([center], dtype=torch.float64), PIXELS, SCALE)
    first = int(rule.first)
    assert 0 <= first <= PIXELS - BLOCK
    middles = (torch.arange(first, first + BLOCK, dtype=torch.float64) - (PIXELS - 1) / 2) * SCALE
    assert torch.allclose(rule.weights[0].sum(1), torch.ones(BLOCK, dtype=torch.float64))
    assert torch.allclose(rule.weights[0] @ rule.nodes[0], middles)


def test_other_pixels_are_left_alone() -> None:
    lights = profiles(3, np.random.default_rng(3))
    axis = (torch.arange(PIXELS, dtype=torch.float64) - (PIXELS - 1) / 2) * SCALE
    changed = averaged(lights) != sersic(axis[None, :], axis[:, None], **lights)
    assert (changed.sum((1, 2)) <= BLOCK**2).all()
