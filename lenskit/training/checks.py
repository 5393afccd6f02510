"""Checks of combinations of options, before a run writes anything."""

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
    """Check that pairs make the number of views that the method needs.

    Args:
        method: The method.
        name: Name of the method.
        pairs: Name of the pair strategy.
        views: Number of views that the pairs make.

    Raises:
        UsageError: The numbers differ. The message names pair strategies that fit.
    """
    if method.views == views:
        return
    names = _pairs_of(method.views)
    fitting = f"use --pairs {' or '.join(names)}" if names else "see `lenskit list pairs`"
    if names and method.views == Transform.views:
        fitting += ", or pairs that make their views from one image, such as default (`lenskit list pairs`)"
    raise UsageError(
        f"method {name!r} takes {method.views} view(s) of each lens, pairs {pairs!r} make {views}: {fitting}"
    )


def check_batch(settings: TrainSettings, method: Method, name: str, processes: int, lenses: int = sys.maxsize) -> None:
    """Check that a batch can be divided evenly among parts and processes.

    Args:
        settings: Settings of the run.
        method: The method.
        name: Name of the method.
        processes: Number of processes that share each part.
        lenses: Lenses per epoch, the largest possible batch.

    Raises:
        UsageError: The batch cannot be divided, or a process gets a single lens for a batch norm. The message names a
            batch size that works.
    """
    batch_size, parts = settings.batch_size, settings.accumulate

    def advice(unit: int) -> str:
        """Return advice with the nearest batch size that is a multiple of `unit`."""
        fitting = -(-batch_size // unit) * unit
        if fitting > lenses:
            fitting = lenses // unit * unit
        fewer = "fewer processes, a smaller train.accumulate or more lenses"
        return f"use --batch-size {fitting}" if fitting >= 2 else f"use {fewer}: an epoch has {lenses} lenses"

    if batch_size % parts:
        raise UsageError(
            f"a batch of {batch_size} lenses cannot be divided into {parts} equal parts: "
            f"{advice(parts)}, or a different train.accumulate"
        )
    if parts > 1 and not method.automatic_optimization:
        raise UsageError(
            f"method {name!r} steps its optimisers itself, so its batches cannot be divided into parts: "
            "use --set train.accumulate=1, and a smaller --batch-size if there is too little memory"
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
    """Check that gradients are not clipped if the method steps its optimisers itself.

    Raises:
        UsageError: `optimizer.clip` is set for such a method.
    """
    if clip and not method.automatic_optimization:
        raise UsageError(f"method {name!r} steps its optimisers itself: use --set optimizer.clip=0")


def _pairs_of(views: int) -> list[str]:
    """Return the names of pair strategies that make `views` views.

    Subclasses of `Transform` are left out.
    """
    names = []
    for record in registry().of_kind("pairs"):
        try:
            pairs = record.load()
        except Exception:  # a broken plugin, which `lenskit plugins` reports
            continue
        if getattr(pairs, "views", None) == views and not issubclass(pairs, Transform):
            names.append(record.name)
    return names


def _has_batch_norm(module: nn.Module) -> bool:
    return any(isinstance(part, _BatchNorm) for part in module.modules())
