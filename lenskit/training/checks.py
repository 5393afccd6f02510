"""What can be wrong with a run although each of its options is right, found before anything is written."""

from __future__ import annotations

import sys

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from lenskit.errors import UsageError
from lenskit.kinds.method import Method
from lenskit.kinds.pairs import Transform
from lenskit.registry import registry
from lenskit.settings import TrainSettings


def check_views(method: Method, name: str, pairs: str, views: int) -> None:
    """Raises if pairs make another number of views than the method takes.

    Args:
        method: The method.
        name: Its name.
        pairs: The name of the pairs.
        views: How many they make.

    Raises:
        UsageError: naming pairs that make as many.
    """
    if method.views == views:
        return
    names = _pairs_of(method.views)
    fitting = f"use --pairs {' or '.join(names)}" if names else "`lenskit list pairs` has those there are"
    if names and method.views == Transform.views:
        fitting += ", or one that makes its views of one image, such as default (`lenskit list pairs`)"
    raise UsageError(
        f"method {name!r} takes {method.views} view(s) of each lens, pairs {pairs!r} make {views}: {fitting}"
    )


def check_batch(settings: TrainSettings, method: Method, name: str, processes: int, lenses: int = sys.maxsize) -> None:
    """Raises if a batch cannot be divided among parts and processes as the settings have it.

    Args:
        settings: The run's.
        method: The method.
        name: Its name.
        processes: How many share each part.
        lenses: Lenses an epoch, which a batch has no more of.

    Raises:
        UsageError: saying which batch can.
    """
    batch_size, parts = settings.batch_size, settings.accumulate

    def advice(unit: int) -> str:
        """The next batch that can be divided by a unit."""
        fitting = -(-batch_size // unit) * unit
        if fitting > lenses:
            fitting = lenses // unit * unit
        fewer = "fewer processes, a smaller train.accumulate or more lenses"
        return f"use --batch-size {fitting}" if fitting >= 2 else f"use {fewer}: there are {lenses} an epoch"

    if batch_size % parts:
        raise UsageError(
            f"a batch of {batch_size} lenses cannot be taken in {parts} equal parts: "
            f"{advice(parts)}, or another train.accumulate"
        )
    if parts > 1 and not method.automatic_optimization:
        raise UsageError(
            f"method {name!r} steps its optimisers itself, so its batches cannot be taken in parts: "
            "use --set train.accumulate=1, and a smaller --batch-size if memory is short"
        )
    if batch_size % (parts * processes):
        what = "part" if parts > 1 else "batch"
        raise UsageError(
            f"a {what} of {batch_size // parts} lenses cannot be shared evenly by {processes} processes: "
            f"{advice(parts * processes)}"
        )
    at_once = batch_size // parts // processes
    if at_once < 2 and _has_batch_norm(method):
        least = 2 * parts * processes
        shared = f"{f' in {parts} parts' if parts > 1 else ''}{f' over {processes} processes' if processes > 1 else ''}"
        raise UsageError(
            f"batch norm needs 2 lenses or more at a time, and a batch of {batch_size}{shared} gives it {at_once}: "
            + (f"use --batch-size {least} or more" if least <= lenses else advice(least))
        )


def check_clip(clip: float, method: Method, name: str) -> None:
    """Raises if gradients should be clipped that only the method itself can reach.

    Raises:
        UsageError: saying so.
    """
    if clip and not method.automatic_optimization:
        raise UsageError(f"method {name!r} steps its optimisers itself: use --set optimizer.clip=0")


def _pairs_of(views: int) -> list[str]:
    """Names of the pairs that make so many views, leaving out what only transforms them."""
    names = []
    for record in registry().of_kind("pairs"):
        try:
            pairs = record.load()
        except Exception:  # a broken plugin's, which `lenskit plugins` tells of
            continue
        if getattr(pairs, "views", None) == views and not issubclass(pairs, Transform):
            names.append(record.name)
    return names


def _has_batch_norm(module: nn.Module) -> bool:
    return any(isinstance(part, _BatchNorm) for part in module.modules())
