"""The simulations of DeepLense's comparison of unsupervised detectors: Model A and Model B.

Alexander et al. 2020 (https://arxiv.org/abs/2008.12731). The images are not public; docs/substructure.md says which of
these numbers are published and which are not.
"""

from __future__ import annotations

from typing import Any, Literal

from lenskit_deeplense.simulators.substructure import Substructure
from lenskit_lensing.priors import Prior


class DeepLenseA(Substructure):
    """DeepLense's Model A: an isothermal sphere at fixed redshifts, and a signal-to-noise ratio of 20.

    Subhalos are point masses, a Poisson number of 25 on average with 1 % of the lens's mass together; a vortex is a
    string of 100 point masses.
    """

    def __init__(
        self,
        *,
        snr: Prior = "20",
        lens_q: Prior = "1",
        shear: Prior = "uniform(0, 0.3)",
        subhalo_profile: Literal["point", "tnfw", "pjaffe"] = "point",
        vortex: Literal["points", "line"] = "points",
        **options: Any,
    ) -> None:
        super().__init__(
            snr=snr, lens_q=lens_q, shear=shear, subhalo_profile=subhalo_profile, vortex=vortex, **options
        )  # fmt: skip


class DeepLenseB(DeepLenseA):
    """DeepLense's Model B: as Model A, with redshifts, the source's size and shape and the noise drawn."""

    def __init__(
        self,
        *,
        snr: Prior = "uniform(10, 30)",
        z_lens: Prior = "uniform(0.4, 0.6)",
        z_source: Prior = "uniform(0.8, 1.2)",
        source_q: Prior = "uniform(0.4, 1)",
        source_radius: Prior = "uniform(0.25, 1)",
        **options: Any,
    ) -> None:
        super().__init__(
            snr=snr,
            z_lens=z_lens,
            z_source=z_source,
            source_q=source_q,
            source_radius=source_radius,
            **options,
        )
