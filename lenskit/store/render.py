"""Rendering of the images of one chunk of a store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lenskit.contracts.simulator import meet_simulator
from lenskit.errors import LenskitError
from lenskit.kinds.simulator import Scene
from lenskit.store.plan import Plan, simulator_of


class Renderer:
    """Renderer of the chunks of a store.

    The number of threads and the batch size come from the plan, so that every process makes the same chunk.

    Args:
        plan: Plan of the store.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan, self.simulator = plan, simulator_of(plan.configuration["simulator"])
        self._type = torch.float16 if plan["dtype"] == "float16" else torch.float32

    def __call__(self, chunk: int) -> tuple[NDArray[Any], NDArray[np.float64]]:
        """Render a chunk.

        Args:
            chunk: Number of the chunk.

        Returns:
            Images (n, views, channels, height, width) and parameters (n, views, parameters).

        Raises:
            LenskitError: An image is not finite, or has values that float16 cannot hold.
        """
        images, values = [], []
        with _threads(self.plan.mode["threads"]):
            meet_simulator(
                self.simulator, self.plan["seed"], self.plan["split"], self.plan["shared"], torch.device("cpu")
            )
            for lens, view, scene in self._scenes(chunk):
                images.append(self._images(scene, lens, view))
                values.append(self._known(scene, len(lens)))
        return self._by_lens(images), self._by_lens(values)

    def values(self, chunk: int) -> NDArray[np.float64]:
        """Return the parameters of a chunk, (n, views, parameters), without rendering."""
        with _threads(self.plan.mode["threads"]):
            return self._by_lens([self._known(scene, len(lens)) for lens, _, scene in self._scenes(chunk)])

    def _by_lens(self, parts: list[Tensor]) -> NDArray[Any]:
        return torch.cat(parts).unflatten(0, (-1, self.plan["views"])).numpy()

    def _scenes(self, chunk: int) -> Iterator[tuple[Tensor, Tensor, Scene]]:
        """Yield lenses, views and scenes of a chunk, in rendering batches."""
        plan, lenses = self.plan, self.plan.lenses_of(chunk)
        lens = torch.arange(lenses.start, lenses.stop).repeat_interleave(plan["views"])
        view = torch.arange(plan["views"]).repeat(len(lenses))
        for one, other in zip(lens.split(plan.mode["batch"]), view.split(plan.mode["batch"]), strict=True):
            yield one, other, self.simulator.scene(plan["seed"], plan["split"], one, other, shared=plan["shared"])

    def _known(self, scene: Scene, count: int) -> Tensor:
        values = [scene[parameter.name].to(torch.float64) for parameter in self.plan.parameters]
        return torch.stack(values, 1) if values else torch.empty(count, 0, dtype=torch.float64)

    def _images(self, scene: Scene, lens: Tensor, view: Tensor) -> Tensor:
        images = self.simulator.render(scene).to(torch.float32)
        stored = images.to(self._type)
        if not stored.isfinite().all():
            bad = int((~stored.isfinite().flatten(1).all(1)).nonzero()[0, 0])
            why = "is not finite" if not images[bad].isfinite().all() else "has values that float16 cannot hold"
            raise LenskitError(f"the image of lens {lens[bad]}, view {view[bad]}, of this simulator {why}")
        return stored


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Use `count` threads and no gradients inside the context."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        with torch.no_grad():
            yield
    finally:
        torch.set_num_threads(before)
