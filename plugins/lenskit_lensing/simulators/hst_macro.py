"""Macro model of HST-like lenses.

The mass is a power law with shear, the source a core-Sersic profile and the lens light a Sersic profile.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from lenskit.plugin import Distribution
from lenskit.toolbox import MacroModel
from lenskit_lensing.instruments.exposure import Exposure
from lenskit_lensing.light import core_sersic_light
from lenskit_lensing.macro import Range, check_free, fitted_ranges
from lenskit_lensing.mass import shear
from lenskit_lensing.mass.coordinates import columns
from lenskit_lensing.render.torch_renderer import TorchRenderer
from lenskit_lensing.scenes.lens_population import LENS

SOURCE = (
    "source_dx", "source_dy", "source_half_light_radius", "source_n", "source_e1", "source_e2", "source_core_radius",
    "source_core_slope",
)  # fmt: skip
LENS_LIGHT = ("light_n", "light_radius")

DEVIATIONS = {"light_e1": "e1", "light_e2": "e2", "light_x": "center_x", "light_y": "center_y"}
"""Parameters of the lens light, and the parameters of the mass that they follow. Their differences are fitted, with
names such as `light_e1_deviation`.
"""

WIDTHS = 3.0
"""Largest plausible deviation in standard deviations."""


class HSTMacroModel(MacroModel):
    """Macro model of `HST` with one PSF and without neighbours.

    The source is a core-Sersic profile.

    Args:
        priors: Priors of the simulator.
        free: Parameters to fit although the simulator fixes them.
        theta_E: Smallest and largest Einstein radius in arcsec.
        scatter: Standard deviation of each of `DEVIATIONS`.
        renderer: Renderer of the simulator.
        exposure: Exposure of the simulator.
        other_sources: Options, as `name=value`, that would restrict sources to core-Sersic profiles; see `MacroModel`.

    Raises:
        UsageError: A name in `free` is not a parameter.
    """

    def __init__(
        self,
        priors: Mapping[str, Distribution],
        free: Sequence[str],
        *,
        theta_E: Range,
        scatter: Mapping[str, float],
        renderer: TorchRenderer,
        exposure: Exposure,
        other_sources: tuple[str, ...] = (),
    ) -> None:
        self._renderer, self.pixels, self.pixel_scale = renderer, renderer.pixels, renderer.pixel_scale
        others = (*LENS[1:], *SOURCE, *LENS_LIGHT)
        ranges = {"theta_E": theta_E} | {name: priors[name].bounds for name in others}
        ranges |= {f"{name}_deviation": (-WIDTHS * scatter[name], WIDTHS * scatter[name]) for name in DEVIATIONS}
        check_free(free, ranges)
        self.bounds = fitted_ranges(ranges, free)
        self._fixed = {name: low for name, (low, _) in ranges.items() if name not in self.bounds}
        light = ("theta_E", *DEVIATIONS.values(), *(f"{name}_deviation" for name in DEVIATIONS), *LENS_LIGHT)
        self.parts = {
            "source": frozenset((*LENS, *SOURCE)),
            "lens_light": frozenset(light),
        }
        self.traced_by = frozenset((*LENS, "source_dx", "source_dy"))
        self.source_radii, self.other_sources = priors["source_half_light_radius"].bounds, other_sources
        low, high = priors["log_noise"].bounds
        self.noise_is_known = exposure.white and low == high
        self._noise = 10 ** ((low + high) / 2)

    def surface(self, part: str, values: Mapping[str, Tensor]) -> Tensor:
        scene = self._scene(values)
        if part == "lens_light":
            light = {name: scene[of_mass] + scene[f"{name}_deviation"] for name, of_mass in DEVIATIONS.items()}
            R_sersic = scene["light_radius"] * scene["theta_E"]
            return self._renderer.lens_light(light | {"light_n": scene["light_n"], "light_R_sersic": R_sersic})
        return self._renderer.arc(scene | self._source(scene))

    def traced(self, values: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        scene = self._scene(values)
        x, y = self._renderer.traced(scene)
        center_x, center_y = columns(*_source_center(scene))
        return x - center_x, y - center_y

    def _scene(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the fixed parameters together with `values`."""
        like = next(iter(values.values()))
        return {name: torch.full_like(like, value) for name, value in self._fixed.items()} | dict(values)

    def _source(self, scene: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return a source with the entries of `SourcePopulation`.

        The amplitude is one, and there is no companion.
        """
        core, n, slope = (scene[f"source_{name}"] for name in ("core_radius", "n", "core_slope"))
        _, unit_radius = core_sersic_light(core, n, slope)
        R_sersic = scene["source_half_light_radius"] / unit_radius
        center_x, center_y = _source_center(scene)
        one = torch.ones_like(n)
        no_stamp = torch.full_like(n, -1, dtype=torch.int64)
        source = {
            "source_R_sersic": R_sersic,
            "source_Rb": core * R_sersic,
            "source_x": center_x,
            "source_y": center_y,
            "source_amplitude": one,
            "source_flux": one,
            "source_stamp": no_stamp,
        }
        none = {
            name: torch.zeros_like(n) for name in ("R_sersic", "Rb", "x", "y", "amplitude", "flux", "n", "e1", "e2")
        }
        return source | {f"companion_{k}": v for k, v in {**none, "core_slope": one, "stamp": no_stamp}.items()}

    def blur(self, light: Tensor) -> Tensor:
        return self._renderer.convolve(light, torch.zeros(len(light), dtype=torch.long, device=light.device))

    def variance(self, light: Tensor) -> Tensor:
        """Return the variance of white noise, relative to the brightest pixel.

        The level is the middle of the prior's range.
        """
        peak = light.amax((1, 2), keepdim=True)
        return (self._noise * torch.where(peak > 0, peak, 1)).square().expand_as(light)


def _source_center(scene: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Return the source position (n,) in arcsec.

    `source_dx` and `source_dy` are relative to the point behind the lens's centre.
    """
    center = columns(scene["center_x"], scene["center_y"])
    shear_x, shear_y = shear(*center, gamma1=scene["gamma1"], gamma2=scene["gamma2"])
    x = scene["center_x"] - shear_x.flatten() + scene["source_dx"]
    return x, scene["center_y"] - shear_y.flatten() + scene["source_dy"]
