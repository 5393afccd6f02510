"""Base class of evaluations, which measure the quality of trained runs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar


class Evaluation(ABC):
    """Evaluation of runs, which is also a verb of the command line.

    The command line is `lenskit NAME RUN... --option value` or `lenskit evaluate NAME RUN...`; in Python it is
    `lenskit.evaluate(NAME, runs, option=value)`.

    Its keyword-only constructor arguments are its options and the verb's flags. The core adds `--overwrite` and
    `--output FOLDER`; with the latter, `run.folder(NAME)` returns that folder.
    """

    inputs: ClassVar[str | None] = None
    """Name of further arguments. If set, the verb takes one run and then paths under this name (`lenskit predict RUN
    IMAGES...`). Otherwise all arguments are runs."""

    embeddings: ClassVar[bool] = False
    """Whether the evaluation accepts embeddings in place of runs: `lenskit NAME features.npz`."""

    without_runs: ClassVar[bool] = False
    """Whether the evaluation can be called without runs, because options give its input: `lenskit anomaly --scores
    scores.csv`."""

    files: ClassVar[tuple[str, ...] | None] = None
    """Names of the files that the evaluation writes into `run.folder(NAME)`, in addition to pictures. The evaluation
    stops before it begins if it did not write an existing file of such a name. If None, all files that appear in the
    folder during the evaluation count as written by it."""

    tolerant: ClassVar[bool] = False
    """Whether runs that cannot be opened are left out, and listed in `left_out`, instead of an error: `lenskit report
    runs/*`."""

    left_out: Mapping[str, str] = {}
    """For a tolerant evaluation, the reason why a run cannot be opened, by the path of the run."""

    data_option: ClassVar[str | None] = None
    """Name of the option for stored images. If the first run was trained on stored images, and neither this option nor
    `simulator` nor `set` is given, the option is set to these images."""

    short: ClassVar[dict[str, str]] = {}
    """One-letter flags of options: `{"output": "-o"}`."""

    @abstractmethod
    def __call__(self, runs: Sequence[Any], inputs: Sequence[str] = ()) -> Any:
        """Evaluate the runs, write the results into `run.folder(NAME)`, and return them.

        Args:
            runs: The runs to evaluate, at least one unless `without_runs` is set. If `embeddings` is set, any of them
                may be `Embeddings`.
            inputs: The paths after the run, for an evaluation that sets `inputs`.
        """
