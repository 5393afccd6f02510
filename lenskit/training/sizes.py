"""Construction of a run's backbone, for the nearest image size that it accepts."""

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
    """Build a backbone and check it with two images.

    The check changes neither the weights nor later random numbers. If the images are resized, the initial weights are
    the same as in a run that sets `input.size` to the new size.

    Args:
        chosen: Name and options of the backbone.
        channels: Number of channels of the images.
        size: Height and width of the images in pixels.
        may_resize: Whether the images may be resized to the nearest size that the backbone accepts.

    Returns:
        The backbone. Its `size` is the height and width that the images must have.

    Raises:
        UsageError: The backbone does not accept the images. The message names a size that it accepts.
        LenskitError: The backbone requires a size that images cannot have, or breaks its contract.
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
            f"backbone {quoted(chosen.name)} does not accept images of {size} x {size} pixels ({reason(fault)}): "
            f"leave out input.size, or use --set input.size={other}"
        )
    torch.set_rng_state(state)
    return chosen.build(channels, other)


def _nearest_size(chosen: Chosen, size: int) -> int:
    """Return the size in pixels from the backbone's `nearest_size`."""
    with torch.random.fork_rng(devices=[]):  # nearest_size may build networks, and cache its result
        component: type[Backbone] = chosen.component
        near = component.nearest_size(size, **chosen.arguments)
    if near != size and not SMALLEST <= near <= LARGEST:
        raise LenskitError(
            f"backbone {quoted(chosen.name)} needs images of {near!r} pixels, but images can be resized only to "
            f"{SMALLEST} to {LARGEST} pixels: use a different --backbone"
        )
    return near


def _other_size(chosen: Chosen, channels: int, size: int) -> int | None:
    """Return the nearest different size at which a backbone works.

    Return None if there is no such size. Also return None if the backbone works at `size` without its start options,
    because then the size is not the fault.
    """
    component: type[Backbone] = chosen.component
    start = component.start_options
    plain = replace(chosen, arguments={name: value for name, value in chosen.arguments.items() if name not in start})
    with torch.random.fork_rng(devices=[]):
        takes = (near for near in sizes_near(size) if _takes(plain, channels, near))
        other = next(takes, size)
    return other if other != size else None


def _takes(chosen: Chosen, channels: int, size: int) -> bool:
    """Whether a backbone works on images of this size in pixels."""
    try:
        return _fault(chosen.build(channels, size), channels, size) is None
    except UsageError:  # a backbone rejects a size with this error
        return False


def _fault(backbone: Backbone, channels: int, size: int) -> RuntimeError | None:
    """Return the error of a backbone on images of a size; None if it works."""
    try:
        meet_backbone(backbone, channels, size)
    except RuntimeError as error:
        return error
    return None
