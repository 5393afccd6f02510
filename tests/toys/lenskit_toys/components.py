"""Toy simulators, backbone and methods."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lenskit.plugin import Backbone, Batch, Distribution, KeyedGenerator, Method, Parameter, Scene, Simulator
from lenskit.toolbox import MacroModel


class Blobs(Simulator):
    """Gaussian blobs: the width is the lens, and the position is the source.

    Args:
        width: Standard deviation of a blob, in pixels.
        pixels: Height and width of an image.
    """

    groups = ("lens", "source", "instrument")
    removable = frozenset({"source"})
    parameters = (
        Parameter("width", "arcsec", "$w$", "lens", headline=True),
        Parameter("x", "arcsec", "$x$", "source"),
    )

    def __init__(
        self,
        *,
        width: Distribution = "uniform(1, 3)",  # type: ignore[assignment]
        pixels: int = 16,
    ) -> None:
        self.width, self.pixels = Distribution.parse(width), pixels
        self.image_shape = (1, pixels, pixels)

    def draw(self, group: str, rng: KeyedGenerator, scene: Scene) -> Scene:
        if group == "lens":
            return {"width": rng.sample("width", self.width)}
        if group == "source":
            return {"x": 2 * rng.normal("x"), "y": 2 * rng.normal("y")}
        return {"noise": rng.noise("noise", *self.image_shape)}

    def render(self, scene: Scene, omit=()) -> Tensor:
        axis = torch.arange(self.pixels, device=scene["x"].device, dtype=scene["x"].dtype) - (self.pixels - 1) / 2
        x, y, width = (scene[name][:, None, None] for name in ("x", "y", "width"))
        blob = torch.exp(-((axis - x) ** 2 + (axis[:, None] - y) ** 2) / (2 * width**2))
        return blob[:, None] * ("source" not in omit) + 0.05 * scene["noise"]

    def macro_model(self, free: Sequence[str] | None = None) -> MacroModel:
        return BlobModel(self.width.bounds, self.pixels)


class Indelible(Blobs):
    """Blobs whose source stays in the image even if it is omitted."""

    def render(self, scene: Scene, omit=()) -> Tensor:
        return super().render(scene)


class BlobModel(MacroModel):
    """A blob without noise.

    Args:
        width: Range of the width.
        pixels: Height and width of an image.
    """

    noise_is_known = True
    pixel_scale = 1.0

    def __init__(self, width: tuple[float, float], pixels: int) -> None:
        self.bounds = {"width": width, "x": (-8.0, 8.0), "y": (-8.0, 8.0)}
        self.parts = {self.ARC: frozenset(self.bounds)}
        self.pixels = pixels

    def surface(self, part: str, values: Mapping[str, Tensor]) -> Tensor:
        like = values["x"]
        axis = torch.arange(self.pixels, device=like.device, dtype=like.dtype) - (self.pixels - 1) / 2
        x, y, width = (values[name][:, None, None] for name in ("x", "y", "width"))
        return torch.exp(-((axis - x) ** 2 + (axis[:, None] - y) ** 2) / (2 * width**2))

    def blur(self, light: Tensor) -> Tensor:
        return light

    def variance(self, light: Tensor) -> Tensor:
        return torch.full_like(light, 0.05**2)


class Tiny(Backbone):
    """A small network with batch norm and dropout.

    Args:
        dropout: Share of the features that dropout sets to zero.
        norm: Whether to use batch norm.
    """

    features = 16

    def __init__(self, channels: int, size: int, *, dropout: float = 0.2, norm: bool = True) -> None:
        super().__init__(channels, size)
        self.body = nn.Sequential(
            nn.Conv2d(channels, 8, 3, 2), nn.BatchNorm2d(8) if norm else nn.Identity(), nn.ReLU(),
            nn.Conv2d(8, 16, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(dropout),
        )  # fmt: skip

    def forward(self, images: Tensor) -> Tensor:
        return self.body(images)


class Restless(Method):
    """A method that pulls views together, with noise from the global generator.

    Args:
        noise: Standard deviation of the noise.
        spread: Weight of the reward for the standard deviation of projections in a batch.
    """

    views = 2
    optimizer_defaults = MappingProxyType(
        {"name": "sgd", "lr": 0.05, "lr_batch": 0, "warmup_epochs": 1, "weight_decay": 0.0}
    )

    def __init__(self, backbone: Backbone, *, noise: float = 0.1, spread: float = 0.1) -> None:
        super().__init__(backbone)
        self.noise, self.spread = noise, spread
        self.head = nn.Linear(backbone.features, 8)

    def project(self, features: Tensor) -> Tensor:
        return self.head(features)

    def step(self, batch: Batch) -> dict[str, Tensor]:
        self._obey()
        a, b = (self.project(self.backbone(view)) for view in batch.views)
        loss = F.mse_loss(a + self.noise * torch.randn_like(a), b) - self.spread * a.std(0).mean()
        return {"loss": loss, "embedding": a.detach(), "projection": a.detach()}

    def _obey(self) -> None:
        """Send this process the signals of TOYS_SIGNAL=NAME+NAME...:BATCH in that batch."""
        names, _, batch = os.environ.get("TOYS_SIGNAL", "").partition(":")
        if names and self.batches == int(batch):
            for name in names.split("+"):
                os.kill(os.getpid(), getattr(signal, name))


class Idle(Restless):
    """`Restless` with weights that get no gradient.

    Distributed training needs a declaration of such weights.

    Args:
        declared: Whether `unused_parameters` declares these weights.
    """

    def __init__(self, backbone: Backbone, *, declared: bool = True) -> None:
        super().__init__(backbone)
        self.nothing = nn.Linear(2, 2)
        self.unused_parameters = declared


class TwoOptimizers(Restless):
    """`Restless` with two optimisers and manual optimisation.

    Args:
        lr: Learning rate of both optimisers.
    """

    optimizer_defaults = None

    def __init__(self, backbone: Backbone, *, lr: float = 0.01) -> None:
        super().__init__(backbone)
        self.lr = lr
        self.automatic_optimization = False

    def step(self, batch: Batch) -> dict[str, Tensor]:
        outputs = super().step(batch)
        first, second = self.optimizers()
        first.zero_grad()
        second.zero_grad()
        self.manual_backward(outputs["loss"])
        first.step()
        second.step()
        return outputs | {"loss": outputs["loss"].detach()}

    def configure_optimizers(self):
        return [
            torch.optim.Adam(self.backbone.parameters(), lr=self.lr),
            torch.optim.SGD(self.head.parameters(), lr=self.lr),
        ]


class Exploding(Restless):
    """`Restless` with an infinite or NaN loss from one batch on.

    Args:
        at: Number of the first such batch.
        silently: Whether only the gradient of the loss is NaN, and the loss of that batch is finite.
    """

    def __init__(self, backbone: Backbone, *, at: int = 5, silently: bool = False, **options) -> None:
        super().__init__(backbone, **options)
        self.at, self.silently = at, silently

    def step(self, batch: Batch) -> dict[str, Tensor]:
        outputs = super().step(batch)
        if self.batches < self.at:
            return outputs
        loss = outputs["loss"]
        return outputs | {"loss": loss + (0 * loss).sqrt() if self.silently else loss / 0}
