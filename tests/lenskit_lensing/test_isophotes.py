"""Isophotes other than ellipses, against closed forms."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lenskit_lensing.isophotes import isophotal_sersic
from lenskit_lensing.light import sersic

torch.set_num_threads(1)

NONE = {"twist": 0.0, "m3": 0.0, "m3_angle": 0.0, "m4": 0.0}
ROUND = {"R_sersic": 0.8, "n_sersic": 4.0, "e1": 0.0, "e2": 0.0, "center_x": 0.0, "center_y": 0.0}

ellipses = st.fixed_dictionaries(
    {
        "R_sersic": st.floats(0.1, 3),
        "n_sersic": st.floats(0.7, 7),
        "e1": st.floats(-0.5, 0.5),
        "e2": st.floats(-0.5, 0.5),
        "center_x": st.floats(-0.5, 0.5),
        "center_y": st.floats(-0.5, 0.5),
    }
)
points = st.tuples(st.floats(0.01, 4), st.floats(-math.pi, math.pi))


def at(profile, x: Tensor | float, y: Tensor | float, **parameters: float) -> Tensor:
    """Profile at points, (k,)."""
    x, y = (torch.as_tensor(part, dtype=torch.float64).reshape(1, 1, -1) for part in (x, y))
    return profile(x, y, **{k: torch.tensor([v], dtype=torch.float64) for k, v in parameters.items()})[0, 0]


@settings(max_examples=60, deadline=None)
@given(ellipse=ellipses, point=points, m3_angle=st.floats(0, 120))
def test_zero_amplitudes_give_the_plain_profile(ellipse: dict, point: tuple[float, float], m3_angle: float) -> None:
    x, y = point[0] * math.cos(point[1]), point[0] * math.sin(point[1])
    found = at(isophotal_sersic, x, y, **ellipse, **NONE | {"m3_angle": m3_angle})
    torch.testing.assert_close(found, at(sersic, x, y, **ellipse), rtol=1e-9, atol=0)


@settings(max_examples=60, deadline=None)
@given(ellipse=ellipses, anomaly=st.floats(-math.pi, math.pi), m3=st.floats(-0.2, 0.2), m4=st.floats(-0.2, 0.2))
def test_multipoles_move_an_isophote_by_their_amplitude(ellipse: dict, anomaly: float, m3: float, m4: float) -> None:
    """A point of the ellipse of radius R, moved outwards, is as bright as at R.

    The point has the eccentric anomaly `anomaly`.
    """
    radius, direction = 0.7, 20.0
    e, axis = math.hypot(ellipse["e1"], ellipse["e2"]), math.atan2(ellipse["e2"], ellipse["e1"]) / 2
    q = (1 - e) / (1 + e)
    departure = m3 * math.cos(3 * (anomaly - math.radians(direction))) + m4 * math.cos(4 * anomaly)
    r = radius * (1 + departure)
    major, minor = r / math.sqrt(q) * math.cos(anomaly), r * math.sqrt(q) * math.sin(anomaly)
    x = ellipse["center_x"] + major * math.cos(axis) - minor * math.sin(axis)
    y = ellipse["center_y"] + major * math.sin(axis) + minor * math.cos(axis)
    found = at(isophotal_sersic, x, y, **ellipse, **NONE | {"m3": m3, "m3_angle": direction, "m4": m4})
    expected = at(sersic, radius, 0, **{**ellipse, "e1": 0.0, "e2": 0.0, "center_x": 0.0, "center_y": 0.0})
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=0)


@settings(max_examples=60, deadline=None)
@given(ellipse=ellipses, point=points, twist=st.floats(-90, 90))
def test_a_twist_turns_each_circle_by_its_angle(ellipse: dict, point: tuple[float, float], twist: float) -> None:
    r, angle = point
    turn = math.radians(twist) * min(max(math.log10(r / ellipse["R_sersic"]), -1), 1)
    x, y = ellipse["center_x"], ellipse["center_y"]
    found = at(
        isophotal_sersic,
        x + r * math.cos(angle + turn),
        y + r * math.sin(angle + turn),
        **ellipse,
        **NONE | {"twist": twist},
    )
    expected = at(sersic, x + r * math.cos(angle), y + r * math.sin(angle), **ellipse)
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=0)


@pytest.mark.parametrize(
    ("structure", "factor"), [({"twist": 60.0}, 1), ({"m3": 0.2}, 1 + 0.2**2 / 2), ({"m4": -0.1}, 1 + 0.1**2 / 2)]
)
def test_the_flux_is_as_stated(structure: dict[str, float], factor: float) -> None:
    """Integrate the light in rings about the centre.

    The trapezoidal rule is applied along the logarithm of the radius and along the ring.
    """
    log_r = torch.linspace(math.log(1e-3), math.log(1e3), 1201, dtype=torch.float64)
    angle = torch.arange(96, dtype=torch.float64) * (2 * math.pi / 96)
    r = log_r.exp()[:, None]
    x, y = (r * angle.cos()).flatten(), (r * angle.sin()).flatten()
    ellipse = ROUND | {"e1": 0.1, "e2": -0.15, "n_sersic": 2.0}
    whole, plain = (
        torch.trapezoid((light.reshape(len(r), -1) * r**2).mean(1), log_r)
        for light in (at(isophotal_sersic, x, y, **ellipse, **NONE | structure), at(sersic, x, y, **ellipse))
    )
    assert float(whole / plain) == pytest.approx(factor, rel=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_it_is_finite_in_and_near_the_centre(dtype: torch.dtype) -> None:
    x = torch.tensor([0, 1e-12, 1e-6, 1e3], dtype=dtype).reshape(1, 1, -1)
    structure = {"twist": 40.0, "m3": 0.1, "m3_angle": 10.0, "m4": 0.1}
    parameters = {k: torch.tensor([v], dtype=dtype) for k, v in (ROUND | {"n_sersic": 8.0} | structure).items()}
    assert isophotal_sersic(x, x, **parameters).isfinite().all()
