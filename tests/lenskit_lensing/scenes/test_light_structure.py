"""Structure of lens galaxies: shapes, discs and isophotes."""

from __future__ import annotations

import math

import pytest
import torch

from lenskit.plugin import KeyedGenerator, Scene
from lenskit_lensing.scenes.lens_light import lens_flux, total_light
from lenskit_lensing.simulators.hst import HST

torch.set_num_threads(1)

MANY = torch.arange(4000)


def drawn(**options: object) -> Scene:
    """Sample lenses and their light, without sources and noise."""
    simulator, scene = HST(pixels=16, **options), Scene()
    for group in ("lens", "lens_light"):
        rng = KeyedGenerator(0, "train", group, MANY, torch.zeros_like(MANY), torch.float64)
        scene |= simulator.draw(group, rng, scene)
    return scene


def axis_ratio(e1: torch.Tensor, e2: torch.Tensor) -> torch.Tensor:
    e = torch.hypot(e1, e2)
    return (1 - e) / (1 + e)


def position_angle(e1: torch.Tensor, e2: torch.Tensor) -> torch.Tensor:
    """Position angle in degrees."""
    return torch.rad2deg(torch.atan2(e2, e1)) / 2


def test_the_light_has_its_own_axis_ratio_and_an_angle_from_the_mass() -> None:
    scene = drawn(light_q="uniform(0.6, 0.9)", light_angle="uniform(-30, 50)")
    torch.testing.assert_close(axis_ratio(scene["light_e1"], scene["light_e2"]), scene["light_q"])
    difference = position_angle(scene["light_e1"], scene["light_e2"]) - position_angle(scene["e1"], scene["e2"])
    torch.testing.assert_close((difference + 90) % 180 - 90, scene["light_angle"], rtol=0, atol=1e-9)
    assert abs(float(torch.corrcoef(torch.stack([scene["light_q"], axis_ratio(scene["e1"], scene["e2"])]))[0, 1])) < 0.1


def test_discs_are_seen_from_random_directions() -> None:
    """Axis ratios have the distribution of spheroids seen from random directions.

    For a thickness t, the axis ratio is below q with probability sqrt((q^2 - t^2) / (1 - t^2)).
    """
    scene = drawn(disc_fraction=1.0, disc_thickness=0.2)
    assert float(scene["disc_q"].min()) >= 0.2
    for q in (0.25, 0.5, 0.8):
        expected = math.sqrt((q**2 - 0.04) / 0.96)
        assert float((scene["disc_q"] < q).double().mean()) == pytest.approx(expected, abs=0.03)
    torch.testing.assert_close(axis_ratio(scene["disc_e1"], scene["disc_e2"]), scene["disc_q"])
    bulge, disc = (position_angle(scene[f"{part}_e1"], scene[f"{part}_e2"]) for part in ("light", "disc"))
    torch.testing.assert_close(disc, bulge)


def test_a_discs_flux_is_its_share() -> None:
    scene = drawn(disc_fraction=0.3, disc_flux_ratio="uniform(0.5, 2)", disc_radius="uniform(1, 2)")
    there = scene["disc_flux_ratio"] > 0
    assert float(there.double().mean()) == pytest.approx(0.3, abs=0.03)
    bulge = total_light(scene["light_R_sersic"], scene["light_n"])
    disc = scene["disc_amplitude"] * total_light(scene["disc_R_sersic"], torch.ones_like(bulge))
    torch.testing.assert_close(disc, scene["disc_flux_ratio"] * bulge)
    torch.testing.assert_close(lens_flux(scene), bulge + disc)
    size = scene["disc_R_sersic"] / scene["light_R_sersic"]
    assert 1 <= float(size.min()) < float(size.max()) <= 2


def test_a_round_galaxy_has_a_disc_along_x() -> None:
    scene = drawn(light_q=1, disc_fraction=1.0)
    assert float(scene["light_e1"].abs().max()) == 0
    torch.testing.assert_close(axis_ratio(scene["disc_e1"], scene["disc_e2"]), scene["disc_q"])


def test_isophotes_are_drawn_together_and_only_if_wanted() -> None:
    entries = {"light_twist", "light_m3", "light_m3_angle", "light_m4"}
    assert not entries & set(drawn())
    scene = drawn(light_m4="normal(0, 0.01)")
    assert entries <= set(scene)
    assert float(scene["light_twist"].abs().max()) == 0
    assert 0 <= float(scene["light_m3_angle"].min()) < float(scene["light_m3_angle"].max()) <= 120
