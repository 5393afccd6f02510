"""Rendering of the lenses of a table, part by part."""

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
    """Rendered lenses of consecutive rows of a table.

    Attributes:
        first: Number of the first lens.
        images: Images, (n, channels, height, width) float32.
        values: Values (n,) float64 of each parameter, by name; for a class, its number.
    """

    first: int
    images: NDArray[np.float32]
    values: dict[str, NDArray[np.float64]]


class Rendering:
    """Images and parameters of the lenses of a table, rendered during iteration.

    Iteration yields `Part`s. Parameters without a column in the table are sampled from the simulator's priors, or fixed
    by its options. A sampled value depends on the seed and the row number, not on other rows.

    Args:
        table: Table with one row per lens.
        simulator: Simulator that renders the lenses.
        name: Name of the simulator, for messages.
        seed: Random seed of sampled values.

    Raises:
        UsageError: The simulator does not accept a column or a value. The message names it.
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
        """Recorded parameters, then other columns of the table. A column that is not recorded is NaN in rows where it
        is sampled, unless the scene has an entry of its name."""
        self.values = {parameter.name: np.full(len(table), np.nan) for parameter in self.parameters}
        """Values (n,) of the parameters by name; for a class, its number. NaN until an image is rendered."""

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
        """Return the values (n,) of a parameter; for a class, the class names.

        All images must be rendered.
        """
        values = self.values[parameter.name]
        return np.asarray(parameter.classes)[values.astype(np.int64)] if parameter.classes else values


def simulator_for(table: Table, *layers: Layer) -> tuple[Simulator, str]:
    """Return the simulator for the lenses of a table, and its name.

    If the table has a column with classes, the simulator's `anomaly_options` are the defaults, so that it can render
    anomalies. The layers override these defaults.

    Args:
        table: The table.
        layers: Configuration layers, each overriding the previous layer. Only the section `simulator` is used.

    Raises:
        UsageError: The configuration has no simulator, or contains an invalid name or value.
    """
    resolved = Config.resolve(*layers, only=("simulator",))
    if "simulator" not in resolved.sections:
        raise UsageError("the configuration has no simulator, only stored images: pass --simulator NAME")
    name, simulator = resolved.name("simulator"), resolved.build("simulator")
    if simulator.anomaly_options and any(p.classes and p.name in table.columns for p in simulator.parameters):
        below = {"simulator": {"name": name, **simulator.anomaly_options}}
        simulator = Config.resolve(below, *layers, only=("simulator",)).build("simulator")
    return simulator, name


def _value(scene: Scene, given: dict[str, Tensor], name: str) -> NDArray[np.float64]:
    return (scene[name] if is_entry(scene, name) else given[name]).to(torch.float64).numpy()
