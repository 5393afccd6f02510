"""Names and parameters of profiles in COOLEST and lenskit, and their conversions."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping


def _polar(first: float, second: float) -> tuple[float, float]:
    """Return the length of a spin-2 vector, and its axis in degrees from +y.

    The axis is above -90 and at most 90 degrees.
    """
    angle = math.degrees(math.atan2(second, first)) / 2 - 90
    return math.hypot(first, second), angle + 180 if angle <= -90 else angle


def _vector(length: float, angle: float) -> tuple[float, float]:
    twice = 2 * math.radians(angle + 90)
    return length * math.cos(twice), length * math.sin(twice)


def _shape(ours: Mapping[str, float]) -> dict[str, float]:
    e, phi = _polar(ours.get("e1", 0.0), ours.get("e2", 0.0))
    center = {name: ours.get(name, 0.0) for name in ("center_x", "center_y")}
    return {"q": (1 - e) / (1 + e), "phi": phi} | center


def _ellipse(theirs: Mapping[str, float]) -> dict[str, float]:
    e1, e2 = _vector((1 - theirs["q"]) / (1 + theirs["q"]), theirs["phi"])
    return {"e1": e1, "e2": e2, "center_x": theirs["center_x"], "center_y": theirs["center_y"]}


def _external_shear(ours: Mapping[str, float]) -> dict[str, float]:
    return dict(zip(("gamma_ext", "phi_ext"), _polar(ours["gamma1"], ours["gamma2"]), strict=True))


def _shear(theirs: Mapping[str, float]) -> dict[str, float]:
    return dict(zip(("gamma1", "gamma2"), _vector(theirs["gamma_ext"], theirs["phi_ext"]), strict=True))


def _sersic(ours: Mapping[str, float]) -> dict[str, float]:
    return {"I_eff": ours.get("amp", 1.0), "theta_eff": ours["R_sersic"], "n": ours["n_sersic"]} | _shape(ours)


def _sersic_ellipse(theirs: Mapping[str, float]) -> dict[str, float]:
    return {"amp": theirs["I_eff"], "R_sersic": theirs["theta_eff"], "n_sersic": theirs["n"]} | _ellipse(theirs)


Conversion = Callable[[Mapping[str, float]], dict[str, float]]

WRITTEN: dict[str, tuple[str, Conversion]] = {
    "EPL": ("PEMD", lambda ours: {"theta_E": ours["theta_E"], "gamma": ours["gamma"]} | _shape(ours)),
    "SIE": ("SIE", lambda ours: {"theta_E": ours["theta_E"]} | _shape(ours)),
    "SIS": ("SIE", lambda ours: {"theta_E": ours["theta_E"]} | _shape(ours)),
    "SHEAR": ("ExternalShear", _external_shear),
    "CONVERGENCE": ("ConvergenceSheet", lambda ours: {"kappa_s": ours["kappa"]}),
    "SERSIC": ("Sersic", _sersic),
    "SERSIC_ELLIPSE": ("Sersic", _sersic),
}
"""Name in COOLEST of each profile of lenskit, and the conversion of its parameters."""

MASS: dict[str, tuple[str, Conversion]] = {
    "PEMD": ("EPL", lambda theirs: {"theta_E": theirs["theta_E"], "gamma": theirs["gamma"]} | _ellipse(theirs)),
    "SIE": ("SIE", lambda theirs: {"theta_E": theirs["theta_E"]} | _ellipse(theirs)),
    "ExternalShear": ("SHEAR", _shear),
    "ConvergenceSheet": ("CONVERGENCE", lambda theirs: {"kappa": theirs["kappa_s"]}),
}
LIGHT: dict[str, tuple[str, Conversion]] = {"Sersic": ("SERSIC_ELLIPSE", _sersic_ellipse)}
"""Name in lenskit of each profile of COOLEST, and the conversion of its parameters."""

REASONS = {
    "CORE_SERSIC": "COOLEST has no core-Sersic profile; drop_cores=True writes the Sersic profile outside the core",
    "INTERPOL": "COOLEST cannot rotate or scale an image",
    "NFW": "COOLEST defines a halo by its density, in a unit that it does not specify",
}
