"""Values that stand in for draws of lenses with substructure: what they may be, as `lenskit render` has it."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping

from torch import Tensor

from lenskit.plugin import Distribution
from lenskit_deeplense.simulators.priors import DOMAINS
from lenskit_deeplense.simulators.recorded import CLASSES
from lenskit_lensing.given import or_bound
from lenskit_lensing.given import refused as refused_of_any

LEFT_OUT = {"lens_q": 1.0, "background_rms": 0.0, "light_amplitude": 0.0}
"""Priors with which a lens is a sphere, and there is no background or lens light."""

OF_CLASS = {"subhalo": "spherical", "string_": "vortex", "log_axion_mass": "vortex"}
"""How the names of what only one class has begin, and that class."""

NONE_OF_IT = ("subhalos", "subhalo_mass_fraction", "string_mass_fraction")
"""What is zero where a lens is of another class."""


def refused(
    priors: Mapping[str, Distribution], given: Mapping[str, Tensor], classes: Container[str], most: int
) -> Iterator[tuple[int, str, str]]:
    """What of values cannot be rendered; see `Simulator.refuses`.

    Args:
        priors: Of what is drawn where nothing is given.
        given: Values (n,) by name, NaN where they are drawn.
        classes: Those that there are.
        most: The largest number of subhalos.
    """
    for number, name in enumerate(CLASSES):
        if name not in classes and "substructure" in given:
            for row in (given["substructure"] == number).nonzero().flatten().tolist():
                yield row, "substructure", "is none of the classes that there are: see --set simulator.classes"
    yield from refused_of_any(priors, given, DOMAINS, LEFT_OUT)
    if "substructure" in given:
        yield from _of_others(given)
    if "subhalos" in given:
        for row in (given["subhalos"] >= most + 1).nonzero().flatten().tolist():
            yield row, "subhalos", f"is above {most}, the most that its prior gives: --set simulator.subhalos, too"
    if given.keys() & {"snr", "background_rms"}:
        snr, background = (or_bound(priors, given, name, 1) for name in ("snr", "background_rms"))
        name = "background_rms" if "background_rms" in given else "snr"
        for row in (snr * background >= 1).nonzero().flatten().tolist():
            yield row, name, f"is wrong: no snr of {snr[row]:g} goes with a background_rms of {background[row]:g}"


def _of_others(given: Mapping[str, Tensor]) -> Iterator[tuple[int, str, str]]:
    """What is said of subhalos or strings of lenses that have none: it would be recorded, and not be there."""
    label = given["substructure"]
    for name, values in given.items():
        for start, owner in OF_CLASS.items():
            if name.startswith(start):
                where = label.isfinite() & (label != CLASSES.index(owner)) & values.isfinite()
                where &= (values != 0) | (name not in NONE_OF_IT)
                for row in where.nonzero().flatten().tolist():
                    yield row, name, f"has no effect: substructure is {CLASSES[int(label[row])]} there, not {owner}"
