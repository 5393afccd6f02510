"""Output of rendered images in any format, written completely or not at all."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lenskit.destinations import check_output
from lenskit.errors import UsageError
from lenskit.files import naming, write_atomically
from lenskit.formats import find_format, meant_by
from lenskit.ownership import leftovers, remove, scratch, strangers
from lenskit.rendering.image_format import ImageFormat
from lenskit.rendering.render import Rendering
from lenskit.rendering.table import NAME
from lenskit.words import listed

PARAMETERS = "parameters.csv"


def format_of(out: Path, name: str | None = None) -> str:
    """Return the name of the format of an output path.

    Args:
        out: The output path.
        name: Name of a format; None to find the format by the suffix of `out`.

    Raises:
        UsageError: No image format has that name or that suffix.
    """
    if name is None:
        return meant_by(ImageFormat, out, out.suffix.lower())
    find_format(ImageFormat, name)
    return name


def check_out(out: Path, format: str, overwrite: bool, table: Path | None = None, inputs: Sequence[Path] = ()) -> None:
    """Check, before rendering, that an output can be written.

    Args:
        out: Output file or folder.
        format: Name of the format.
        overwrite: Whether to overwrite a file at `out`, or a folder of rendered images.
        table: Path of the table, if it is a file.
        inputs: Other input files.

    Raises:
        UsageError: Something at the output path must not be overwritten.
    """
    if not out.name or out.name == "..":
        raise UsageError(f"-o takes the path of the output, such as lenses.h5, got {str(out)!r}")
    chosen = find_format(ImageFormat, format)
    for path in (out, beside(out)) if chosen.parameters_beside else (out,):
        if table is not None and path.exists() and path.samefile(table):
            raise UsageError(f"{path} is the table itself: choose another -o")
        if path.is_dir() != bool(chosen.folder_of) and path.exists():
            raise UsageError(f"{path} is {'a folder' if path.is_dir() else 'not a folder'}: choose another -o")
        if table is not None and path.is_dir() and table.resolve().is_relative_to(path.resolve()):
            raise UsageError(f"{path} holds the table {table}: choose another -o")
        if path.is_dir() and (others := _not_of_images(path, chosen.folder_of)):
            raise UsageError(f"{path} holds files that are not rendered images, {listed(others, 3)}: choose another -o")
        if path != out and os.path.lexists(path) and not os.path.lexists(out):
            raise UsageError(f"{path} exists, but the parameters of {out} would be written there: choose another -o")
        if path.is_dir() and any(path.iterdir()) and not overwrite:
            raise UsageError(f"{path} exists: choose another -o, or replace it with --overwrite")
        check_output(path, overwrite=overwrite, inputs=inputs, ours=Path.is_dir, flag="-o")


def _not_of_images(folder: Path, suffix: str) -> list[str]:
    """Return the names of entries of a folder that are not images of its table.

    Images have this suffix and a name in the folder's `parameters.csv`.
    """
    try:
        with (folder / PARAMETERS).open(encoding="utf-8", newline="") as file:
            names = {row.get(NAME) for row in csv.DictReader(file)}
    except (OSError, UnicodeDecodeError, csv.Error):
        return strangers(folder, lambda name: False)

    def ours(name: str) -> bool:
        stem = name.removesuffix(suffix)
        return name == PARAMETERS or (stem != name and bool({stem, re.sub(r"-\d+$", "", stem)} & names))

    return strangers(folder, ours)


def beside(out: Path) -> Path:
    """Return the path of the parameters: `lenses.parameters.csv` for `lenses.npy`."""
    return out.with_name(f"{out.stem}.{PARAMETERS}")


def write(rendering: Rendering, out: Path, format: str, **options: Any) -> None:
    """Write the images of a table, completely or not at all.

    Args:
        rendering: Images to write.
        out: Output file or folder.
        format: Name of the format.
        options: Options of the format.
    """
    chosen = find_format(ImageFormat, format)
    with _part(out, chosen.folder_of) as part:
        chosen(part, **options).write_images(rendering)
        if chosen.folder_of:
            (part / PARAMETERS).write_bytes(_csv(rendering))
        else:
            with part.open("rb") as file:
                os.fsync(file.fileno())
        if chosen.parameters_beside:
            write_atomically(beside(out), _csv(rendering))


def _csv(rendering: Rendering) -> bytes:
    """Return the names and parameters as CSV, which `lenskit render` can read.

    Unknown values are empty cells.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([NAME, *rendering.values])
    columns = [_texts(rendering.column(parameter)) for parameter in rendering.parameters]
    writer.writerows(zip(rendering.names, *columns, strict=True))
    return text.getvalue().encode()


def _texts(values: NDArray[Any]) -> Sequence[str]:
    """Return numbers as text; single-precision numbers with as few digits as possible."""
    if values.dtype.kind == "U":
        return values.tolist()
    return [
        "" if np.isnan(value) else str(np.float32(value) if np.float32(value) == value else value) for value in values
    ]


@contextmanager
def _part(out: Path, folder_of: str) -> Iterator[Path]:
    """Yield a temporary path and rename it to `out` at the end of the context.

    If the context fails, the temporary file or folder is removed. If `out` is a link to a folder, the folder is
    replaced and the link stays.
    """
    out = out.resolve() if folder_of else out
    part, old = (scratch(out, ending) for ending in ("part", "old"))
    for left in (*leftovers(out, "part"), *leftovers(out, "old")):
        remove(left)
    try:
        if folder_of:
            part.mkdir(parents=True)
        else:
            part.parent.mkdir(parents=True, exist_ok=True)
        with naming(out):
            yield part
        if out.is_dir():
            if others := _not_of_images(out, folder_of):
                raise UsageError(
                    f"{out} now holds files that are not rendered images, {listed(others, 3)}: choose another -o"
                )
            out.rename(old)
        part.replace(out)
        remove(old)
    finally:
        remove(part)
