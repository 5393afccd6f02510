"""Subjects of an evaluation: runs and embeddings, their labels and simulators."""

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
"""Object that an evaluation judges: a run, or embeddings in place of one."""
SubjectT = TypeVar("SubjectT", bound=Subject)


def simulator_of(run: Run, name: str | None, assignments: Sequence[str]) -> Simulator:
    """Return the simulator of the lenses on which a run is evaluated.

    Args:
        run: The run.
        name: Name of a simulator; by default the simulator of the run. Runs on stored images need a name.
        assignments: Changed options, `option=value` or `simulator.option=value` each.
    """
    return run.simulator(name, **simulator_options(assignments))


def simulator_options(assignments: Sequence[str]) -> dict[str, Any]:
    """Return the values of options from texts such as `option=value`.

    The form `simulator.option=value` is allowed too. The values have the same syntax as in `lenskit train --set`.

    Raises:
        UsageError: A text has a different form, or names a simulator.
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
            raise UsageError(
                "--set changes options of the simulator; choose a different simulator with --simulator NAME"
            )
        options |= read
    return options


@cache
def _say_once(option: str) -> None:
    log.info("--set %s: an option of the simulator, simulator.%s", option, option)


def best_device() -> torch.device:
    """Return the GPU, or the CPU if there is no GPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def to_best_device(encoder: Encoder) -> Encoder:
    """Move an encoder to the GPU if there is one."""
    return encoder.to(best_device())


def labelled(subjects: Sequence[SubjectT], taken: Collection[str] = ()) -> dict[str, SubjectT]:
    """Return runs and embeddings by name, or by path if two have the same name.

    Args:
        subjects: Runs and embeddings.
        taken: Names of baselines, which subjects must not have.

    Raises:
        UsageError: A subject occurs twice, possibly with two different paths.
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
            advice = "; give embeddings without a file different values of path="
        else:
            first = seen[subject.key]
            advice = f"{f', also as {first}' if first != subject.path else ''}: leave one out"
        raise UsageError(f"{subject.path} is given twice{advice}")
    return dict(zip(labels, subjects, strict=True))


def encoders_of(subjects: Mapping[str, Subject]) -> dict[str, Encoder]:
    """Return the encoders of the subjects that are runs, by label."""
    return {label: to_best_device(run.encoder()) for label, run in subjects.items() if isinstance(run, Run)}
