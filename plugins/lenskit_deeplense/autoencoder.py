"""What DeepLense's detectors have in common (Alexander et al. 2020, https://arxiv.org/abs/2008.12731): how strange an
image is, is the error of its reconstruction.

In these files "the paper" is that one, "the authors' package" https://pypi.org/project/unsupervised-lensing/, 0.1.2.
"""

from __future__ import annotations

from types import MappingProxyType

from torch import Tensor, nn

from lenskit.plugin import Method, Reconstructor, Scorer, UsageError

SINGLE = MappingProxyType({"name": "single"})

INPUT = MappingProxyType({"stretch": "linear", "normalise": "peak"})
"""The paper's images are as they are, from 0 to 1."""

ROUNDING = 1e-4
"""How far beyond 1 a value may be."""


class Autoencoder(Method, Scorer, Reconstructor):
    """Makes images anew from little; one that it makes badly is strange.

    A subclass implements `project` and has a `decoder`, or implements `reconstruct` otherwise. Its latents are no
    `projection` of a step: the collapse monitor would look at their directions, which may well be one, for they are
    about no centre; and an autoencoder that collapses shows it in its loss.

    Args:
        backbone: Network whose features an image is made anew from.

    Raises:
        UsageError: Images have values that the decoder cannot make.
    """

    views = 1
    judged_by = "anomaly"
    optimizer_defaults = None
    default_sections = MappingProxyType(
        {"pairs": SINGLE, "backbone": MappingProxyType({"name": "deeplense-conv"}), "input": INPUT}
    )

    decoder: nn.Module
    """Images (n, channels, size, size) of latents (n, latent_dim), which are what `project` gives."""

    def check_range(self, low: float, high: float) -> None:
        # Noise far below zero is no reason to stop: it is reconstructed as -1.
        if high > 1 + ROUNDING:
            raise UsageError(
                f"an autoencoder's tanh makes values from -1 to 1, and these images reach {high:.3g}: "
                "use --set input.normalise=peak"
            )

    def reconstruct(self, images: Tensor) -> Tensor:
        return self.decoder(self.project(self.backbone(images)))

    def score(self, images: Tensor) -> Tensor:
        """The mean squared error of each image's reconstruction: (n,)."""
        return (self.reconstruct(images) - images).square().flatten(1).mean(1)
