"""Renders the lenses of a table, some at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lenskit.config import Config
from lenskit.contracts.simulator import meet_simulator
from lenskit.errors import LenskitError, UsageError
from lenskit.kinds.parameter import Parameter
from lenskit.kinds.simulator import Scene, Simulator
from lenskit.layers import Layer
from lenskit.rendering.overrides import SPLIT, check_made, is_entry, read_given
from lenskit.rendering.table import Table, with_units
from lenskit.store.plan import default_chunk


@dataclass(frozen=True)
class Part:
    """Some of a table's lenses.

    Attributes:
        first: Number of the first of them.
        images: (n, channels, height, width) float32.
        values: (n,) float64 of each parameter, by name; of a class its number.
    """

    first: int
    images: NDArray[np.float32]
    values: dict[str, NDArray[np.float64]]


class Rendering:
    """The images of a table's lenses, and all that is recorded of them.

    What the table does not say is drawn from the simulator's priors, or fixed by its options. A draw belongs to the
    seed and the number of the row, not to the rows beside it.

    Args:
        table: One row a lens.
        simulator: What makes them.
        name: What it is called in messages.
        seed: Of what is drawn.

    Raises:
        UsageError: naming row and column, if the table gives what the simulator cannot take.
    """

    def __init__(self, table: Table, simulator: Simulator, name: str, seed: int = 0) -> None:
        continuous = {parameter.name: parameter for parameter in simulator.known if parameter.continuous}
        recorded = {parameter.name: parameter for parameter in simulator.parameters}
        self.table = table = with_units(table, continuous | recorded)
        self.simulator, self.seed = simulator, seed
        self.names = table.names()
        self._given = read_given(table, simulator, name, seed)
        more = (continuous.get(column, Parameter(column)) for column in self._given if column not in recorded)
        self.parameters: tuple[Parameter, ...] = (*simulator.parameters, *more)
        """What is recorded, and what else is given: that is NaN where it is drawn and no entry of the scene."""
        self.values = {parameter.name: np.full(len(table), np.nan) for parameter in self.parameters}
        """The parameters (n,) by name, of a class its numbers; NaN until an image is rendered."""

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Shape of all images: (n, channels, height, width)."""
        return (len(self.table), *self.simulator.image_shape)

    def __iter__(self) -> Iterator[Part]:
        meet_simulator(self.simulator, self.seed, SPLIT, (), torch.device("cpu"))
        size = default_chunk(math.prod(self.simulator.image_shape))
        for rows in torch.arange(len(self.table)).split(size):
            first = int(rows[0])
            given = {name: values[rows] for name, values in self._given.items()}
            with torch.no_grad():
                scene = self.simulator.scene(self.seed, SPLIT, rows, given=given)
                check_made(self.table, scene, given, first)
                images = self.simulator.render(scene).to(torch.float32)
            bad = ~images.isfinite().flatten(1).all(1)
            for row in bad.nonzero()[:1, 0].tolist():
                raise LenskitError(f"{self.table.source}, {self.table.places[first + row]}: the image is not finite")
            values = {parameter.name: _value(scene, given, parameter.name) for parameter in self.parameters}
            for name, some in values.items():
                self.values[name][first : first + len(rows)] = some
            yield Part(first, images.numpy(), values)

    def column(self, parameter: Parameter) -> NDArray[Any]:
        """The values of a parameter (n,) of the images that are rendered; of a class its names."""
        values = self.values[parameter.name]
        return np.asarray(parameter.classes)[values.astype(np.int64)] if parameter.classes else values


def simulator_for(table: Table, *layers: Layer) -> tuple[Simulator, str]:
    """The simulator that makes a table's lenses, and its name.

    Where the table says of which class a lens is, it makes those that a detector of anomalies shall find, too, unless
    the layers have it otherwise.

    Args:
        table: The table.
        layers: Configurations, each over the one before; their section `simulator` counts.

    Raises:
        UsageError: if they are of stored images, or something is unknown or wrong in them.
    """
    resolved = Config.resolve(*layers, only=("simulator",))
    if "simulator" not in resolved.sections:
        raise UsageError("the configuration is of stored images: say which --simulator to use")
    name, simulator = resolved.name("simulator"), resolved.build("simulator")
    if simulator.anomaly_options and any(p.classes and p.name in table.columns for p in simulator.parameters):
        below = {"simulator": {"name": name, **simulator.anomaly_options}}
        simulator = Config.resolve(below, *layers, only=("simulator",)).build("simulator")
    return simulator, name


def _value(scene: Scene, given: dict[str, Tensor], name: str) -> NDArray[np.float64]:
    return (scene[name] if is_entry(scene, name) else given[name]).to(torch.float64).numpy()
