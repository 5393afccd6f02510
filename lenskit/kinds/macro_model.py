"""Macro models: a simulator's lens without substructure or noise, as a function of few numbers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor


class MacroModel(ABC):
    """Images without substructure or noise as a differentiable function of a few parameters, for fits.

    An image is a sum of `parts`, each with an amplitude of its own, after the PSF. `Simulator.macro_model` gives one.

    Attributes:
        bounds: The fitted parameters by name, each with the smallest and the largest value that is plausible.
        parts: Names of the light's parts, each with the names of the parameters that it depends on.
        pixels: Height and width of the image.
        noise_is_known: Whether `variance` is that of each image. If not, it is that of a typical one.
    """

    ARC: ClassVar[str] = "source"
    """Name of the part that is lensed light; there is always one."""

    bounds: Mapping[str, tuple[float, float]]
    parts: Mapping[str, frozenset[str]]
    pixels: int
    noise_is_known: bool

    @abstractmethod
    def surface(self, part: str, values: Mapping[str, Tensor]) -> Tensor:
        """Return the light of one part before the PSF, differentiable by torch's forward mode.

        Args:
            part: One of `parts`.
            values: (n,) each of the parameters that the part depends on.

        Returns:
            (n, pixels, pixels), in any unit that is the same for all parts.
        """

    @abstractmethod
    def blur(self, light: Tensor) -> Tensor:
        """Return light (n, channels, pixels, pixels) after the PSF, which is linear in the light."""

    @abstractmethod
    def variance(self, light: Tensor) -> Tensor:
        """Return the noise variance of each pixel.

        Args:
            light: (n, pixels, pixels), the blurred light without noise in any unit; an image may have an offset beside.

        Returns:
            (n, pixels, pixels) in that unit squared.
        """
