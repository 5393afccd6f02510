"""Base class of macro models: lenses without substructure or noise, for fits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor


class MacroModel(ABC):
    """Differentiable model of a lens image without substructure or noise.

    An image is a sum of `parts`, each with its own amplitude, convolved with the PSF. `Simulator.macro_model` returns
    the model of a simulator's lenses.

    Attributes:
        bounds: The fitted parameters by name, each with the smallest and the largest plausible value.
        parts: Names of the light's parts, each with the names of the parameters that it depends on.
        pixels: Height and width of the image.
        pixel_scale: Size of a pixel in arcsec.
        noise_is_known: Whether `variance` is the noise variance of each image. If not, it is the variance of a typical
            image.
        traced_by: Names of the parameters that `traced` depends on; empty if the model traces no rays.
        source_radii: Smallest and largest half-light radius of a source in arcsec, if the model traces rays.
        other_sources: Options that the simulator needs, as `name=value`, to give its sources the form of the part
            `source`. Empty if the sources have that form already.
    """

    ARC: ClassVar[str] = "source"
    """Name of the part that is the lensed light; every model has this part."""

    bounds: Mapping[str, tuple[float, float]]
    parts: Mapping[str, frozenset[str]]
    pixels: int
    pixel_scale: float
    noise_is_known: bool
    traced_by: frozenset[str] = frozenset()
    source_radii: tuple[float, float] = (0.0, 0.0)
    other_sources: tuple[str, ...] = ()

    @abstractmethod
    def surface(self, part: str, values: Mapping[str, Tensor]) -> Tensor:
        """Return the light of one part before the PSF.

        The function is differentiable in torch's forward mode.

        Args:
            part: One of `parts`.
            values: (n,) each of the parameters that the part depends on.

        Returns:
            (n, pixels, pixels), in any unit that is the same for all parts.
        """

    def traced(self, values: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return the positions of rays in the source plane.

        With them, a source of any form can be lensed.

        Args:
            values: (n,) each of the parameters in `traced_by`.

        Returns:
            x and y in arcsec from the middle of the source, (n, rays, rays) each. The number of rays is a multiple of
            `pixels`; the brightness of a pixel is the mean over its rays.

        Raises:
            NotImplementedError: The model traces no rays: `traced_by` is empty.
        """
        raise NotImplementedError(f"{type(self).__name__} traces no rays")

    @abstractmethod
    def blur(self, light: Tensor) -> Tensor:
        """Return light convolved with the PSF.

        The result is linear in the light. Light and result have the shape (n, channels, pixels, pixels).
        """

    @abstractmethod
    def variance(self, light: Tensor) -> Tensor:
        """Return the noise variance of each pixel.

        Args:
            light: (n, pixels, pixels), the blurred light without noise, in any unit. An image may have an additional
                offset.

        Returns:
            (n, pixels, pixels) in that unit squared.
        """
