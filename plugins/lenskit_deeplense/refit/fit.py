"""Levenberg-Marquardt fits of macro models to images: many at a time, each with its own damping.

The amplitudes of the light's parts and an offset are linear parameters. They are solved for in each step, so that only
the other parameters are damped and need a start (variable projection: Golub & Pereyra 1973,
https://doi.org/10.1137/0710036, with the derivative of Kaufman 1975). Damping is Marquardt's (1963,
https://doi.org/10.1137/0111030): a step that lowers the chi-square is accepted and lowers the damping, another is
rejected and raises it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from lenskit_deeplense.refit.rendered import Rendered

FIRST, LESS, MORE = 1e-2, 0.1, 10.0
"""Damping of the first step, and its factors after an accepted and a rejected step."""

CHUNK = 8
"""Images at a time on a CPU: few enough for its cache."""

ENOUGH = 1e-4
"""A fit has converged when a step lowers its chi-square by less than this part, of 1 a pixel or more: by 1 for 10,000
pixels of noise."""

STUCK = 1e5
"""Damping at which no step helps any more: the fit is at a minimum to rounding."""

WALL = 0.05
"""Distance beyond a bound, in half ranges of the parameter, that costs as much as one standard deviation."""

LIMIT = 4 * WALL
"""Distance beyond a bound that no step passes; nor does one pass half of a bound above zero."""


@dataclass(frozen=True)
class Fit:
    """Fitted models of n images.

    Attributes:
        values: (n, p) parameters.
        light: (n, parts, pixels, pixels), the blurred parts with their amplitudes.
        offset: (n,) constant brightness.
        converged: (n,) whether the fit ended at a minimum, with positive amplitudes.
        steps: (n,) steps that were taken.
    """

    values: Tensor
    light: Tensor
    offset: Tensor
    converged: Tensor
    steps: Tensor

    @property
    def image(self) -> Tensor:
        """The model image (n, pixels, pixels)."""
        return self.light.sum(1) + self.offset[:, None, None]


def fit(rendered: Rendered, images: Tensor, start: Tensor, steps: int) -> Fit:
    """Fit macro models to images.

    Args:
        rendered: The macro model.
        images: (n, pixels, pixels) in any unit, with any offset.
        start: Parameters (n, p) to start from.
        steps: Largest number of steps.
    """
    size = CHUNK if images.device.type == "cpu" else max(len(images), 1)
    # Forward-mode derivatives need tensors that are no inference tensors.
    with torch.inference_mode(False), torch.no_grad():
        parts = zip(images.clone().split(size), start.clone().split(size), strict=True)
        fits = [_Fitting(rendered, *part).run(steps) for part in parts]
    return Fit(*(torch.cat([getattr(each, field.name) for each in fits]) for field in fields(Fit)))


class _Fitting:
    """The state of the fits of n images; converged ones are no longer rendered."""

    def __init__(self, rendered: Rendered, images: Tensor, start: Tensor) -> None:
        self.rendered, self.images = rendered, images
        bounds = torch.tensor(list(rendered.model.bounds.values()), dtype=start.dtype, device=start.device)
        low, high = bounds.unbind(1)
        self.middle, self.half = (low + high) / 2, (high - low) / 2
        self.lowest = torch.where(low > 0, (low - LIMIT * self.half).maximum(low / 2), low - LIMIT * self.half)
        self.highest = high + LIMIT * self.half
        self.values = torch.where(start.isfinite(), start, self.middle).clamp(low, high)
        n = len(images)
        self.basis = self._basis(self.values)
        self.amplitudes = torch.zeros(n, self.basis.shape[1], dtype=images.dtype, device=images.device)
        flat = torch.ones_like(images)
        self.amplitudes = self._solved(self.basis, flat, images)
        # With the noise's variation over the image known.
        self.amplitudes = self._solved(self.basis, self._weights(slice(None)), images)
        self.damping = torch.full((n,), FIRST, dtype=torch.float64, device=images.device)
        self.converged = torch.zeros(n, dtype=torch.bool, device=images.device)
        self.steps = torch.zeros(n, dtype=torch.long, device=images.device)

    def run(self, steps: int) -> Fit:
        for _ in range(steps):
            rows = (~self.converged).nonzero().squeeze(1)
            if not len(rows):
                break
            self._step(rows)
        parts = len(self.rendered.parts)
        light = self.basis[:, :parts] * self.amplitudes[:, :parts, None, None]
        positive = (self.amplitudes[:, :parts] > 0).all(1)  # False for what is not finite
        return Fit(self.values, light, self.amplitudes[:, parts], self.converged & positive, self.steps)

    def _step(self, rows: Tensor) -> None:
        """Take one step for the images in `rows` (m,)."""
        values, basis, images = self.values[rows], self.basis[rows], self.images[rows]
        amplitudes, weights = self.amplitudes[rows], self._weights(rows)
        of, derivatives = self.rendered.derivatives(values)
        columns = torch.zeros(len(rows), len(self.half), *images.shape[1:], dtype=images.dtype, device=images.device)
        for j, (parameter, part) in enumerate(of):
            columns[:, parameter] += derivatives[:, j] * amplitudes[:, part, None, None]
        columns *= self.half[:, None, None]
        residual = images - _combined(basis, amplitudes)
        design = torch.cat([columns, basis], 1).flatten(2)
        weighted = design * weights.flatten(1)[:, None]
        normal = (weighted @ design.mT).double()
        gradient = (weighted @ residual.flatten(1)[:, :, None])[:, :, 0].double()
        count = len(self.half)
        wall, pull = self._wall(values)
        diagonal = normal.diagonal(dim1=1, dim2=2)
        diagonal[:, :count] += (wall > 0) / WALL**2
        gradient[:, :count] += pull
        scale = diagonal.clone()
        diagonal[:, :count] += self.damping[rows, None] * scale[:, :count]
        diagonal += 1e-12 * scale.amax(1, keepdim=True)
        change = torch.linalg.solve_ex(normal, gradient)[0][:, :count].to(values.dtype)
        trial = (values + change * self.half).clamp(self.lowest, self.highest)
        trial = torch.where(trial.isfinite(), trial, values)
        trial_basis = self._basis(trial)
        solved = self._solved(trial_basis, weights, images)
        before = _chi2(images, basis, self._solved(basis, weights, images), weights) + self._penalty(values)
        after = _chi2(images, trial_basis, solved, weights) + self._penalty(trial)
        better = after < before  # False for what is not finite
        gain = before - after
        chosen = rows[better]
        self.values[chosen], self.basis[chosen] = trial[better], trial_basis[better]
        self.amplitudes[chosen] = solved[better]
        self.damping[rows] *= torch.where(better, LESS, MORE)
        self.converged[rows] = (better & (gain < ENOUGH * before.clamp(min=images[0].numel()))) | (
            self.damping[rows] > STUCK
        )
        self.steps[rows] += 1

    def _basis(self, values: Tensor) -> Tensor:
        """The blurred parts and a constant: (n, parts + 1, pixels, pixels)."""
        parts = self.rendered.parts_of(values)
        return torch.cat([parts, torch.ones_like(parts[:, :1])], 1)

    def _weights(self, rows: Tensor | slice) -> Tensor:
        """Inverse variances by the present models."""
        parts = len(self.rendered.parts)
        light = _combined(self.basis[rows, :parts], self.amplitudes[rows, :parts])
        return 1 / self.rendered.model.variance(light)

    @staticmethod
    def _solved(basis: Tensor, weights: Tensor, images: Tensor) -> Tensor:
        """Amplitudes (n, parts + 1) of the least chi-square."""
        design = basis.flatten(2)
        weighted = design * weights.flatten(1)[:, None]
        normal = (weighted @ design.mT).double()
        diagonal = normal.diagonal(dim1=1, dim2=2)
        diagonal += 1e-9 * diagonal.clone()
        right = (weighted @ images.flatten(1)[:, :, None]).double()
        return torch.linalg.solve_ex(normal, right)[0][:, :, 0].to(images.dtype)

    def _beyond(self, values: Tensor) -> Tensor:
        """Signed distance of parameters (n, p) beyond their bounds, in half ranges; 0 within the bounds."""
        place = ((values - self.middle) / self.half).double()
        return place - place.clamp(-1, 1)

    def _wall(self, values: Tensor) -> tuple[Tensor, Tensor]:
        beyond = self._beyond(values)
        return beyond.abs(), -beyond / WALL**2

    def _penalty(self, values: Tensor) -> Tensor:
        return (self._beyond(values) / WALL).square().sum(1)


def _combined(basis: Tensor, amplitudes: Tensor) -> Tensor:
    return (amplitudes[:, None] @ basis.flatten(2))[:, 0].unflatten(1, basis.shape[2:])


def _chi2(images: Tensor, basis: Tensor, amplitudes: Tensor, weights: Tensor) -> Tensor:
    """Chi-square of each image, (n,), float64."""
    return ((images - _combined(basis, amplitudes)).square() * weights).flatten(1).sum(1, dtype=torch.float64)
