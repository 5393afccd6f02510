"""Contract of simulators: each test finds its planted fault."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from lenskit.plugin import Distribution, KeyedGenerator, Parameter, Scene, Simulator
from tests.lenskit.testing.planted import Planted, check_complete, check_found, faults, planted, sound

KIND = "simulator"
PIXELS = 8


@sound(KIND, "draws stars", options={"flux": "uniform(1, 3)"})
class Stars(Simulator):
    """Sound simulator: a star at a random place of a row, with noise.

    Args:
        flux: Brightness of the star.
    """

    groups: tuple[str, ...] = ("lens", "source", "noise")
    parameters: Sequence[Parameter] = (Parameter("flux"), Parameter("x", "arcsec", group="source"))
    image_shape = (1, PIXELS, PIXELS)
    pixel_scale = 0.1
    removable = frozenset({"source"})

    def __init__(self, *, flux: Distribution = "uniform(1, 2)") -> None:  # type: ignore[assignment]
        self.flux = Distribution.parse(flux)
        self.axis = torch.arange(float(PIXELS))

    def draw(self, group: str, rng: KeyedGenerator, scene: Scene) -> Scene:
        if group == "lens":
            return {"flux": rng.sample("flux", self.flux)}
        if group == "source":
            return {"x": 3 + rng.uniform("x") + scene["flux"]}
        return {"noise": rng.noise("noise", *self.image_shape)}

    def render(self, scene: Scene, omit: Iterable[str] = ()) -> Tensor:
        star = scene["flux"][:, None] * torch.exp(-((self.axis - scene["x"][:, None]) ** 2))
        return star[:, None, None] * ("source" not in omit) + 0.1 * scene["noise"]


@sound(KIND, "gives all lenses the same values")
class Constant(Stars):
    """Sound simulator: constant priors, no removable group, no pixel scale."""

    pixel_scale = None  # type: ignore[assignment]
    removable = frozenset()

    def draw(self, group: str, rng: KeyedGenerator, scene: Scene) -> Scene:
        one = torch.ones(rng.n, dtype=rng.dtype, device=rng.device)
        if group == "noise":
            return {"noise": one[:, None, None, None].expand(-1, *self.image_shape)}
        return {"flux": one} if group == "lens" else {"x": 3 * one}


@sound(KIND, "marks missing values of unrecorded quantities as NaN")
class Missing(Stars):
    """Sound simulator of two channels; half of the stars have no companion."""

    image_shape = (2, PIXELS, PIXELS)

    def draw(self, group: str, rng: KeyedGenerator, scene: Scene) -> Scene:
        drawn = super().draw(group, rng, scene)
        if group == "lens":
            companion = rng.uniform("companion")
            drawn["companion"] = torch.where(companion < 0.5, torch.nan, companion)
        return drawn

    def render(self, scene: Scene, omit: Iterable[str] = ()) -> Tensor:
        return super().render(scene, omit) + scene["companion"].nan_to_num(0)[:, None, None, None]


@planted(KIND, "the summary is one line", "has an empty summary", "has an empty summary", at=None, summary=" ")
@planted(KIND, "the summary is one line", "has a long summary", "summary of 120 characters", at=None, summary="a" * 120)
class Summarised(Stars):
    pass


@planted(KIND, "the docstring describes it", "has no docstring", "has no docstring: add one")
class Silent(Stars):
    pass


@planted(KIND, "options have a meaning", "does not describe an option", "has the option 'seeing' without a meaning")
class Undescribed(Stars):
    def __init__(self, *, seeing: float = 1.0) -> None:
        super().__init__()


@planted(KIND, "options have a type", "does not annotate an option", "has the option 'flux' without", at="__init__")
class Untyped(Stars):
    def __init__(self, *, flux="1") -> None:
        super().__init__(flux=flux)


@planted(KIND, "options are plain values", "has a list with None", "that TOML cannot hold ... use numbers")
class Objects(Stars):
    """Simulator with a list of options that may be None.

    Args:
        fluxes: Brightness of each star.
    """

    def __init__(self, *, fluxes: tuple[float | None, ...] = (None,)) -> None:
        super().__init__()


@planted(KIND, "it passes the checks at first use", "states its groups as a text", "states groups = 'lens'")
class GroupsAsText(Stars):
    groups = "lens"  # type: ignore[assignment]


@planted(KIND, "it passes the checks at first use", "draws a column", "returns 'flux' as (6, 1): return one", at="draw")
class Column(Stars):
    def draw(self, group: str, rng: KeyedGenerator, scene: Scene) -> Scene:
        return {name: value[:, None] for name, value in super().draw(group, rng, scene).items()}


@planted(
    KIND, "it passes the checks at first use", "renders images without channels", "of shape 4 x 8 x 8", at="render"
)
class Flat(Stars):
    def render(self, scene: Scene, omit: Iterable[str] = ()) -> Tensor:
        return super().render(scene, omit)[:, 0]


@planted(KIND, "images are finite and float32", "renders double precision", "renders torch.float64", at="render")
class Double(Stars):
    def render(self, scene: Scene, omit: Iterable[str] = ()) -> Tensor:
        return super().render(scene, omit).double()


@planted(KIND, "images are finite and float32", "divides by zero", "renders NaN or infinite", at="render")
class DividesByZero(Stars):
    def render(self, scene: Scene, omit: Iterable[str] = ()) -> Tensor:
        return super().render(scene, omit) / (scene["x"] > 0).sum().sub(len(scene["x"]))


@planted(KIND, "images are finite and float32", "overflows at large numbers of lenses", "renders NaN", at="render")
class Overflows(Stars):
    def draw(self, group: str, rng: KeyedGenerator, scene: Scene) -> Scene:
        return super().draw(group, rng, scene) | {"number": rng.index.to(rng.dtype)}

    def render(self, scene: Scene, omit: Iterable[str] = ()) -> Tensor:
        return super().render(scene, omit) + 0 * torch.exp(scene["number"])[:, None, None, None]


@planted(
    KIND, "parameters have different names", "records a parameter twice", "records a parameter twice: ['flux', 'x'"
)
class Twice(Stars):
    parameters = (*Stars.parameters, Parameter("x", group="source"))


@planted(KIND, "recorded values are finite", "records NaN", "draws 'companion' as NaN or infinity", at="draw")
class RecordsNaN(Missing):
    parameters = (*Stars.parameters, Parameter("companion"))


@planted(KIND, "recorded values are finite", "takes the logarithm of zero", "draws 'flux' as NaN", at="draw")
class Logarithm(Stars):
    def draw(self, group: str, rng: KeyedGenerator, scene: Scene) -> Scene:
        drawn = super().draw(group, rng, scene)
        return {"flux": drawn["flux"] + (rng.index == 3) / 0} if group == "lens" else drawn

    def render(self, scene: Scene, omit: Iterable[str] = ()) -> Tensor:
        return super().render(scene | {"flux": scene["flux"].nan_to_num(1, 1, 1)}, omit)


@planted(KIND, "the pixel scale is positive", "has a pixel scale of zero", "has pixel_scale = 0: give arcseconds")
class NoScale(Stars):
    pixel_scale = 0


@planted(KIND, "the pixel scale is positive", "gives its pixel scale as a text", "has pixel_scale = '0.1'")
class ScaleAsText(Stars):
    pixel_scale = "0.1"  # type: ignore[assignment]


@planted(KIND, "an address determines the image", "draws with a generator of its own", "draws another 'x'", at="draw")
class OwnGenerator(Stars):
    def draw(self, group: str, rng: KeyedGenerator, scene: Scene) -> Scene:
        drawn = super().draw(group, rng, scene)
        own = torch.as_tensor(np.random.default_rng().uniform(3, 6, rng.n)).to(rng.dtype)
        return {"x": own} if group == "source" else drawn


@planted(KIND, "an address determines the image", "counts its calls", "renders another image of the same", at="render")
class Counts(Stars):
    number = 0

    def render(self, scene: Scene, omit: Iterable[str] = ()) -> Tensor:
        Counts.number += 1
        return super().render(scene, omit) + Counts.number


@planted(
    KIND, "neighbours in the batch do not matter", "divides by the peak of the batch", "in another batch", at="render"
)
class Peak(Stars):
    def render(self, scene: Scene, omit: Iterable[str] = ()) -> Tensor:
        images = super().render(scene, omit)
        return images / images.max()


@planted(KIND, "neighbours in the batch do not matter", "draws a value from the batch", "draws 'flux' of a", at="draw")
class FromTheBatch(Stars):
    def draw(self, group: str, rng: KeyedGenerator, scene: Scene) -> Scene:
        drawn = super().draw(group, rng, scene)
        return {"flux": drawn["flux"] / drawn["flux"].mean()} if group == "lens" else drawn


@planted(KIND, "no global generator is used", "adds noise from torch", "the global generator of torch", at="render")
class GlobalTorch(Stars):
    def render(self, scene: Scene, omit: Iterable[str] = ()) -> Tensor:
        images = super().render(scene, omit)
        return images + torch.randn_like(images)


@planted(KIND, "no global generator is used", "draws with numpy", "the global generator of numpy", at="draw")
class GlobalNumpy(Stars):
    def draw(self, group: str, rng: KeyedGenerator, scene: Scene) -> Scene:
        return super().draw(group, rng, scene) | {"y": torch.as_tensor(np.random.rand(rng.n))}


@planted(
    KIND, "views share the groups that are shared and no others", "draws another lens for each view",
    "draws another 'flux' for views that share 'lens'", at="draw",
)  # fmt: skip
class OtherLens(Stars):
    def draw(self, group: str, rng: KeyedGenerator, scene: Scene) -> Scene:
        other = KeyedGenerator(rng.seed, rng.split, group, rng.index, rng.rendering, rng.dtype)
        return super().draw(group, other, scene)


@planted(
    KIND, "views share the groups that are shared and no others", "draws the same lens for each view",
    "draws the same 'lens' for another view", at="draw",
)  # fmt: skip
class SameLens(Stars):
    def draw(self, group: str, rng: KeyedGenerator, scene: Scene) -> Scene:
        same = KeyedGenerator(rng.seed, rng.split, group, rng.index, 0 * rng.view, rng.dtype)
        return super().draw(group, same if group == "lens" else rng, scene)


@planted(
    KIND, "other seeds and splits are other lenses", "ignores the seed", "the same lenses for another seed", at="draw"
)  # fmt: skip
class IgnoresTheSeed(Stars):
    def draw(self, group: str, rng: KeyedGenerator, scene: Scene) -> Scene:
        other = KeyedGenerator(0, rng.split, group, rng.index, rng.view, rng.dtype, rng.rendering)
        return super().draw(group, rng if group == "noise" else other, scene)


@planted(KIND, "other seeds and splits are other lenses", "ignores the split", "for another seed or split", at="draw")
class IgnoresTheSplit(Stars):
    def draw(self, group: str, rng: KeyedGenerator, scene: Scene) -> Scene:
        other = KeyedGenerator(rng.seed, "train", group, rng.index, rng.view, rng.dtype, rng.rendering)
        return super().draw(group, rng if group == "noise" else other, scene)


@planted(
    KIND, "removable groups can be omitted", "ignores `omit`", "the same image if 'source' is omitted", at="render"
)
class IgnoresOmit(Stars):
    def render(self, scene: Scene, omit: Iterable[str] = ()) -> Tensor:
        return super().render(scene)


@planted(KIND, "removable groups can be omitted", "can remove a group without a name", "can remove 'disc', which")
class RemovesAnother(Stars):
    removable = frozenset({"disc"})


@planted(KIND, "double precision is possible", "rounds to float32", "a scene of float64 as torch.float32", at="render")
class Rounds(Stars):
    def render(self, scene: Scene, omit: Iterable[str] = ()) -> Tensor:
        return super().render(scene, omit).float()


@planted(
    KIND,
    "tensors are on the device of the scene",
    "keeps a tensor in a list",
    "cannot run on a GPU: ... Make tensors on",
    at="render",
)
class OnTheCpu(Stars):
    def __init__(self) -> None:
        super().__init__()
        self.flats = [torch.ones(PIXELS)]

    def render(self, scene: Scene, omit: Iterable[str] = ()) -> Tensor:
        return super().render(scene, omit) * self.flats[0]


@planted(KIND, "tensors are on the device of the scene", "fills images on the CPU", "renders on cpu", at="render")
class FillsOnTheCpu(Stars):
    def render(self, scene: Scene, omit: Iterable[str] = ()) -> Tensor:
        return torch.zeros(len(scene["x"]), *self.image_shape)


@pytest.mark.parametrize("fault", faults(KIND), ids=str)
def test_a_planted_fault_is_found(fault: Planted) -> None:
    check_found(fault)


@pytest.mark.slow
def test_the_table_is_complete() -> None:
    check_complete(KIND)
