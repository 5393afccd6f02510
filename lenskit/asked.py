"""Output options of the current evaluation command."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Asked:
    """Output options of a command.

    Attributes:
        evaluation: Name of the evaluation; empty if it was called without the core.
        output: Folder for the results, in place of a folder in each run.
        overwrite: Whether to replace files that the evaluation did not write.
        labels: Names of the subfolders of `output` by the keys of the subjects, if there are several.
        inputs: Inputs of the command, which are never overwritten.
        subjects: Paths of the subjects, if they are not runs.
        judged: The runs and embeddings to evaluate.
        settings: The value of each option of the evaluation, and its inputs, as plain values.
        identity: Identity of the result: a digest of the evaluation, its settings and the subjects.
        places: Folders of the results by the keys of the subjects, if there is no `output`.
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
        """Return the folder that the command chose for the results of a subject, or None."""
        if self.output:
            return self.output / self.labels.get(subject, "")
        return self.places.get(subject) if evaluation == self.evaluation else None


_NOTHING = Asked()
_asked: ContextVar[Asked] = ContextVar("asked", default=_NOTHING)


def asked() -> Asked:
    """Return the output options of the current evaluation."""
    return _asked.get()


@contextmanager
def asking(wish: Asked) -> Iterator[None]:
    """Set the output options within the context."""
    token = _asked.set(wish)
    try:
        yield
    finally:
        _asked.reset(token)
