"""Division of images into training and held-out images that share no lens.

The sides also share no object of a collection, such as a galaxy that serves as the source of several images. A
parameter with `Parameter.identity` gives the number of the object.
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
"""Array of float64, such as features (n, d) or values (n,)."""

JUDGED_PART = 4
"""One in this number of objects of a collection belongs to the held-out lenses."""


@dataclass(frozen=True)
class Rows:
    """Features of images with their parameters.

    Attributes:
        features: (n, d).
        values: Values (n,) of each parameter by name, NaN if unknown.
        lens: (n,), number of the lens in each image.
        names: Names of the n images.
    """

    features: Array
    values: dict[str, Array]
    lens: NDArray[np.int64]
    names: list[str]

    @classmethod
    def of(cls, embeddings: Embeddings, rows: NDArray[np.int64] | None = None) -> Rows:
        """Return rows of embeddings, by default all."""
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
        """Return the values of named parameters: (n, number of names)."""
        return np.stack([self.values[name] for name in names], axis=1) if names else np.empty((len(self), 0))

    def take(self, rows: NDArray[Any]) -> Rows:
        """Return some of the rows, by numbers or mask."""
        numbers = np.arange(len(self))[rows]
        values = {name: value[numbers] for name, value in self.values.items()}
        return Rows(self.features[numbers], values, self.lens[numbers], [self.names[i] for i in numbers])


@dataclass(frozen=True)
class Split:
    """Features of training lenses and of held-out lenses.

    Attributes:
        train: Training lenses, to which a model is fitted.
        test: Held-out lenses, on which the model is evaluated.
        parameters: Recorded parameters of both sides.
    """

    train: Rows
    test: Rows
    parameters: list[Parameter]

    @property
    def continuous(self) -> list[Parameter]:
        """Continuous parameters; the group `lens` and headline parameters come first."""
        parameters = [parameter for parameter in self.parameters if parameter.continuous]
        return sorted(parameters, key=lambda parameter: (parameter.group != "lens", not parameter.headline))

    @property
    def classes(self) -> list[Parameter]:
        """Parameters that are class labels."""
        return [parameter for parameter in self.parameters if parameter.classes]


def known_values(values: ArrayLike, parameter: Parameter) -> Array:
    """Return the values (n,) of a parameter as float64, NaN if unknown.

    For a class label, a number outside the classes is unknown. Some catalogues use -1 for images without a class.
    """
    numbers = np.asarray(values, np.float64)
    usable = np.isin(numbers, np.arange(len(parameter.classes))) if parameter.classes else np.isfinite(numbers)
    return np.where(usable, numbers, np.nan)


def split_rows(
    lens: NDArray[np.int64], things: Mapping[str, Array], lenses: int, test_lenses: int, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split images into two sides that share no lens and no object of a collection.

    Args:
        lens: (n,), number of the lens in each image.
        things: (n,) for each collection by name, number of the object in each image; below zero or NaN for none.
        lenses: Maximum number of training lenses.
        test_lenses: Maximum number of held-out lenses; never more than a quarter of all lenses.
        seed: Random seed of the split.

    Returns:
        The rows of training images and of held-out images, ascending.

    Raises:
        LenskitError: One side would be empty.
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
        raise LenskitError(f"{len(order)} lenses cannot be split into training lenses and held-out lenses")
    return np.flatnonzero(train), np.flatnonzero(test)


def sides_of(things: Mapping[str, Array], own: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return masks of possible training and held-out images that share no object.

    An image without objects is treated as if it had an object that no other image has. Images with one object and
    images without objects therefore have the same fractions on both sides. Images with several objects are rarer among
    held-out images, because all their objects must belong to one side.

    Args:
        things: (n,) for each collection by name, number of the object in each image; below zero or NaN for none.
        own: (n,), number of the lens in each image, in random order. In images without objects, it takes the place of
            the number of an object.

    Returns:
        Two masks (n,). At most one mask is true for an image. Without collections, both masks are true everywhere.
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
    """Check that each parameter has the same unit in the splits of all subjects.

    Raises:
        LenskitError: Units differ.
    """
    check_same_units({label: split.parameters for label, split in splits.items()})


def check_same_units(parameters: Mapping[str, Sequence[Parameter]]) -> None:
    """Check that each parameter has the same unit for all subjects.

    Args:
        parameters: Parameters of each subject, by its label.

    Raises:
        LenskitError: Units differ.
    """
    units: dict[str, tuple[str, str]] = {}
    for label, subject_parameters in parameters.items():
        for parameter in subject_parameters:
            other, unit = units.setdefault(parameter.name, (label, parameter.unit))
            if unit != parameter.unit:
                raise LenskitError(
                    f"{parameter.name} is in {unit or 'no unit'} for {other}, but in {parameter.unit or 'no unit'} for "
                    f"{label}: use the same unit for both"
                )
