"""The runs and embeddings of an evaluation: their labels, encoders and simulators."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import torch

from lenskit.embeddings import Embeddings
from lenskit.encoder import Encoder
from lenskit.errors import UsageError
from lenskit.kinds.simulator import Simulator
from lenskit.layers import read_assignment
from lenskit.run import Run

log = logging.getLogger("lenskit")

Subject = Run | Embeddings
SubjectT = TypeVar("SubjectT", bound=Subject)


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


def labelled(subjects: Sequence[SubjectT], taken: Collection[str] = ()) -> dict[str, SubjectT]:
    """Runs and embeddings by their names, or by their paths where two have the same.

    Args:
        subjects: Runs and embeddings.
        taken: Names of baselines, which no subject gets.

    Raises:
        UsageError: if one is given twice, be it by two paths.
    """
    names = [subject.name for subject in subjects]
    labels = [
        name if names.count(name) == 1 and name not in taken else str(subject.path)
        for name, subject in zip(names, subjects, strict=True)
    ]
    seen: dict[Path, Path] = {}
    for subject in subjects:
        if subject.key not in seen:
            seen[subject.key] = subject.path
            continue
        if isinstance(subject, Embeddings) and not subject.path.exists():
            advice = "; embeddings that are in no file are told apart by their path="
        else:
            first = seen[subject.key]
            advice = f"{f', also as {first}' if first != subject.path else ''}: leave one out"
        raise UsageError(f"{subject.path} is given twice{advice}")
    return dict(zip(labels, subjects, strict=True))


def encoders_of(subjects: Mapping[str, Subject]) -> dict[str, Encoder]:
    """The encoders of those that are runs."""
    return {label: to_best_device(run.encoder()) for label, run in subjects.items() if isinstance(run, Run)}
