"""Builds a run's backbone for the size of its images, or for the nearest size that it takes."""

from __future__ import annotations

from dataclasses import replace

import torch

from lenskit.chosen import Chosen
from lenskit.contracts.backbone import meet_backbone
from lenskit.errors import LenskitError, UsageError
from lenskit.kinds.backbone import Backbone, sizes_near
from lenskit.settings import LARGEST, SMALLEST
from lenskit.words import quoted, reason


def backbone_for(chosen: Chosen, channels: int, size: int, *, may_resize: bool) -> Backbone:
    """Build a backbone and check it with two images, which changes neither weights nor later random draws.

    The initial weights are those of a run with that size as `input.size`.

    Args:
        chosen: The backbone.
        channels: Number of channels of the images.
        size: Height and width of the images in pixels.
        may_resize: Whether the images may be resized to the nearest size that the backbone takes.

    Returns:
        The backbone, whose `size` is the one that images are to have.

    Raises:
        UsageError: The backbone takes no such images; names a size that it takes.
        LenskitError: It states a size that no image can have, or breaks its contract.
    """
    near = _nearest_size(chosen, size) if may_resize else size
    state = torch.get_rng_state()
    fault: Exception | None
    try:
        backbone: Backbone = chosen.build(channels, near)
        fault = _fault(backbone, channels, near)
    except UsageError as error:
        fault = error
    if fault is None:
        return backbone
    other = _other_size(chosen, channels, near)
    if other is None or (isinstance(fault, UsageError) and not may_resize):
        raise fault
    if not may_resize:
        raise UsageError(
            f"backbone {quoted(chosen.name)} does not take images of {size} x {size} pixels ({reason(fault)}): "
            f"leave out input.size, or use --set input.size={other}"
        )
    torch.set_rng_state(state)
    return chosen.build(channels, other)


def _nearest_size(chosen: Chosen, size: int) -> int:
    """The size in pixels that a backbone states to be the nearest that it takes."""
    with torch.random.fork_rng(devices=[]):  # it may build networks, and keep what it found for the next call
        component: type[Backbone] = chosen.component
        near = component.nearest_size(size, **chosen.arguments)
    if near != size and not SMALLEST <= near <= LARGEST:
        raise LenskitError(
            f"backbone {quoted(chosen.name)} asks for images of {near!r} pixels, and images are resized to {SMALLEST} "
            f"to {LARGEST}: use another --backbone"
        )
    return near


def _other_size(chosen: Chosen, channels: int, size: int) -> int | None:
    """The nearest other size at which a backbone works; None if there is none, or the size is not what is wrong."""
    component: type[Backbone] = chosen.component
    start = component.start_options
    plain = replace(chosen, arguments={name: value for name, value in chosen.arguments.items() if name not in start})
    with torch.random.fork_rng(devices=[]):
        takes = (near for near in sizes_near(size) if _takes(plain, channels, near))
        other = next(takes, size)
    return other if other != size else None


def _takes(chosen: Chosen, channels: int, size: int) -> bool:
    """Whether a backbone can be built for images of this size in pixels, and works on one."""
    try:
        return _fault(chosen.build(channels, size), channels, size) is None
    except UsageError:  # by which a backbone refuses a size
        return False


def _fault(backbone: Backbone, channels: int, size: int) -> RuntimeError | None:
    """Error by which the layers of a backbone refuse images of a size."""
    try:
        meet_backbone(backbone, channels, size)
    except RuntimeError as error:
        return error
    return None
