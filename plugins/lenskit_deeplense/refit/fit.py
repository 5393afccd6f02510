"""Levenberg-Marquardt fits of macro models, with a damping for each image.

The amplitudes of the light's parts and an offset are linear parameters. They are solved for in each step, so that only
the other parameters are damped and need a start (variable projection: Golub & Pereyra 1973,
https://doi.org/10.1137/0710036, with the derivative of Kaufman 1975). The damping follows Marquardt (1963,
https://doi.org/10.1137/0111030): a step that lowers the chi-square is accepted and lowers the damping; any other step
is rejected and raises the damping.

The amplitudes of a source with many components have a Gaussian prior, so that the noise is not fitted. The width of the
prior is found for each image by maximising the evidence (MacKay 1992, https://doi.org/10.1162/neco.1992.4.3.415; for
lensed sources: Suyu et al. 2006, https://arxiv.org/abs/astro-ph/0601493).
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from lenskit_deeplense.refit.rendered import Rendered

FIRST, LESS, MORE = 1e-2, 0.1, 10.0
"""Damping of the first step, and its factors after an accepted and a rejected step."""

CHUNK = 8
"""Number of images fitted together on a CPU, so that the data fit into its cache."""

ENOUGH = 1e-4
"""Relative decrease of the chi-square below which a fit has converged. The chi-square counts as at least 1 per pixel,
so for 10,000 pixels of noise the limit is a decrease by 1."""

STUCK = 1e5
"""Damping above which no step helps: the fit is at a minimum to rounding."""

WALL = 0.05
"""Distance beyond a bound at which the penalty adds 1 to the chi-square, in half ranges of the parameter."""

STRENGTHS = 3
"""Iterations for the strength of the penalty before the first step; later there is one in each step."""

WEAKEST = 1e-6
"""Smallest strength of the penalty, divided by the strength of the data; it is above rounding errors."""

LIMIT = 4 * WALL
"""Largest distance beyond a bound, in half ranges. Values also stay above half of a positive lower bound."""


@dataclass(frozen=True)
class Fit:
    """Fitted models of n images.

    Attributes:
        values: (n, p) parameters.
        light: Blurred light of each part, (n, parts, pixels, pixels).
        offset: (n,) constant brightness.
        converged: (n,) whether the fit ended at a minimum and all parts have positive light.
        steps: (n,) number of steps.
    """

    values: Tensor
    light: Tensor
    offset: Tensor
    converged: Tensor
    steps: Tensor

    @property
    def image(self) -> Tensor:
        """Model images (n, pixels, pixels)."""
        return self.light.sum(1) + self.offset[:, None, None]


def fit(rendered: Rendered, images: Tensor, start: Tensor, steps: int) -> Fit:
    """Fit macro models to images.

    Args:
        rendered: Macro model.
        images: (n, pixels, pixels) in any unit, with any offset.
        start: Parameters (n, p) to start from.
        steps: Largest number of steps.
    """
    size = CHUNK if images.device.type == "cpu" else max(len(images), 1)
    # Forward-mode derivatives do not work on inference tensors.
    with torch.inference_mode(False), torch.no_grad():
        parts = zip(images.clone().split(size), start.clone().split(size), strict=True)
        fits = [_Fitting(rendered, *part).run(steps) for part in parts]
    return Fit(*(torch.cat([getattr(each, field.name) for each in fits]) for field in fields(Fit)))


class _Fitting:
    """State of the fits of n images; converged fits are no longer rendered."""

    def __init__(self, rendered: Rendered, images: Tensor, start: Tensor) -> None:
        self.rendered, self.images = rendered, images
        bounds = torch.tensor(list(rendered.bounds.values()), dtype=start.dtype, device=start.device)
        low, high = bounds.unbind(1)
        self.middle, self.half = (low + high) / 2, (high - low) / 2
        self.lowest = torch.where(low > 0, (low - LIMIT * self.half).maximum(low / 2), low - LIMIT * self.half)
        self.highest = high + LIMIT * self.half
        self.values = torch.where(start.isfinite(), start, self.middle).clamp(low, high)
        n = len(images)
        self.components = self._components(self.values)
        self.prior = torch.tensor([*rendered.penalty, 0.0], dtype=torch.float64, device=images.device)
        self.strength = torch.zeros(n, dtype=torch.float64, device=images.device)
        self.amplitudes = images.new_zeros(n, self.components.shape[1])
        # The first pass assumes uniform noise, the second its variation over the image.
        for first in (True, False):
            weights = torch.ones_like(images) if first else self._weights(slice(None))
            normal, right = _equations(self.components, weights, images)
            self.strength[:] = FIRST * self._sensitivity(normal)
            for _ in range(STRENGTHS if self.prior.any() else 1):
                penalty = self.strength[:, None] * self.prior
                amplitudes = _solved(normal, right, penalty)
                self.strength = self._strength(normal, penalty, amplitudes)
            self.amplitudes = amplitudes.to(images.dtype)
        self.damping = torch.full((n,), FIRST, dtype=torch.float64, device=images.device)
        self.converged = torch.zeros(n, dtype=torch.bool, device=images.device)
        self.steps = torch.zeros(n, dtype=torch.long, device=images.device)

    def run(self, steps: int) -> Fit:
        for _ in range(steps):
            rows = (~self.converged).nonzero().squeeze(1)
            if not len(rows):
                break
            self._step(rows)
        light = torch.stack(
            [_combined(self.components[:, part], self.amplitudes[:, part]) for part in self.rendered.parts.values()], 1
        )
        bright = (light.sum((2, 3)) > 0).all(1)  # False for light that is not finite
        return Fit(self.values, light, self.amplitudes[:, -1], self.converged & bright, self.steps)

    def _step(self, rows: Tensor) -> None:
        """Take one step for the images in `rows` (m,)."""
        values, components, images = self.values[rows], self.components[rows], self.images[rows]
        amplitudes, weights = self.amplitudes[rows], self._weights(rows)
        columns = self.rendered.derivatives(values, amplitudes[:, :-1]) * self.half[:, None, None]
        residual = images - _combined(components, amplitudes)
        normal, gradient = _equations(torch.cat([columns, components], 1), weights, residual)
        count = len(self.half)
        linear = normal[:, count:, count:].clone()
        penalty = self.strength[rows, None] * self.prior
        self.strength[rows] = self._strength(linear, penalty, amplitudes.double())
        penalty = self.strength[rows, None] * self.prior
        gradient[:, count:] -= penalty * amplitudes
        solved = (amplitudes + _solved(linear, gradient[:, count:], penalty)).to(images.dtype)
        before = _chi2(images, components, solved, weights, penalty) + self._walls(values)

        wall, pull = self._wall(values)
        diagonal = normal.diagonal(dim1=1, dim2=2)
        diagonal[:, :count] += (wall > 0) / WALL**2
        gradient[:, :count] += pull
        scale = diagonal.clone()
        diagonal[:, :count] += self.damping[rows, None] * scale[:, :count]
        diagonal[:, count:] += penalty
        diagonal += 1e-12 * scale.amax(1, keepdim=True)
        change = torch.linalg.solve_ex(normal, gradient)[0][:, :count].to(values.dtype)
        trial = (values + change * self.half).clamp(self.lowest, self.highest)
        trial = torch.where(trial.isfinite(), trial, values)
        trial_components = self._components(trial)
        solved = _solved(*_equations(trial_components, weights, images), penalty).to(images.dtype)
        after = _chi2(images, trial_components, solved, weights, penalty) + self._walls(trial)
        better = after < before  # False for values that are not finite
        gain = before - after
        chosen = rows[better]
        self.values[chosen], self.components[chosen] = trial[better], trial_components[better]
        self.amplitudes[chosen] = solved[better]
        self.damping[rows] *= torch.where(better, LESS, MORE)
        self.converged[rows] = (better & (gain < ENOUGH * before.clamp(min=images[0].numel()))) | (
            self.damping[rows] > STUCK
        )
        self.steps[rows] += 1

    def _components(self, values: Tensor) -> Tensor:
        """Return blurred components and a constant: (n, components + 1, pixels, pixels)."""
        components = self.rendered.components(values)
        return torch.cat([components, torch.ones_like(components[:, :1])], 1)

    def _weights(self, rows: Tensor | slice) -> Tensor:
        """Return the inverse variances of the noise, for the current models."""
        light = _combined(self.components[rows, :-1], self.amplitudes[rows, :-1])
        return 1 / self.rendered.model.variance(light)

    def _sensitivity(self, normal: Tensor) -> Tensor:
        """Return the mean ratio (n,) of diagonal and prior of penalised components."""
        penalised = self.prior > 0
        return (normal.diagonal(dim1=1, dim2=2) / self.prior)[:, penalised].mean(1).nan_to_num(0.0)

    def _strength(self, normal: Tensor, penalty: Tensor, amplitudes: Tensor) -> Tensor:
        """Return the strength (n,) of the penalty that maximises the evidence.

        It is the number of amplitudes that the data determine, divided by the sum of the squared amplitudes, weighted
        by the prior.

        Args:
            normal: Normal equations (n, c, c) without the penalty.
            penalty: Current penalty (n, c).
            amplitudes: (n, c).
        """
        if not self.prior.any():
            return penalty[:, 0]
        covariance = torch.linalg.inv_ex(normal + penalty.diag_embed())[0].diagonal(dim1=1, dim2=2)
        measured = (self.prior > 0).sum() - (penalty * covariance).sum(1)
        strength = measured / (self.prior * amplitudes.square()).sum(1)
        sensitivity = self._sensitivity(normal)
        return strength.nan_to_num(0.0).clamp(WEAKEST * sensitivity, sensitivity / WEAKEST)

    def _beyond(self, values: Tensor) -> Tensor:
        """Return the signed distance of parameters (n, p) beyond their bounds.

        The unit is half of the range; the distance is 0 within the bounds.
        """
        place = ((values - self.middle) / self.half).double()
        return place - place.clamp(-1, 1)

    def _wall(self, values: Tensor) -> tuple[Tensor, Tensor]:
        beyond = self._beyond(values)
        return beyond.abs(), -beyond / WALL**2

    def _walls(self, values: Tensor) -> Tensor:
        return (self._beyond(values) / WALL).square().sum(1)


def _combined(components: Tensor, amplitudes: Tensor) -> Tensor:
    return (amplitudes[:, None] @ components.flatten(2))[:, 0].unflatten(1, components.shape[2:])


def _equations(design: Tensor, weights: Tensor, images: Tensor) -> tuple[Tensor, Tensor]:
    """Return the normal equations (n, c, c) and their right sides (n, c).

    They describe fits to images by sums of the components of a design (n, c, pixels, pixels).
    """
    design = design.flatten(2)
    weighted = design * weights.flatten(1)[:, None]
    return (weighted @ design.mT).double(), (weighted @ images.flatten(1)[:, :, None])[:, :, 0].double()


def _solved(normal: Tensor, right: Tensor, penalty: Tensor) -> Tensor:
    """Return the amplitudes (n, c) that minimise the chi-square plus the penalty.

    The penalty (n, c) multiplies the squares of the amplitudes.
    """
    ridge = 1e-9 * normal.diagonal(dim1=1, dim2=2) + penalty
    return torch.linalg.solve_ex(normal + ridge.diag_embed(), right)[0]


def _chi2(images: Tensor, components: Tensor, amplitudes: Tensor, weights: Tensor, penalty: Tensor) -> Tensor:
    """Return the chi-square plus the penalty of the amplitudes, (n,), float64."""
    chi2 = ((images - _combined(components, amplitudes)).square() * weights).flatten(1).sum(1, dtype=torch.float64)
    return chi2 + (penalty * amplitudes.double().square()).sum(1)
