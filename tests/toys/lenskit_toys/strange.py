"""A simulator with anomalies, and a method that scores them."""

from __future__ import annotations

from types import MappingProxyType

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lenskit.plugin import Backbone, Batch, KeyedGenerator, Method, Parameter, Reconstructor, Scene, Scorer
from lenskit_toys.components import Blobs


class Marked(Blobs):
    """Blobs; some images have a bright row or a bright column as well.

    Args:
        marks: Marks of the images: `none`, `row` and `column`. All are equally frequent.
        pixel_scale: Size of a pixel in arcsec; by default unknown.
    """

    parameters = (*Blobs.parameters, Parameter("mark", group="mark", classes=("none", "row", "column")))
    groups = (*Blobs.groups, "mark")
    anomaly_options = MappingProxyType({"marks": ("none", "row", "column")})

    def __init__(self, *, marks: tuple[str, ...] = ("none",), pixel_scale: float | None = None, **options) -> None:
        super().__init__(**options)
        self.pixel_scale = pixel_scale
        self.marks = tuple(self.parameters[-1].classes.index(mark) for mark in marks)

    def draw(self, group: str, rng: KeyedGenerator, scene: Scene) -> Scene:
        if group != "mark":
            return super().draw(group, rng, scene)
        drawn = rng.integers("mark", len(self.marks))
        return {"mark": torch.tensor(self.marks, device=drawn.device)[drawn].to(scene["x"])}

    def render(self, scene: Scene, omit=()) -> Tensor:
        images = super().render(scene, omit)
        images[:, :, 1] += (scene["mark"] == 1).to(images)[:, None, None]
        images[:, :, :, 1] += (scene["mark"] == 2).to(images)[:, None, None]
        return images


class Linear(Method, Scorer, Reconstructor):
    """A linear autoencoder with a latent vector of four numbers.

    Args:
        draw: Standard deviation of the noise that is added to reconstructions.
        broken: Whether all scores are NaN.
    """

    views = 1
    optimizer_defaults = MappingProxyType(
        {"name": "adamw", "lr": 0.01, "lr_batch": 0, "warmup_epochs": 0, "weight_decay": 0.0}
    )
    default_sections = MappingProxyType({"pairs": {"name": "single"}, "input": {"stretch": "linear"}})

    def __init__(self, backbone: Backbone, *, draw: float = 0.0, broken: bool = False) -> None:
        super().__init__(backbone)
        self.draw, self.broken = draw, broken
        pixels = backbone.channels * backbone.size**2
        self.inwards, self.outwards = nn.Linear(pixels, 4), nn.Linear(4, pixels)

    def step(self, batch: Batch) -> dict[str, Tensor]:
        (images,) = batch.views
        return {"loss": F.mse_loss(self.reconstruct(images), images) + 0 * self.backbone(images).sum()}

    def reconstruct(self, images: Tensor) -> Tensor:
        made = self.outwards(self.inwards(images.flatten(1))).view_as(images)
        return made + self.draw * torch.randn_like(made)

    def score(self, images: Tensor) -> Tensor:
        scores = (self.reconstruct(images) - images).square().flatten(1).mean(1)
        return scores / 0 * 0 if self.broken else scores
