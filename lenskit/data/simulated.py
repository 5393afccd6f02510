"""Lens set of a simulator."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lenskit.contracts.simulator import check_images, check_scene, meet_simulator
from lenskit.data.lens_set import Lenses, LensSet, Numbers, Rows, join_values
from lenskit.errors import LenskitError
from lenskit.kinds.simulator import Simulator

ENDLESS = 2**62
"""Number of lenses in an endless set; larger than any number in use."""


class SimulatedLenses(LensSet):
    """Lenses of a simulator.

    Args:
        simulator: The simulator.
        seed: Random seed of the lenses.
        split: Name of the split, such as `train`. Different splits have different lenses.
        index: Number of lenses n, for the lenses 0 to n - 1, or (n,) numbers of lenses. By default the set is endless:
            row i has lens i, and `select` returns finite sets.
        shared_groups: Parameter groups that all views of a lens share.
    """

    views = None

    def __init__(
        self,
        simulator: Simulator,
        *,
        seed: int,
        split: str,
        index: int | Numbers | None = None,
        shared_groups: Iterable[str] = (),
    ) -> None:
        self.simulator, self.seed, self.split, self.shared_groups = simulator, seed, split, frozenset(shared_groups)
        self.endless = index is None
        self.index = range(ENDLESS if index is None else index) if index is None or isinstance(index, int) else index
        self.parameters, self.image_shape = list(simulator.parameters), simulator.image_shape
        self.pixel_scale, self.removable = simulator.pixel_scale, simulator.removable
        self.device = torch.device("cpu")

    @property
    def size(self) -> int | None:
        return None if self.endless else len(self)

    def names_of(self, numbers: Iterable[int]) -> list[str]:
        return [str(int(number)) for number in numbers]

    @torch.no_grad()
    def values(self) -> dict[str, NDArray[np.float64]]:
        self._meet()

        def drawn(rows: range) -> dict[str, NDArray[np.float64]]:
            index = torch.from_numpy(self.numbers(rows)).to(self.device)
            scene = self.simulator.scene(self.seed, self.split, index)
            return {p.name: scene[p.name].double().cpu().numpy() for p in self.parameters}

        return join_values(map(drawn, self.parts())) or {p.name: np.empty(0) for p in self.parameters}

    def read(self, rows: Rows, views: int = 1, omit: Iterable[str] = ()) -> Lenses:
        return self.render(torch.from_numpy(self.numbers(rows)).to(self.device), views, omit)

    def select(self, rows: Rows) -> Self:
        chosen = super().select(rows)
        chosen.endless = False
        return chosen

    @torch.no_grad()
    def render(self, index: Tensor, views: int = 1, omit: Iterable[str] = ()) -> Lenses:
        """Return the first views of lenses by their numbers, which need not be in the set.

        Args:
            index: (n,) int64, on the device on which images are rendered.
            views: Number of views of each lens.
            omit: Groups of `removable` whose light is left out.

        Raises:
            LenskitError: A group cannot be left out.
        """
        omit = frozenset(omit)
        if not omit <= self.removable:
            raise LenskitError(f"this simulator cannot leave out {', '.join(sorted(omit - self.removable))}")
        view = torch.arange(views, device=index.device).repeat(len(index))
        lens = index.repeat_interleave(views)
        self._meet()
        scene = self.simulator.scene(self.seed, self.split, lens, view, shared=self.shared_groups)
        check_scene(self.simulator, scene, len(lens))
        values = {parameter.name: scene[parameter.name] for parameter in self.parameters}
        images = self.simulator.render(scene, omit)
        check_images(self.simulator, images, len(lens), lens.device)
        return Lenses(images, values, lens, view)

    def _meet(self) -> None:
        meet_simulator(self.simulator, self.seed, self.split, self.shared_groups, self.device)

    def to(self, device: torch.device | str) -> Self:
        self.device = torch.device(device)
        self.simulator.to(self.device)
        return self
