"""Evaluations: what says what was learned."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar


class Evaluation(ABC):
    """Judges runs; also a verb of the command line: `lenskit NAME RUN... --option value`, or
    `lenskit evaluate NAME RUN...`; and from Python `lenskit.evaluate(NAME, runs, option=value)`.

    Its keyword-only constructor arguments are its options and the verb's flags. The core adds `--output FOLDER`, where
    `run.folder(NAME)` leads then, and `--overwrite`.
    """

    inputs: ClassVar[str | None] = None
    """If set, the verb takes one run and then paths, called by this name (`lenskit predict RUN IMAGES...`);
    otherwise all its arguments are runs."""

    embeddings: ClassVar[bool] = False
    """Whether it judges embeddings in place of runs, too: `lenskit NAME features.npz`."""

    without_runs: ClassVar[bool] = False
    """Whether there may be no run at all, because options say what is judged: `lenskit anomaly --scores scores.csv`."""

    files: ClassVar[tuple[str, ...] | None] = None
    """Names of the files that it writes into `run.folder(NAME)`, beside pictures. A file of such a name that it did not
    write stops it before it begins. Without them, what comes to be there while it works counts as written by it."""

    tolerant: ClassVar[bool] = False
    """Whether it is given the runs that are sound, and in `left_out` what the others are: `lenskit report runs/*`."""

    left_out: Mapping[str, str] = {}
    """Of a tolerant evaluation, why a run cannot be opened, by its path."""

    short: ClassVar[dict[str, str]] = {}
    """One-letter flags of options: `{"output": "-o"}`."""

    @abstractmethod
    def __call__(self, runs: Sequence[Any], inputs: Sequence[str] = ()) -> Any:
        """Evaluates the runs, writes what it found into `run.folder(NAME)`, and returns it.

        Args:
            runs: The runs to judge, at least one unless `without_runs` is stated; where `embeddings` is stated, any of
                them may be `Embeddings`.
            inputs: The paths behind the run, for an evaluation that states `inputs`.
        """
