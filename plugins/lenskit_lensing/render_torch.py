"""The fast renderer: scenes as batched torch code, on whatever device they are."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from scipy.fft import next_fast_len
from torch import Tensor

from lenskit_lensing.cusp import cusp_rule, put_blocks
from lenskit_lensing.light import core_sersic, pixelated, sersic
from lenskit_lensing.mass import epl, epl_terms, shear
from lenskit_lensing.mass.power_law import TOLERANCE

CHUNK = 16
"""Images at a time on a CPU: what they need then stays in its cache."""

LENS = ("theta_E", "gamma", "e1", "e2", "center_x", "center_y")


def axis(pixels: int, pixel_scale: float, like: Tensor) -> Tensor:
    """Middles of pixels along one axis in arcsec, (pixels,): the frame is centred on the origin."""
    return (torch.arange(pixels, dtype=like.dtype, device=like.device) - (pixels - 1) / 2) * pixel_scale


def source_plane(x: Tensor, y: Tensor, scene: Mapping[str, Tensor], terms: int) -> tuple[Tensor, Tensor]:
    """Where light seen at (x, y) comes from, in arcsec: (n, height, width) each."""
    mass_x, mass_y = epl(x, y, **{name: scene[name] for name in LENS}, terms=terms)
    shear_x, shear_y = shear(x, y, gamma1=scene["gamma1"], gamma2=scene["gamma2"])
    return (x - shear_x).sub_(mass_x), (y - shear_y).sub_(mass_y)


class TorchRenderer:
    """Renders the arc and the lens light of scenes.

    What it holds is brought to a scene's device when that is first seen, and kept there.

    Args:
        pixels: Height and width of the image.
        pixel_scale: Size of a pixel in arcsec.
        ellipticity: Bound of the mass's |e| over the whole prior.
        psfs: (k, s, s), s odd.
        stamps: Galaxies (k, size, size) for sources that are images, or None.
        supersampling: Rays along each side of a pixel, over which the arc is averaged.
    """

    def __init__(
        self,
        *,
        pixels: int,
        pixel_scale: float,
        ellipticity: float,
        psfs: Tensor,
        stamps: Tensor | None = None,
        supersampling: int = 1,
    ) -> None:
        self.pixels, self.pixel_scale, self.ellipticity = pixels, pixel_scale, ellipticity
        self.psfs, self.stamps, self.supersampling = psfs, stamps, supersampling
        self._transfers: dict[tuple[torch.device, torch.dtype], Tensor] = {}
        self._stamps: dict[torch.device, Tensor] = {}

    def __call__(self, scene: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """The arc and the lens light after the PSF, (n, pixels, pixels) each, in arbitrary units."""
        n = len(scene["theta_E"])
        size = CHUNK if scene["theta_E"].device.type == "cpu" else max(n, 1)
        parts = [
            self._chunk({name: values[start : start + size] for name, values in scene.items()})
            for start in range(0, max(n, 1), size)
        ]
        arcs, lights = zip(*parts, strict=True)
        return torch.cat(arcs), torch.cat(lights)

    def _chunk(self, scene: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        return self._convolve(self._arc(scene), self._lens_light(scene), scene["psf"])

    def _arc(self, scene: dict[str, Tensor]) -> Tensor:
        rays = axis(self.pixels * self.supersampling, self.pixel_scale / self.supersampling, scene["theta_E"])
        terms = epl_terms(self.ellipticity, TOLERANCE[rays.dtype])
        arc = self._source(*source_plane(rays[None, :], rays[:, None], scene, terms), scene)
        if self.supersampling == 1:
            return arc
        per_pixel = self.pixels, self.supersampling
        return arc.unflatten(2, per_pixel).unflatten(1, per_pixel).mean((2, 4))

    def _source(self, x: Tensor, y: Tensor, scene: dict[str, Tensor]) -> Tensor:
        """The source's surface brightness: each component evaluated for the scenes that have it."""
        total = torch.zeros_like(x)
        for component in ("source", "companion"):
            entries = {
                name.removeprefix(f"{component}_"): values
                for name, values in scene.items()
                if name.startswith(f"{component}_")
            }
            present = entries["flux"] > 0
            is_stamp = entries["stamp"] >= 0
            for rows, brightness in (
                (present & ~is_stamp, self._analytic),
                (present & is_stamp, self._stamp),
            ):
                found = rows.nonzero().squeeze(1)
                if len(found):
                    chosen = slice(None) if len(found) == len(x) else found
                    some = {name: values[chosen] for name, values in entries.items()}
                    total[chosen] += brightness(x[chosen], y[chosen], some) * some["amplitude"][:, None, None]
        return total

    def _analytic(self, x: Tensor, y: Tensor, source: dict[str, Tensor]) -> Tensor:
        return core_sersic(
            x,
            y,
            R_sersic=source["R_sersic"],
            Rb=source["Rb"],
            n_sersic=source["n"],
            gamma=source["core_slope"],
            e1=source["e1"],
            e2=source["e2"],
            center_x=source["x"],
            center_y=source["y"],
        )

    def _stamp(self, x: Tensor, y: Tensor, source: dict[str, Tensor]) -> Tensor:
        if self.stamps is None:
            raise ValueError("the scene has real galaxies as sources, and this renderer was given none")
        if x.device not in self._stamps:
            self._stamps[x.device] = self.stamps.to(x.device)
        return pixelated(
            x,
            y,
            images=self._stamps[x.device][source["stamp"]].to(x.dtype),
            scale=source["stamp_scale"],
            angle=source["angle"],
            mirror=source["mirror"],
            center_x=source["x"],
            center_y=source["y"],
        )

    def _lens_light(self, scene: dict[str, Tensor]) -> Tensor:
        grid = axis(self.pixels, self.pixel_scale, scene["light_x"])
        profile = {
            "R_sersic": scene["light_R_sersic"],
            "n_sersic": scene["light_n"],
            "e1": scene["light_e1"],
            "e2": scene["light_e2"],
            "center_x": scene["light_x"],
            "center_y": scene["light_y"],
        }
        rule_x, rule_y = (cusp_rule(scene[name], self.pixels, self.pixel_scale) for name in ("light_x", "light_y"))
        values = sersic(rule_x.nodes[:, None, :], rule_y.nodes[:, :, None], **profile)
        return put_blocks(sersic(grid[None, :], grid[:, None], **profile), values, rule_x, rule_y)

    def _convolve(self, arc: Tensor, light: Tensor, psf: Tensor) -> tuple[Tensor, Tensor]:
        """Both images, blurred by each scene's PSF, with zeros outside the frame.

        They are the real and the imaginary part of one complex image, each scaled to a maximum of one so that the
        other's rounding errors do not matter to it. The transform is long enough for what wraps around to miss the
        frame.
        """
        both = torch.complex(arc / _peak(arc), light / _peak(light))
        transfer = self._transfer(both)
        size, margin = transfer.shape[-1], self.psfs.shape[-1] // 2
        spectrum = torch.fft.fft2(both, s=(size, size)).mul_(transfer[psf])
        frame = slice(margin, margin + self.pixels)
        both = torch.fft.ifft2(spectrum)[:, frame, frame]
        return both.real, both.imag

    def _transfer(self, like: Tensor) -> Tensor:
        """Fourier transforms of the PSFs, (k, size, size)."""
        key = like.device, like.dtype
        if key not in self._transfers:
            kernel = self.psfs.shape[-1]
            size = next_fast_len(max(self.pixels + kernel // 2, kernel))
            self._transfers[key] = torch.fft.fft2(self.psfs.to(like.device), s=(size, size)).to(like.dtype)
        return self._transfers[key]


def _peak(images: Tensor) -> Tensor:
    """Maxima (n, 1, 1), one for an image without light."""
    peak = images.amax((1, 2), keepdim=True)
    return torch.where(peak > 0, peak, 1)
