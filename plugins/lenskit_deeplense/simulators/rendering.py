"""Renderer of lenses with substructure: light, deflection and PSF."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from typing import Literal

import torch
from torch import Tensor

from lenskit.plugin import Scene
from lenskit_lensing.instruments.psf import airy_psf, profile_psf
from lenskit_lensing.light import sersic
from lenskit_lensing.mass import shear, sie, sis
from lenskit_lensing.mass.coordinates import columns
from lenskit_lensing.render.convolution import Convolver
from lenskit_lensing.render.cusp import cusp_rule, put_blocks
from lenskit_lensing.render.supersampling import Rays, averaged

CHUNK = 8
"""Number of images rendered together on a CPU with one ray per pixel, so that the data fit into its cache."""

Deflection = Callable[[Tensor, Tensor, Scene], tuple[Tensor, Tensor]]


class Lenses:
    """Renderer of the lensed source and the lens light, before the PSF.

    Args:
        pixels: Height and width of the image.
        pixel_scale: Size of a pixel in arcsec.
        rays: Number of rays along each side of a pixel, over which the arc is averaged.
        is_round: Whether all lenses are spheres.
        substructure: Deflection functions by the class number in the scene's `substructure`; they return zero for
            scenes of other classes.
    """

    def __init__(
        self,
        *,
        pixels: int,
        pixel_scale: float,
        rays: Rays,
        is_round: bool,
        substructure: Mapping[int, Deflection],
    ) -> None:
        self.pixels, self.pixel_scale, self.rays = pixels, pixel_scale, rays
        self.is_round, self.substructure = is_round, substructure

    def __call__(self, scene: Scene, omit: Container[str] = ()) -> Tensor:
        """Return the surface brightness (n, pixels, pixels).

        Args:
            scene: Entries of n lenses.
            omit: Parts to leave out: `source`, `lens_light`.
        """
        n = len(scene["theta_E"])
        rays = 2 if self.rays == "adaptive" else self.rays
        size = max(CHUNK // rays**2, 1) if scene["theta_E"].device.type == "cpu" else max(n, 1)
        chunks = [{name: values[i : i + size] for name, values in scene.items()} for i in range(0, max(n, 1), size)]
        return torch.cat([self._light(chunk, omit) for chunk in chunks])

    def deflection(self, x: Tensor, y: Tensor, scene: Scene) -> tuple[Tensor, Tensor]:
        """Return the deflection of lens, shear and substructure in arcsec.

        Both components have the shape (n, height, width).
        """
        center = {"center_x": scene["center_x"], "center_y": scene["center_y"]}
        if self.is_round:
            alpha_x, alpha_y = sis(x, y, theta_E=scene["theta_E"], **center)
        else:
            alpha_x, alpha_y = sie(x, y, theta_E=scene["theta_E"], e1=scene["e1"], e2=scene["e2"], **center)
        shear_x, shear_y = shear(x, y, gamma1=scene["gamma1"], gamma2=scene["gamma2"])
        alpha_x, alpha_y = alpha_x + shear_x, alpha_y + shear_y
        for label, deflection in self.substructure.items():
            if x.device.type != "cpu":  # on a GPU, zero masses cost less than waiting for the host
                more_x, more_y = deflection(x, y, scene)
                alpha_x, alpha_y = alpha_x + more_x, alpha_y + more_y
                continue
            rows = (scene["substructure"] == label).nonzero().squeeze(1)
            if len(rows):
                some = {name: values[rows] for name, values in scene.items()}
                more_x, more_y = deflection(_rows_of(x, rows), _rows_of(y, rows), some)
                alpha_x.index_add_(0, rows, more_x)
                alpha_y.index_add_(0, rows, more_y)
        if "deflection_scale" in scene:
            (scale,) = columns(scene["deflection_scale"])
            alpha_x, alpha_y = alpha_x * scale, alpha_y * scale
        return alpha_x, alpha_y

    def part(self, name: str, scene: Scene) -> Tensor:
        """Return the surface brightness (n, pixels, pixels) of one part.

        Args:
            name: `source`, which is lensed, or `lens_light`.
            scene: Entries of n lenses.
        """
        like = next(iter(scene.values()))
        middles = torch.arange(self.pixels, dtype=like.dtype, device=like.device) - (self.pixels - 1) / 2
        middles = middles * self.pixel_scale
        if name == "lens_light":
            return self._lens_light(scene, middles)
        needed = {k: v for k, v in scene.items() if v.ndim < 3}
        return averaged(lambda x, y: self._arc(x, y, needed), middles, self.pixel_scale, self.rays)

    def traced(self, scene: Scene) -> tuple[Tensor, Tensor]:
        """Return source plane positions of rays in arcsec from the source's centre.

        Both coordinates have the shape (n, rays, rays). Each pixel has `rays` x `rays` rays, or 2 x 2 if their number
        is adaptive.
        """
        like = scene["theta_E"]
        rays = 2 if self.rays == "adaptive" else self.rays
        axis = torch.arange(self.pixels * rays, dtype=like.dtype, device=like.device) - (self.pixels * rays - 1) / 2
        axis = axis * (self.pixel_scale / rays)
        x, y = axis[None, :], axis[:, None]
        alpha_x, alpha_y = self.deflection(x, y, scene)
        center_x, center_y = columns(scene["source_x"], scene["source_y"])
        return x - alpha_x - center_x, y - alpha_y - center_y

    def _light(self, scene: Scene, omit: Container[str]) -> Tensor:
        total = scene["theta_E"].new_zeros(len(scene["theta_E"]), self.pixels, self.pixels)
        for name in ("source", "lens_light"):
            if name not in omit:
                total = total + self.part(name, scene)
        return total

    def _arc(self, x: Tensor, y: Tensor, scene: Scene) -> Tensor:
        alpha_x, alpha_y = self.deflection(x, y, scene)
        light = sersic(
            x - alpha_x,
            y - alpha_y,
            R_sersic=scene["source_radius"],
            n_sersic=scene["source_n"],
            e1=scene["source_e1"],
            e2=scene["source_e2"],
            center_x=scene["source_x"],
            center_y=scene["source_y"],
        )
        return light * columns(scene["source_amplitude"])[0]

    def _lens_light(self, scene: Scene, middles: Tensor) -> Tensor:
        profile = {
            "R_sersic": scene["light_radius"],
            "n_sersic": scene["light_n"],
            "e1": scene["light_e1"],
            "e2": scene["light_e2"],
            "center_x": scene["center_x"],
            "center_y": scene["center_y"],
        }
        rule_x, rule_y = (cusp_rule(scene[name], self.pixels, self.pixel_scale) for name in ("center_x", "center_y"))
        values = sersic(rule_x.nodes[:, None, :], rule_y.nodes[:, :, None], **profile)
        light = put_blocks(sersic(middles[None, :], middles[:, None], **profile), values, rule_x, rule_y)
        return light * columns(scene["light_amplitude"])[0]


class Blur:
    """Convolution of images with one PSF.

    Args:
        pixels: Height and width of the image.
        pixel_scale: Size of a pixel in arcsec.
        psf: `airy`, `gaussian` or `none`.
        fwhm: Full width at half maximum of the PSF in arcsec.
    """

    def __init__(
        self, *, pixels: int, pixel_scale: float, psf: Literal["airy", "gaussian", "none"], fwhm: float
    ) -> None:
        self._convolver = None
        if psf != "none":
            make = airy_psf if psf == "airy" else profile_psf
            self._convolver = Convolver(make(fwhm, pixel_scale, pixels=pixels)[None], pixels)

    def __call__(self, images: Tensor) -> Tensor:
        """Return images (n, pixels, pixels) convolved with the PSF."""
        if self._convolver is None or not len(images):
            return images
        size = CHUNK if images.device.type == "cpu" else len(images)
        blurred = []
        for some in images.split(size):
            only = torch.zeros(len(some), dtype=torch.long, device=images.device)
            blurred.append(self._convolver(some[:, None], only)[:, 0])
        return torch.cat(blurred)


def _rows_of(positions: Tensor, rows: Tensor) -> Tensor:
    """Return the positions of some images.

    Without an image axis, positions are the same for all images.
    """
    return positions[rows] if positions.ndim == 3 else positions
