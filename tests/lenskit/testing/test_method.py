"""Contract of methods: each test finds its planted fault."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lenskit.plugin import Backbone, Batch, Method, Predictor, Reconstructor, Scorer
from lenskit.toolbox import gather
from tests.lenskit.testing.planted import Planted, check_complete, check_found, faults, planted, sound

KIND = "method"

SECTIONS = {"simulator": {"name": "blobs"}, "backbone": {"name": "tiny"}}
"""Components that train in a fraction of a second."""

TRAINS = (
    "it trains without further options",
    "the seed determines the result",
    "a resumed run equals an undisturbed run",
    "two processes learn like one",
)
"""Tests that take more than 0.3 s."""

FIRST = "it trains without further options"
STEP = "a step returns a finite loss"
GRADIENT = "the gradient reaches all weights"
OPTIMISED = "all weights with a gradient are optimised"
EMBEDDING = "the embedding is that of the saved encoder"
SEED = "the seed determines the result"
RESUMED = "a resumed run equals an undisturbed run"
PROCESSES = "two processes learn like one"
ABILITIES = "abilities return a value for each image"


broken = partial(planted, KIND, sections=SECTIONS)


@sound(KIND, "pulls two views together", sections=SECTIONS, options={"projection_dim": 8})
class Pull(Method):
    """Sound method: pull the projections of two views together, despite noise.

    Args:
        projection_dim: Length of the projections.
    """

    views = 2
    judged_by = "probe"
    optimizer_defaults = MappingProxyType(
        {"name": "sgd", "lr": 0.05, "lr_batch": 0, "warmup_epochs": 0, "weight_decay": 0.0}
    )

    def __init__(self, backbone: Backbone, *, projection_dim: int = 4) -> None:
        super().__init__(backbone)
        self.head = nn.Linear(backbone.features, projection_dim)

    def project(self, features: Tensor) -> Tensor:
        return self.head(features)

    def step(self, batch: Batch) -> dict[str, Any]:
        one, other = (self.project(self.backbone(view)) for view in batch.views)
        noise = self.rng(batch, "noise").normal("noise", one.shape[1]).to(one)
        loss = (one + 0.1 * noise - other).square().mean()
        return {"loss": loss, "embedding": one.detach(), "projection": one.detach()}


@sound(KIND, "spreads the lenses of all processes", sections=SECTIONS)
class Spread(Pull):
    """Sound method that also rewards the standard deviation of the batch."""

    judged_by = ""

    def step(self, batch: Batch) -> dict[str, Any]:
        outputs = super().step(batch)
        every = gather(self.project(self.backbone(batch.views[0])))
        return outputs | {"loss": outputs["loss"] - 0.1 * every.std(0).mean()}


@sound(KIND, "scores, reconstructs and predicts", sections=SECTIONS)
class Judging(Pull, Scorer, Reconstructor, Predictor):
    """Sound method with all abilities."""

    classes: Mapping[str, int] = MappingProxyType({"kind": 3})

    def score(self, images: Tensor) -> Tensor:
        return images.flatten(1).mean(1)

    def figures(self, images: Tensor) -> Mapping[str, Tensor]:
        return {"peak": images.flatten(1).amax(1)}

    def reconstruct(self, images: Tensor) -> Tensor:
        return images.clone()

    def predict(self, images: Tensor) -> dict[str, Tensor]:
        return {"width": images.flatten(1).sum(1), "kind": self.probabilities(images)["kind"].argmax(1)}

    def probabilities(self, images: Tensor) -> dict[str, Tensor]:
        return {"kind": images.flatten(1)[:, :3].softmax(1)}


@sound(KIND, "steps two optimizers itself", sections=SECTIONS)
class Manual(Pull):
    """Sound method with manual optimisation."""

    optimizer_defaults = None  # type: ignore[assignment]

    def __init__(self, backbone: Backbone) -> None:
        super().__init__(backbone)
        self.automatic_optimization = False

    def step(self, batch: Batch) -> dict[str, Any]:
        outputs = super().step(batch)
        for optimizer in self.optimizers():
            optimizer.zero_grad()
        self.manual_backward(outputs["loss"])
        for optimizer in self.optimizers():
            optimizer.step()
        return outputs | {"loss": outputs["loss"].detach()}

    def configure_optimizers(self) -> Any:
        return [torch.optim.SGD(part.parameters(), lr=0.01) for part in (self.backbone, self.head)]


@sound(KIND, "returns its optimizer in a list", sections=SECTIONS)
class Listed(Pull):
    """Sound method with an optimizer of its own."""

    optimizer_defaults: ClassVar[Mapping[str, Any] | None] = None

    def configure_optimizers(self) -> Any:
        return [torch.optim.SGD(self.parameters(), lr=0.01)]


@broken("the summary is one line", "has an empty summary", "has an empty summary", at=None, summary=" ")
@broken("the summary is one line", "has a long summary", "summary of 120 characters", at=None, summary="a" * 120)
class Summarised(Pull):
    pass


@broken("the docstring describes it", "has no docstring", "has no docstring: add one")
class Silent(Pull):
    pass


@broken("options have a meaning", "does not describe an option", "has the option 'scale' without a meaning")
class Undescribed(Pull):
    def __init__(self, backbone: Backbone, *, scale: float = 1.0) -> None:
        super().__init__(backbone)


@broken("options have a type", "does not annotate an option", "option 'projection_dim' without", at="__init__")
class Untyped(Pull):
    def __init__(self, backbone: Backbone, *, projection_dim=4) -> None:
        super().__init__(backbone, projection_dim=projection_dim)


@broken("options are plain values", "has a list with None", "that TOML cannot hold ... use numbers")
class Objects(Pull):
    """Method with a list of options that may be None.

    Args:
        widths: Width of each layer.
    """

    def __init__(self, backbone: Backbone, *, widths: tuple[int | None, ...] = (None,)) -> None:
        super().__init__(backbone)


@broken(FIRST, "takes views that no default makes", "takes 3 view(s) of each lens, pairs 'lens-fixed'")
class Triplets(Pull):
    views = 3


@broken(FIRST, "trains a copy of its backbone", "does not keep its backbone as `self.backbone`")
class Copies(Pull):
    def __init__(self, backbone: Backbone) -> None:
        super().__init__(backbone)
        self.backbone = nn.Sequential(backbone)  # type: ignore[assignment]


@broken(STEP, "returns the loss alone", "returns Tensor from `step`: return a dict", at="step")
class LossAlone(Pull):
    def step(self, batch: Batch) -> dict[str, Any]:
        return super().step(batch)["loss"]


@broken(STEP, "divides by zero", "has a loss that is not finite", at="step")
class DividesByZero(Pull):
    def step(self, batch: Batch) -> dict[str, Any]:
        outputs = super().step(batch)
        return outputs | {"loss": outputs["loss"] / 0}


@broken(STEP, "does not detach its embedding", "'embedding' with a gradient", at="step")
class Attached(Pull):
    def step(self, batch: Batch) -> dict[str, Any]:
        return super().step(batch) | {"embedding": self.backbone(batch.views[0])}


@broken(GRADIENT, "learns with its head alone", "does not reach the backbone", at="step")
class HeadAlone(Pull):
    def step(self, batch: Batch) -> dict[str, Any]:
        return {"loss": self.project(self.backbone(batch.views[0]).detach()).square().mean()}


@broken(
    GRADIENT,
    "has a layer that it does not use",
    "weights without a gradient: unused.",
    at="step",
)
class Unused(Pull):
    def __init__(self, backbone: Backbone) -> None:
        super().__init__(backbone)
        self.unused = nn.Linear(2, 2)


@broken(
    OPTIMISED,
    "optimises its backbone alone",
    "leaves weights out of the optimizer: head.weight, head.bias",
    at="configure_optimizers",
)
class BackboneAlone(Listed):
    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.backbone.parameters(), lr=0.01)


@broken(OPTIMISED, "lists a part of its modules", "has the parameter head.weight in no")
class PartOfIts(Pull):
    def parameter_groups(self) -> list[dict[str, Any]]:
        return [{"modules": [self.backbone]}]


@broken(EMBEDDING, "normalises its embeddings", "embeds images differently", at="embed")
class Normalises(Pull):
    def embed(self, images: Tensor) -> Tensor:
        return nn.functional.normalize(self.backbone(images))


@broken(SEED, "adds noise from a generator of its own", "other weights with the same seed")
class OwnGenerator(Pull):
    def step(self, batch: Batch) -> dict[str, Any]:
        outputs = super().step(batch)
        return outputs | {"loss": outputs["loss"] * float(np.random.default_rng().uniform(0.5, 1.5))}


@broken(RESUMED, "counts its batches itself", "learns other weights after an interruption")
class Counts(Pull):
    def __init__(self, backbone: Backbone) -> None:
        super().__init__(backbone)
        self.count = 0

    def step(self, batch: Batch) -> dict[str, Any]:
        self.count += 1
        outputs = super().step(batch)
        return outputs | {"loss": outputs["loss"] / self.count}


@broken(RESUMED, "keeps a running mean as an attribute", "other weights after an interr")
class RunningMean(Pull):
    mean: Any = 0.0

    def step(self, batch: Batch) -> dict[str, Any]:
        one = self.project(self.backbone(batch.views[0]))
        self.mean = 0.5 * self.mean + 0.5 * one.mean(0).detach()
        return {"loss": super().step(batch)["loss"] + (one - self.mean).square().mean()}


@broken(PROCESSES, "compares the lenses of one process", "in two processes", at="step")
class OneProcess(Pull):
    def step(self, batch: Batch) -> dict[str, Any]:
        outputs = super().step(batch)
        spread = self.project(self.backbone(batch.views[0])).std(0).mean()
        return outputs | {"loss": outputs["loss"] - 0.1 * spread}


@broken(PROCESSES, "draws noise for a batch from torch", "in two processes", at="step")
class BatchNoise(Pull):
    def step(self, batch: Batch) -> dict[str, Any]:
        one, other = (self.project(self.backbone(view)) for view in batch.views)
        return {"loss": (one + torch.randn_like(one) - other).square().mean()}


@broken(ABILITIES, "gives scores as a column", "scores of shape 4 x 1: give 4", at="score")
class Column(Judging):
    def score(self, images: Tensor) -> Tensor:
        return super().score(images)[:, None]


@broken(ABILITIES, "gives a figure of the batch", "gives 'peak' of shape ()", at="figures")
class OneFigure(Judging):
    def figures(self, images: Tensor) -> Mapping[str, Tensor]:
        return {"peak": images.max()}


@broken(ABILITIES, "reconstructs a crop", "gives reconstructions of", at="reconstruct")
class Crop(Judging):
    def reconstruct(self, images: Tensor) -> Tensor:
        return images[..., 1:-1, 1:-1]


@broken(ABILITIES, "predicts a column", "predicts 'width' of shape (4, 1)", at="predict")
class PredictsColumn(Judging):
    def predict(self, images: Tensor) -> dict[str, Tensor]:
        return super().predict(images) | {"width": images.flatten(1)[:, :1]}


@broken(
    ABILITIES,
    "omits the probabilities of a class",
    "gives probabilities (4, 2) of 'kind': give (4, 3)",
    at="probabilities",
)
class OmitsClass(Judging):
    def probabilities(self, images: Tensor) -> dict[str, Tensor]:
        return {"kind": images.flatten(1)[:, :2].softmax(1)}


@broken(
    "the suggested evaluation exists",
    "suggests an evaluation that is missing",
    "missing: unknown evaluation",
)
class Suggests(Pull):
    judged_by = "prob"


@pytest.mark.parametrize(
    "fault",
    [pytest.param(fault, marks=[pytest.mark.slow] * (fault.test in TRAINS)) for fault in faults(KIND)],
    ids=str,
)
def test_a_planted_fault_is_found(fault: Planted) -> None:
    check_found(fault)


@pytest.mark.slow
def test_the_table_is_complete() -> None:
    check_complete(KIND)
