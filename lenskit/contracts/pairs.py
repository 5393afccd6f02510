"""Contract of pair strategies: the views of a lens depend on that lens only."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lenskit.breach import Met, breach, check_finite, check_tensor, differ, no_global_generator
from lenskit.generator import KeyedGenerator
from lenskit.kinds.pairs import Batch, Composition, PairStrategy, Transform

LENSES = 4
"""Number of lenses whose views are made together. The views of the first and the last lens are also made alone."""

_met = Met()


def meet_pairs(pairs: PairStrategy, images: Tensor, values: dict[str, Tensor], rng: KeyedGenerator) -> None:
    """Check a pair strategy when it is first used; later calls return at once.

    Args:
        pairs: The strategy.
        images: (n, draws, channels, height, width), finite.
        values: (n, draws) of each recorded parameter.
        rng: Random numbers of these lenses.

    Raises:
        LenskitError: The strategy breaks its contract.
    """
    if pairs in _met:
        return
    count = min(len(images), LENSES)
    rows = slice(0, count)
    images, values, rng = images[rows], _rows(values, rows), _of(rng, rows)
    if isinstance(pairs, Composition):
        meet_pairs(pairs.first, images, values, rng)
        batch = pairs.first(images, dict(values), rng)
        views, values = _stacked(batch), batch.parameters
        for name, transform in pairs.transforms.items():
            part = rng.part(name)
            _check_alone(transform, _Transformed(transform), views, values, part)
            views, values = transform.transform(views, dict(values), part)
    else:
        _check_alone(pairs, pairs, images, values, rng)
    _met.add(pairs)


def check_stated(pairs: PairStrategy) -> None:
    """Check the class attributes of a strategy.

    Raises:
        LenskitError: An attribute is missing or wrong.
    """
    for name in ("draws", "views"):
        number = getattr(pairs, name, None)
        if not isinstance(number, int) or number < 1:
            raise breach(pairs, f"states {name} = {number!r}: it must be an integer of 1 or more")


def check_batch(pairs: PairStrategy, batch: Any, views: int, values: dict[str, Tensor], index: Tensor) -> None:
    """Check the batch that a strategy returned.

    No value is read, so the GPU need not be synchronised.

    Args:
        pairs: The strategy.
        batch: The batch.
        views: Number of views that the batch should contain.
        values: Parameters that the strategy received.
        index: (n,) numbers of the lenses.

    Raises:
        LenskitError: A part is missing, or has the wrong type or shape.
    """
    if not isinstance(batch, Batch):
        raise breach(pairs, f"returns {type(batch).__name__}: return a Batch")
    if len(batch.views) != views:
        raise breach(pairs, f"states {views} views but makes {len(batch.views)}")
    for number, view in enumerate(batch.views):
        check_tensor(pairs, f"view {number}", view, (len(index), None, None, None), index.device)
    if len({view.shape[1] for view in batch.views}) > 1:
        raise breach(pairs, "makes views with different numbers of channels")
    if missing := sorted(values.keys() - batch.parameters.keys()):
        raise breach(pairs, f"drops the parameters {', '.join(missing)}: return all parameters that it received")
    for name in values:
        check_tensor(pairs, f"the parameter {name!r}", batch.parameters[name], (len(index), views), floats=False)
    if batch.index.shape != index.shape:
        raise breach(pairs, f"returns {len(batch.index)} numbers for {len(index)} lenses: return `rng.index`")


def _check_alone(
    pairs: PairStrategy, make: Any, images: Tensor, values: dict[str, Tensor], rng: KeyedGenerator
) -> None:
    """Compare the views of lenses made alone with the same views made in a batch."""
    views = images.shape[1] if isinstance(make, _Transformed) else pairs.views
    with no_global_generator(pairs):
        batch = make(images, dict(values), rng)
        check_batch(pairs, batch, views, values, rng.index)
        if not batch.index.equal(rng.index):
            raise breach(pairs, "changes the numbers of the lenses: return `rng.index`, and keep their order")
        for number, view in enumerate(batch.views):
            if images.isfinite().all():
                check_finite(pairs, f"view {number}", view)
        for row in sorted({0, len(images) - 1}):
            rows = slice(row, row + 1)
            alone = make(images[rows], _rows(values, rows), _of(rng, rows))
            check_batch(pairs, alone, views, values, rng.index[rows])
            if any(differ(view[row], other[0]) for view, other in zip(batch.views, alone.views, strict=True)):
                raise breach(
                    pairs,
                    "makes different views of a lens alone and in a batch: take random numbers from `rng`, use no "
                    "other lens of the batch, and keep the order of the lenses",
                )
            for name in values:
                if differ(batch.parameters[name][row].double(), alone.parameters[name][0].double()):
                    raise breach(
                        pairs, f"gives a lens a different {name!r} alone and in a batch: keep the order of the lenses"
                    )


class _Transformed:
    """Transform of existing views, with the interface of a strategy.

    Args:
        transform: The transform.
    """

    def __init__(self, transform: Transform) -> None:
        self.transform = transform

    def __call__(self, images: Tensor, values: dict[str, Tensor], rng: KeyedGenerator) -> Batch:
        made = self.transform.transform(images, values, rng)
        if not isinstance(made, tuple) or len(made) != 2:
            raise breach(self.transform, f"returns {type(made).__name__}: return images and parameters")
        views, parameters = made
        check_tensor(self.transform, "images", views, (len(images), images.shape[1], None, None, None))
        return Batch(views.unbind(1), parameters, rng.index)


def _stacked(batch: Batch) -> Tensor:
    return torch.stack(batch.views, 1)


def _rows(values: dict[str, Tensor], rows: slice) -> dict[str, Tensor]:
    return {name: value[rows] for name, value in values.items()}


def _of(rng: KeyedGenerator, rows: slice) -> KeyedGenerator:
    return rng.of(torch.arange(rng.n, device=rng.device)[rows])
