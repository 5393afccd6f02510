"""What evaluations judge runs on: lenses that are simulated, stored, or embedded already; split by lens.

Images of one lens are never on both sides, nor are two that show the same galaxy of a collection as their source: see
`splits.py`.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar, Protocol, TypeVar

import numpy as np
import torch
from annotated_types import Ge
from numpy.typing import NDArray

from lenskit.plugin import (
    Chunk,
    Dataset,
    Embeddings,
    Encoder,
    Evaluation,
    LenskitError,
    Parameter,
    Run,
    Simulator,
    UsageError,
    at_most,
    check_complete,
    read_lenses,
)
from lenskit_evaluation.features import simulator_of, to_best_device
from lenskit_evaluation.origins import simulated_origin, stored_origin
from lenskit_evaluation.seeds import Seed
from lenskit_evaluation.splits import Array, Rows, Split, check_units, sides_of, split_rows

log = logging.getLogger("lenskit")

Subject = Run | Embeddings
SubjectT = TypeVar("SubjectT", bound=Subject)

CHUNK = 256
"""Lenses that are rendered or read at a time."""

PATIENCE = 40
"""One of so many lenses that are drawn, at least, must be on the right side of the split."""


Named = tuple[Chunk, NDArray[np.int64], list[str]]
"""Images with their values, the numbers of the lenses that they show, and their names."""


class Embedder(Protocol):
    """What makes features of images: an encoder, or anything with its method `embed`."""

    def embed(
        self, chunks: Iterable[Chunk], batch_size: int = 256
    ) -> tuple[NDArray[np.float32], dict[str, NDArray[np.float64]]]: ...


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

    def judged_on(self, run: Run) -> Lenses:
        """The lenses that runs are judged on, of which the first says what they are if the options do not."""
        if self.data:
            dataset = run.encoder().open(self.data)
            self._origin = stored_origin(self.data, dataset)
            return StoredLenses(dataset, self.pool, self.test_lenses, self.seed)
        self._origin = simulated_origin(run, self.simulator, self.set, self.seed)
        simulator = simulator_of(run, self.simulator, self.set)
        return SimulatedLenses(simulator, self.pool, self.test_lenses, self.seed)

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
            found |= lenses.split({label: to_best_device(run.encoder()) for label, run in runs.items()})
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


class Lenses(ABC):
    """Lenses to fit to and to judge on.

    Attributes:
        parameters: What is known of them.
        removable: Groups whose light can be left out.
    """

    parameters: Sequence[Parameter]
    removable: frozenset[str] = frozenset()

    @abstractmethod
    def chunks(self, test: bool, without: Iterable[str] = ()) -> Iterator[Named]:
        """Images of one side with their values, the numbers of their lenses, and their names; some at a time.

        Args:
            test: Whether of the lenses to judge on.
            without: Groups of `removable` whose light is left out.
        """

    def split(self, embedders: Mapping[str, Embedder], without: Iterable[str] = ()) -> dict[str, Split]:
        """Embeds both sides with several encoders in one pass."""
        train, test = (self.rows(embedders, side, without) for side in (False, True))
        return {name: Split(train[name], test[name], list(self.parameters)) for name in embedders}

    def rows(self, embedders: Mapping[str, Embedder], test: bool, without: Iterable[str] = ()) -> dict[str, Rows]:
        """Embeds one side."""
        return rows_of(embedders, self.chunks(test, without), self.parameters)


class SimulatedLenses(Lenses):
    """Lenses that no run was trained on: splits `probe-train` and `probe-test` of the seed.

    Where sources are images of real galaxies, each side draws until it has enough lenses with galaxies of its own.

    Args:
        simulator: What draws and renders them.
        lenses: How many to fit to.
        test_lenses: How many to judge on.
        seed: Their seed.
    """

    def __init__(self, simulator: Simulator, lenses: int, test_lenses: int, seed: int) -> None:
        self.simulator, self.count, self.seed = simulator, {False: lenses, True: test_lenses}, seed
        self.parameters, self.removable = list(simulator.parameters), simulator.removable
        self._things = [parameter.name for parameter in self.parameters if parameter.identity]

    @torch.no_grad()
    def chunks(self, test: bool, without: Iterable[str] = ()) -> Iterator[Named]:
        simulator, without = self.simulator, frozenset(without)
        if not without <= self.removable:
            raise LenskitError(f"this simulator cannot leave out {', '.join(sorted(without - self.removable))}")
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        simulator.to(device)
        split, wanted, found, start = "probe-test" if test else "probe-train", self.count[test], 0, 0
        while found < wanted:
            if start > PATIENCE * max(found, CHUNK):
                raise LenskitError(
                    f"of {start} simulated lenses only {found} have sources that the other side of the split has not: "
                    "the simulator draws from too few real galaxies"
                )
            count = CHUNK if self._things else min(CHUNK, wanted - found)
            index = torch.arange(start, start + count, device=device)
            start += count
            scene = simulator.scene(self.seed, split, index)
            if self._things:
                kept = self._on_side(scene, index, test).nonzero()[: wanted - found, 0]
                index, scene = index[kept], {name: value[kept] for name, value in scene.items()}
            found += len(index)
            if len(index):
                numbers = index.cpu().numpy()
                known = {p.name: scene[p.name] for p in self.parameters}
                yield (simulator.render(scene, without), known), numbers, [str(number) for number in numbers]

    def _on_side(self, scene: Mapping[str, torch.Tensor], index: torch.Tensor, test: bool) -> torch.Tensor:
        """Which scenes show only things of one side."""
        things = {name: scene[name].double().cpu().numpy() for name in self._things}
        return torch.from_numpy(sides_of(things, index.cpu().numpy())[test]).to(index.device)


class StoredLenses(Lenses):
    """The first image of each lens of a data set, split at random.

    Args:
        dataset: The images.
        lenses: How many lenses to fit to, at most.
        test_lenses: How many to judge on, at most.
        seed: Seed of the split.
    """

    def __init__(self, dataset: Dataset, lenses: int, test_lenses: int, seed: int) -> None:
        check_complete(dataset)
        self.dataset, self.parameters = dataset, list(dataset.parameters)
        self._limits, self._seed = (lenses, test_lenses), seed

    @cached_property
    def sides(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The numbers of the lenses of either side, ascending."""
        numbers = np.arange(len(self.dataset))
        things = [parameter.name for parameter in self.parameters if parameter.identity]
        values: dict[str, Array] = {}
        if things:
            known = self.dataset.read_parameters(range(len(self.dataset)))
            values = {name: known[name].reshape(len(numbers), -1)[:, 0].double().numpy() for name in things}
        return split_rows(numbers, values, *self._limits, self._seed)

    def chunks(self, test: bool, without: Iterable[str] = ()) -> Iterator[Named]:
        if frozenset(without):
            raise LenskitError("nothing can be left out of stored images")
        yield from first_images(self.dataset, self.sides[test])


def rows_of(
    embedders: Mapping[str, Embedder], chunks: Iterable[Named], parameters: Sequence[Parameter]
) -> dict[str, Rows]:
    """Features of images from several encoders, with what is known of these; images are made or read once.

    Args:
        embedders: The encoders by name.
        chunks: The images.
        parameters: What is known of them.

    Raises:
        LenskitError: if there are none.
    """
    features: dict[str, list[Array]] = {name: [] for name in embedders}
    values: dict[str, list[Array]] = {parameter.name: [] for parameter in parameters}
    lens: list[NDArray[np.int64]] = []
    names: list[str] = []
    for (images, known), numbers, called in chunks:
        for name, embedder in embedders.items():
            features[name].append(embedder.embed([(images, {})])[0].astype(np.float64))
        for name, value in values.items():
            value.append(known[name].double().cpu().numpy())
        lens.append(numbers)
        names += called
    if not lens:
        raise LenskitError("there are no lenses to judge on")
    shared = {name: np.concatenate(parts) for name, parts in values.items()}
    number = np.concatenate(lens)
    return {name: Rows(np.concatenate(parts), shared, number, names) for name, parts in features.items()}


def first_images(dataset: Dataset, rows: Sequence[int] | NDArray[np.int64]) -> Iterator[Named]:
    """The first image of some stored lenses, a few at a time."""
    for start in range(0, len(rows), CHUNK):
        some = [int(row) for row in rows[start : start + CHUNK]]
        images, known = read_lenses(dataset, some, draws=1)
        values = {parameter.name: known[:, 0, i] for i, parameter in enumerate(dataset.parameters)}
        yield (images[:, 0], values), np.array(some, np.int64), [dataset.names[row] for row in some]


def split_embeddings(embeddings: Embeddings, lenses: int, test_lenses: int, seed: int) -> Split:
    """The two sides of embeddings."""
    things = {p.name: embeddings.values[p.name] for p in embeddings.parameters if p.identity}
    sides = split_rows(embeddings.lens, things, lenses, test_lenses, seed)
    train, test = (
        Rows(
            np.asarray(embeddings.features[rows], np.float64),
            {name: value[rows] for name, value in embeddings.values.items()},
            embeddings.lens[rows],
            [embeddings.names[row] for row in rows],
        )
        for rows in sides
    )
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
