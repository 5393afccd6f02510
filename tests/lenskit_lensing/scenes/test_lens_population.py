"""Lenses from velocity dispersions and redshifts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from astropy import units
from astropy.constants import c
from astropy.cosmology import FlatLambdaCDM

from lenskit.errors import UsageError
from lenskit_lensing.simulators.hst import HST

PHYSICAL = {"velocity_dispersion": "uniform(180, 320)", "z_lens": "uniform(0.2, 0.6)", "z_source": "uniform(0.9, 2.5)"}


def test_einstein_radii_are_those_of_isothermal_spheres() -> None:
    simulator = HST(**PHYSICAL, cosmology="FlatLambdaCDM(70, 0.3)", pixels=32)
    scene = simulator.scene(0, "train", torch.arange(20), dtype=torch.float64)
    sigma, z_lens, z_source = (scene[name].numpy() for name in PHYSICAL)
    distances = FlatLambdaCDM(H0=70, Om0=0.3)
    ratio = 1 - distances.comoving_distance(z_lens) / distances.comoving_distance(z_source)  # D_ls / D_s in flat space
    expected = 4 * np.pi * (sigma * units.km / units.s / c) ** 2 * ratio * units.rad
    np.testing.assert_allclose(scene["theta_E"].numpy(), expected.to_value("arcsec"), rtol=1e-7)
    assert {"theta_E", *PHYSICAL} <= {p.name for p in simulator.parameters if p.group == "lens"}
    assert simulator.render(scene).isfinite().all()


def test_the_other_draws_are_left_as_they_are() -> None:
    physical, usual = (HST(**o, pixels=32).scene(3, "train", torch.arange(9)) for o in (PHYSICAL, {}))
    for name in ("gamma", "e1", "center_x", "gamma2", "source_n", "light_n", "noise"):
        assert torch.equal(physical[name], usual[name])
    assert not set(PHYSICAL) & set(usual)


@pytest.mark.parametrize("missing", PHYSICAL)
def test_all_of_them_are_given_or_none(missing: str) -> None:
    some = {name: prior for name, prior in PHYSICAL.items() if name != missing}
    with pytest.raises(
        UsageError, match=f"^option {missing} is missing: set all of velocity_dispersion, z_lens, z_source,"
    ):
        HST(**some)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"theta_E": 1.0}, "options theta_E and velocity_dispersion: set one of them, not both"),
        ({"z_lens": "uniform(0.2, 1.0)"}, "lenses reach a redshift of 1 and sources begin at 0.9; all sources must"),
        ({"z_lens": -0.1}, "option z_lens: -0.1 gives -0.1 to -0.1; it must be between 0 and 20"),
        ({"z_source": "uniform(1, 25)"}, "option z_source"),
        ({"velocity_dispersion": "normal(200, 100)"}, "option velocity_dispersion: .* gives -.* it must be"),
        ({"cosmology": "Plank18"}, "unknown cosmology 'Plank18'"),
    ],
)
def test_what_is_no_lens_is_refused(options: dict[str, str], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        HST(**PHYSICAL | options)
