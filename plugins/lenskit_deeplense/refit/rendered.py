"""A macro model's images and their derivatives, for many lenses at a time."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.autograd import forward_ad

from lenskit.plugin import MacroModel

Jacobian = Literal["autodiff", "differences"]

STEP = 2.5e-4
"""Step of finite differences over the range of the parameter."""


class Rendered:
    """Renders a macro model as a function of a vector of parameters.

    Args:
        model: The macro model.
        jacobian: Derivatives by forward-mode automatic differentiation or by finite differences.
    """

    def __init__(self, model: MacroModel, jacobian: Jacobian = "differences") -> None:
        self.model, self.jacobian = model, jacobian
        self.names = tuple(model.bounds)
        self.parts = tuple(model.parts)

    def parts_of(self, values: Tensor) -> Tensor:
        """Return the blurred parts (n, parts, pixels, pixels) of parameters (n, p)."""
        return self.model.blur(self._surfaces(values))

    def derivatives(self, values: Tensor) -> tuple[list[tuple[int, int]], Tensor]:
        """Return the derivatives of the blurred parts; forward mode needs that torch's inference mode is off.

        Args:
            values: Parameters (n, p).

        Returns:
            The numbers of the parameter and of the part of each of m derivatives, and these: (n, m, pixels, pixels).
            Parts that do not depend on a parameter are left out.
        """
        plain = self._surfaces(values) if self.jacobian == "differences" else None
        rows: list[Tensor] = []
        of: list[tuple[int, int]] = []
        for i, name in enumerate(self.names):
            for k, part in enumerate(self.parts):
                if name in self.model.parts[part]:
                    rows.append(self._derivative(part, i, values, None if plain is None else plain[:, k]))
                    of.append((i, k))
        return of, self.model.blur(torch.stack(rows, 1))

    def _derivative(self, part: str, parameter: int, values: Tensor, plain: Tensor | None) -> Tensor:
        named = self._named(part, values)
        name = self.names[parameter]
        if plain is not None:
            low, high = self.model.bounds[name]
            step = (high - low) * STEP
            return (self.model.surface(part, named | {name: named[name] + step}) - plain) / step
        with forward_ad.dual_level():
            dual = forward_ad.make_dual(named[name], torch.ones_like(named[name]))
            tangent = forward_ad.unpack_dual(self.model.surface(part, named | {name: dual})).tangent
        assert tangent is not None, f"{part} does not depend on {name}"
        return tangent

    def _surfaces(self, values: Tensor) -> Tensor:
        return torch.stack([self.model.surface(part, self._named(part, values)) for part in self.parts], 1)

    def _named(self, part: str, values: Tensor) -> dict[str, Tensor]:
        needed = self.model.parts[part]
        return {name: values[:, i].contiguous() for i, name in enumerate(self.names) if name in needed}
