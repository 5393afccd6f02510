"""What evaluations judge runs on: lenses that are simulated, stored, or embedded already; split by lens.

Images of one lens are never on both sides, nor are two that show the same galaxy of a collection as their source: see
`splits.py`.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar

import numpy as np
from annotated_types import Ge
from numpy.typing import NDArray

from lenskit.plugin import (
    Dataset,
    Embedder,
    Embeddings,
    Encoder,
    Evaluation,
    LenskitError,
    LensSet,
    Parameter,
    Run,
    SimulatedLenses,
    Simulator,
    StoredLenses,
    UsageError,
    at_most,
    embed,
)
from lenskit_evaluation.features import best_device, simulator_of, to_best_device
from lenskit_evaluation.origins import simulated_origin, stored_origin
from lenskit_evaluation.seeds import Seed
from lenskit_evaluation.splits import Rows, Split, check_units, sides_of, split_rows

log = logging.getLogger("lenskit")

Subject = Run | Embeddings
SubjectT = TypeVar("SubjectT", bound=Subject)

CHUNK = 256
"""Lenses drawn at a time."""

PATIENCE = 40
"""One of so many lenses that are drawn, at least, must be on the right side of the split."""


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
        found: dict[str, Split] = {}
        if runs:
            lenses = self.judged_on(next(iter(runs.values())))
            found |= lenses.embed({label: to_best_device(run.encoder()) for label, run in runs.items()})
        for label, subject in named.items():
            if isinstance(subject, Embeddings):
                found[label] = split_embeddings(subject, self.pool, self.test_lenses, self.seed)
        check_units(found)
        return {label: found[label] for label in named}


def check_one_source(data: str | None, simulator: str | None, set: Sequence[str] | None) -> None:
    """Raises if options name stored images and a simulator, too.

    Raises:
        UsageError: saying which.
    """
    if data and (simulator or set):
        other = "--simulator" if simulator else "--set, which changes a simulator,"
        raise UsageError(f"--data and {other} are two sources of lenses: give one of them")


@dataclass(frozen=True)
class LensSplit:
    """Lenses to fit to and others to judge on.

    Attributes:
        train: Those to fit to.
        test: Those to judge on.
    """

    train: LensSet
    test: LensSet

    @property
    def parameters(self) -> Sequence[Parameter]:
        """Return the recorded parameters."""
        return self.train.parameters

    @property
    def removable(self) -> frozenset[str]:
        """Return the groups whose light can be left out."""
        return self.train.removable

    def embed(self, embedders: Mapping[str, Embedder], omit: Iterable[str] = ()) -> dict[str, Split]:
        """Return the features of both sides for each encoder; images are made or read once for all."""
        train, test = (embed_rows(embedders, side, omit) for side in (self.train, self.test))
        return {name: Split(train[name], test[name], list(self.parameters)) for name in embedders}


def simulated_split(simulator: Simulator, lenses: int, test_lenses: int, seed: int) -> LensSplit:
    """Return lenses that no run was trained on: splits `probe-train` and `probe-test` of the seed.

    Where sources are images of real galaxies, each side draws until it has enough lenses with galaxies of its own.

    Args:
        simulator: Draws and renders them.
        lenses: How many to fit to.
        test_lenses: How many to judge on.
        seed: Their seed.
    """
    return LensSplit(
        _simulated_side(simulator, "probe-train", lenses, seed),
        _simulated_side(simulator, "probe-test", test_lenses, seed),
    )


def _simulated_side(simulator: Simulator, split: str, count: int, seed: int) -> SimulatedLenses:
    everything = SimulatedLenses(simulator, seed=seed, split=split).to(best_device())
    things = [parameter.name for parameter in everything.parameters if parameter.identity]
    if not things:
        return everything.select(range(count))
    found: list[NDArray[np.int64]] = []
    start, enough = 0, 0
    while enough < count:
        if start > PATIENCE * max(enough, CHUNK):
            raise LenskitError(
                f"of {start} simulated lenses only {enough} have sources that the other side of the split has not: "
                "the simulator draws from too few real galaxies"
            )
        some = everything.select(range(start, start + CHUNK))
        values = some.values()
        fitted, judged = sides_of({name: values[name] for name in things}, some.index)
        found.append(some.index[judged if split == "probe-test" else fitted])
        start, enough = start + CHUNK, enough + len(found[-1])
    return everything.select(np.concatenate(found)[:count])


def stored_split(dataset: Dataset, lenses: int, test_lenses: int, seed: int) -> LensSplit:
    """Return the lenses of a dataset, split at random.

    Args:
        dataset: The images.
        lenses: How many lenses to fit to, at most.
        test_lenses: How many to judge on, at most.
        seed: Seed of the split.

    Raises:
        LenskitError: The dataset is incomplete, or one side would have no lens.
    """
    everything = StoredLenses(dataset)
    things = [parameter.name for parameter in everything.parameters if parameter.identity]
    values = everything.values() if things else {}
    train, test = split_rows(everything.index, {n: values[n] for n in things}, lenses, test_lenses, seed)
    return LensSplit(everything.select(train), everything.select(test))


def embed_rows(embedders: Mapping[str, Embedder], lenses: LensSet, omit: Iterable[str] = ()) -> dict[str, Rows]:
    """Return features of a lens set from several encoders, as `embed` does, in double precision.

    Raises:
        LenskitError: There are no lenses.
    """
    if not len(lenses):
        raise LenskitError("there are no lenses to judge on")
    return {name: Rows.of(each) for name, each in embed(embedders, lenses, omit).items()}


def split_embeddings(embeddings: Embeddings, lenses: int, test_lenses: int, seed: int) -> Split:
    """Return the two sides of embeddings."""
    things = {p.name: embeddings.values[p.name] for p in embeddings.parameters if p.identity}
    sides = split_rows(embeddings.lens, things, lenses, test_lenses, seed)
    train, test = (Rows.of(embeddings, rows) for rows in sides)
    return Split(train, test, list(embeddings.parameters))


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
