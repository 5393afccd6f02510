"""Check of values from a table that override sampled values of lenses."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping

from torch import Tensor

from lenskit.plugin import Distribution
from lenskit_deeplense.simulators.priors import DOMAINS
from lenskit_deeplense.simulators.recorded import CLASSES
from lenskit_lensing.given import or_bound
from lenskit_lensing.given import refused as refused_of_any

LEFT_OUT = {"lens_q": 1.0, "background_rms": 0.0, "light_amplitude": 0.0}
"""Values for a spherical lens, for no background noise, and for no lens light."""

OF_CLASS = {"subhalo": "spherical", "string_": "vortex", "log_axion_mass": "vortex"}
"""Prefixes of the names that belong to only one class, and this class."""

NONE_OF_IT = ("subhalos", "subhalo_mass_fraction", "string_mass_fraction")
"""Names whose value is zero for lenses of all other classes."""


def refused(
    priors: Mapping[str, Distribution], given: Mapping[str, Tensor], classes: Container[str], most: int
) -> Iterator[tuple[int, str, str]]:
    """Yield the values that cannot be rendered, as `Simulator.refuses` does.

    Args:
        priors: Priors of the values that the table does not override.
        given: Values (n,) of the table by name; NaN values are sampled.
        classes: Classes of the simulator.
        most: Largest number of subhalos.
    """
    for number, name in enumerate(CLASSES):
        if name not in classes and "substructure" in given:
            for row in (given["substructure"] == number).nonzero().flatten().tolist():
                yield row, "substructure", "is not a class of this simulator: add it with --set simulator.classes"
    yield from refused_of_any(priors, given, DOMAINS, LEFT_OUT)
    if "substructure" in given:
        yield from _of_others(given)
    if "subhalos" in given:
        for row in (given["subhalos"] >= most + 1).nonzero().flatten().tolist():
            yield row, "subhalos", f"is above {most}, the largest number of its prior: raise --set simulator.subhalos"
    if given.keys() & {"snr", "background_rms"}:
        snr, background = (or_bound(priors, given, name, 1) for name in ("snr", "background_rms"))
        name = "background_rms" if "background_rms" in given else "snr"
        for row in (snr * background >= 1).nonzero().flatten().tolist():
            yield row, name, f"is too large: snr ({snr[row]:g}) x background_rms ({background[row]:g}) must be below 1"


def _of_others(given: Mapping[str, Tensor]) -> Iterator[tuple[int, str, str]]:
    """Yield values of subhalos or strings for lenses without them.

    Such values would be recorded but have no effect.
    """
    label = given["substructure"]
    for name, values in given.items():
        for start, owner in OF_CLASS.items():
            if name.startswith(start):
                where = label.isfinite() & (label != CLASSES.index(owner)) & values.isfinite()
                where &= (values != 0) | (name not in NONE_OF_IT)
                for row in where.nonzero().flatten().tolist():
                    yield row, name, f"has no effect: substructure is {CLASSES[int(label[row])]} there, not {owner}"
