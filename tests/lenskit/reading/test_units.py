"""Units in names of columns; their sizes are those of astropy."""

from __future__ import annotations

import pytest
from astropy import units as u

from lenskit.errors import UsageError
from lenskit.reading.units import ARCSEC, is_angle, split_unit, theta_E_columns, to_arcsec, unit_in, unit_named


def test_angles_are_as_large_as_those_of_astropy() -> None:
    assert {unit: pytest.approx(u.Unit(unit).to("arcsec"), rel=1e-14) for unit in ARCSEC} == ARCSEC


@pytest.mark.parametrize(
    ("column", "unit"),
    [
        ("pa_deg_east_of_north", "deg"),
        ("theta_E [arcsec]", "arcsec"),
        ("theta_E(mas)", "mas"),
        ("thetaE_deg", "deg"),
        ("phi_RADIANS", "rad"),
        ("phi (Degrees)", "deg"),
        ("r_kpc", "kpc"),
        ("D [Mpc]", "Mpc"),
        ("degree_", "deg"),
        ("radius", ""),
        ("n_pix", ""),
        ("z_pc", ""),
        ("", ""),
    ],
)
def test_units_in_names(column: str, unit: str) -> None:
    assert unit_in(column) == unit


def test_names_of_units() -> None:
    assert [unit_named(text) for text in (" Radian", "arcseconds", "km/s", "Mag")] == ["rad", "arcsec", "km/s", "Mag"]
    assert [is_angle(unit) for unit in ("rad", "uas", "kpc", "")] == [True, True, False, False]


@pytest.mark.parametrize(
    ("column", "found"),
    [
        ("theta_E_mas", ("theta_E", "mas")),
        ("theta_E [rad]", ("theta_E", "rad")),
        ("theta_E(degrees)", ("theta_E", "deg")),
        ("theta_E_kpc", ("theta_E", "kpc")),
        ("theta_E_sie", ("theta_E_sie", "")),
        ("theta_E []", ("theta_E []", "")),
        ("log(M)", ("log(M)", "")),
        ("(mas)", ("(mas)", "")),
        ("rad", ("rad", "")),
    ],
)
def test_a_unit_at_the_end_of_a_name(column: str, found: tuple[str, str]) -> None:
    assert split_unit(column) == found


@pytest.mark.parametrize(
    ("columns", "found"),
    [
        (["q", "theta_E_rad", "theta_E"], ["theta_E"]),
        (["theta_E_sie", "theta_E [mas]"], ["theta_E [mas]"]),
        (["theta_E_sie_arcsec", "theta_E_sie_err_arcsec", "theta_E_kpc", "theta_E [pix]"], ["theta_E_sie_arcsec"]),
        (["theta_E_sie", "theta_E_epl"], ["theta_E_sie", "theta_E_epl"]),
        (["theta_E_urad", "theta_E_nrad", "theta_E_microarcsec", "theta_E_1", "theta_E_log10_arcsec"], []),
        (["theta_E_log10", "theta_E_sq", "theta_E_arcsec_rad", "theta_E_arcsec [mas]"], []),
        (["theta_E_err", "theta_Einstein", "Theta_E"], []),
    ],
)
def test_which_column_is_the_einstein_radius(columns: list[str], found: list[str]) -> None:
    assert theta_E_columns(columns) == found


def test_radii_in_arcsec() -> None:
    assert to_arcsec("theta_E_deg") == to_arcsec("b", "deg") == 3600
    assert to_arcsec("theta_E_sie") == 1
    with pytest.raises(UsageError, match="the column b_pix is in pix, but theta_E is an angle"):
        to_arcsec("b_pix")
