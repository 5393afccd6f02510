"""Format of features: numpy's archive, one array per column."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from typing import IO, Any
from zipfile import BadZipFile, ZipFile, ZipInfo

import numpy as np

from lenskit.plugin import FeatureFormat
from lenskit.toolbox import FeatureTable, open_arrays, parse_json

ABOUT, FEATURES, NAMES = "about", "features", "names"


class NpzFormat(FeatureFormat):
    """One archive of numpy: an array for each column, uncompressed.

    The card is JSON in `about`.
    """

    endings = (".npz",)

    def has_features(self) -> bool:
        try:
            with ZipFile(self.path) as archive:
                return not {f"{ABOUT}.npy", f"{FEATURES}.npy"}.isdisjoint(archive.namelist())
        except (OSError, BadZipFile):
            return False

    def feature_card(self) -> Any:
        with open_arrays(self.path) as file:
            text = str(file[ABOUT]) if ABOUT in file.files else "null"
        return parse_json(text, f"{self.path}: its {ABOUT}", None)

    def write_features(self, parts: Iterator[FeatureTable], rows: int) -> None:
        """Write each column to a temporary file, then join the files.

        Only the names are kept in memory.
        """
        names: list[str] = []
        card: dict[str, Any] = {}
        folder = self.path.parent
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
                        open_files[column] = stack.enter_context((folder / f"{column}.npy").open("wb"))
                        header = {
                            "descr": np.lib.format.dtype_to_descr(block.dtype),
                            "fortran_order": False,
                            "shape": (rows, *block.shape[1:]),
                        }
                        np.lib.format.write_array_header_2_0(open_files[column], header)
                    open_files[column].write(block.data)
        with ZipFile(self.path, "w") as archive:
            for column in open_files:
                with (folder / f"{column}.npy").open("rb") as file, _member(archive, column) as member:
                    shutil.copyfileobj(file, member, 2**20)
            for column, text in ((NAMES, np.array(names)), (ABOUT, np.array(json.dumps(card)))):
                with _member(archive, column) as member:
                    np.lib.format.write_array(member, text, allow_pickle=False)

    def read_features(self, card: dict[str, Any]) -> dict[str, Any]:
        with open_arrays(self.path) as file:
            return {name: file[name] for name in file.files if name != ABOUT}


def _member(archive: ZipFile, column: str) -> IO[bytes]:
    """Open a file of the archive for writing, with a fixed date."""
    return archive.open(ZipInfo(f"{column}.npy"), "w", force_zip64=True)
