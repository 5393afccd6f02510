"""Subhalos: deflection, masses and positions.

The references are lenstronomy and astropy.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch
from astropy.cosmology import Planck18
from lenstronomy.LensModel.lens_model import LensModel
from lenstronomy.LensModel.Profiles.tnfw import TNFW

from lenskit_deeplense.simulators.deeplense import DeepLenseA
from lenskit_deeplense.simulators.subhalos import concentration, hubble_now, power_law_quantile
from lenskit_deeplense.simulators.substructure import Substructure

torch.set_num_threads(1)


FEW = torch.arange(4)


@pytest.mark.parametrize("profile", ["point", "tnfw", "pjaffe"])
def test_deflections_of_subhalos_are_lenstronomys(profile: str, subhalos_of: Any) -> None:
    simulator = Substructure(classes="spherical", subhalo_profile=profile, subhalos="choice(3, 8)")  # type: ignore[arg-type]
    scene = simulator.scene(3, "train", FEW)
    axis = (torch.arange(30, dtype=torch.float32) - 14.5) * 0.21
    ours = torch.stack(simulator.kinds["spherical"].deflection(axis[None, :], axis[:, None], scene), dim=1)
    x, y = np.meshgrid(axis.double(), axis.double())
    for row in range(len(FEW)):
        names, parameters = subhalos_of(simulator, scene, row)
        theirs = np.reshape(LensModel(names).alpha(x.ravel(), y.ravel(), parameters), (2, *x.shape))
        assert np.abs(ours[row].double().numpy() - theirs).max() < 1e-4


@pytest.mark.parametrize("profile", ["tnfw", "pjaffe"])
def test_profiles_have_the_mass_of_the_point(profile: str) -> None:
    simulator = Substructure(classes="spherical", subhalo_profile=profile, subhalos="1")  # type: ignore[arg-type]
    scene = {k: v.double() for k, v in simulator.scene(3, "train", FEW, dtype=torch.float64).items()}
    far = scene["subhalo_x"][:, :1, None] + 1e4, scene["subhalo_y"][:, :1, None]
    alpha, _ = simulator.kinds["spherical"].deflection(*far, scene)
    assert torch.allclose(alpha[:, 0, 0] * 1e4, scene["subhalo_theta_E"][:, 0] ** 2, rtol=2e-3)


def test_a_truncated_halo_is_what_its_docstring_says(subhalos_of: Any) -> None:
    """Mass and scale radius agree with lenstronomy's TNFW and astropy's densities."""
    simulator = Substructure(classes="spherical", subhalos="1", subhalo_mass_fraction="0", halo_mass="1e12")
    scene = simulator.scene(3, "train", FEW, dtype=torch.float64)
    critical = Planck18.critical_density(0.5).to_value("Msun / kpc3")
    for row in range(len(FEW)):
        mass = float(scene["subhalo_mass"][row])
        c = float(concentration(torch.tensor(mass * Planck18.h), torch.tensor(0.5)))
        Rs = (mass / (4 / 3 * math.pi * 200 * critical)) ** (1 / 3) / c * Planck18.arcsec_per_kpc_proper(0.5).value
        assert float(scene["subhalo_Rs"][row, 0]) == pytest.approx(Rs, rel=1e-4)
        assert float(scene["subhalo_r_trunc"][row, 0]) == pytest.approx(5 * Rs, rel=1e-4)
        (parameters,) = subhalos_of(simulator, scene, row)[1]
        alpha, _ = TNFW().derivatives(1e3, 0.0, parameters["Rs"], parameters["alpha_Rs"], parameters["r_trunc"])
        assert float(alpha) * 1e3 == pytest.approx(float(scene["subhalo_theta_E"][row, 0]) ** 2, rel=2e-3)


def test_concentrations_are_those_of_dutton_and_maccio() -> None:
    """Compare with Table 3: log c_200 = 0.905 - 0.101 log(M / 1e12 h^-1) at z = 0."""
    mass = torch.tensor([1e12, 1e10], dtype=torch.float64)
    zero = torch.zeros(2, dtype=torch.float64)
    assert concentration(mass, zero).log10().tolist() == pytest.approx([0.905, 0.905 + 0.202])
    assert hubble_now(Substructure().cosmology) == pytest.approx(Planck18.h, rel=1e-6)


def test_subhalos_have_the_mass_function_the_number_and_the_places() -> None:
    simulator = DeepLenseA(classes="spherical", subhalo_mass_fraction="0", pixels=16, strength="nominal")
    scene = simulator.scene(5, "train", torch.arange(400), dtype=torch.float64)
    there = scene["subhalo_theta_E"] > 0
    assert (there.sum(1) == scene["subhalos"]).all()
    assert scipy.stats.poisson(25).cdf(scene["subhalos"].numpy()).mean() == pytest.approx(0.54, abs=0.05)
    mass = (scene["subhalo_theta_E"] ** 2 * (scene["halo_mass"] / scene["theta_E"] ** 2)[:, None])[there]

    def fraction_below(m: np.ndarray) -> np.ndarray:
        return (m**-0.9 - 1e6**-0.9) / (1e10**-0.9 - 1e6**-0.9)

    assert scipy.stats.kstest(mass.numpy(), fraction_below).pvalue > 1e-3
    r = torch.hypot(scene["subhalo_x"], scene["subhalo_y"])[there]
    assert scipy.stats.kstest(r.numpy(), scipy.stats.uniform(0.25, 1.75).cdf).pvalue > 1e-3


def test_subhalos_lighter_than_the_sun_are_scaled_to_their_fraction() -> None:
    simulator = Substructure(
        classes="spherical", subhalos="3", subhalo_mass_min=1e-3, subhalo_mass_max=1e-2, subhalo_mass_fraction="0.02"
    )
    fraction = simulator.scene(0, "train", FEW)["substructure_fraction"]
    torch.testing.assert_close(fraction, torch.full_like(fraction, 0.02))


def test_a_mass_function_as_steep_as_its_logarithm() -> None:
    u = torch.tensor([0.0, 0.25, 1.0], dtype=torch.float64)
    assert power_law_quantile(u, 1e6, 1e10, -1.0).tolist() == pytest.approx([1e6, 1e7, 1e10])
