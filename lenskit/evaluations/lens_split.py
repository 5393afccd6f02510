"""Division of lens sets and embeddings into training and held-out lenses.

All images of a lens are on the same side. So are all images whose source is the same galaxy of a collection (see
`splits.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lenskit.data.lens_set import LensSet
from lenskit.data.simulated import SimulatedLenses
from lenskit.data.stored import StoredLenses
from lenskit.embeddings import Embedder, Embeddings, embed
from lenskit.errors import LenskitError
from lenskit.evaluations.splits import Rows, Split, sides_of, split_rows
from lenskit.evaluations.subjects import best_device
from lenskit.kinds.dataset import Dataset
from lenskit.kinds.parameter import Parameter
from lenskit.kinds.simulator import Simulator

CHUNK = 256
"""Number of lenses sampled at a time."""

PATIENCE = 40
"""Sampling stops with an error if fewer than one in this number of lenses is on the wanted side of the split."""


@dataclass(frozen=True)
class LensSplit:
    """Training lenses and held-out lenses.

    Attributes:
        train: Training lenses, to which a model is fitted.
        test: Held-out lenses, on which the model is evaluated.
    """

    train: LensSet
    test: LensSet

    @property
    def parameters(self) -> Sequence[Parameter]:
        """Recorded parameters."""
        return self.train.parameters

    @property
    def removable(self) -> frozenset[str]:
        """Parameter groups whose light can be left out."""
        return self.train.removable

    def embed(self, embedders: Mapping[str, Embedder], omit: Iterable[str] = ()) -> dict[str, Split]:
        """Return the features of both sides for each encoder.

        Images are simulated or read only once for all encoders.
        """
        train, test = (embed_rows(embedders, side, omit) for side in (self.train, self.test))
        return {name: Split(train[name], test[name], list(self.parameters)) for name in embedders}


def simulated_split(simulator: Simulator, lenses: int, test_lenses: int, seed: int) -> LensSplit:
    """Return simulated lenses on which no run was trained.

    They belong to the splits `probe-train` and `probe-test` of the seed. If sources are images of real galaxies, scenes
    are sampled until each side has enough lenses whose galaxies are not on the other side.

    Args:
        simulator: The simulator.
        lenses: Number of training lenses.
        test_lenses: Number of held-out lenses.
        seed: Random seed of the lenses.

    Raises:
        LenskitError: The simulator has too few real galaxies.
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
    selected: list[NDArray[np.int64]] = []
    start, enough = 0, 0
    while enough < count:
        if start > PATIENCE * max(enough, CHUNK):
            raise LenskitError(
                f"only {enough} of {start} simulated lenses have sources that are not on the other side of the split: "
                "the simulator has too few real galaxies"
            )
        number = np.arange(start, start + CHUNK)
        values = everything.select(number).values()
        fitted, judged = sides_of({name: values[name] for name in things}, number)
        selected.append(number[judged if split == "probe-test" else fitted])
        start, enough = start + CHUNK, enough + len(selected[-1])
    return everything.select(np.concatenate(selected)[:count])


def stored_split(dataset: Dataset, lenses: int, test_lenses: int, seed: int) -> LensSplit:
    """Split the lenses of a dataset at random into training and held-out lenses.

    Args:
        dataset: The dataset.
        lenses: Maximum number of training lenses.
        test_lenses: Maximum number of held-out lenses.
        seed: Random seed of the split.

    Raises:
        LenskitError: The dataset is incomplete, or one side would have no lens.
    """
    everything = StoredLenses(dataset)
    things = [parameter.name for parameter in everything.parameters if parameter.identity]
    values = everything.values() if things else {}
    shown = {name: values[name] for name in things}
    train, test = split_rows(np.arange(len(everything)), shown, lenses, test_lenses, seed)
    return LensSplit(everything.select(train), everything.select(test))


def embed_rows(embedders: Mapping[str, Embedder], lenses: LensSet, omit: Iterable[str] = ()) -> dict[str, Rows]:
    """Return the features of a lens set from several encoders, in double precision.

    Raises:
        LenskitError: The lens set is empty.
    """
    if not len(lenses):
        raise LenskitError("there are no lenses to evaluate on")
    return {name: Rows.of(embeddings) for name, embeddings in embed(embedders, lenses, omit).items()}


def split_embeddings(embeddings: Embeddings, lenses: int, test_lenses: int, seed: int) -> Split:
    """Split embeddings at random into training and held-out lenses.

    Args:
        embeddings: The embeddings.
        lenses: Maximum number of training lenses.
        test_lenses: Maximum number of held-out lenses.
        seed: Random seed of the split.
    """
    things = {p.name: embeddings.values[p.name] for p in embeddings.parameters if p.identity}
    sides = split_rows(embeddings.lens, things, lenses, test_lenses, seed)
    train, test = (Rows.of(embeddings, rows) for rows in sides)
    return Split(train, test, list(embeddings.parameters))
