"""What a table says instead of a simulator's draws.

What can be given is what the simulator draws under that name, and what follows from it then follows from what is given.
It is a recorded parameter, or an option, whose prior the table stands in for. If the scene has an entry of the name,
that is what is given, which is tried out: what is derived from a draw cannot be given.
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
"""Part of the data that the rows of tables are: what is drawn for them is that of no other lenses."""
TRIED = 4
"""Lenses that are drawn to see what is drawn, and under which names."""


class _Asked(dict[str, Tensor]):
    """Values that are given, and the names that were asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.names: dict[str, None] = {}

    def get(self, name: str, default: Tensor | None = None) -> Tensor | None:  # type: ignore[override]
        self.names[name] = None
        return super().get(name, default)


def givable(simulator: Simulator, seed: int = 0, among: Container[str] | None = None) -> list[str]:
    """The names of what a table can give to a simulator, of some or of all."""
    asked, index = _Asked(), torch.arange(TRIED)
    scene = simulator.scene(seed, SPLIT, index, given=asked)
    options = {option.name for option in options_of(type(simulator))}
    recorded = {parameter.name for parameter in simulator.parameters}
    named = [name for name in asked.names if name in recorded | options and (among is None or name in among)]
    return [name for name in named if not is_entry(scene, name) or _comes_back(simulator, seed, name, scene)]


def is_entry(scene: Scene, name: str) -> bool:
    """Whether a scene has one number of that name for each image."""
    return name in scene and scene[name].ndim == 1


def _comes_back(simulator: Simulator, seed: int, name: str, scene: Scene) -> bool:
    """Whether an entry of the scene becomes what is given under its name (of each lens, another one's), or stays as it
    was, where a lens has nothing of the kind."""
    before = scene[name].double()
    values = before.roll(1)
    try:
        made = simulator.scene(seed, SPLIT, torch.arange(len(values)), given={name: values})[name].double()
    except (IndexError, RuntimeError):  # of numbers that stand for something else than what is recorded
        return False
    return bool((_same(made, values) | _same(made, before)).all())


def _same(one: Tensor, other: Tensor) -> Tensor:
    """Where numbers are the same, but for their rounding."""
    return torch.isclose(one, other, rtol=1e-5, atol=1e-12, equal_nan=True)


def read_given(table: Table, simulator: Simulator, name: str, seed: int = 0) -> dict[str, Tensor]:
    """What a table gives to a simulator.

    Args:
        table: The table.
        simulator: The simulator.
        name: What it is called in messages.
        seed: Seed of what is drawn.

    Returns:
        By name, (n,) float64: NaN in empty cells.

    Raises:
        UsageError: naming the row and the column, if a column is none of `givable`, or the simulator refuses a value.
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
    """Checks that what a scene records is what a table gives.

    Args:
        table: The table.
        scene: Of some of its rows.
        given: What it gives for these.
        first: The number of the first of these rows.

    Raises:
        UsageError: naming the first that is not.
    """
    for name, values in given.items():
        if not is_entry(scene, name):
            continue
        made = scene[name].double()
        for row in (values.isfinite() & ~_same(made, values)).nonzero()[:1, 0].tolist():
            raise table.fault(
                first + row,
                name,
                f"{table.columns[name][first + row]} does not come to be: with all else that is given and set, the "
                f"simulator makes {made[row].item():g}",
            )


def _values(table: Table, column: str, parameter: Parameter | None) -> Tensor:
    """A column as numbers; names of classes become theirs.

    Raises:
        UsageError: if a cell is no number, or no class.
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
    return f"{cell!r} is no class{near(str(cell), classes)}; there are {', '.join(classes)}"


def _why_not(column: str, simulator: Simulator, name: str, possible: list[str]) -> str:
    """Why a column cannot be given, to stand behind its name."""
    recorded = {parameter.name for parameter in simulator.parameters}
    if column in recorded:
        return (
            f"is derived by {name} from what it draws, and cannot be given: leave it out, or say --ignore {column}; "
            f"there are {', '.join(possible)}"
        )
    if column in {option.name for option in options_of(type(simulator))}:
        more = " ".join(
            f"--set simulator.{option}={_text(value)}" for option, value in simulator.anomaly_options.items()
        )
        hint = f" (with {more} it draws more)" if more else ""
        return f"is nothing that {name} draws with these options{hint}; there are {', '.join(possible)}"
    return f"is unknown to {name}{near(column, possible)}; there are {', '.join(possible)}"


def _text(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
