"""Many points against lenstronomy; the line against points and exact values.

Exact values are computed with many digits.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import mpmath
import pytest
import torch
from torch import Tensor

from lenskit_lensing.mass import line_mass, point_mass, point_masses

torch.set_num_threads(1)

DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])


def one(*values: float, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    return [torch.tensor([value], dtype=dtype) for value in values]


def grid(pixels: int, scale: float, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    axis = (torch.arange(pixels, dtype=dtype) - (pixels - 1) / 2) * scale
    return axis[None, :], axis[:, None]


@DTYPES
def test_points_are_lenstronomys(reference: Callable[..., Tensor], dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(1)
    theta_E = torch.rand(2, 5, generator=generator, dtype=torch.float64) * 0.1
    center_x, center_y = (torch.rand(2, 5, generator=generator, dtype=torch.float64) - 0.5 for _ in range(2))
    x, y = grid(12, 0.44)
    points = {"theta_E": theta_E, "center_x": center_x, "center_y": center_y}
    ours = torch.stack(
        point_masses(x.to(dtype), y.to(dtype), **{name: value.to(dtype) for name, value in points.items()}), dim=1
    )
    theirs = sum(reference("POINT_MASS", {name: value[:, i] for name, value in points.items()}, x, y) for i in range(5))
    assert (ours - theirs).abs().max() < (1e-5 if dtype == torch.float32 else 1e-12)


@DTYPES
@pytest.mark.parametrize("place", [(0.31, 0.02), (0.6, -0.4), (-1.9, 1.3), (-0.2, 1e-3), (4.0, -3.0)])
@pytest.mark.parametrize("half_length", [0.03, 0.3, 3.0])
def test_the_line_is_the_integral_of_its_points(
    place: tuple[float, float], half_length: float, dtype: torch.dtype
) -> None:
    angle, center, theta_E = 0.7, complex(0.1, -0.2), 0.29
    x, y = one(*place)
    found = line_mass(
        *(value[:, None, None].to(dtype) for value in (x, y)),
        **dict(
            zip(
                ("theta_E", "half_length", "angle", "center_x", "center_y"),
                one(theta_E, half_length, angle, center.real, center.imag, dtype=dtype),
                strict=True,
            )
        ),
    )
    with mpmath.workdps(30):
        turn = mpmath.expj(angle)
        z = (mpmath.mpc(*place) - mpmath.mpc(center)) / turn
        near = [p for p in (-half_length, float(z.real), half_length) if abs(p) <= half_length]
        total = mpmath.quad(lambda s: 1 / (mpmath.conj(z) - s), near)
        exact = complex(turn * total * theta_E**2 / (2 * half_length))
    error = abs(complex(float(found[0]), float(found[1])) - exact)
    assert error < (2e-6 if dtype == torch.float32 else 1e-12)


def test_the_line_agrees_with_its_points_away_from_it() -> None:
    """The difference is below a tenth of the reference's bound.

    The bound is 0.004 arcsec outside 0.03 arcsec for 100 points over 0.6 arcsec.
    """
    half, theta_E, count = 0.3, 1.66 * math.sqrt(0.03), 100
    x, y = grid(120, 0.011)
    whole, length, angle, zero = one(theta_E, half, 0.0, 0.0)
    line = line_mass(x, y, theta_E=whole, half_length=length, angle=angle, center_x=zero, center_y=zero)
    along = (2 * torch.arange(count, dtype=torch.float64)[None] + 1 - count) / count * half
    each = torch.full((1, count), theta_E / math.sqrt(count), dtype=torch.float64)
    points = point_masses(x, y, theta_E=each, center_x=along, center_y=torch.zeros_like(along))
    far = torch.hypot((x.abs() - half).clamp(min=0), y) > 0.03
    assert torch.hypot(line[0] - points[0], line[1] - points[1])[0][far].max() < 0.004 / 10


def test_a_short_line_is_a_point() -> None:
    x, y = grid(10, 0.4)
    theta_E, length, angle, zero = one(0.3, 1e-3, 1.0, 0.0)
    line = line_mass(x, y, theta_E=theta_E, half_length=length, angle=angle, center_x=zero, center_y=zero)
    point = point_mass(x, y, theta_E=theta_E, center_x=zero, center_y=zero)
    assert max((a - b).abs().max() for a, b in zip(line, point, strict=True)) < 1e-5


@DTYPES
def test_nothing_is_infinite_on_the_line_and_at_its_ends(dtype: torch.dtype) -> None:
    x, y = torch.tensor([[-0.5, -0.2, 0.0, 0.5]], dtype=dtype), torch.zeros(1, 1, dtype=dtype)
    theta_E, length, zero = one(0.3, 0.5, 0.0, dtype=dtype)
    along, across = line_mass(x, y, theta_E=theta_E, half_length=length, angle=zero, center_x=zero, center_y=zero)
    assert along.isfinite().all()
    assert across.abs().max() == 0
    assert along[0, 0, 0] == -along[0, 0, 3]
    assert along[0, 0, 2] == 0
