"""Reader of `metrics.jsonl`, the metrics of a run."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Ge
from pydantic import ConfigDict, Field

from lenskit.errors import LenskitError
from lenskit.records import Record, parse_json

LARGEST = 2**28
"""Largest size of a file in bytes: about a million lines."""

Lines = list[dict[str, Any]]
"""A dictionary of numbers for each line. It always has the key `batches`."""


class Line(Record):
    """Line of the file: the number of batches, and metrics, which may be NaN."""

    model_config = ConfigDict(strict=True, extra="allow", allow_inf_nan=True)

    batches: Annotated[int, Ge(0)]
    __pydantic_extra__: dict[str, float] = Field(init=False)


@dataclass
class Figures:
    """Content of a metrics file.

    Attributes:
        lines: The valid lines.
        faults: A message for each invalid line, with its line number. An incomplete last line is not a fault, because
            a command may still be writing it.
    """

    lines: Lines = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def read_figures(path: Path) -> Figures:
    """Read a metrics file. A missing file gives no lines.

    Raises:
        LenskitError: The file cannot be read, or is too large.
    """
    figures = Figures()
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except FileNotFoundError:
        return figures
    except OSError as error:
        raise LenskitError(f"{path} cannot be read: {error.strerror}") from None
    if len(content) > LARGEST:
        raise LenskitError(f"{path} is larger than {LARGEST >> 20} MiB, the limit for a metrics file")
    *whole, last = content.split(b"\n")
    for number, text in enumerate(whole, 1):
        try:
            figures.lines.append(parse_json(text, f"line {number} holds no metrics: it", Line))
        except LenskitError as error:
            figures.faults.append(str(error))
    if last:
        with suppress(LenskitError):  # the line is being written, or the command was killed
            figures.lines.append(parse_json(last, "the last line", Line))
    return figures
