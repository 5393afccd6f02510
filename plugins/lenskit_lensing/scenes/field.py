"""Other galaxies in a frame, which are not lensed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lenskit.plugin import Distribution, KeyedGenerator, Scene
from lenskit_lensing.priors import TAIL
from lenskit_lensing.scenes.lens_light import total_light

SHAPE = ("x", "y", "radius", "n", "e1", "e2")
"""Entries of every neighbour, sampled from priors called `neighbour_...`."""


@dataclass
class Neighbours:
    """Sampler of the group `field`: other galaxies in the frame, with Sersic profiles.

    The entry `neighbours` is their number. The entries `neighbour_...` (n, most) are the centre `x`, `y` in arcsec,
    `radius` (half-light, arcsec), `n`, `e1`, `e2`, and the brightness. Entries beyond the number exist but are not
    rendered.

    Args:
        priors: Priors of `neighbours` (the number, rounded down), of `SHAPE` (the centre in units of the frame), and of
            `brightness`.
        frame: Height and width of the image in arcsec.
        brightness: Names of the entries of brightness, without `neighbour_`.
    """

    priors: Mapping[str, Distribution]
    frame: float
    brightness: tuple[str, ...]

    @property
    def most(self) -> int:
        """Largest possible number: three for `uniform(0, 4)`."""
        return int(self.priors["neighbours"].quantile(torch.tensor(1 - TAIL, dtype=torch.float64)))

    def draw(self, rng: KeyedGenerator) -> Scene:
        """Sample neighbours."""
        names, indices = (*SHAPE, *self.brightness), range(self.most)
        wanted = {f"{name}/{k}": self.priors[f"neighbour_{name}"] for name in names for k in indices}
        drawn = rng.samples({"neighbours": self.priors["neighbours"]} | wanted)
        number = drawn["neighbours"].floor().clamp(max=self.most)
        columns = {name: [drawn[f"{name}/{k}"] for k in indices] for name in names}
        scene = {
            f"neighbour_{name}": torch.stack(values, dim=1) if values else number.new_empty(rng.n, 0)
            for name, values in columns.items()
        }
        centre = {name: scene[name] * self.frame for name in ("neighbour_x", "neighbour_y")}
        return {"neighbours": number} | scene | centre


def neighbour_light(scene: Scene, renderer: Any, flux: Tensor) -> Tensor:
    """Return the surface brightness of the neighbours before the PSF.

    Args:
        scene: Scene with the entries of `Neighbours`.
        renderer: Renderer whose `lens_light` renders each neighbour like the light of a lens.
        flux: Flux of each neighbour, (n, bands, most); values beyond the number of neighbours are ignored.

    Returns:
        (n, bands, pixels, pixels), in units of flux per square arcsec.
    """
    names = {"R_sersic": "radius", "n": "n", "e1": "e1", "e2": "e2", "x": "x", "y": "y"}
    amplitude = flux / total_light(scene["neighbour_radius"], scene["neighbour_n"])[:, None]
    total = flux.new_zeros(*flux.shape[:2], renderer.pixels, renderer.pixels)
    for k in range(flux.shape[2]):
        there = k < scene["neighbours"]
        # A CPU renders existing neighbours only; on a GPU the selection would synchronise with the host.
        rows = there.nonzero().squeeze(1) if flux.device.type == "cpu" else slice(None)
        profile = {f"light_{theirs}": scene[f"neighbour_{ours}"][rows, k] for theirs, ours in names.items()}
        own = torch.where(there[rows, None], amplitude[rows, :, k], 0)
        total[rows] += own[:, :, None, None] * renderer.lens_light(profile)[:, None]
    return total
