"""The base of evaluations that fit something to some lenses and judge it on others."""

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
"""A seed that scikit-learn takes, of 32 bits, even where numbers are added to it."""


class OnLenses(Evaluation):
    """An evaluation that fits something to some lenses and judges it on others.

    Args:
        data: Stored images to judge on, `[READER:]PATH`; without it, lenses of the first run's simulator.
        lenses: Lenses to fit to, at most; of stored ones no more than are left.
        test_lenses: Lenses to judge on, at most; of stored ones no more than a quarter.
        seed: Seed of simulated lenses, of splits, and of all else that is random.
        simulator: Simulator to judge on, instead of the first run's.
        set: Option of the simulator to change, `OPTION=VALUE`.
    """

    embeddings: ClassVar[bool] = True

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
        """Where the lenses of the runs come from; nothing before they are opened, or without runs."""
        return self._origin

    def options(self) -> dict[str, Any]:
        """Its options as plain values, for the record."""
        return {key: value for key, value in vars(self).items() if not key.startswith("_")}

    @property
    def pool(self) -> int:
        """Lenses to fit to, all together: an evaluation that fits several times, each time to others, takes more."""
        return self.lenses

    def judged_on(self, run: Run) -> LensSplit:
        """Return the lenses that runs are judged on; without options they are those of the first run's simulator."""
        if self.data:
            dataset = run.encoder().open(self.data)
            self._origin = stored_origin(self.data, dataset)
            return stored_split(dataset, self.pool, self.test_lenses, self.seed)
        self._origin = simulated_origin(run, self.simulator, self.set, self.seed)
        simulator = simulator_of(run, self.simulator, self.set)
        return simulated_split(simulator, self.pool, self.test_lenses, self.seed)

    def check_options(self, runs: Mapping[str, Run]) -> None:
        """Raises if options say what runs are judged on where there are none.

        Raises:
            UsageError: naming the option.
        """
        for flag, value in {"--data": self.data, "--simulator": self.simulator, "--set": self.set}.items():
            if value and not runs:
                raise UsageError(f"{flag} is for runs: embeddings are judged on the images that they are of")

    def splits(self, subjects: Sequence[Subject]) -> dict[str, Split]:
        """Features of the lenses to fit to and to judge on, for each subject by its label.

        Images are made or read once for all runs; embeddings are split as they are.
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
    """Raises if options name stored images and a simulator, too.

    Raises:
        UsageError: saying which.
    """
    if data and (simulator or set):
        other = "--simulator" if simulator else "--set, which changes a simulator,"
        raise UsageError(f"--data and {other} are two sources of lenses: give one of them")
