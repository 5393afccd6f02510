"""How true reconstructions are to their images, as DeepLense has it (Alexander et al. 2020, arXiv:2008.12731)."""

from __future__ import annotations

from torch import Tensor


def errors(images: Tensor, reconstructions: Tensor) -> dict[str, Tensor]:
    """What is published of reconstructions.

    Args:
        images: (n, C, H, W), as the network is given them.
        reconstructions: What it makes of them, the same shape.

    Returns:
        `MSE` and `W1`, (n,) float64 each.
    """
    return {"MSE": mean_squared_error(images, reconstructions), "W1": wasserstein(images, reconstructions)}


def mean_squared_error(images: Tensor, reconstructions: Tensor) -> Tensor:
    """The mean over all pixels of the squared residual: (n,) float64."""
    return (images.double() - reconstructions.double()).square().flatten(1).mean(1)


def wasserstein(images: Tensor, reconstructions: Tensor) -> Tensor:
    """The first Wasserstein distance of an image from its reconstruction as DeepLense publishes it.

    Each image is summed over its rows, and the sums of its columns are taken for a sample of numbers of equal weight,
    whichever column they are of. Two such samples of one size are as far apart as their sorted values are on average
    (Ramdas et al. 2017, https://doi.org/10.3390/e19020047, section 4). The sums of all channels are one sample.

    Args:
        images: (n, C, H, W).
        reconstructions: The same shape.

    Returns:
        (n,) float64, what `scipy.stats.wasserstein_distance` says of the sums.
    """
    columns, made = (each.double().sum(-2).flatten(1).sort(1).values for each in (images, reconstructions))
    return (columns - made).abs().mean(1)
