"""The figures of a run, `metrics.jsonl`: a line of numbers every few batches."""

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
"""Bytes of a file that is read: a million lines."""

Lines = list[dict[str, Any]]
"""A dictionary of numbers for each line, one of which is `batches`."""


class Line(Record):
    """A line: how many batches were done, and numbers, which need not be finite."""

    model_config = ConfigDict(strict=True, extra="allow", allow_inf_nan=True)

    batches: Annotated[int, Ge(0)]
    __pydantic_extra__: dict[str, float] = Field(init=False)


@dataclass
class Figures:
    """Contents of a file of figures.

    Attributes:
        lines: Its sound lines.
        faults: What is wrong with others, each with the line's number. The last one may be being written, and is no
            fault if it is cut short.
    """

    lines: Lines = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def read_figures(path: Path) -> Figures:
    """Reads the lines that can be read; none if there is no file.

    Raises:
        LenskitError: if it is no file that can be read, or is too large.
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
        raise LenskitError(f"{path} is larger than {LARGEST >> 20} MiB, more than such a file may have")
    *whole, last = content.split(b"\n")
    for number, text in enumerate(whole, 1):
        try:
            figures.lines.append(parse_json(text, f"line {number} holds no figures: it", Line))
        except LenskitError as error:
            figures.faults.append(str(error))
    if last:
        with suppress(LenskitError):  # it is being written, or was cut short
            figures.lines.append(parse_json(last, "the last line", Line))
    return figures
