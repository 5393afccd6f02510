"""Properties of every simulator, and the lens equations of this one."""

from typing import ClassVar

import pytest
import torch
from astropy.cosmology import Planck18
from lenskit_ssl_double_plane.simulator import DoublePlane
from lenstronomy.LensModel.lens_model import LensModel

from lenskit.plugin import UsageError
from lenskit.testing import SimulatorContract


class TestDoublePlane(SimulatorContract):
    component = "double-plane"
    options: ClassVar = {"pixels": 32}


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-8)])
def test_rays_are_those_of_lenstronomy(dtype, tolerance):
    simulator = DoublePlane()
    scene = simulator.scene(0, "test", torch.arange(8), dtype=dtype)
    axis = torch.linspace(-3, 3, 20, dtype=dtype)
    traced = simulator.trace(axis[None, :], axis[:, None], scene)
    x, y = (part.flatten().double().numpy() for part in torch.meshgrid(axis, axis, indexing="xy"))
    for row in range(8):
        value = {name: float(values[row]) for name, values in scene.items() if values.ndim == 1}
        lens = [
            {name: value[name] for name in ("theta_E", "gamma", "e1", "e2")} | {"center_x": 0, "center_y": 0},
            {name: value[name] for name in ("gamma1", "gamma2")},
            {"theta_E": value["near_theta_E"], "center_x": value["near_x"], "center_y": value["near_y"]},
        ]
        redshifts = [value["z_lens"], value["z_lens"], value["z_near"]]
        # In the plane of the nearer source, its own mass has deflected nothing yet.
        for plane, z_source, masses in ((0, value["z_near"], 2), (1, value["z_far"], 3)):
            model = LensModel(
                ["EPL", "SHEAR", "SIS"][:masses], multi_plane=True, lens_redshift_list=redshifts[:masses],
                z_source=z_source, z_source_convention=value["z_far"], cosmo=Planck18,
            )  # fmt: skip
            expected = model.ray_shooting(x, y, lens[:masses])
            for ours, theirs in zip(traced[plane], expected, strict=True):
                assert abs(ours[row].flatten().double().numpy() - theirs).max() < tolerance


def test_aligned_isothermal_lenses_have_rings_at_known_radii():
    """The radii are beta theta_E, and theta_E plus that of the nearer source."""
    simulator = DoublePlane(gamma=2, ellipticity=0, shear=0, offset=0, radius=0.05, noise=1e-6)
    scene = simulator.scene(0, "test", torch.arange(8), dtype=torch.float64)
    radii = {"near_source": scene["beta"] * scene["theta_E"], "far_source": scene["theta_E"] + scene["near_theta_E"]}
    for source, radius in radii.items():
        row = simulator.render(scene, simulator.removable - {source})[:, 0, 32, 32:]
        brightest = simulator.pixel_scale * (row.argmax(1) + 0.5)
        assert (brightest - radius).abs().max() < simulator.pixel_scale


def test_a_nearer_source_behind_the_farther_one_is_refused():
    with pytest.raises(UsageError, match="z_near and z_far"):
        DoublePlane(z_near="uniform(1, 2)")
