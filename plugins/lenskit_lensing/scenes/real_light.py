"""Lenses with the light of real galaxies: the mass follows the light of a cutout."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from lenskit.plugin import Distribution, KeyedGenerator, Scene
from lenskit.toolbox import orient_images
from lenskit_lensing.render.turned import framed, turned
from lenskit_lensing.scenes.cutouts import Cutouts, axis_ratio

NORMAL, UNIT = Distribution.parse("normal(0, 1)"), Distribution.parse("uniform(0, 1)")

FLATTEST = 0.6
"""Largest ellipticity |e| of the mass."""


@dataclass
class RealLight:
    """Sampler of the galaxy in each rendering of a lens, and of the shape of the mass.

    A lens is one of the galaxies, rotated by a multiple of 90 degrees and mirrored at random, which preserves pixel
    values. A second rendering of the same lens shows a different galaxy of similar axis ratio. This galaxy is mirrored
    at random, rotated to the position angle of the first galaxy and shifted to the centre of the first galaxy.

    Args:
        cutouts: Cutouts of the galaxies.
        pixels: Height and width of the image.
        pixel_scale: Pixel size in arcsec.
        center_scatter: Standard deviation in arcsec of the difference of the centres of mass and light, along x and y.
        ellipticity_scatter: Standard deviation of the difference of |e| of mass and light.
        angle_scatter: Standard deviation in degrees of the difference of the position angles of mass and light.
    """

    cutouts: Cutouts
    pixels: int
    pixel_scale: float
    center_scatter: float
    ellipticity_scatter: float
    angle_scatter: float

    def draw_lens(self, rng: KeyedGenerator) -> Scene:
        """Sample `e1`, `e2`, `center_x` and `center_y` of the mass, and the galaxy.

        `first_galaxy`, `first_quarters` and `first_mirrored` define the galaxy. `lens_view` is the rendering that shows
        this galaxy.
        """
        # float64, then rounded, so that scenes do not depend on the order of computation in a batch
        exact = KeyedGenerator(rng.seed, rng.split, rng.group, rng.index, rng.view, torch.float64, rng.rendering)
        off = exact.samples(dict.fromkeys(("e_off", "angle_off", "x_off", "y_off"), NORMAL))
        galaxy = rng.integers("galaxy", len(self.cutouts))
        orientation = rng.integers("orientation", 8)
        quarters, mirrored = orientation % 4, orientation >= 4
        angle, center = self._oriented(galaxy, quarters, mirrored)
        angle = angle + math.radians(self.angle_scatter) * off["angle_off"]
        norm = torch.hypot(*self.cutouts.ellipticity[galaxy].unbind(1))
        norm = (norm + self.ellipticity_scatter * off["e_off"]).clamp(-FLATTEST, FLATTEST)
        shift = self.center_scatter * torch.stack([off["x_off"], off["y_off"]], 1)
        center_x, center_y = (self.pixel_scale * center + shift).unbind(1)
        mass = {
            "e1": norm * (2 * angle).cos(),
            "e2": norm * (2 * angle).sin(),
            "center_x": center_x,
            "center_y": center_y,
        }
        return {name: values.to(rng.dtype) for name, values in mass.items()} | {
            "first_galaxy": galaxy,
            "first_quarters": quarters,
            "first_mirrored": mirrored,
            "lens_view": rng.view,
        }

    def draw_light(self, rng: KeyedGenerator, scene: Scene) -> Scene:
        """Sample `lens_galaxy`, its axis ratio `light_q`, and its orientation.

        The galaxy is mirrored (`light_mirrored`), rotated by `light_quarters` and then by `light_turn` in radians, and
        shifted by `light_dx` and `light_dy` in pixels.
        """
        exact = KeyedGenerator(rng.seed, rng.split, rng.group, rng.index, rng.view, torch.float64, rng.rendering)
        drawn = exact.samples(dict.fromkeys(("other", "half", "mirror"), UNIT))
        own = rng.view == scene["lens_view"]
        first, quarters, mirrored = (scene[f"first_{name}"] for name in ("galaxy", "quarters", "mirrored"))
        other = self.cutouts.alike(first, drawn["other"])
        other_mirrored = drawn["mirror"] < 0.5
        wanted, center = self._oriented(first, quarters, mirrored)
        angle, _ = self._oriented(other, torch.zeros_like(quarters), other_mirrored)
        # A galaxy turned by half a turn has the same position angle.
        turn = wanted - angle + math.pi * (drawn["half"] < 0.5)
        other_quarters = (turn / (math.pi / 2)).round()
        turn = turn - math.pi / 2 * other_quarters
        other_quarters = other_quarters.long() % 4
        _, other_center = self._oriented(other, other_quarters, other_mirrored)
        cos, sin = turn.cos(), turn.sin()
        x, y = other_center.unbind(1)
        shift = center - torch.stack([cos * x - sin * y, sin * x + cos * y], 1)
        galaxy = torch.where(own, first, other)
        moved = {"light_turn": turn, "light_dx": shift[:, 0], "light_dy": shift[:, 1]}
        return {name: torch.where(own, 0, values).to(rng.dtype) for name, values in moved.items()} | {
            "lens_galaxy": galaxy,
            "light_q": axis_ratio(self.cutouts.ellipticity[galaxy]).to(rng.dtype),
            "light_quarters": torch.where(own, quarters, other_quarters),
            "light_mirrored": torch.where(own, mirrored, other_mirrored),
        }

    def image(self, scene: Scene) -> Tensor:
        """Return oriented cutouts (n, pixels, pixels), divided by their largest values."""
        images = self.cutouts.images[scene["lens_galaxy"]].to(scene["light_q"].dtype)
        images = orient_images(images[:, None], scene["light_quarters"], scene["light_mirrored"])[:, 0]
        angle, x, y = (scene[name] for name in ("light_turn", "light_dx", "light_dy"))
        is_moved = (angle != 0) | (x != 0) | (y != 0)
        result = framed(images, self.pixels)
        if images.device.type == "cpu":
            rows = is_moved.nonzero().squeeze(1)
            if len(rows):
                result = result.clone()
                result[rows] = turned(images[rows], angle[rows], x[rows], y[rows], self.pixels)
            return result
        # On other devices the selection would take longer than the rotation of all images.
        return torch.where(is_moved[:, None, None], turned(images, angle, x, y, self.pixels), result)

    def _oriented(self, galaxy: Tensor, quarters: Tensor, mirrored: Tensor) -> tuple[Tensor, Tensor]:
        """Return angles and centres of galaxies after mirroring and rotation by quarters.

        The position angles (n,) are in radians, and the centres (n, 2) in pixels.
        """
        e1, e2 = self.cutouts.ellipticity[galaxy].unbind(1)
        x, y = self.cutouts.center[galaxy].unbind(1)
        angle = torch.atan2(torch.where(mirrored, -e2, e2), e1) / 2 + math.pi / 2 * quarters
        x = torch.where(mirrored, -x, x)
        is_odd = quarters % 2 == 1
        x, y = torch.where(is_odd, -y, x), torch.where(is_odd, x, y)
        sign = torch.where(quarters > 1, -1.0, 1.0).to(x)
        return angle, torch.stack([sign * x, sign * y], 1)
