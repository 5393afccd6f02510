"""Images of a macro model with their derivatives, for many lenses at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn.functional import avg_pool2d

from lenskit.toolbox import MacroModel
from lenskit_deeplense.refit.broadening import broadened, broadening
from lenskit_deeplense.refit.shapelets import orders, shapelets

Jacobian = Literal["autodiff", "differences"]

STEP = 2.5e-4
"""Step of finite differences, as a fraction of the parameter's range."""

SCALE = "source_scale"
"""Name of the scale of shapelets in arcsec."""

SCALES = 0.2, 0.8
"""Plausible scales of shapelets, divided by the smallest and the largest half-light radius of a source."""


PSF_SIGMA = "psf_sigma"
"""Name of the standard deviation in arcsec of a Gaussian that broadens the PSF."""

PSF_SIGMAS = 0.0, 1.0
"""Plausible standard deviations of this Gaussian in pixels."""

Source = Literal["simulator", "shapelets", "both"]


@dataclass(frozen=True)
class _Layer:
    """Components that depend on the same parameters.

    Attributes:
        depends: Names of the fitted and fixed parameters on which the components depend.
        components: Positions among all components.
        surfaces: Function that returns the components (n, c, pixels, pixels) before the PSF.
    """

    depends: frozenset[str]
    components: slice
    surfaces: Callable[[Mapping[str, Tensor]], Tensor]


class Rendered:
    """Renderer of a macro model as a function of a vector of parameters.

    An image is a sum of components with one amplitude each. There is one component for each part of the macro model
    and one for each shapelet.

    Args:
        model: Macro model.
        jacobian: Derivatives by forward-mode automatic differentiation or by finite differences.
        source: Lensed light: the macro model's profile, shapelets, or the sum of both.
        order: Highest order of the shapelets.
        broad: Whether a Gaussian broadens the PSF; its width is then a parameter.

    Attributes:
        bounds: Smallest and largest plausible value of each fitted parameter, by name.
        parts: Positions of the components of each part.
        penalty: Relative weight of the squared amplitude of each component in the penalty.
    """

    def __init__(
        self,
        model: MacroModel,
        jacobian: Jacobian = "differences",
        source: Source = "simulator",
        order: int = 10,
        broad: bool = False,
    ) -> None:
        self.model, self.jacobian, self.order = model, jacobian, order
        self.parts: dict[str, slice] = {}
        self.penalty: list[float] = []
        self._layers: list[_Layer] = []
        for part, depends in model.parts.items():
            first = len(self.penalty)
            if part != MacroModel.ARC or source != "shapelets":
                self._add(depends, partial(self._profile, part), [0.0])
            if part == MacroModel.ARC and source != "simulator":
                self._add(model.traced_by | {SCALE}, self._shapelets, [(1.0 + n) ** 2 for n in orders(order)])
            self.parts[part] = slice(first, len(self.penalty))
        low, high = (radius * factor for radius, factor in zip(model.source_radii, SCALES, strict=True))
        used = frozenset().union(*(layer.depends for layer in self._layers))
        bounds = {**model.bounds, SCALE: (low, high)}
        self.bounds = {name: of_name for name, of_name in bounds.items() if name in used}
        if broad:
            low, high = (sigma * model.pixel_scale for sigma in PSF_SIGMAS)
            self.bounds[PSF_SIGMA] = low, high
        self.names = tuple(self.bounds)

    def components(self, values: Tensor) -> Tensor:
        """Return the blurred components for parameters (n, p).

        The shape is (n, components, pixels, pixels).
        """
        blurred = self.model.blur(torch.cat([layer.surfaces(self._named(layer, values)) for layer in self._layers], 1))
        return blurred if PSF_SIGMA not in self.bounds else broadened(blurred, self._sigma(values))

    def derivatives(self, values: Tensor, amplitudes: Tensor) -> Tensor:
        """Return the derivatives of images with respect to the parameters.

        Forward mode works only outside torch's inference mode.

        Args:
            values: Parameters (n, p).
            amplitudes: (n, components), held constant.

        Returns:
            (n, p, pixels, pixels).
        """
        derivatives: dict[str, Tensor] = {}
        total = torch.zeros((), dtype=values.dtype, device=values.device)
        for layer in self._layers:
            named = self._named(layer, values)
            held = amplitudes[:, layer.components]
            plain = _light(layer, held, named)
            total = total + plain
            for name in named:
                derivative = self._derivative(partial(_light, layer, held), name, named, plain)
                derivatives[name] = derivatives[name] + derivative if name in derivatives else derivative
        if PSF_SIGMA not in self.bounds:
            return self.model.blur(torch.stack([derivatives[name] for name in self.names], 1))
        blurred = self.model.blur(torch.stack([derivatives.get(name, total) for name in self.names], 1))
        sigma = self._sigma(values)
        of_sigma = broadening(blurred[:, -1:], sigma) / self.model.pixel_scale
        return torch.cat([broadened(blurred[:, :-1], sigma), of_sigma], 1)

    def _derivative(
        self, light: Callable[[Mapping[str, Tensor]], Tensor], name: str, named: dict[str, Tensor], plain: Tensor
    ) -> Tensor:
        if self.jacobian == "differences":
            low, high = self.bounds[name]
            step = (high - low) * STEP
            return (light(named | {name: named[name] + step}) - plain) / step
        with forward_ad.dual_level():
            dual = forward_ad.make_dual(named[name], torch.ones_like(named[name]))
            tangent = forward_ad.unpack_dual(light(named | {name: dual})).tangent
        assert tangent is not None, f"no light depends on {name}"
        return tangent

    def _add(
        self, depends: frozenset[str], surfaces: Callable[[Mapping[str, Tensor]], Tensor], penalty: list[float]
    ) -> None:
        places = slice(len(self.penalty), len(self.penalty) + len(penalty))
        self._layers.append(_Layer(depends, places, surfaces))
        self.penalty += penalty

    def _profile(self, part: str, named: Mapping[str, Tensor]) -> Tensor:
        return self.model.surface(part, named)[:, None]

    def _shapelets(self, named: Mapping[str, Tensor]) -> Tensor:
        x, y = self.model.traced({name: value for name, value in named.items() if name != SCALE})
        images = shapelets(x, y, named[SCALE], self.order)
        rays = images.shape[-1] // self.model.pixels
        return images if rays == 1 else avg_pool2d(images, rays)

    def _sigma(self, values: Tensor) -> Tensor:
        """Return the width (n,) in pixels of the Gaussian that broadens the PSF."""
        return values[:, self.names.index(PSF_SIGMA)] / self.model.pixel_scale

    def _named(self, layer: _Layer, values: Tensor) -> dict[str, Tensor]:
        return {name: values[:, i].contiguous() for i, name in enumerate(self.names) if name in layer.depends}


def _light(layer: _Layer, amplitudes: Tensor, named: Mapping[str, Tensor]) -> Tensor:
    surfaces = layer.surfaces(named)
    return (amplitudes[:, None] @ surfaces.flatten(2))[:, 0].unflatten(1, surfaces.shape[2:])
