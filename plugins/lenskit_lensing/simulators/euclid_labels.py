"""Label rule of the Lens Finding Challenge 2, applied to measured pixels.

    lens = n_source_im > 0 and mag_eff > 1.6 and n_pix_source > 20

The challenge (http://metcalf1.difa.unibo.it/blf-portal/gg_challenge.html) publishes these columns in its catalogue, and
its contestants use the rule. The measurement of the columns is not documented. The assumptions here are:

- A pixel shows the source if the lensed source alone, blurred and without noise, exceeds the standard deviation of the
  background in at least one band.
- `n_pix_source` is the number of these pixels, and `n_source_im` the number of their connected groups.
- `mag_eff` is the flux of these pixels divided by the flux of the unlensed source, in the first band.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

MIN_MAGNIFICATION = 1.6
"""Effective magnification above which a scene counts as a lens."""

MIN_PIXELS = 20
"""Number of pixels that show the source, above which a scene counts as a lens."""

GROUPED_PIXELS = 67
"""Largest side of an image in which groups of pixels are counted; larger images are coarsened first."""

ROUNDS = 6
"""Number of rounds that join neighbouring groups.

Percolating pixels are the worst case and need five on 200 x 200 pixels.
"""


def measure(arc: Tensor, sigma: Sequence[float], flux: Tensor) -> dict[str, Tensor]:
    """Measure the columns of the challenge's catalogue that the label rule needs.

    Args:
        arc: Lensed source after the PSF, without noise, (n, bands, height, width).
        sigma: Standard deviation of the background in a pixel of each band, in the arc's unit.
        flux: Flux of the unlensed source in each band, (n, bands), in the arc's unit; 0 where there is no source.

    Returns:
        `n_source_im`, `mag_eff` and `n_pix_source` in the arc's dtype, and the result of the rule, `is_lens`, int64, 0
        or 1; (n,) each.
    """
    shown = torch.stack([arc[:, i] > limit for i, limit in enumerate(sigma)]).any(0)
    light = torch.where(shown, arc[:, 0], 0).sum((1, 2))
    mag_eff = torch.where(flux[:, 0] > 0, light / flux[:, 0], 0)
    n_pix_source = shown.sum((1, 2)).to(arc.dtype)
    n_source_im = count_groups(shown).to(arc.dtype)
    return {
        "n_source_im": n_source_im,
        "mag_eff": mag_eff,
        "n_pix_source": n_pix_source,
        "is_lens": rule(n_source_im, mag_eff, n_pix_source).long(),
    }


def rule(n_source_im: Tensor, mag_eff: Tensor, n_pix_source: Tensor) -> Tensor:
    """Whether scenes are lenses by the challenge's rule.

    The result is bool, of the arguments' shape; False where an argument is NaN.
    """
    return (n_source_im > 0) & (mag_eff > MIN_MAGNIFICATION) & (n_pix_source > MIN_PIXELS)


def count_groups(shown: Tensor) -> Tensor:
    """Return the number of groups of pixels that touch at sides or corners.

    Every pixel of a group starts with its own index as its label. In each round a pixel takes the largest label among
    itself and its eight neighbours. It passes this label to the pixel whose index was its old label. Then it follows
    the labels twice: its label becomes the label of the pixel with that index. Groups of labels merge in pairs, so that
    few rounds suffice. The number of rounds is fixed, because a test of convergence would synchronise a GPU.

    Images larger than `GROUPED_PIXELS` are coarsened. Groups that are less than a coarse pixel apart then count as one.

    Args:
        shown: bool (n, height, width).

    Returns:
        int64 (n,).
    """
    step = -(-max(shown.shape[1:]) // GROUPED_PIXELS)
    if step > 1:
        shown = max_pool2d(shown.float()[:, None], step, ceil_mode=True)[:, 0] > 0
    n, height, width = shown.shape
    own = torch.arange(height * width, device=shown.device).expand(n, -1)
    member = shown.flatten(1)
    label = torch.where(member, own, -1)
    for _ in range(ROUNDS):
        largest = torch.where(member, _largest_around(label.view(n, height, width)).flatten(1), -1)
        label = largest.scatter_reduce(1, label.clamp(min=0), largest, "amax")
        for _ in range(2):
            label = torch.where(member, label.gather(1, label.clamp(min=0)), -1)
    return (label == own).sum(1)


def _largest_around(label: Tensor) -> Tensor:
    """Return the largest label of each pixel and its eight neighbours.

    The shape is (n, height, width).
    """
    for axis in (1, 2):
        before, after = label.narrow(axis, 0, label.shape[axis] - 1), label.narrow(axis, 1, label.shape[axis] - 1)
        largest = label.clone()
        largest.narrow(axis, 1, label.shape[axis] - 1).copy_(torch.maximum(after, before))
        inner = largest.narrow(axis, 0, label.shape[axis] - 1)
        inner.copy_(torch.maximum(inner, after))
        label = largest
    return label
