"""Allowed ranges of the priors of lenses with substructure."""

from __future__ import annotations

from lenskit_lensing.priors import DOMAINS as LENSING
from lenskit_lensing.priors import Domain

_LENGTH = (1e-3, 100.0, "between 0.001 and 100 arcsec, both excluded")
_ANGLE = (-100.0, 100.0, "an angle in radians")
_RATIO = (0.05, 1.0 + 1e-9, "above 0.05 and at most 1")
_AMPLITUDE = (-1e-300, 1e6, "at least 0")
_MASS = (1e3, 1e16, "between 1e3 and 1e16 solar masses, both excluded")
_FRACTION = (-1e-300, 0.5, "at least 0 and below 0.5")
_PLACE = LENSING["center_x"]

DOMAINS: dict[str, Domain] = {
    **{
        name: LENSING[name] for name in ("theta_E", "z_lens", "z_source", "center_x", "center_y", "light_n", "source_n")
    },
    "halo_mass": _MASS,
    "lens_q": _RATIO,
    "lens_angle": _ANGLE,
    "shear": (-1e-300, 0.9, "at least 0 and below 0.9"),
    "shear_angle": _ANGLE,
    "subhalos": (-1e-300, 1001.0, "at least 0 and at most 1000"),
    "subhalo_mass_fraction": _FRACTION,
    "subhalo_r": (-1e-300, 100.0, "at least 0 and below 100 arcsec"),
    "subhalo_truncation": (0.2, 200.0, "between 0.2 and 200 scale radii, both excluded"),
    "string_length": _LENGTH,
    "log_axion_mass": (-26.0, -20.0, "between -26 and -20, both excluded"),
    "string_mass_fraction": _FRACTION,
    "string_mass": _MASS,
    "light_amplitude": _AMPLITUDE,
    "light_radius": _LENGTH,
    "light_q": _RATIO,
    "light_angle": _ANGLE,
    "source_amplitude": _AMPLITUDE,
    "source_radius": _LENGTH,
    "source_q": _RATIO,
    "source_angle": _ANGLE,
    "source_e1": LENSING["source_e1"],
    "source_e2": LENSING["source_e2"],
    "source_r": (-1e-300, 100.0, "at least 0 and below 100 arcsec"),
    "source_x": _PLACE,
    "source_y": _PLACE,
    "snr": (0.0, 1e5, "above 0 and below 1e5"),
    "background_rms": (-1e-300, 1.0, "at least 0 and below 1"),
    "exposure": (1e-3, 1e9, "between 0.001 and 1e9 s, both excluded"),
    "sky_rms": (-1e-300, 1e6, "at least 0 and below 1e6"),
}
"""Open interval in which each prior must lie, with a description."""
