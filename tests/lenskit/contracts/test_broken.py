"""Broken components, and the error line for each of them.

`docs/plugins/faults.md` is generated from this table:
`python tests/lenskit/contracts/test_broken.py > docs/plugins/faults.md`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lenskit.contracts.backbone import meet_backbone
from lenskit.contracts.method import check_answer, check_gradient, meet_method
from lenskit.data.simulated import SimulatedLenses
from lenskit.data.stored import StoredLenses
from lenskit.data.training_set import SimulatedTrainingSet
from lenskit.errors import LenskitError
from lenskit.origin import remember
from lenskit.plugin import (
    Backbone,
    Batch,
    Dataset,
    KeyedGenerator,
    Method,
    PairStrategy,
    Parameter,
    Reconstructor,
    Scene,
    Scorer,
    Simulator,
    Transform,
)  # fmt: skip
from lenskit.preprocessing.preprocess import Preprocess
from lenskit.settings import InputSettings

PAGE = Path(__file__).parents[3] / "docs" / "plugins" / "faults.md"

HEAD = """# Faults of plugins, and their error messages

lenskit checks a component when it is first used, at the point where its output goes to another component. The costly
checks run once for each object, and take .3 s of one core for the default simulator with its pairs. The error is one
line with the component, its distribution and the remedy. An exception in the code of a plugin is reported in one line
with module and line number; `LENSKIT_STRICT=1` shows the traceback. Faults that are found earlier, when plugins are
discovered, are listed in [Ship a plugin](index.md#faults).
"""

SHAPE = (1, 8, 8)


@dataclass(frozen=True)
class Case:
    """A broken component.

    Attributes:
        kind: Its kind.
        does: Its fault.
        says: Part of the error message.
        component: The class.
    """

    kind: str
    does: str
    says: str
    component: type


CASES: list[Case] = []


def broken(kind: str, does: str, says: str) -> Callable[[type], type]:
    """Add a class to the table."""

    def add(component: type) -> type:
        remember(component, f"{kind} 'mine' of lenskit-mine 1.0")
        CASES.append(Case(kind, does, says, component))
        return component

    return add


class Stars(Simulator):
    """Sound simulator: a star at a random place, with noise."""

    groups = ("lens", "noise")
    parameters: Sequence[Parameter] = (Parameter("x", "arcsec"), Parameter("flux"))
    image_shape = SHAPE

    def draw(self, group: str, rng: KeyedGenerator, scene: Scene) -> Scene:
        if group == "lens":
            return {"x": 7 * rng.uniform("x"), "flux": 1 + rng.uniform("flux")}
        return {"noise": rng.noise("noise", *self.image_shape)}

    def render(self, scene: Scene, omit: Iterable[str] = ()) -> Tensor:
        axis = torch.arange(8.0)
        row = torch.exp(-((axis - scene["x"][:, None]) ** 2)) * scene["flux"][:, None]
        return row[:, None, None, :].expand(-1, 1, 8, -1) + 0.1 * scene["noise"]


@broken("simulator", "states no `groups`", "states no `groups`")
class _(Stars):
    groups = property()  # type: ignore[assignment]


@broken("simulator", "states its groups as a text", "states groups = 'lens'")
class _(Stars):
    groups = "lens"  # type: ignore[assignment]


@broken("simulator", "states names in place of Parameters", "it must be a tuple of Parameters")
class _(Stars):
    parameters = ("x",)  # type: ignore[assignment]


@broken("simulator", "has a parameter of a group that it does not draw", "has parameters of the groups source")
class _(Stars):
    parameters = (Parameter("x", group="source"),)


@broken("simulator", "states a size without channels", "states image_shape = (8, 8)")
class _(Stars):
    image_shape = (8, 8)  # type: ignore[assignment]


@broken("simulator", "draws no value of a parameter", "states the parameter 'flux' but `draw` returns no value of it")
class _(Stars):
    def scene(self, *args: Any, **options: Any) -> Scene:
        return {name: value for name, value in super().scene(*args, **options).items() if name != "flux"}


@broken("simulator", "draws a parameter as a column", "returns 'x' as (4, 1)")
class _(Stars):
    def scene(self, *args: Any, **options: Any) -> Scene:
        scene = super().scene(*args, **options)
        return scene | {"x": scene["x"][:, None]}


@broken("simulator", "draws one number for all lenses", "returns 'flux' as float")
class _(Stars):
    def draw(self, group: str, rng: KeyedGenerator, scene: Scene) -> Scene:
        return super().draw(group, rng, scene) | ({"flux": 1.0} if group == "lens" else {})  # type: ignore[dict-item]

    def render(self, scene: Scene, omit: Iterable[str] = ()) -> Tensor:
        return super().render(scene | {"flux": torch.ones(len(scene["x"]))})


@broken("simulator", "returns numpy arrays", "gives images as a numpy array: give a tensor (4 x 1 x 8 x 8)")
class _(Stars):
    def render(self, scene: Scene, omit: Iterable[str] = ()) -> Tensor:
        return super().render(scene).numpy()


@broken("simulator", "returns nothing", "gives images as None")
class _(Stars):
    def render(self, scene: Scene, omit: Iterable[str] = ()) -> Tensor:
        super().render(scene)


@broken("simulator", "leaves out the channels", "gives images of shape 4 x 8 x 8: give 4 x 1 x 8 x 8")
class _(Stars):
    def render(self, scene: Scene, omit: Iterable[str] = ()) -> Tensor:
        return super().render(scene)[:, 0]


@broken("simulator", "renders larger images than it states", "gives images of shape 4 x 1 x 8 x 9")
class _(Stars):
    def render(self, scene: Scene, omit: Iterable[str] = ()) -> Tensor:
        return nn.functional.pad(super().render(scene), (0, 1))


@broken("simulator", "renders fewer images than scenes", "gives images of shape 3 x 1 x 8 x 8")
class _(Stars):
    def render(self, scene: Scene, omit: Iterable[str] = ()) -> Tensor:
        return super().render(scene)[1:]


@broken("simulator", "renders integers", "gives images of int32: give floats")
class _(Stars):
    def render(self, scene: Scene, omit: Iterable[str] = ()) -> Tensor:
        return (100 * super().render(scene)).int()


@broken("simulator", "renders images on another device", "gives images on meta: give them on cpu")
class _(Stars):
    def render(self, scene: Scene, omit: Iterable[str] = ()) -> Tensor:
        return super().render(scene).to("meta")


@broken("simulator", "renders NaN", "gives images with NaN or infinite values (4 of 256)")
class _(Stars):
    def render(self, scene: Scene, omit: Iterable[str] = ()) -> Tensor:
        images = super().render(scene)
        images[:, 0, 0, 0] = torch.nan
        return images


@broken("simulator", "renders the same image always", "renders the same image of 4 lenses whose scenes differ")
class _(Stars):
    def render(self, scene: Scene, omit: Iterable[str] = ()) -> Tensor:
        return torch.ones(len(scene["x"]), *SHAPE)


@broken("simulator", "scales images by the brightest pixel of the batch", "renders a different image of a lens alone")
class _(Stars):
    def render(self, scene: Scene, omit: Iterable[str] = ()) -> Tensor:
        images = super().render(scene)
        return images / images.max()


@broken("simulator", "renders lenses in another order", "keep the order of the lenses")
class _(Stars):
    def render(self, scene: Scene, omit: Iterable[str] = ()) -> Tensor:
        return super().render(scene).flip(0)


@broken("simulator", "sorts its lenses", "keep the order of the lenses")
class _(Stars):
    def render(self, scene: Scene, omit: Iterable[str] = ()) -> Tensor:
        return super().render(scene)[scene["flux"].argsort()]


@broken("simulator", "draws a parameter from the batch", "draws a different 'flux' for a lens alone and in a batch")
class _(Stars):
    def draw(self, group: str, rng: KeyedGenerator, scene: Scene) -> Scene:
        drawn = super().draw(group, rng, scene)
        return drawn | {"flux": drawn["flux"] / drawn["flux"].sum()} if group == "lens" else drawn


@broken("simulator", "adds noise from torch's global generator", "the global generator of torch")
class _(Stars):
    def render(self, scene: Scene, omit: Iterable[str] = ()) -> Tensor:
        return super().render(scene) + torch.randn(len(scene["x"]), *SHAPE)


@broken("simulator", "seeds the global generator and uses it", "the global generator of torch")
class _(Stars):
    def render(self, scene: Scene, omit: Iterable[str] = ()) -> Tensor:
        torch.manual_seed(0)
        return super().render(scene) + torch.randn(SHAPE)


@broken("simulator", "draws with numpy's global generator", "the global generator of numpy")
class _(Stars):
    def draw(self, group: str, rng: KeyedGenerator, scene: Scene) -> Scene:
        return super().draw(group, rng, scene) | {"y": torch.as_tensor(np.random.rand(rng.n))}


@broken("simulator", "draws with Python's generator", "draws a different 'flux' for a lens alone and in a batch")
class _(Stars):
    def draw(self, group: str, rng: KeyedGenerator, scene: Scene) -> Scene:
        return super().draw(group, rng, scene) | {"flux": torch.full((rng.n,), random.random())}


@broken("simulator", "draws with a separate generator", "draws a different 'x' for a lens alone and in a batch")
class _(Stars):
    def draw(self, group: str, rng: KeyedGenerator, scene: Scene) -> Scene:
        own = torch.as_tensor(np.random.default_rng().uniform(0, 7, rng.n)).float()
        return super().draw(group, rng, scene) | ({"x": own} if group == "lens" else {})


class Twins(PairStrategy):
    """Sound pair strategy: two views, one of them mirrored."""

    draws = 1
    views = 2

    def __call__(self, images: Tensor, parameters: dict[str, Tensor], rng: KeyedGenerator) -> Batch:
        views = (images[:, 0], images[:, 0].flip(-1))
        return Batch(views, {name: value.expand(-1, 2) for name, value in parameters.items()}, rng.index)


class Darker(Transform):
    """Sound transform: dims each view by a random factor."""

    def transform(
        self, images: Tensor, parameters: dict[str, Tensor], rng: KeyedGenerator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        factors = rng.uniform("factor", images.shape[1])
        return images * factors[:, :, None, None, None], parameters


@broken("pairs", "states no number of draws", "states draws = None")
class _(Twins):
    draws = None  # type: ignore[assignment]


@broken("pairs", "states no views", "states views = 0")
class _(Twins):
    views = 0


@broken("pairs", "returns the views alone", "returns tuple: return a Batch")
class _(Twins):
    def __call__(self, images: Tensor, parameters: dict[str, Tensor], rng: KeyedGenerator) -> Batch:
        return super().__call__(images, parameters, rng).views


@broken("pairs", "makes three views, not two", "states 2 views but makes 3")
class _(Twins):
    def __call__(self, images: Tensor, parameters: dict[str, Tensor], rng: KeyedGenerator) -> Batch:
        batch = super().__call__(images, parameters, rng)
        return Batch((*batch.views, batch.views[0]), batch.parameters, batch.index)


@broken("pairs", "makes views without channels", "gives view 0 of shape 4 x 8 x 8: give 4 x n x n x n")
class _(Twins):
    def __call__(self, images: Tensor, parameters: dict[str, Tensor], rng: KeyedGenerator) -> Batch:
        batch = super().__call__(images, parameters, rng)
        return Batch(tuple(view[:, 0] for view in batch.views), batch.parameters, batch.index)


@broken("pairs", "makes views of numpy arrays", "gives view 0 as a numpy array")
class _(Twins):
    def __call__(self, images: Tensor, parameters: dict[str, Tensor], rng: KeyedGenerator) -> Batch:
        batch = super().__call__(images, parameters, rng)
        return Batch(tuple(view.numpy() for view in batch.views), batch.parameters, batch.index)  # type: ignore[misc]


@broken("pairs", "adds a channel to one view", "makes views with different numbers of channels")
class _(Twins):
    def __call__(self, images: Tensor, parameters: dict[str, Tensor], rng: KeyedGenerator) -> Batch:
        one, other = super().__call__(images, parameters, rng).views
        return Batch((one, other.expand(-1, 2, -1, -1)), self.both(parameters), rng.index)

    def both(self, parameters: dict[str, Tensor]) -> dict[str, Tensor]:
        return {name: value.expand(-1, 2) for name, value in parameters.items()}


@broken("pairs", "drops a parameter", "drops the parameters flux")
class _(Twins):
    def __call__(self, images: Tensor, parameters: dict[str, Tensor], rng: KeyedGenerator) -> Batch:
        return super().__call__(images, {"x": parameters["x"]}, rng)


@broken("pairs", "keeps the parameters of one view", "gives the parameter 'x' of shape 4 x 1: give 4 x 2")
class _(Twins):
    def __call__(self, images: Tensor, parameters: dict[str, Tensor], rng: KeyedGenerator) -> Batch:
        batch = super().__call__(images, parameters, rng)
        return Batch(batch.views, parameters, batch.index)


@broken("pairs", "renumbers the lenses", "changes the numbers of the lenses")
class _(Twins):
    def __call__(self, images: Tensor, parameters: dict[str, Tensor], rng: KeyedGenerator) -> Batch:
        batch = super().__call__(images, parameters, rng)
        return Batch(batch.views, batch.parameters, batch.index + 1)


@broken("pairs", "shuffles the lenses of one view", "makes different views of a lens alone and in a batch")
class _(Twins):
    def __call__(self, images: Tensor, parameters: dict[str, Tensor], rng: KeyedGenerator) -> Batch:
        batch = super().__call__(images, parameters, rng)
        return Batch((batch.views[0], batch.views[1].roll(1, 0)), batch.parameters, batch.index)


@broken("pairs", "shuffles the parameters", "gives a lens a different 'x' alone and in a batch")
class _(Twins):
    def __call__(self, images: Tensor, parameters: dict[str, Tensor], rng: KeyedGenerator) -> Batch:
        return super().__call__(images, parameters | {"x": parameters["x"].flip(0)}, rng)


@broken("pairs", "adds noise from the global generator", "the global generator of torch")
class _(Twins):
    def __call__(self, images: Tensor, parameters: dict[str, Tensor], rng: KeyedGenerator) -> Batch:
        return super().__call__(images + torch.randn_like(images), parameters, rng)


@broken("pairs", "divides by zero", "gives view 0 with NaN or infinite values")
class _(Twins):
    def __call__(self, images: Tensor, parameters: dict[str, Tensor], rng: KeyedGenerator) -> Batch:
        return super().__call__(images / torch.zeros(()), parameters, rng)


@broken("pairs", "standardises over the batch", "makes different views of a lens alone and in a batch")
class _(Darker):
    def transform(
        self, images: Tensor, parameters: dict[str, Tensor], rng: KeyedGenerator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        return super().transform(images - images.mean(), parameters, rng)


@broken("pairs", "has a transform that drops parameters", "drops the parameters flux, x")
class _(Darker):
    def transform(
        self, images: Tensor, parameters: dict[str, Tensor], rng: KeyedGenerator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        return super().transform(images, parameters, rng)[0], {}


class Plain(Backbone):
    """Sound backbone: a linear layer."""

    features = 4

    def __init__(self, channels: int, size: int) -> None:
        super().__init__(channels, size)
        self.layer = nn.Linear(channels * size * size, self.features if isinstance(self.features, int) else 4)

    def forward(self, images: Tensor) -> Tensor:
        return self.layer(images.flatten(1))


@broken("backbone", "does not pass on channels and size", "has no channels = 1: call super().__init__(channels, size)")
class _(Plain):
    def __init__(self, channels: int, size: int) -> None:
        nn.Module.__init__(self)
        self.layer = nn.Linear(64, 4)


@broken("backbone", "states no length of its features", "states features = None")
class _(Plain):
    features = None  # type: ignore[assignment]


@broken("backbone", "states another length than it returns", "gives features of shape 2 x 4: give 2 x 8")
class _(Plain):
    features = 4

    def __init__(self, channels: int, size: int) -> None:
        super().__init__(channels, size)
        self.features = 8


@broken("backbone", "returns a map", "gives features of shape 2 x 4 x 1 x 1: give 2 x 4")
class _(Plain):
    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images)[:, :, None, None]


@broken("backbone", "returns a list of stages", "gives features as a list")
class _(Plain):
    def forward(self, images: Tensor) -> Tensor:
        return [super().forward(images)]  # type: ignore[return-value]


@broken("backbone", "starts from weights that are NaN", "gives features with NaN or infinite values")
class _(Plain):
    def __init__(self, channels: int, size: int) -> None:
        super().__init__(channels, size)
        nn.init.constant_(self.layer.bias, torch.nan)


@broken("backbone", "normalises over the batch in eval mode", "gives different features of an image alone")
class _(Plain):
    def forward(self, images: Tensor) -> Tensor:
        features = super().forward(images)
        return features - features.mean(0)


class Sum(Method):
    """Sound method: minimises the distance of the features of two views."""

    views = 2

    def step(self, batch: Batch) -> dict[str, Tensor]:
        one, other = map(self.backbone, batch.views)
        return {"loss": (one - other).square().mean(), "embedding": one.detach()}


@broken("method", "states no views", "states views = None")
class _(Sum):
    views = None  # type: ignore[assignment]


@broken(
    "method", "names several evaluations", "states judged_by = ('probe', 'umap'): it must be the name of an evaluation"
)
class _(Sum):
    judged_by = ("probe", "umap")  # type: ignore[assignment]


@broken("method", "trains a copy of its backbone", "does not keep its backbone as `self.backbone`")
class _(Sum):
    def __init__(self, backbone: Backbone) -> None:
        super().__init__(Plain(backbone.channels, backbone.size))


@broken("method", "returns the loss alone", "returns Tensor from `step`: return a dict with `loss`")
class _(Sum):
    def step(self, batch: Batch) -> dict[str, Tensor]:
        return super().step(batch)["loss"]  # type: ignore[return-value]


@broken("method", "returns nothing", "returns NoneType from `step`")
class _(Sum):
    def step(self, batch: Batch) -> dict[str, Tensor]:
        super().step(batch)


@broken("method", "names its loss `total`", "returns a dict with total from `step`: return a dict with `loss`")
class _(Sum):
    def step(self, batch: Batch) -> dict[str, Tensor]:
        return {"total": super().step(batch)["loss"]}


@broken("method", "gives a loss for each lens", "returns a loss of shape (4,): return a tensor with one number")
class _(Sum):
    def step(self, batch: Batch) -> dict[str, Tensor]:
        one, other = map(self.backbone, batch.views)
        return {"loss": (one - other).square().mean(1)}


@broken("method", "gives its loss as a number", "returns a loss of float: return a tensor with one number")
class _(Sum):
    def step(self, batch: Batch) -> dict[str, Tensor]:
        return {"loss": super().step(batch)["loss"].item()}  # type: ignore[dict-item]


@broken("method", "detaches its loss", "returns a loss without a gradient")
class _(Sum):
    def step(self, batch: Batch) -> dict[str, Tensor]:
        return {"loss": super().step(batch)["loss"].detach()}


@broken("method", "gives an embedding of both views", "gives embedding of shape 8 x 4: give 4 x n")
class _(Sum):
    def step(self, batch: Batch) -> dict[str, Tensor]:
        outputs = super().step(batch)
        return outputs | {"embedding": outputs["embedding"].repeat(2, 1)}


@broken("method", "learns with a head alone", "returns a loss whose gradient does not reach the backbone")
class _(Sum):
    def __init__(self, backbone: Backbone) -> None:
        super().__init__(backbone)
        self.head = nn.Linear(backbone.features, 1)

    def step(self, batch: Batch) -> dict[str, Tensor]:
        return {"loss": self.head(self.backbone(batch.views[0]).detach()).mean()}


class Judging(Sum, Scorer, Reconstructor):
    """Sound method that also scores and reconstructs."""

    def score(self, images: Tensor) -> Tensor:
        return images.flatten(1).mean(1)

    def reconstruct(self, images: Tensor) -> Tensor:
        return images.clone()


@broken("method", "gives scores as a column", "gives scores of shape 4 x 1: give 4")
class _(Judging):
    def score(self, images: Tensor) -> Tensor:
        return super().score(images)[:, None]


@broken("method", "gives one score for all images", "gives scores of shape one number: give 4")
class _(Judging):
    def score(self, images: Tensor) -> Tensor:
        return super().score(images).mean()


@broken("method", "reconstructs a crop", "gives reconstructions of shape 4 x 1 x 6 x 6: give 4 x 1 x 8 x 8")
class _(Judging):
    def reconstruct(self, images: Tensor) -> Tensor:
        return super().reconstruct(images)[..., 1:-1, 1:-1]


class Pile(Dataset):
    """Sound dataset: six images in memory, with a label."""

    parameters: Sequence[Parameter] = (Parameter("x"),)
    image_shape = SHAPE
    names: Sequence[str] = tuple("abcdef")

    def read(self, index: Sequence[int]) -> tuple[Tensor, dict[str, Tensor]]:
        numbers = torch.tensor(list(index)).float()
        return numbers[:, None, None, None, None].expand(-1, 1, *SHAPE).clone(), {"x": numbers}


@broken("dataset", "states a size without channels", "states image_shape = (8, 8)")
class _(Pile):
    image_shape = (8, 8)  # type: ignore[assignment]


@broken("dataset", "has fewer names than lenses", "has 7 lenses and 6 names")
class _(Pile):
    def __len__(self) -> int:
        return 7


@broken("dataset", "gives its names as one text", "states names as str")
class _(Pile):
    names = "abcdef"


@broken("dataset", "states labels by name alone", "it must be a tuple of Parameters")
class _(Pile):
    parameters = ("x",)  # type: ignore[assignment]


@broken("dataset", "states chunks of no lens", "states chunk = 0")
class _(Pile):
    chunk = 0


@broken("dataset", "returns images alone", "returns Tensor from `read`: return images and a dict of parameters")
class _(Pile):
    def read(self, index: Sequence[int]) -> tuple[Tensor, dict[str, Tensor]]:
        return super().read(index)[0]  # type: ignore[return-value]


@broken("dataset", "returns numpy arrays", "gives images as a numpy array: give a tensor (2 x 1 x 1 x 8 x 8)")
class _(Pile):
    def read(self, index: Sequence[int]) -> tuple[Tensor, dict[str, Tensor]]:
        images, values = super().read(index)
        return images.numpy(), values  # type: ignore[return-value]


@broken("dataset", "leaves out the axis of views", "gives images of shape 2 x 1 x 8 x 8: give 2 x 1 x 1 x 8 x 8")
class _(Pile):
    def read(self, index: Sequence[int]) -> tuple[Tensor, dict[str, Tensor]]:
        images, values = super().read(index)
        return images[:, 0], values


@broken("dataset", "gives double precision", "returns images of float64: return float32")
class _(Pile):
    def read(self, index: Sequence[int]) -> tuple[Tensor, dict[str, Tensor]]:
        images, values = super().read(index)
        return images.double(), values


@broken("dataset", "gives no label", "returns no value of 'x' for 2 lenses")
class _(Pile):
    def read(self, index: Sequence[int]) -> tuple[Tensor, dict[str, Tensor]]:
        return super().read(index)[0], {}


@broken("dataset", "gives labels of all lenses", "returns values (6,) of 'x' for 2 lenses")
class _(Pile):
    def read(self, index: Sequence[int]) -> tuple[Tensor, dict[str, Tensor]]:
        return super().read(index)[0], {"x": torch.arange(6.0)}


@broken("dataset", "reads the first lenses in place of the requested ones", "returns different lenses from `read([5")
class _(Pile):
    def read(self, index: Sequence[int]) -> tuple[Tensor, dict[str, Tensor]]:
        return super().read(range(len(index)))


@broken("dataset", "reads another order into memory", "and `read_into(images, [0, 5])`")
class _(Pile):
    def read_into(self, images: Tensor, index: Sequence[int]) -> dict[str, Tensor]:
        return super().read_into(images, list(reversed(index)))


@broken("dataset", "does not fill the memory", "and `read_into(images, [0, 5])`")
class _(Pile):
    def read_into(self, images: Tensor, index: Sequence[int]) -> dict[str, Tensor]:
        images.fill_(-1)
        return super().read(index)[1]


def prepare(simulator: Simulator, pairs: PairStrategy) -> SimulatedTrainingSet:
    return SimulatedTrainingSet(simulator, pairs, Preprocess.of(InputSettings(), None), seed=0)


def use_simulator(component: type[Simulator]) -> None:
    SimulatedLenses(component(), seed=0, split="train", index=8).read(range(8))


def use_pairs(component: type[PairStrategy]) -> None:
    prepare(Stars(), component()).sample(8)


def use_backbone(component: type[Backbone]) -> None:
    meet_backbone(component(1, 8), 1, 8)


def use_method(component: type[Method]) -> None:
    backbone = Plain(1, 8)
    method = component(backbone)
    meet_method(method, backbone)
    outputs = method.training_step(prepare(Stars(), Twins()).by_index(range(4)), 0)
    outputs["loss"].backward()
    check_gradient(method)
    images = torch.rand(4, *SHAPE)
    if isinstance(method, Scorer):
        check_answer(method, "score", method.score(images), images)
    if isinstance(method, Reconstructor):
        check_answer(method, "reconstruct", method.reconstruct(images), images)


def use_dataset(component: type[Dataset]) -> None:
    StoredLenses(component()).read(range(2))


USES: Mapping[str, Callable[[Any], None]] = {
    "simulator": use_simulator,
    "pairs": use_pairs,
    "backbone": use_backbone,
    "method": use_method,
    "dataset": use_dataset,
}
"""First use of a component of each kind."""


def line_of(case: Case) -> str:
    """Return the error message for a broken component."""
    with pytest.raises(LenskitError) as caught:
        USES[case.kind](case.component)
    return str(caught.value)


@pytest.mark.parametrize("case", CASES, ids=[f"{case.kind} {case.does}" for case in CASES])
def test_a_broken_component_is_one_line(case: Case) -> None:
    line = line_of(case)
    assert line.startswith(f"{case.kind} 'mine' of lenskit-mine 1.0 ")
    assert case.says in line
    assert "\n" not in line


@pytest.mark.parametrize("kind", USES)
@pytest.mark.parametrize("component", [Stars, Twins, Darker, Plain, Sum, Judging, Pile])
def test_a_sound_component_passes(kind: str, component: type) -> None:
    bases = {"simulator": Simulator, "pairs": PairStrategy, "backbone": Backbone, "method": Method, "dataset": Dataset}
    if issubclass(component, bases[kind]):
        USES[kind](component)


def test_lenses_of_constant_priors_may_be_the_same() -> None:
    class Constant(Stars):
        def draw(self, group: str, rng: KeyedGenerator, scene: Scene) -> Scene:
            if group == "lens":
                return {"x": torch.full((rng.n,), 3.0), "flux": torch.ones(rng.n)}
            return {"noise": torch.zeros(rng.n, *SHAPE)}

    use_simulator(Constant)


def page() -> str:
    """Return the page `docs/plugins/faults.md`."""
    parts = [HEAD]
    for kind in USES:
        rows = [f"| {case.does} | {line_of(case).replace('|', chr(92) + '|')} |" for case in CASES if case.kind == kind]
        title = kind if kind == "pairs" else f"{kind}s"
        parts.append("\n".join([f"## {title.capitalize()}\n", "| fault | message |", "|---|---|", *rows, ""]))
    return "\n".join(parts)


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text() == page()


if __name__ == "__main__":
    print(page(), end="")
