"""Renders the images of one chunk of a store."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lenskit.errors import LenskitError
from lenskit.store.plan import Plan, simulator_of


class Renderer:
    """Makes chunks, one thread and one batch size, so that each is the same whoever makes it.

    Args:
        plan: Which images.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan, self.simulator = plan, simulator_of(plan.configuration["simulator"])
        self._type = torch.float16 if plan["dtype"] == "float16" else torch.float32

    @torch.no_grad()
    def __call__(self, chunk: int) -> tuple[NDArray[Any], NDArray[np.float64]]:
        """Images (n, views, channels, height, width) and parameters (n, views, parameters) of a chunk.

        Raises:
            LenskitError: if an image is not finite, or the type cannot hold its values.
        """
        plan, lenses = self.plan, self.plan.lenses_of(chunk)
        lens = torch.arange(lenses.start, lenses.stop).repeat_interleave(plan["views"])
        view = torch.arange(plan["views"]).repeat(len(lenses))
        images, values = [], []
        before = torch.get_num_threads()
        torch.set_num_threads(plan.mode["threads"])
        try:
            for start in range(0, len(lens), plan.mode["batch"]):
                part = slice(start, start + plan.mode["batch"])
                rendered, known = self._batch(lens[part], view[part])
                images.append(rendered)
                values.append(known)
        finally:
            torch.set_num_threads(before)
        shape = (len(lenses), plan["views"])
        return torch.cat(images).unflatten(0, shape).numpy(), torch.cat(values).unflatten(0, shape).numpy()

    def _batch(self, lens: torch.Tensor, view: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        plan = self.plan
        scene = self.simulator.scene(plan["seed"], plan["split"], lens, view, shared=plan["shared"])
        images = self.simulator.render(scene).to(torch.float32)
        stored = images.to(self._type)
        if not stored.isfinite().all():
            bad = int((~stored.isfinite().flatten(1).all(1)).nonzero()[0, 0])
            why = "is not finite" if not images[bad].isfinite().all() else "has values that float16 cannot hold"
            raise LenskitError(f"the image of lens {lens[bad]}, view {view[bad]}, of this simulator {why}")
        values = [scene[parameter.name].to(torch.float64) for parameter in plan.parameters]
        return stored, torch.stack(values, 1) if values else torch.empty(len(lens), 0, dtype=torch.float64)
