"""Contract of datasets: `read` returns the requested lenses, in order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from lenskit.breach import Met, breach, check_tensor
from lenskit.kinds.dataset import Dataset
from lenskit.kinds.parameter import Parameter

_met = Met()


def meet_dataset(dataset: Dataset) -> None:
    """Check a dataset when it is first used; later calls return at once.

    Args:
        dataset: The dataset, with one lens or more.

    Raises:
        LenskitError: The dataset breaks its contract.
    """
    if dataset not in _met:
        _check(dataset)
        _met.add(dataset)


def check_stated(dataset: Any) -> None:
    """Check the attributes that a dataset states.

    Raises:
        LenskitError: An attribute is missing or wrong.
    """
    shape = getattr(dataset, "image_shape", None)
    sizes = isinstance(shape, tuple | list) and len(shape) == 3
    if not sizes or not all(isinstance(n, int) and n > 0 for n in shape or ()):
        raise breach(dataset, f"states image_shape = {shape!r}: it must be channels, height and width in pixels")
    for name in ("views", "chunk"):
        number = getattr(dataset, name)
        if not isinstance(number, int) or number < 1:
            raise breach(dataset, f"states {name} = {number!r}: it must be an integer of 1 or more")
    if not all(isinstance(parameter, Parameter) for parameter in dataset.parameters):
        raise breach(dataset, f"states parameters = {dataset.parameters!r}: it must be a tuple of Parameters")
    names = getattr(dataset, "names", None)
    if not isinstance(names, Sequence) or isinstance(names, str):
        raise breach(
            dataset, f"states names as {type(names).__name__}: it must be a sequence with a name for each lens"
        )
    if len(names) != len(dataset):
        raise breach(dataset, f"has {len(dataset)} lenses and {len(names)} names: state a name for each lens")


def _check(dataset: Dataset) -> None:
    check_stated(dataset)
    rows = sorted({0, len(dataset) - 1})
    images, values = _read(dataset, rows[::-1])
    pixels = torch.empty_like(images)
    known = dataset.read_into(pixels, rows)
    pairs = [(pixels, images), *((known[p.name].double(), values[p.name].double()) for p in dataset.parameters)]
    if not all(one.flip(0).allclose(other, rtol=0, atol=0, equal_nan=True) for one, other in pairs):
        raise breach(
            dataset,
            f"returns different lenses from `read({rows[::-1]})` and `read_into(images, {rows})`: return the "
            "requested lenses, in the requested order",
        )


def _read(dataset: Dataset, rows: Sequence[int]) -> tuple[Tensor, dict[str, Tensor]]:
    read = dataset.read(rows)
    if not isinstance(read, tuple) or len(read) != 2 or not isinstance(read[1], dict):
        raise breach(dataset, f"returns {type(read).__name__} from `read`: return images and a dict of parameters")
    images, values = read
    check_tensor(dataset, "images", images, (len(rows), dataset.views, *dataset.image_shape))
    if images.dtype != torch.float32:
        raise breach(dataset, f"returns images of {str(images.dtype).removeprefix('torch.')}: return float32")
    for parameter in dataset.parameters:
        value = values.get(parameter.name)
        shape = tuple(value.shape) if isinstance(value, Tensor) else None
        if shape not in ((len(rows),), (len(rows), dataset.views)):
            given = "no value" if value is None else f"values {shape or type(value).__name__}"
            raise breach(
                dataset, f"returns {given} of {parameter.name!r} for {len(rows)} lenses: return a number for each lens"
            )
    return images, values
