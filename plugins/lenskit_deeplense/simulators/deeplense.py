"""Models A and B of DeepLense's comparison of unsupervised detectors.

Alexander et al. 2020 (https://arxiv.org/abs/2008.12731). Their images are not public. docs/guides/substructure.md
gives the source of each number and compares the images with the published losses.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le

from lenskit_deeplense.simulators.substructure import Substructure
from lenskit_lensing.priors import Prior

Strength = Literal["effective", "nominal"]

STRENGTHS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "effective": {
            "subhalos": "25",
            "subhalo_masses": "equal",
            "subhalo_mass_fraction": "0.083",
            "subhalo_r": "uniform(0, 1)",
            "vortex_points": 25,
            "string_length": "1",
            "string_mass_fraction": "0.083",
        },
        "nominal": {
            "subhalos": "poisson(25)",
            "subhalo_masses": "power-law",
            "subhalo_mass_fraction": "0.01",
            "subhalo_r": "uniform(0.25, 2)",
            "vortex_points": 100,
            "string_length": "uniform(0.5, 2)",
            "string_mass_fraction": "uniform(0.03, 0.055)",
        },
    }
)
"""Options of substructure for each strength: `effective` are the defaults of the authors' package PyLensing 0.1,
`nominal` are the numbers of the paper."""


class DeepLenseA(Substructure):
    """DeepLense's Model A: an isothermal sphere at fixed redshifts.

    The level of the noise reproduces the published losses. By default, substructure is as strong as in the authors'
    package PyLensing 0.1: 25 equal point masses with 8.3 % of the lens's mass, or a string of 25 points, 1 arcsec long,
    with the same mass. With `strength=nominal`, substructure is as in the paper: subhalos with dN/dM ~ M^-1.9 and 1 %
    of the mass, or strings with 3 to 5.5 %.
    """

    def __init__(
        self,
        *,
        strength: Strength = "effective",
        snr: Prior = "60",
        background_rms: Prior = "0.0105",
        lens_q: Prior = "1",
        shear: Prior = "uniform(0, 0.3)",
        subhalo_profile: Literal["point", "tnfw", "pjaffe"] = "point",
        subhalos: Prior | None = None,
        subhalo_masses: Literal["power-law", "equal"] | None = None,
        subhalo_mass_fraction: Prior | None = None,
        subhalo_r: Prior | None = None,
        vortex: Literal["points", "line"] = "points",
        vortex_points: Annotated[int, Ge(1), Le(1000)] | None = None,
        string_length: Prior | None = None,
        string_mass_fraction: Prior | None = None,
        **options: Any,
    ) -> None:
        """Args:
        strength: Strength of substructure: `effective`, as in the authors' images, or `nominal`, as in their paper. It
            sets the defaults of the options `subhalo...`, `vortex...` and `string...`.
        """
        of_strength = {
            "subhalos": subhalos,
            "subhalo_masses": subhalo_masses,
            "subhalo_mass_fraction": subhalo_mass_fraction,
            "subhalo_r": subhalo_r,
            "vortex_points": vortex_points,
            "string_length": string_length,
            "string_mass_fraction": string_mass_fraction,
        }
        given = {name: value for name, value in of_strength.items() if value is not None}
        super().__init__(
            snr=snr,
            background_rms=background_rms,
            lens_q=lens_q,
            shear=shear,
            subhalo_profile=subhalo_profile,
            vortex=vortex,
            **{**STRENGTHS[strength], **given},
            **options,
        )


class DeepLenseB(DeepLenseA):
    """DeepLense's Model B: as Model A, with more random parameters.

    The redshifts, the size and shape of the source and the background noise are also random.
    """

    def __init__(
        self,
        *,
        background_rms: Prior = "uniform(0.0085, 0.0115)",
        z_lens: Prior = "uniform(0.4, 0.6)",
        z_source: Prior = "uniform(0.8, 1.2)",
        source_q: Prior = "uniform(0.4, 1)",
        source_radius: Prior = "uniform(0.25, 1)",
        **options: Any,
    ) -> None:
        super().__init__(
            background_rms=background_rms,
            z_lens=z_lens,
            z_source=z_source,
            source_q=source_q,
            source_radius=source_radius,
            **options,
        )
