"""Where rendered images go, whatever their format: whole or not at all."""

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
    """The format of that name, or the one that the ending of a path means.

    Raises:
        UsageError: No format of images has that name, or the ending means none.
    """
    if name is None:
        return meant_by(ImageFormat, out, out.suffix.lower())
    find_format(ImageFormat, name)
    return name


def check_out(out: Path, format: str, overwrite: bool, table: Path | None = None, inputs: Sequence[Path] = ()) -> None:
    """Checks, before anything is rendered, that an output can be written.

    Args:
        out: The file or folder.
        format: Its format.
        overwrite: Whether what lenskit wrote there is replaced, and a file of others that `out` names.
        table: The table whose lenses are rendered.
        inputs: What else is read.

    Raises:
        UsageError: if something is there that may not be replaced.
    """
    if not out.name or out.name == "..":
        raise UsageError(f"-o takes the path of what to write, such as lenses.h5, got {str(out)!r}")
    chosen = find_format(ImageFormat, format)
    for path in (out, beside(out)) if chosen.parameters_beside else (out,):
        if table is not None and path.exists() and path.samefile(table):
            raise UsageError(f"{path} is the table itself: choose another -o")
        if path.is_dir() != bool(chosen.folder_of) and path.exists():
            raise UsageError(f"{path} is {'a folder' if path.is_dir() else 'no folder'}: choose another -o")
        if table is not None and path.is_dir() and table.resolve().is_relative_to(path.resolve()):
            raise UsageError(f"{path} holds the table {table}: choose another -o")
        if path.is_dir() and (others := _not_of_images(path, chosen.folder_of)):
            raise UsageError(f"{path} holds other things than rendered images, {listed(others, 3)}: choose another -o")
        if path != out and os.path.lexists(path) and not os.path.lexists(out):
            raise UsageError(f"{path} exists, where the parameters of {out} would go: choose another -o")
        if path.is_dir() and any(path.iterdir()) and not overwrite:
            raise UsageError(f"{path} exists: choose another -o, or replace it with --overwrite")
        check_output(path, overwrite=overwrite, inputs=inputs, ours=Path.is_dir, flag="-o")


def _not_of_images(folder: Path, suffix: str) -> list[str]:
    """Names of what is in a folder and no image with that suffix of those that its table of parameters lists."""
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
    """Where the parameters of images are that have no place in their file: `lenses.parameters.csv` by `lenses.npy`."""
    return out.with_name(f"{out.stem}.{PARAMETERS}")


def write(rendering: Rendering, out: Path, format: str, **options: Any) -> None:
    """Write the images of a table, whole or not at all.

    Args:
        rendering: The images.
        out: The file or folder.
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
    """A table as `lenskit render` reads it: names, and each parameter; what is not known is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([NAME, *rendering.values])
    columns = [_texts(rendering.column(parameter)) for parameter in rendering.parameters]
    writer.writerows(zip(rendering.names, *columns, strict=True))
    return text.getvalue().encode()


def _texts(values: NDArray[Any]) -> Sequence[str]:
    """Numbers with the fewest digits that are the same in single precision, if that is what they are."""
    if values.dtype.kind == "U":
        return values.tolist()
    return [
        "" if np.isnan(value) else str(np.float32(value) if np.float32(value) == value else value) for value in values
    ]


@contextmanager
def _part(out: Path, folder_of: str) -> Iterator[Path]:
    """A file or folder beside, put in place when it is whole, and removed when it does not come to that.

    Where a link to a folder is, the folder is replaced, and the link stays.
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
                raise UsageError(f"{out} holds by now other things than rendered images: {listed(others, 3)}")
            out.rename(old)
        part.replace(out)
        remove(old)
    finally:
        remove(part)
