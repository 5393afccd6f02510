"""Rotated and mirrored images and parameters, compared with complex numbers.

A mirror replaces x + iy by -x + iy. A quarter turn multiplies by i."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lenskit.data.orientation import orient_images, orient_values
from lenskit.kinds.parameter import Parameter

QUARTERS = st.integers(0, 3)


def oriented(z: complex, quarters: int, mirrored: bool) -> complex:
    return (-z.conjugate() if mirrored else z) * 1j**quarters


def both(quarters: int, mirrored: bool) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.tensor([[quarters]]), torch.tensor([[mirrored]])


@given(row=st.integers(0, 4), column=st.integers(0, 4), quarters=QUARTERS, mirrored=st.booleans())
@settings(deadline=None, max_examples=40)
def test_a_pixel_goes_where_its_place_goes(row: int, column: int, quarters: int, mirrored: bool) -> None:
    image = torch.zeros(1, 1, 2, 5, 5)
    image[..., row, column] = torch.tensor([1.0, 2.0])
    place = oriented(complex(column - 2, row - 2), quarters, mirrored)
    expected = torch.zeros(1, 1, 2, 5, 5)
    expected[..., round(place.imag) + 2, round(place.real) + 2] = torch.tensor([1.0, 2.0])
    assert torch.equal(orient_images(image, *both(quarters, mirrored)), expected)


def test_every_image_of_a_batch_has_its_own() -> None:
    images = torch.randn(8, 1, 6, 6)
    quarters, mirrored = torch.arange(8) % 4, torch.arange(8) > 3
    together = orient_images(images, quarters, mirrored)
    for row in range(8):
        alone = orient_images(images[row], quarters[row], mirrored[row])
        assert torch.equal(together[row], alone)
    eight = orient_images(images[:1].expand(8, 1, 6, 6), quarters, mirrored)
    assert (torch.cdist(eight.flatten(1), eight.flatten(1)) > 1).sum() == 8 * 7


def test_an_image_that_is_not_square_is_mirrored_and_turned_by_halves() -> None:
    image = torch.arange(6.0).view(1, 1, 2, 3)
    assert torch.equal(orient_images(image, torch.tensor([2]), torch.tensor([False])), image.flip(-1, -2))
    assert torch.equal(orient_images(image, torch.tensor([0]), torch.tensor([True])), image.flip(-1))


SPINS = {1: ("center_x", "center_y"), 2: ("e1", "e2"), 3: ("a3_1", "a3_2"), 4: ("a4_1", "a4_2")}


@given(
    a=st.floats(-1, 1, width=32), b=st.floats(-1, 1, width=32), spin=st.sampled_from([*SPINS]),
    quarters=QUARTERS, mirrored=st.booleans(),
)  # fmt: skip
@settings(deadline=None, max_examples=60)
def test_components_turn_by_their_spin(a: float, b: float, spin: int, quarters: int, mirrored: bool) -> None:
    first, second = SPINS[spin]
    known = [Parameter(name, spin=spin) for name in SPINS[spin]]
    values = {first: torch.tensor([[a]]), second: torch.tensor([[b]])}
    got = orient_values(values, *both(quarters, mirrored), known)
    # The quantity is r e^(i s phi), and a mirror replaces phi by pi - phi.
    expected = complex(a, b)
    expected = (-1) ** spin * expected.conjugate() if mirrored else expected
    expected *= 1j ** (spin * quarters)
    assert complex(got[first], got[second]) == pytest.approx(expected, abs=1e-6)


@given(phi=st.floats(0, 3.1), unit=st.sampled_from(["rad", "deg"]), quarters=QUARTERS, mirrored=st.booleans())
@settings(deadline=None, max_examples=40)
def test_a_position_angle_is_that_of_its_ellipticity(phi: float, unit: str, quarters: int, mirrored: bool) -> None:
    scale = 1.0 if unit == "rad" else 180 / math.pi
    values = {
        "phi": torch.tensor([[phi * scale]]),
        "e1": torch.tensor([[math.cos(2 * phi)]]),
        "e2": torch.tensor([[math.sin(2 * phi)]]),
    }
    got = orient_values(values, *both(quarters, mirrored), [Parameter("phi", unit)])
    assert 0 <= got["phi"].item() <= math.pi * scale
    angle = 2 * got["phi"].item() / scale
    assert (got["e1"].item(), got["e2"].item()) == pytest.approx((math.cos(angle), math.sin(angle)), abs=1e-5)


def test_what_needs_a_component_that_is_not_recorded_is_not_known() -> None:
    quarters, mirrored = torch.tensor([[0, 1, 2, 3]]), torch.zeros(1, 4, dtype=torch.bool)
    got = orient_values({"center_x": torch.ones(1, 4), "e1": torch.ones(1, 4)}, quarters, mirrored)
    assert got["center_x"].isnan().tolist() == [[False, True, False, True]]
    assert got["center_x"][0, 2] == -1
    assert got["e1"].tolist() == [[1, -1, 1, -1]]  # quarter turns do not mix the components of an ellipticity


@pytest.mark.parametrize(
    ("names", "spin"),
    [
        (("x", "y", "center_x", "center_y", "source_dx", "source_dy", "light_x"), 1),
        (("e1", "e2", "light_e1", "gamma1", "gamma2", "g_1", "shear2", "lens_eps1"), 2),
        (("theta_E", "gamma", "n", "z1", "R2", "flux", "light_n", "e", "index", "psf", "e3", "max"), 0),
    ],
)
def test_names_say_how_a_parameter_turns_if_nothing_else_does(names: tuple[str, ...], spin: int) -> None:
    assert {Parameter(name).turns for name in names} == {spin}


def test_what_is_said_goes_before_the_name() -> None:
    assert Parameter("e1", spin=0).turns == 0
    assert Parameter("quadrupole_1", spin=2).turns == 2
    assert Parameter("pa_deg_east_of_north", "deg").turns == Parameter("position_angle", "rad").turns == 2
    assert Parameter("phase", "rad").turns == Parameter("phi").turns == 0
    assert Parameter("jet_direction", "deg", spin=1).turns == 1
    assert not Parameter("center_x", "rad").is_angle


def test_what_has_a_spin_is_an_angle_or_a_component() -> None:
    with pytest.raises(ValueError, match="parameter 'ellipticity' has spin 2: it must be an angle in rad or deg, or "):
        Parameter("ellipticity", spin=2)
