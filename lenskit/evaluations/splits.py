"""Images on two sides that share no lens: those to fit to, and those to judge on.

Nor do two images straddle of which one parameter says that they show the same thing of a collection
(`Parameter.identity`), such as one galaxy as the source.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lenskit.embeddings import Embeddings
from lenskit.errors import LenskitError
from lenskit.kinds.parameter import Parameter

Array = NDArray[np.float64]

JUDGED_PART = 4
"""Of the things of a collection, every so many-th belongs to the lenses that are judged on."""


@dataclass(frozen=True)
class Rows:
    """Features of some images, and what is known of these.

    Attributes:
        features: (n, d).
        values: Values (n,) of each parameter by name, NaN where not known.
        lens: (n,), the number of the lens that each image shows.
        names: n names.
    """

    features: Array
    values: dict[str, Array]
    lens: NDArray[np.int64]
    names: list[str]

    @classmethod
    def of(cls, embeddings: Embeddings, rows: NDArray[np.int64] | None = None) -> Rows:
        """Return all rows of embeddings, or some."""
        number = np.arange(len(embeddings)) if rows is None else rows
        return cls(
            np.asarray(embeddings.features[number], np.float64),
            {name: value[number] for name, value in embeddings.values.items()},
            embeddings.lens[number],
            [embeddings.names[row] for row in number],
        )

    def __len__(self) -> int:
        return len(self.features)

    def columns(self, names: Sequence[str]) -> Array:
        """Some parameters' values, (n, names)."""
        return np.stack([self.values[name] for name in names], axis=1) if names else np.empty((len(self), 0))

    def take(self, rows: NDArray[Any]) -> Rows:
        """Some of them, by number or mask."""
        numbers = np.arange(len(self))[rows]
        values = {name: value[numbers] for name, value in self.values.items()}
        return Rows(self.features[numbers], values, self.lens[numbers], [self.names[i] for i in numbers])


@dataclass(frozen=True)
class Split:
    """The two sides.

    Attributes:
        train: What is fitted to.
        test: What is judged on.
        parameters: What is known of both.
    """

    train: Rows
    test: Rows
    parameters: list[Parameter]

    @property
    def continuous(self) -> list[Parameter]:
        """The parameters that can be regressed; those that count come first."""
        parameters = [parameter for parameter in self.parameters if parameter.continuous]
        return sorted(parameters, key=lambda parameter: (parameter.group != "lens", not parameter.headline))

    @property
    def classes(self) -> list[Parameter]:
        """The parameters that are class labels."""
        return [parameter for parameter in self.parameters if parameter.classes]


def known_values(values: ArrayLike, parameter: Parameter) -> Array:
    """Values (n,) of a parameter as float64, NaN where not known; a number that none of its classes has is not known,
    such as the -1 that some catalogues write for no class."""
    numbers = np.asarray(values, np.float64)
    usable = np.isin(numbers, np.arange(len(parameter.classes))) if parameter.classes else np.isfinite(numbers)
    return np.where(usable, numbers, np.nan)


def split_rows(
    lens: NDArray[np.int64], things: Mapping[str, Array], lenses: int, test_lenses: int, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Divides images between two sides that share no lens and no thing.

    Args:
        lens: (n,), the lens that each image shows.
        things: (n,) each, numbers of the things that each image shows, below zero or NaN for none.
        lenses: Lenses to fit to, at most.
        test_lenses: Lenses to judge on, at most; no more than a quarter of all.
        seed: Seed of the choice.

    Returns:
        The rows to fit to and those to judge on, ascending.

    Raises:
        LenskitError: if one side would have none.
    """
    unique, number = np.unique(lens, return_inverse=True)
    shuffled = np.random.default_rng(seed).permutation(len(unique))
    order, place = unique[shuffled], np.argsort(shuffled)
    fitted, judged = sides_of(things, place[number])
    possible = order[np.isin(order, lens[judged])]
    chosen = possible[: min(test_lenses, max(len(order) // JUDGED_PART, 1))]
    test = judged & np.isin(lens, chosen)
    left = order[~np.isin(order, chosen)]
    left = left[np.isin(left, lens[fitted])][:lenses]
    train = fitted & np.isin(lens, left)
    if not test.any() or not train.any():
        raise LenskitError(f"{len(order)} lenses cannot be split into some to fit to and others to judge on")
    return np.flatnonzero(train), np.flatnonzero(test)


def sides_of(things: Mapping[str, Array], own: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which images may be fitted to, and which judged on, so that the sides share nothing.

    An image that shows no thing counts as showing one of its own. So images with and without are on either side as
    often as they are among all; only those with several, which must all be of one side, are rarer among those judged.

    Args:
        things: (n,) each, numbers of the things that each image shows, below zero or NaN for none.
        own: (n,), numbers of things that images have to themselves, in no order that means anything.

    Returns:
        Two masks (n,), of which at most one is true of an image; all true if nothing is a thing.
    """
    if not things:
        return np.ones(len(own), bool), np.ones(len(own), bool)
    shown = np.nan_to_num(np.stack(list(things.values())), nan=-1)
    alone = (shown < 0).all(0)
    judged = (shown % JUDGED_PART == 0) | (shown < 0)
    fitted = (shown % JUDGED_PART != 0) | (shown < 0)
    mine = own % JUDGED_PART == 0
    return np.where(alone, ~mine, fitted.all(0)), np.where(alone, mine, judged.all(0))


def check_units(splits: Mapping[str, Split]) -> None:
    """Raises if a parameter has one unit for one subject and another for another.

    Raises:
        LenskitError: naming it.
    """
    check_same_units({label: split.parameters for label, split in splits.items()})


def check_same_units(parameters: Mapping[str, Sequence[Parameter]]) -> None:
    """The same, of what is known of each subject's parameters, before there are features.

    Raises:
        LenskitError: naming it.
    """
    units: dict[str, tuple[str, str]] = {}
    for label, subject_parameters in parameters.items():
        for parameter in subject_parameters:
            other, unit = units.setdefault(parameter.name, (label, parameter.unit))
            if unit != parameter.unit:
                raise LenskitError(
                    f"{parameter.name} is in {unit or 'no unit'} for {other}, but in {parameter.unit or 'no unit'} for "
                    f"{label}: give both in one unit"
                )
