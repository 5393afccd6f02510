"""Distances and Einstein radii against astropy and lenstronomy."""

from __future__ import annotations

import math

import lenstronomy.Util.constants as lenstronomy_constants
import numpy as np
import pytest
import torch
from astropy import constants, cosmology, units
from hypothesis import given, settings
from hypothesis import strategies as st
from lenstronomy.Cosmo.lens_cosmo import LensCosmo

from lenskit.plugin import UsageError
from lenskit_lensing.cosmology import G_OVER_C2, MAX_REDSHIFT, cosmology_named

torch.set_num_threads(1)
# Only newer astropys take two redshifts in `angular_diameter_distance`.
pytestmark = pytest.mark.filterwarnings("ignore::astropy.utils.exceptions.AstropyDeprecationWarning")

NAMES = {
    "Planck18": cosmology.Planck18,
    "WMAP9": cosmology.WMAP9,
    "FlatLambdaCDM(70, 0.3)": cosmology.FlatLambdaCDM(H0=70, Om0=0.3),
}


def column(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


@pytest.fixture(params=NAMES)
def named(request: pytest.FixtureRequest):
    return cosmology_named(request.param), NAMES[request.param]


def test_distances_are_astropys(named) -> None:
    ours, astropys = named
    z = np.concatenate([np.geomspace(1e-4, 19.9, 60), [1.0, 2.0, MAX_REDSHIFT]])
    expected = {
        ours.comoving_distance: astropys.comoving_distance(z),
        ours.angular_diameter_distance: astropys.angular_diameter_distance(z),
    }
    for distance, reference in expected.items():
        found = distance(torch.from_numpy(z)).numpy()
        assert found == pytest.approx(reference.to_value("Mpc"), rel=1e-8)
    kpc = ours.kpc_per_arcsec(torch.from_numpy(z)).numpy()
    assert kpc == pytest.approx((1 / astropys.arcsec_per_kpc_proper(z)).to_value("kpc / arcsec"), rel=1e-8)


def test_distances_between_are_astropys(named) -> None:
    ours, astropys = named
    lens, source = np.meshgrid(np.linspace(0.01, 3, 12), np.linspace(0.02, 9, 15))
    behind = source > lens
    found = ours.angular_diameter_distance_between(torch.from_numpy(lens), torch.from_numpy(source)).numpy()
    reference = astropys.angular_diameter_distance_z1z2(lens[behind], source[behind]).to_value("Mpc")
    assert found[behind] == pytest.approx(reference, rel=1e-7)
    assert (found[~behind] == 0).all()


@settings(deadline=None, max_examples=40)
@given(z_lens=st.floats(0.01, 2.5), gap=st.floats(0.01, 5), log_mass=st.floats(5, 14), sigma=st.floats(50, 600))
def test_lensing_is_lenstronomys(z_lens: float, gap: float, log_mass: float, sigma: float) -> None:
    z_source, mass = z_lens + gap, 10**log_mass
    ours, reference = cosmology_named("Planck18"), LensCosmo(z_lens, z_source, cosmo=cosmology.Planck18)
    redshifts = column(z_lens), column(z_source)
    constant = lenstronomy_constants
    # lenstronomy's solar mass is 3e-4 heavier than the one from GM_sun and c, which are known far better.
    heavier = constant.G * constant.M_sun / constant.c**2 / constant.Mpc / G_OVER_C2

    theta_E = ours.einstein_radius_sis(column(sigma), *redshifts)
    assert float(theta_E) == pytest.approx(reference.sis_sigma_v2theta_E(sigma), rel=1e-6)
    assert float(ours.velocity_dispersion_sis(theta_E, *redshifts)) == pytest.approx(sigma, rel=1e-9)
    critical = ours.critical_density(*redshifts)
    assert float(critical) == pytest.approx(reference.sigma_crit_angle * heavier, rel=1e-6)
    within = ours.mass_in_einstein_radius(theta_E, *redshifts)
    assert float(within) == pytest.approx(reference.mass_in_theta_E(float(theta_E)) * heavier, rel=1e-6)
    radius = ours.einstein_radius_point(column(mass), *redshifts)
    assert float(ours.mass_in_einstein_radius(radius, *redshifts)) == pytest.approx(mass, rel=1e-9)


def test_point_mass_is_the_textbooks() -> None:
    """theta_E^2 = 4 G M / c^2 D_ls / (D_l D_s), every quantity with astropy's units."""
    planck = cosmology.Planck18
    mass, z_lens, z_source = 3e8, 0.4, 1.7
    distances = planck.angular_diameter_distance_z1z2(z_lens, z_source) / (
        planck.angular_diameter_distance(z_lens) * planck.angular_diameter_distance(z_source)
    )
    squared = 4 * constants.GM_sun * mass / constants.c**2 * distances
    expected = (np.sqrt(squared.to_value("")) * units.rad).to_value("arcsec")
    found = cosmology_named("Planck18").einstein_radius_point(column(mass), column(z_lens), column(z_source))
    assert float(found) == pytest.approx(expected, rel=1e-9)


def test_nothing_is_lensed_by_what_lies_behind_it() -> None:
    ours = cosmology_named("Planck18")
    z_lens, z_source = column(0.5, 0.5, 2.0), column(0.5, 0.3, 1.0)
    assert (ours.einstein_radius_sis(column(200.0), z_lens, z_source) == 0).all()
    assert (ours.einstein_radius_point(column(1e10), z_lens, z_source) == 0).all()
    assert (ours.critical_density(z_lens, z_source) == math.inf).all()


def test_results_have_the_type_and_shape_of_what_was_given() -> None:
    ours = cosmology_named("Planck18")
    sigma, z_lens, z_source = torch.rand(4, 1) * 300, torch.rand(5) + 0.1, torch.tensor(3.0)
    found = ours.einstein_radius_sis(sigma, z_lens, z_source)
    assert found.shape == (4, 5)
    assert found.dtype == torch.float32
    exact = ours.einstein_radius_sis(sigma.double(), z_lens.double(), z_source.double())
    assert torch.allclose(found.double(), exact, rtol=1e-6)


def test_redshifts_off_the_table_are_none() -> None:
    found = cosmology_named("Planck18").comoving_distance(column(-0.1, 20.1, math.nan, math.inf, 0.0))
    assert found.isnan().tolist() == [True, True, True, True, False]
    assert found[-1] == 0


def test_gradients_flow() -> None:
    ours = cosmology_named("Planck18")
    arguments = (column(210.0), column(0.4), column(1.9))
    for values in arguments:
        values.requires_grad_()
    assert torch.autograd.gradcheck(ours.einstein_radius_sis, arguments)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Planck", "unknown cosmology 'Planck'; .*Planck18"),
        ("FlatLambdaCDM(70)", "unknown cosmology"),
        ("FlatLambdaCDM(70, 1.3)", "Om0 from 0 to 1"),
        ("FlatLambdaCDM(a, b)", "Om0 from 0 to 1"),
    ],
)
def test_unknown_cosmologies_are_one_line(name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as raised:
        cosmology_named(name)
    assert "\n" not in str(raised.value)
