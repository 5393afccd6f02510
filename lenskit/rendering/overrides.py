"""Values from a table that override values sampled by a simulator.

A column of a table can override a recorded parameter, or an option with a prior from which the simulator samples. It
cannot override a quantity that the simulator derives from other values. If the scene has an entry with the name of a
column, the entry must equal the value in the table. `givable` tests this with a few lenses.
"""

from __future__ import annotations

from collections.abc import Container, Mapping

import torch
from torch import Tensor

from lenskit.errors import UsageError, near
from lenskit.kinds.parameter import Parameter
from lenskit.kinds.simulator import Scene, Simulator
from lenskit.options import options_of
from lenskit.rendering.table import Table, number

SPLIT = "render"
"""Split of rendered lenses. Its random numbers differ from those of training and of all other splits."""
TRIED = 4
"""Number of lenses sampled to find the names of the values that the simulator samples."""


class _Asked(dict[str, Tensor]):
    """Empty mapping that records the names that a simulator requests."""

    def __init__(self) -> None:
        super().__init__()
        self.names: dict[str, None] = {}

    def get(self, name: str, default: Tensor | None = None) -> Tensor | None:  # type: ignore[override]
        self.names[name] = None
        return super().get(name, default)


def givable(simulator: Simulator, seed: int = 0, among: Container[str] | None = None) -> list[str]:
    """Return the names of sampled values that a table can override.

    Args:
        simulator: The simulator.
        seed: Random seed of the lenses that are sampled to find the names.
        among: Names to test; None for all.
    """
    asked, index = _Asked(), torch.arange(TRIED)
    scene = simulator.scene(seed, SPLIT, index, given=asked)
    options = {option.name for option in options_of(type(simulator))}
    recorded = {parameter.name for parameter in simulator.parameters}
    named = [name for name in asked.names if name in recorded | options and (among is None or name in among)]
    return [name for name in named if not is_entry(scene, name) or _comes_back(simulator, seed, name, scene)]


def is_entry(scene: Scene, name: str) -> bool:
    """Whether a scene has an entry of this name with one number for each image."""
    return name in scene and scene[name].ndim == 1


def _comes_back(simulator: Simulator, seed: int, name: str, scene: Scene) -> bool:
    """Whether a value of this name overrides the entry of the scene.

    The test gives each lens the value of a different lens. An entry may also keep its old value, because a lens may
    lack the component.
    """
    before = scene[name].double()
    values = before.roll(1)
    try:
        made = simulator.scene(seed, SPLIT, torch.arange(len(values)), given={name: values})[name].double()
    except (IndexError, RuntimeError):  # sampled numbers differ from recorded numbers: they may be indices
        return False
    return bool((_same(made, values) | _same(made, before)).all())


def _same(one: Tensor, other: Tensor) -> Tensor:
    """Return a mask of the elements that are equal up to rounding."""
    return torch.isclose(one, other, rtol=1e-5, atol=1e-12, equal_nan=True)


def read_given(table: Table, simulator: Simulator, name: str, seed: int = 0) -> dict[str, Tensor]:
    """Return the values of a table that override sampled values.

    Args:
        table: The table.
        simulator: The simulator.
        name: Name of the simulator, for messages.
        seed: Random seed of sampled values.

    Returns:
        Values (n,) float64 by name; NaN for empty cells.

    Raises:
        UsageError: A column is not in `givable`, or the simulator rejects a value. The message names the place.
    """
    by_name = {parameter.name: parameter for parameter in simulator.parameters}
    possible = givable(simulator, seed, table.parameters)
    for column in table.parameters:
        if column not in possible:
            raise UsageError(f"{table.source}: column {column} {_why_not(column, simulator, name, givable(simulator))}")
    given = {column: _values(table, column, by_name.get(column)) for column in table.parameters}
    for row, column, what in simulator.refuses(given):
        raise table.fault(row, column, f"{table.columns[column][row]} {what}")
    return given


def check_made(table: Table, scene: Scene, given: Mapping[str, Tensor], first: int) -> None:
    """Check that the entries of a scene equal the values in the table.

    Args:
        table: The table.
        scene: Scene of some rows of the table.
        given: Values of these rows in the table, by name.
        first: Number of the first of these rows.

    Raises:
        UsageError: A value differs. The message names its row and column.
    """
    for name, values in given.items():
        if not is_entry(scene, name):
            continue
        made = scene[name].double()
        for row in (values.isfinite() & ~_same(made, values)).nonzero()[:1, 0].tolist():
            raise table.fault(
                first + row,
                name,
                f"{table.columns[name][first + row]} is not possible: from the other values and the options, "
                f"the simulator derives {made[row].item():g}",
            )


def _values(table: Table, column: str, parameter: Parameter | None) -> Tensor:
    """Return a column as numbers; the name of a class becomes its number.

    Raises:
        UsageError: A cell is not a number or not a class.
    """
    classes = parameter.classes if parameter else ()
    values = torch.empty(len(table), dtype=torch.float64)
    for row, cell in enumerate(table.columns[column]):
        if classes and isinstance(cell, str) and cell in classes:
            values[row] = classes.index(cell)
            continue
        try:
            values[row] = number(table, row, column)
        except UsageError:
            if classes:
                raise table.fault(row, column, _no_class(cell, classes)) from None
            raise
        if classes and cell is not None and values[row] not in range(len(classes)):
            raise table.fault(row, column, _no_class(cell, classes))
    return values


def _no_class(cell: object, classes: tuple[str, ...]) -> str:
    return f"{cell!r} is not a class{near(str(cell), classes)}; there are {', '.join(classes)}"


def _why_not(column: str, simulator: Simulator, name: str, possible: list[str]) -> str:
    """Return text for the error about a column that a simulator does not accept."""
    recorded = {parameter.name for parameter in simulator.parameters}
    if column in recorded:
        return (
            f"cannot be set, because {name} derives it from other parameters: leave it out, or use --ignore "
            f"{column}; possible columns: {', '.join(possible)}"
        )
    if column in {option.name for option in options_of(type(simulator))}:
        more = " ".join(
            f"--set simulator.{option}={_text(value)}" for option, value in simulator.anomaly_options.items()
        )
        hint = f" (use {more} to sample more parameters)" if more else ""
        return f"is not sampled by {name} with these options{hint}; possible columns: {', '.join(possible)}"
    return f"is unknown to {name}{near(column, possible)}; possible columns: {', '.join(possible)}"


def _text(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
