"""Choice of labels that images and simulated lenses have in common."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from lenskit.plugin import Dataset, Parameter, UsageError

log = logging.getLogger("lenskit")


def common(
    data: str, known: Sequence[Parameter], simulated: Sequence[Parameter], wanted: Sequence[str] = ()
) -> list[Parameter]:
    """Return the continuous parameters that images and simulated lenses share.

    Args:
        data: Name of the images, for messages.
        known: Labels of the images.
        simulated: Parameters of simulated lenses.
        wanted: Names of the labels that the user chose; by default all. Without a choice, labels in a different unit
            are left out with a warning.

    Raises:
        UsageError: There is no common parameter, or a chosen label is missing or in a different unit.
    """
    labels = {parameter.name: parameter for parameter in known}
    possible = {parameter.name: parameter for parameter in simulated if parameter.continuous}
    for name in wanted:
        if name not in labels:
            raise UsageError(f"{data} has no label {name}: it has {', '.join(labels) or 'none'}")
        if name not in possible:
            raise UsageError(f"simulated lenses have no continuous parameter {name}: they have {', '.join(possible)}")
    shared = [parameter for name, parameter in possible.items() if name in (wanted or labels)]
    if not shared:
        raise UsageError(
            f"{data} has the labels {', '.join(labels) or '(none)'}, simulated lenses have {', '.join(possible)}: "
            "there is no common label"
        )
    foreign = {
        parameter.name: f"{parameter.name} has {_unit(labels[parameter.name])} in {data}, but {_unit(parameter)} in "
        "simulated lenses"
        for parameter in shared
        if labels[parameter.name].unit != parameter.unit
    }
    if foreign and (wanted or len(foreign) == len(shared)):
        raise UsageError(f"{'; '.join(foreign.values())}: labels must have the unit of the simulator")
    for why in foreign.values():
        log.warning("%s: this label is left out; choose labels with --labels NAME", why)
    return [parameter for parameter in shared if parameter.name not in foreign]


def _unit(parameter: Parameter) -> str:
    return f"the unit {parameter.unit}" if parameter.unit else "no unit"


def of_known_values(data: str, dataset: Dataset, parameters: Sequence[Parameter]) -> list[Parameter]:
    """Return the parameters that have a value for at least one image.

    A warning is logged for parameters without a value, and for parameters with the same value for all images.

    Args:
        data: Name of the images, for messages.
        dataset: The images.
        parameters: Parameters to check.

    Raises:
        UsageError: No parameter has a value.
    """
    count, kept = len(dataset), []
    values = dataset.read_parameters(range(count))
    for parameter in parameters:
        finite = values[parameter.name].reshape(count, -1)[:, 0].double().numpy()
        finite = finite[np.isfinite(finite)]
        if len(finite):
            kept.append(parameter)
            if len(finite) > 1 and np.ptp(finite) == 0:
                log.warning(
                    "%s is %g for all %d images with a known value: it has no R2 and no rank correlation",
                    parameter.name, finite[0], len(finite),
                )  # fmt: skip
    lost = [parameter.name for parameter in parameters if parameter not in kept]
    if not kept:
        raise UsageError(f"{', '.join(lost)}: known for none of the {count} images of {data}; use images with labels")
    if lost:
        log.warning(
            "%d of %d labels are known for none of the %d images, and left out: %s",
            len(lost), len(parameters), count, ", ".join(lost),
        )  # fmt: skip
    return kept
