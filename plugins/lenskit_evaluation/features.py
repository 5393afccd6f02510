"""Which simulator lenses come from, and where features are made."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import cache
from typing import Any

import torch

from lenskit.plugin import Encoder, Run, Simulator, UsageError, read_assignment

log = logging.getLogger("lenskit")


def simulator_of(run: Run, name: str | None, assignments: Sequence[str]) -> Simulator:
    """The simulator that a run is judged on: its own, or the one named, with some options changed.

    Args:
        run: The run.
        name: Name of a simulator, for runs trained on stored images.
        assignments: `option=value` or `simulator.option=value`.
    """
    return run.simulator(name, **simulator_options(assignments))


def simulator_options(assignments: Sequence[str]) -> dict[str, Any]:
    """`option=value` or `simulator.option=value` as the values of options, read as `lenskit train --set` reads them.

    Raises:
        UsageError: if one has another form, or names another simulator.
    """
    options: dict[str, Any] = {}
    for text in assignments:
        key, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"--set takes OPTION=VALUE, such as theta_E='uniform(0.5, 2.2)', got {text!r}")
        option = key.strip().removeprefix("simulator.")
        if option == key.strip():
            _say_once(option)
        read = read_assignment(f"simulator.{option}={value}")["simulator"]
        if "name" in read:
            raise UsageError("--set changes options of the simulator; say another one with --simulator NAME")
        options |= read
    return options


@cache
def _say_once(option: str) -> None:
    log.info("--set %s: an option of the simulator, simulator.%s", option, option)


def best_device() -> torch.device:
    """Return the GPU, if there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def to_best_device(encoder: Encoder) -> Encoder:
    """Put an encoder on the GPU, if there is one."""
    return encoder.to(best_device())
