"""A simulator with derived parameters, shared by the tests of rendering."""

from __future__ import annotations

from typing import Any

import torch

from lenskit.distributions import Distribution
from lenskit.generator import KeyedGenerator
from lenskit.kinds.parameter import Parameter
from lenskit.kinds.simulator import Scene, Simulator
from lenskit.rendering.render import Rendering
from lenskit.rendering.table import read_table

UNIT = Distribution.parse("uniform(0, 1)")


class Derived(Simulator):
    """Simulator that records draws unchanged, changed, and as the number of a class."""

    groups = ("lens",)
    parameters = (
        Parameter("plain"),
        Parameter("shifted"),
        Parameter("kind", classes=("none", "some", "all")),
        Parameter("number"),
        Parameter("inner"),
    )
    image_shape = (1, 2, 2)

    def __init__(self, *, plain: str = "normal(0, 1)", hidden: str = "uniform(0, 1)", most: int = 3) -> None:
        self.plain, self.hidden, self.most = map(Distribution.parse, (plain, hidden, most))  # type: ignore[arg-type]

    def draw(self, group: str, rng: KeyedGenerator, scene: Scene) -> Scene:
        drawn = rng.samples({"plain": self.plain, "shifted": UNIT})
        most = self.most.bounds[1]
        return {
            "plain": drawn["plain"],
            "shifted": drawn["plain"] + drawn["shifted"],
            "kind": rng.integers("kind", 3),
            "number": rng.sample("number", self.most).clamp(max=most),
            "inner": rng.part("inside").sample("inner", UNIT),
            "all": rng.sample("hidden", self.hidden, 3).sum(1),
        }

    def render(self, scene: Scene, omit=()) -> torch.Tensor:
        return (scene["plain"] + scene["all"])[:, None, None, None].expand(-1, 1, 2, 2)


def rendered(columns: dict[str, Any], simulator: Simulator | None = None, seed: int = 0) -> Rendering:
    return Rendering(read_table(columns), simulator or Derived(), "derived", seed)
