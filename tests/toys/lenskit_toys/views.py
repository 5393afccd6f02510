"""Toy views, from which a method learns in a second."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lenskit.plugin import Backbone, Batch, Budget, Method


class SmallNetwork(Backbone):
    """Two convolutions, for images of a few pixels.

    Args:
        channels: Number of channels of the images.
        size: Height and width of the images in pixels.
        norm: Whether to use batch norm.
    """

    features = 32

    def __init__(self, channels: int = 1, size: int = 16, *, norm: bool = True) -> None:
        super().__init__(channels, size)
        layers = [
            layer
            for i, o in ((channels, 16), (16, 32))
            for layer in (
                nn.Conv2d(i, o, 3, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(o) if norm else nn.Identity(),
                nn.ReLU(),
            )
        ]
        self.network = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())

    def forward(self, images: Tensor) -> Tensor:
        return self.network(images)


def pairs(n: int, generator: torch.Generator, signal: float = 0.5) -> Batch:
    """Return two images of the same smooth field, with independent noise."""
    field = F.interpolate(torch.randn(n, 1, 4, 4, generator=generator), size=16, mode="bilinear")
    views = tuple(signal * field + torch.randn(n, 1, 16, 16, generator=generator) for _ in range(2))
    return Batch(views, {}, torch.arange(n))


def train(method: Method, batches: int, n: int = 64, signal: float = 2.0) -> dict[str, Tensor]:
    """Train a method on pairs in the way of the runner.

    Args:
        method: The method, with its `optimization` set.
        batches: Number of batches of the only epoch.
        n: Lenses per batch.
        signal: Amplitude of the common field, in units of the noise.

    Returns:
        The outputs of the last training step.
    """
    method.budget = Budget(batch_size=n, batches_per_epoch=batches, epochs=1)
    optimiser, generator = method.configure_optimizers(), torch.Generator().manual_seed(0)
    for group in optimiser.param_groups:
        group["peak_lr"], group["peak_weight_decay"] = group["lr"], group["weight_decay"]
    out: dict[str, Tensor] = {}
    for method.batches in range(batches):
        for group in optimiser.param_groups:
            group["lr"] = method.learning_rate(group, method.batches)
        out = method.training_step(pairs(n, generator, signal), method.batches)
        optimiser.zero_grad()
        out["loss"].backward()
        optimiser.step()
        method.after_update()
    return out


@torch.no_grad()
def matched(method: Method, n: int = 128, signal: float = 2.0) -> float:
    """Return the share of n new pairs whose views are recognised as a pair.

    A pair is recognised if the nearest second view of the first view is its own.
    """
    views = pairs(n, torch.Generator().manual_seed(99), signal).views
    a, b = (F.normalize(x - x.mean(0), dim=1) for x in map(method.embed, views))
    nearest = (a @ b.T).argmax(1)
    return (nearest == torch.arange(n)).float().mean().item()
