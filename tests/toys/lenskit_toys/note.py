"""Evaluation that prints its arguments."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from annotated_types import Ge

from lenskit.evaluation import Run
from lenskit.plugin import Evaluation, UsageError


class Note(Evaluation):
    """Print the arguments as JSON.

    There is an option of every type that a verb can have.

    Args:
        output: File to name.
        count: Number of lenses.
        width: Width in pixels, with a text that is longer than a line.
        style: Style of the font.
        columns: Column to print; may be given more than once.
        figure: Whether to draw a figure.
        pair_size: Views of a pair.
    """

    inputs = "IMAGES"
    short = {"output": "-o"}  # noqa: RUF012 - third parties write it without ClassVar

    def __init__(
        self,
        *,
        output: str,
        count: Annotated[int, Ge(1)] = 3,
        width: float | None = None,
        style: Literal["plain", "bold"] = "plain",
        columns: list[str] = [],  # noqa: B006
        figure: bool = True,
        pair_size: int = 2,
    ) -> None:
        self.options = {
            "output": output, "count": count, "width": width, "style": style, "columns": columns, "figure": figure,
            "pair_size": pair_size,
        }  # fmt: skip

    def __call__(self, runs: Sequence[Run], inputs: Sequence[str] = ()) -> Any:
        if "missing" in inputs:
            raise UsageError("there is no image missing")
        print(json.dumps({"runs": [run.name for run in runs], "inputs": list(inputs), **self.options}))
