"""Options of the current command on where the results of an evaluation go."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Asked:
    """Options of a command on where the results of an evaluation go.

    Attributes:
        evaluation: Its name; empty if it was called without the core.
        output: The folder in place of those in the runs.
        overwrite: Whether files of others are replaced.
        labels: Names of the subjects' folders in `output` by the subjects' keys, where there are several.
        inputs: What the command reads: nothing is written to it.
        subjects: What is judged, if it is no run.
        judged: The runs and embeddings that are judged.
        settings: The value of each option of the evaluation, and its inputs, as plain values.
        identity: Identity of all that the outcome depends on: the evaluation, its settings and the subjects.
        places: Folders for the results of subjects, by their keys, if there is no `output`.
    """

    evaluation: str = ""
    output: Path | None = None
    overwrite: bool = False
    labels: Mapping[Path, str] = field(default_factory=dict)
    inputs: tuple[Path, ...] = ()
    subjects: tuple[str, ...] = ()
    judged: tuple[Any, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    identity: str = ""
    places: Mapping[Path, Path] = field(default_factory=dict)

    def place(self, subject: Path, evaluation: str) -> Path | None:
        """The folder for the results of a subject of that key, if the command has chosen one."""
        if self.output:
            return self.output / self.labels.get(subject, "")
        return self.places.get(subject) if evaluation == self.evaluation else None


_NOTHING = Asked()
_asked: ContextVar[Asked] = ContextVar("asked", default=_NOTHING)


def asked() -> Asked:
    """Return the options on where the results of the current evaluation go."""
    return _asked.get()


@contextmanager
def asking(wish: Asked) -> Iterator[None]:
    """Has `asked` say so meanwhile."""
    token = _asked.set(wish)
    try:
        yield
    finally:
        _asked.reset(token)
