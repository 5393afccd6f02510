"""The formats of stores by name, and the one that a path means."""

from __future__ import annotations

from pathlib import Path

from lenskit.errors import UsageError
from lenskit.store.fits_format import FitsFormat
from lenskit.store.format import Format
from lenskit.store.hdf5_format import Hdf5Format
from lenskit.store.zarr_format import ZarrFormat

FORMATS: dict[str, type[Format]] = {"zarr": ZarrFormat, "fits": FitsFormat, "hdf5": Hdf5Format}
ENDINGS = {".zarr": "zarr", ".h5": "hdf5", ".hdf5": "hdf5"}


def format_name(path: Path, name: str | None = None) -> str:
    """The format of that name, or of the store that is there, or the one that the ending of the path means.

    Raises:
        UsageError: if the ending means none.
    """
    there = (each for each in FORMATS if open_format(each, path).exists)
    found = name or next(there, None) or (ENDINGS.get(path.suffix) if path.suffix else "zarr")
    if found is None:
        raise UsageError(f"say the --format of {path} ({', '.join(FORMATS)}), or end it with {', '.join(ENDINGS)}")
    return found


def open_format(name: str, path: Path) -> Format:
    """The store at a path, in the format of that name. It, its lock and its parts lie where links lead.

    Raises:
        UsageError: if the path has no name, as `.` and `/` have none.
    """
    real = path.resolve()
    if not (path.name and real.name):
        raise UsageError(f"{path} is no name for a store: say, for example, --out pairs.zarr")
    return FORMATS[name](real)
