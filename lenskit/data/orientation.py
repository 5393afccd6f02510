"""Quarter turns and mirroring of images and their parameters.

x increases with the column of an image and y with its row. A rotation from x to y is counter-clockwise if the first row
is plotted at the bottom, as in `lenskit show`. An image is first mirrored, then rotated.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from lenskit.kinds.parameter import Parameter


def orient_images(images: Tensor, quarters: Tensor, mirrored: Tensor) -> Tensor:
    """Mirror images, and rotate them by multiples of 90 degrees.

    Args:
        images: (..., channels, height, width), square if any is rotated by an odd number of quarter turns.
        quarters: (...) int64, number of quarter turns from x to y: 0 to 3.
        mirrored: (...) bool, whether x is first replaced by -x.
    """
    quarters, mirrored = (each[..., None, None, None] for each in (quarters, mirrored))
    images = torch.where(mirrored, images.flip(-1), images)
    if images.shape[-2] == images.shape[-1]:
        images = torch.where(quarters % 2 == 1, images.mT.flip(-1), images)
    return torch.where(quarters > 1, images.flip(-1, -2), images)


def orient_values(
    values: Mapping[str, Tensor], quarters: Tensor, mirrored: Tensor, known: Iterable[Parameter] = ()
) -> dict[str, Tensor]:
    """Return the parameters of images after `orient_images`.

    A quantity of spin s has components (a, b) = r (cos s phi, sin s phi). A mirror replaces phi by pi - phi, and
    thus (a, b) by (m a, -m b) with m = (-1)^s. A quarter turn replaces (a, b) by (-b, a), s times.

    Args:
        values: Values of each recorded parameter by name, of the shape of `quarters`.
        quarters: int64, see `orient_images`.
        mirrored: bool, see `orient_images`.
        known: The parameters with their spins. The spin of a parameter that is not listed follows from its name.

    Returns:
        New values of each parameter by name; NaN if they depend on a component that is not recorded.
    """
    parameters = {parameter.name: parameter for parameter in known}
    new: dict[str, Tensor] = {}
    for name, value in values.items():
        parameter = parameters.get(name, Parameter(name))
        spin = parameter.turns
        if not spin:
            new[name] = value
        elif parameter.is_angle:
            half = math.pi if parameter.unit == "rad" else 180.0
            angle = torch.where(mirrored, half - value, value) + half / 2 * quarters
            new[name] = angle.remainder(2 * half / spin)
        else:
            other = values.get(parameter.partner)
            other = torch.full_like(value, torch.nan) if other is None else other
            new[name] = _component(parameter.is_first, spin, value, other, quarters, mirrored)
    return new


def _component(first: bool, spin: int, own: Tensor, other: Tensor, quarters: Tensor, mirrored: Tensor) -> Tensor:
    """Return the new value of one component from the old values of both components."""
    sign = (-1) ** spin * (1 if first else -1)
    own, other = torch.where(mirrored, sign * own, own), torch.where(mirrored, -sign * other, other)
    quarters = (spin * quarters) % 4
    # (a, b) becomes (-b, a), (-a, -b), (b, -a) after one, two, three steps.
    turned = torch.where(quarters % 2 == 1, -other if first else other, own)
    return torch.where(quarters > 1, -turned, turned)
