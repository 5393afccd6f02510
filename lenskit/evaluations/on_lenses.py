"""Base class of evaluations that fit a model and evaluate it on held-out lenses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

from annotated_types import Ge

from lenskit.embeddings import Embeddings
from lenskit.errors import UsageError
from lenskit.evaluations.lens_split import LensSplit, simulated_split, split_embeddings, stored_split
from lenskit.evaluations.origins import simulated_origin, stored_origin
from lenskit.evaluations.splits import Split, check_units
from lenskit.evaluations.subjects import Subject, labelled, simulator_of, to_best_device
from lenskit.kinds.evaluation import Evaluation
from lenskit.options import at_most
from lenskit.run import Run

Seed = Annotated[int, Ge(0), at_most(4 * 10**9)]
"""Random seed that fits into the 32 bits of scikit-learn, even if small numbers are added to it."""


class OnLenses(Evaluation):
    """Evaluation that fits a model and evaluates it on held-out lenses.

    Args:
        data: Stored images to evaluate on, `[READER:]PATH`. By default the lenses of the first run: of its
            simulator, or the stored images on which it was trained.
        lenses: Maximum number of training lenses. Stored images may have fewer.
        test_lenses: Maximum number of held-out lenses; at most a quarter of stored images.
        seed: Random seed of simulated lenses, of splits, and of all other random choices.
        simulator: Simulator of the lenses to evaluate on. By default the first run's simulator.
        set: Option of the simulator to change, `OPTION=VALUE`.
    """

    embeddings: ClassVar[bool] = True
    data_option: ClassVar[str | None] = "data"

    def __init__(
        self,
        *,
        data: str | None = None,
        lenses: Annotated[int, Ge(10), at_most(10**9)] = 3000,
        test_lenses: Annotated[int, Ge(10), at_most(10**9)] = 1000,
        seed: Seed = 0,
        simulator: str | None = None,
        set: list[str] | None = None,
    ) -> None:
        check_one_source(data, simulator, set)
        self.data, self.lenses, self.test_lenses, self.seed = data, lenses, test_lenses, seed
        self.simulator, self.set = simulator, set or []
        self._origin: dict[str, Any] = {}

    @property
    def lens_origin(self) -> Mapping[str, Any]:
        """Origin of the lenses on which runs are evaluated; empty before `judged_on`."""
        return self._origin

    def options(self) -> dict[str, Any]:
        """Return the options as plain values, for the results file."""
        return {key: value for key, value in vars(self).items() if not key.startswith("_")}

    @property
    def pool(self) -> int:
        """Total number of training lenses.

        An evaluation that fits several models to different lenses overrides this with a larger number.
        """
        return self.lenses

    def judged_on(self, run: Run) -> LensSplit:
        """Return the lenses on which runs are evaluated.

        The options select the lenses. By default the simulator of `run` makes them.
        """
        if self.data:
            dataset = run.encoder().open(self.data)
            self._origin = stored_origin(self.data, dataset)
            return stored_split(dataset, self.pool, self.test_lenses, self.seed)
        self._origin = simulated_origin(run, self.simulator, self.set, self.seed)
        simulator = simulator_of(run, self.simulator, self.set)
        return simulated_split(simulator, self.pool, self.test_lenses, self.seed)

    def check_options(self, runs: Mapping[str, Run]) -> None:
        """Check that options for runs are used only with runs.

        Raises:
            UsageError: An option selects lenses for runs, but there are no runs.
        """
        for flag, value in {"--data": self.data, "--simulator": self.simulator, "--set": self.set}.items():
            if value and not runs:
                raise UsageError(f"{flag} is for runs: embeddings already contain the features of their images")

    def splits(self, subjects: Sequence[Subject]) -> dict[str, Split]:
        """Return the features of training and held-out lenses, for each subject by label.

        Images are simulated or read only once for all runs. Embeddings need no images.
        """
        named = labelled(subjects)
        runs = {label: subject for label, subject in named.items() if isinstance(subject, Run)}
        self.check_options(runs)
        splits: dict[str, Split] = {}
        if runs:
            lenses = self.judged_on(next(iter(runs.values())))
            splits |= lenses.embed({label: to_best_device(run.encoder()) for label, run in runs.items()})
        for label, subject in named.items():
            if isinstance(subject, Embeddings):
                splits[label] = split_embeddings(subject, self.pool, self.test_lenses, self.seed)
        check_units(splits)
        return {label: splits[label] for label in named}


def check_one_source(data: str | None, simulator: str | None, set: Sequence[str] | None) -> None:
    """Check that options select either stored images or a simulator.

    Raises:
        UsageError: The options select both.
    """
    if data and (simulator or set):
        other = "--simulator" if simulator else "--set, which changes a simulator,"
        raise UsageError(f"--data and {other} are two sources of lenses: use only one of them")
