"""What else is in a frame: galaxies that are not lensed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lenskit.plugin import Distribution, KeyedGenerator, Scene
from lenskit_lensing.mass.coordinates import columns
from lenskit_lensing.scenes.lens_light import total_light

SHAPE = ("x", "y", "log_flux", "radius", "n", "e1", "e2")
"""What is drawn for a neighbour from priors called `neighbour_...`."""


@dataclass
class Neighbours:
    """Draws the group `field`: other galaxies in the frame, with Sersic profiles.

    Entries: `neighbours`, their number; and of each, (n, most), those that begin with `neighbour_`: the centre `x`, `y`
    in arcsec, `radius` (half-light, arcsec), `n`, `e1`, `e2` and `amplitude`, the surface brightness at that radius
    over the lens light's at its own, 0 where there is no such neighbour.

    Args:
        priors: Of `neighbours`, the number, rounded down, and of `SHAPE`.
        frame: Height and width of the image in arcsec.
    """

    priors: Mapping[str, Distribution]
    frame: float

    @property
    def most(self) -> int:
        """The largest number there may be."""
        return math.floor(self.priors["neighbours"].bounds[1])

    def draw(self, rng: KeyedGenerator, scene: Scene) -> Scene:
        """Draws neighbours of lenses whose light has been drawn."""
        each = range(self.most)
        wanted = {"neighbours": self.priors["neighbours"]}
        wanted |= {f"{name}/{k}": self.priors[f"neighbour_{name}"] for name in SHAPE for k in each}
        drawn = rng.samples(wanted)
        shape = {name: torch.stack([drawn[f"{name}/{k}"] for k in each], dim=1) for name in SHAPE}
        number = drawn["neighbours"].floor()
        lens_light = total_light(scene["light_R_sersic"], scene["light_n"])[:, None]
        flux = (10 ** shape.pop("log_flux").double()).to(lens_light.dtype) * lens_light
        amplitude = flux / total_light(shape["radius"], shape["n"])
        shape["amplitude"] = torch.where(torch.arange(self.most, device=rng.device) < number[:, None], amplitude, 0)
        shape["x"], shape["y"] = shape["x"] * self.frame, shape["y"] * self.frame
        return {"neighbours": number} | {f"neighbour_{name}": values for name, values in shape.items()}


def neighbour_light(scene: Scene, renderer: Any) -> Tensor:
    """The neighbours' light before the PSF, in units of the lens light's surface brightness at its half-light radius.

    Args:
        scene: With the entries of `Neighbours`.
        renderer: Its `lens_light` renders them, each as one more lens.

    Returns:
        (n, pixels, pixels).
    """
    names = {"R_sersic": "radius", "n": "n", "e1": "e1", "e2": "e2", "x": "x", "y": "y"}
    amplitude = scene["neighbour_amplitude"]
    total = amplitude.new_zeros(len(amplitude), renderer.pixels, renderer.pixels)
    for k in range(amplitude.shape[1]):
        # On a CPU only those that are there; a GPU would have to wait for the host to know which these are.
        rows = amplitude[:, k].nonzero().squeeze(1) if amplitude.device.type == "cpu" else slice(None)
        profile = {f"light_{theirs}": scene[f"neighbour_{ours}"][rows, k] for theirs, ours in names.items()}
        total[rows] += columns(amplitude[rows, k])[0] * renderer.lens_light(profile)
    return total
