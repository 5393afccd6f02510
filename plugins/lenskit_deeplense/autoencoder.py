"""Base class of DeepLense's detectors, which score by the reconstruction error.

In these files "the paper" is Alexander et al. 2020 (https://arxiv.org/abs/2008.12731); "the authors' package" is
https://pypi.org/project/unsupervised-lensing/, version 0.1.2.
"""

from __future__ import annotations

from types import MappingProxyType

from torch import Tensor, nn

from lenskit.plugin import Method, Reconstructor, Scorer, UsageError

SINGLE = MappingProxyType({"name": "single"})

INPUT = MappingProxyType({"stretch": "linear", "normalise": "peak"})
"""The paper's images are not stretched and lie between 0 and 1."""

ROUNDING = 1e-4
"""Largest excess of a pixel above 1 that is accepted as rounding."""


class Autoencoder(Method, Scorer, Reconstructor):
    """Autoencoder: reconstruct images from a latent vector.

    The reconstruction error is the anomaly score. A subclass implements `project` and has a `decoder`, or implements
    `reconstruct` itself.

    `step` does not return the latent vectors as `projection`. The collapse monitor would compare their directions,
    which may agree without a collapse, because latent vectors are not centred. A collapsed autoencoder is visible in
    its loss.

    Args:
        backbone: Encoder network, whose features give the latent vector.

    Raises:
        UsageError: Images have values outside the decoder's range.
    """

    views = 1
    judged_by = "anomaly"
    optimizer_defaults = None
    default_sections = MappingProxyType(
        {"pairs": SINGLE, "backbone": MappingProxyType({"name": "deeplense-conv"}), "input": INPUT}
    )

    decoder: nn.Module
    """Network from the latent vectors (n, latent_dim) of `project` to images (n, channels, size, size)."""

    def check_range(self, low: float, high: float) -> None:
        # Noise far below zero is accepted: it is reconstructed as -1.
        if high > 1 + ROUNDING:
            raise UsageError(
                f"an autoencoder's tanh makes values from -1 to 1, but these images reach {high:.3g}: "
                "use --set input.normalise=peak"
            )

    def reconstruct(self, images: Tensor) -> Tensor:
        return self.decoder(self.project(self.backbone(images)))

    def score(self, images: Tensor) -> Tensor:
        """Return the mean squared reconstruction error (n,) of each image."""
        return (self.reconstruct(images) - images).square().flatten(1).mean(1)
