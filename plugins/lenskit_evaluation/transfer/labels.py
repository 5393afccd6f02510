"""Which labels `lenskit transfer` judges: those known of the images and of simulated lenses, in one unit."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from lenskit.plugin import Dataset, Parameter, UsageError

log = logging.getLogger("lenskit")


def common(
    data: str, known: Sequence[Parameter], simulated: Sequence[Parameter], wanted: Sequence[str] = ()
) -> list[Parameter]:
    """The parameters that are both known of the images and of simulated lenses, before any work is done.

    Args:
        data: What the images are called.
        known: What is known of them.
        simulated: What is known of simulated lenses.
        wanted: Names of those that are to be judged; by default all, but for such in another unit, which is logged.

    Raises:
        UsageError: if there is none, or one that is wanted is not among them, or is in another unit.
    """
    labels = {parameter.name: parameter for parameter in known}
    possible = {parameter.name: parameter for parameter in simulated if parameter.continuous}
    for name in wanted:
        if name not in labels:
            raise UsageError(f"{data} has no label {name}: it has {', '.join(labels) or 'none'}")
        if name not in possible:
            raise UsageError(f"simulated lenses have no measured parameter {name}: they have {', '.join(possible)}")
    shared = [parameter for name, parameter in possible.items() if name in (wanted or labels)]
    if not shared:
        raise UsageError(
            f"{data} has the labels {', '.join(labels) or '(none)'}, simulated lenses {', '.join(possible)}: "
            "none of them is the same"
        )
    foreign = {
        parameter.name: f"{parameter.name} is in {labels[parameter.name].unit or 'no unit'} in {data}, but in "
        f"{parameter.unit or 'no unit'} of simulated lenses: they cannot be compared"
        for parameter in shared
        if labels[parameter.name].unit != parameter.unit
    }
    if foreign and (wanted or len(foreign) == len(shared)):
        raise UsageError("; ".join(foreign.values()))
    for why in foreign.values():
        log.warning("%s, so it is left out (--labels says which are to be judged)", why)
    return [parameter for parameter in shared if parameter.name not in foreign]


def of_known_values(data: str, dataset: Dataset, parameters: Sequence[Parameter]) -> list[Parameter]:
    """The parameters of which some image has a value, before any image is made; what cannot be judged is logged.

    Args:
        data: What the images are called.
        dataset: These.
        parameters: Some of what is known of them.

    Raises:
        UsageError: if there is none.
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
                    "%s is %g for all %d images that it is known of: it has no R2 and no rank correlation",
                    parameter.name, finite[0], len(finite),
                )  # fmt: skip
    lost = [parameter.name for parameter in parameters if parameter not in kept]
    if not kept:
        raise UsageError(
            f"{', '.join(lost)}: known of none of the {count} images of {data}, so there is nothing to judge"
        )
    if lost:
        log.warning(
            "%d of %d labels are known of none of the %d images, and left out: %s",
            len(lost), len(parameters), count, ", ".join(lost),
        )  # fmt: skip
    return kept
