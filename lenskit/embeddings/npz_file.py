"""Embeddings as numpy has them: `.npz`, an array a column and the card as JSON in `about`; bare features, `.npy`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any
from zipfile import BadZipFile, ZipFile, ZipInfo

import numpy as np

from lenskit.embeddings.stored import StoredMatrix
from lenskit.embeddings.table import FEATURES, NAMES, Table, card_of
from lenskit.reading.numpy_file import load_array, open_arrays
from lenskit.records import parse_json

ABOUT = "about"


def check() -> None:
    """Nothing but numpy is needed."""


def holds(path: Path) -> bool:
    """Whether what is there has the names of embeddings in it: an archive of other arrays is somebody's."""
    try:
        with ZipFile(path) as archive:
            return not {f"{ABOUT}.npy", f"{FEATURES}.npy"}.isdisjoint(archive.namelist())
    except (OSError, BadZipFile):
        return False


def card(path: Path) -> Any:
    """Metadata of the file."""
    with np.load(path, allow_pickle=False) as file:
        return json.loads(str(file[ABOUT])) if ABOUT in file.files else None


def strangers(path: Path, table: Table) -> list[str]:
    """Nothing: it is one file."""
    return []


def write(path: Path, parts: Iterator[Table], rows: int) -> None:
    """Columns go to files of their own beside, which are then put together; only names are kept in memory."""
    names: list[str] = []
    card: dict[str, Any] = {}
    with ExitStack() as stack:
        open_files: dict[str, IO[bytes]] = {}
        for part in parts:
            card = card or part.card
            for column, value in part.columns.items():
                if column == NAMES:
                    names += value.tolist()
                    continue
                block = np.ascontiguousarray(value)
                if column not in open_files:
                    open_files[column] = stack.enter_context((path.parent / f"{column}.npy").open("wb"))
                    header = {
                        "descr": np.lib.format.dtype_to_descr(block.dtype),
                        "fortran_order": False,
                        "shape": (rows, *block.shape[1:]),
                    }
                    np.lib.format.write_array_header_2_0(open_files[column], header)
                open_files[column].write(block.data)
    with ZipFile(path, "w") as archive:
        for column in open_files:
            with (path.parent / f"{column}.npy").open("rb") as file, _member(archive, column) as member:
                shutil.copyfileobj(file, member, 2**20)
        for column, text in ((NAMES, np.array(names)), (ABOUT, np.array(json.dumps(card)))):
            with _member(archive, column) as member:
                np.lib.format.write_array(member, text, allow_pickle=False)


def _member(archive: ZipFile, column: str) -> IO[bytes]:
    """A file of the archive, with the date that a `ZipInfo` has by itself: always the same."""
    return archive.open(ZipInfo(f"{column}.npy"), "w", force_zip64=True)


def read(path: Path) -> Table:
    """Columns of `.npz` are read, the features of `.npy` stay on disk."""
    if path.suffix == ".npy":
        return Table({}, {FEATURES: StoredMatrix(path, load_array(path))})
    with open_arrays(path) as file:
        columns = {name: file[name] for name in file.files}
    card = parse_json(str(columns.pop(ABOUT)), f"{path}: its {ABOUT}", None) if ABOUT in columns else {}
    return Table(card_of(card, str(path)), columns)
