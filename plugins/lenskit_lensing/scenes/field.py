"""What else is in a frame: galaxies that are not lensed."""

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
"""What is drawn for every neighbour from priors called `neighbour_...`."""


@dataclass
class Neighbours:
    """Draws the group `field`: other galaxies in the frame, with Sersic profiles.

    Entries: `neighbours`, their number; and of each, (n, most), those that begin with `neighbour_`: the centre `x`, `y`
    in arcsec, `radius` (half-light, arcsec), `n`, `e1`, `e2`, and what tells their brightness. Those beyond the number
    are there, but are not rendered.

    Args:
        priors: Of `neighbours`, the number, rounded down; of `SHAPE`, the centre in units of the frame; and of
            `brightness`.
        frame: Height and width of the image in arcsec.
        brightness: Names, without `neighbour_`, of what tells a neighbour's brightness.
    """

    priors: Mapping[str, Distribution]
    frame: float
    brightness: tuple[str, ...]

    @property
    def most(self) -> int:
        """The largest number there may be: `uniform(0, 4)` gives three."""
        return int(self.priors["neighbours"].quantile(torch.tensor(1 - TAIL, dtype=torch.float64)))

    def draw(self, rng: KeyedGenerator) -> Scene:
        """Draws neighbours."""
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
    """The neighbours' surface brightness before the PSF.

    Args:
        scene: With the entries of `Neighbours`.
        renderer: Its `lens_light` renders them, each as one more lens.
        flux: Of each, (n, bands, most); that of those beyond the number does not matter.

    Returns:
        (n, bands, pixels, pixels), in units of flux per square arcsec.
    """
    names = {"R_sersic": "radius", "n": "n", "e1": "e1", "e2": "e2", "x": "x", "y": "y"}
    amplitude = flux / total_light(scene["neighbour_radius"], scene["neighbour_n"])[:, None]
    total = flux.new_zeros(*flux.shape[:2], renderer.pixels, renderer.pixels)
    for k in range(flux.shape[2]):
        there = k < scene["neighbours"]
        # On a CPU only those that are there; a GPU would have to wait for the host to know which these are.
        rows = there.nonzero().squeeze(1) if flux.device.type == "cpu" else slice(None)
        profile = {f"light_{theirs}": scene[f"neighbour_{ours}"][rows, k] for theirs, ours in names.items()}
        own = torch.where(there[rows, None], amplitude[rows, :, k], 0)
        total[rows] += own[:, :, None, None] * renderer.lens_light(profile)[:, None]
    return total
