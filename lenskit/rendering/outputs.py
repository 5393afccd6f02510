"""Where rendered images go: PNG, numpy, MATLAB or HDF5, whole or not at all."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lenskit.destinations import check_output
from lenskit.errors import UsageError
from lenskit.files import naming, write_atomically
from lenskit.hdf5_file import new_hdf5
from lenskit.kinds.parameter import Parameter
from lenskit.ownership import leftovers, remove, scratch, strangers
from lenskit.rendering.render import Part, Rendering, labels
from lenskit.rendering.table import NAME
from lenskit.words import listed

ENDINGS = {".png": "png", ".npy": "npy", ".mat": "mat", ".h5": "hdf5", ".hdf5": "hdf5"}
Stretch = Literal["linear", "asinh"]
SOFTENING = 0.05
"""Fraction of the peak where the asinh stretch turns from linear to logarithmic."""
MATLAB_BYTES = 2**31
"""MATLAB's files of version 5 hold no variable of so many bytes."""
MATLAB_NAME = 63
"""Characters that the name of a field may have there."""


def format_of(out: Path, name: str | None = None) -> str:
    """The format of that name, or the one that the ending of a path means; a path without one is a folder of PNGs.

    Raises:
        UsageError: if the ending means none.
    """
    found = name or (ENDINGS.get(out.suffix.lower()) if out.suffix else "png")
    if found is None:
        raise UsageError(f"say the --format of {out} ({', '.join(WRITERS)}), or end it with {', '.join(ENDINGS)}")
    return found


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
    for path in (out, beside(out)) if format == "npy" else (out,):
        if table is not None and path.exists() and path.samefile(table):
            raise UsageError(f"{path} is the table itself: choose another -o")
        if path.is_dir() != (format == "png") and path.exists():
            raise UsageError(f"{path} is {'a folder' if path.is_dir() else 'no folder'}: choose another -o")
        if table is not None and path.is_dir() and table.resolve().is_relative_to(path.resolve()):
            raise UsageError(f"{path} holds the table {table}: choose another -o")
        if path.is_dir() and (others := _not_of_images(path)):
            raise UsageError(f"{path} holds other things than rendered images, {listed(others, 3)}: choose another -o")
        if path != out and os.path.lexists(path) and not os.path.lexists(out):
            raise UsageError(f"{path} exists, where the parameters of {out} would go: choose another -o")
        if path.is_dir() and any(path.iterdir()) and not overwrite:
            raise UsageError(f"{path} exists: choose another -o, or replace it with --overwrite")
        check_output(path, overwrite=overwrite, inputs=inputs, ours=Path.is_dir, flag="-o")


PARAMETERS = "parameters.csv"


def _not_of_images(folder: Path) -> list[str]:
    """Names of what is in a folder and not of what `write_png` writes, which its table of parameters lists."""
    try:
        with (folder / PARAMETERS).open(encoding="utf-8", newline="") as file:
            names = {row.get(NAME) for row in csv.DictReader(file)}
    except (OSError, UnicodeDecodeError, csv.Error):
        return strangers(folder, lambda name: False)

    def ours(name: str) -> bool:
        stem = name.removesuffix(".png")
        return name == PARAMETERS or (stem != name and bool({stem, re.sub(r"-\d+$", "", stem)} & names))

    return strangers(folder, ours)


def beside(out: Path) -> Path:
    """Where the parameters of a numpy file's images are: `lenses.parameters.csv` beside `lenses.npy`."""
    return out.with_name(f"{out.stem}.{PARAMETERS}")


def write_npy(rendering: Rendering, out: Path) -> None:
    """(n, channels, height, width) float32 in one file, and the parameters beside it."""
    values = _Values(rendering)
    with _part(out) as part:
        with part.open("wb") as file:
            header = {"descr": "<f4", "fortran_order": False, "shape": rendering.shape}
            np.lib.format.write_array_header_1_0(file, header)
            for some in rendering:
                file.write(some.images.astype("<f4", order="C", copy=False).tobytes())
                values.take(some)
            file.flush()
            os.fsync(file.fileno())
        write_atomically(beside(out), values.csv())


def write_mat(rendering: Rendering, out: Path) -> None:
    """`images` (n, channels, height, width), `names`, and structures `parameters`, `units` with a field each."""
    from scipy.io import savemat

    if 4 * np.prod(rendering.shape, dtype=np.int64) >= MATLAB_BYTES:
        raise UsageError(f"{len(rendering.table)} images are too many for a MATLAB file (2 GB): use --format hdf5")
    for parameter in rendering.parameters:
        if not (parameter.name.isidentifier() and parameter.name.isascii() and len(parameter.name) <= MATLAB_NAME):
            raise UsageError(f"MATLAB has no field called {parameter.name!r}: use --format hdf5")
    values, parts = _Values(rendering), []
    for some in rendering:
        parts.append(some.images)
        values.take(some)
    content = {
        "images": np.concatenate(parts),
        "names": np.array(rendering.names, dtype=object),
        "parameters": {p.name: _for_matlab(values.column(p)) for p in rendering.parameters},
        "units": {p.name: p.unit for p in rendering.parameters},
    }
    content = {name: value for name, value in content.items() if not (isinstance(value, dict) and not value)}
    out.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(out, lambda file: savemat(file, content, long_field_names=True, oned_as="column"))


def write_hdf5(rendering: Rendering, out: Path) -> None:
    """`images` (n, channels, height, width), and a data set a parameter with `units`, as the reader `hdf5` takes it;
    the names of the images are in `table/name`."""
    import h5py

    with _part(out) as part, new_hdf5(part) as (file, check):
        images = file.create_dataset(
            "images", rendering.shape, "float32", chunks=(1, *rendering.shape[1:]), fletcher32=True, track_times=False
        )
        values = _Values(rendering)
        for some in rendering:
            images[some.first : some.first + len(some.images)] = some.images
            check()
            values.take(some)
        if rendering.simulator.pixel_scale:
            images.attrs["pixel_scale"] = rendering.simulator.pixel_scale
        file.create_dataset(f"table/{NAME}", data=rendering.names, dtype=h5py.string_dtype(), track_times=False)
        for parameter in rendering.parameters:
            # A parameter called as something else here would hide that, or be hidden.
            name = f"parameter_{parameter.name}" if parameter.name in ("images", "table") else parameter.name
            data = file.create_dataset(name, data=values[parameter.name], fletcher32=True, track_times=False)
            if parameter in (
                *rendering.simulator.parameters,
                *rendering.simulator.known,
            ):  # of others the unit is not known
                said = {"units": parameter.unit or "1", "long_name": parameter.symbol or parameter.name}
                data.attrs.update(said | {"group": parameter.group})
            if parameter.classes:
                data.attrs["classes"] = list(parameter.classes)
            if parameter.identity:
                data.attrs["identity"] = True


def write_png(rendering: Rendering, out: Path, *, bits: int = 16, stretch: Stretch = "linear") -> None:
    """A folder with a grey picture of each image, or of each of its channels, and the parameters."""
    from PIL import Image

    channels = rendering.shape[1]
    with _part(out, folder=True) as part:
        values = _Values(rendering)
        for some in rendering:
            for name, image in zip(rendering.names[some.first :], some.images, strict=False):
                for channel, grey in enumerate(greys(image, bits, stretch)):
                    ending = f"-{channel}.png" if channels > 1 else ".png"
                    Image.fromarray(grey).save(part / f"{name}{ending}")
            values.take(some)
        (part / PARAMETERS).write_bytes(values.csv())


def greys(image: NDArray[np.float32], bits: int, stretch: Stretch) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """An image as whole numbers: its peak is the largest there is, zero and below are 0.

    Args:
        image: (channels, height, width); all channels have one scale.
        bits: 8 or 16.
        stretch: Of the image over its peak, x: `linear`, or `asinh`, asinh(x / 0.05) / asinh(1 / 0.05).
    """
    peak = image.max()
    x = np.clip(image / peak, 0, 1).astype(np.float64) if peak > 0 else np.zeros(image.shape)
    if stretch == "asinh":
        x = np.arcsinh(x / SOFTENING) / np.arcsinh(1 / SOFTENING)
    return np.rint(x * (2**bits - 1)).astype(np.uint8 if bits == 8 else np.uint16)


WRITERS: dict[str, Callable[..., None]] = {
    "png": write_png, "npy": write_npy, "mat": write_mat, "hdf5": write_hdf5,
}  # fmt: skip


class _Values:
    """The parameters of a rendering, gathered part by part."""

    def __init__(self, rendering: Rendering) -> None:
        self._parameters, self._names = rendering.parameters, rendering.names
        self._all = {parameter.name: np.empty(len(rendering.table)) for parameter in rendering.parameters}

    def take(self, part: Part) -> None:
        """Takes those of some lenses."""
        for name, values in part.values.items():
            self._all[name][part.first : part.first + len(values)] = values

    def __getitem__(self, name: str) -> NDArray[np.float64]:
        return self._all[name]

    def column(self, parameter: Parameter) -> NDArray[Any]:
        """A parameter's values; of a class its name."""
        return labels(parameter, self[parameter.name]) if parameter.classes else self[parameter.name]

    def csv(self) -> bytes:
        """A table as `lenskit render` reads it: names, and each parameter; what is not known is empty."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([NAME, *self._all])
        columns = [_texts(self.column(parameter)) for parameter in self._parameters]
        writer.writerows(zip(self._names, *columns, strict=True))
        return text.getvalue().encode()


def _texts(values: NDArray[Any]) -> Sequence[str]:
    """Numbers with the fewest digits that are the same in single precision, if that is what they are."""
    if values.dtype.kind == "U":
        return values.tolist()
    return [
        "" if np.isnan(value) else str(np.float32(value) if np.float32(value) == value else value) for value in values
    ]


def _for_matlab(values: NDArray[Any]) -> NDArray[Any]:
    return values.astype(object) if values.dtype.kind == "U" else values


@contextmanager
def _part(out: Path, folder: bool = False) -> Iterator[Path]:
    """A file or folder beside, put in place when it is whole, and removed when it does not come to that.

    Where a link to a folder is, the folder is replaced, and the link stays.
    """
    out = out.resolve() if folder else out
    part, old = (scratch(out, ending) for ending in ("part", "old"))
    for left in (*leftovers(out, "part"), *leftovers(out, "old")):
        remove(left)
    try:
        if folder:
            part.mkdir(parents=True)
        else:
            part.parent.mkdir(parents=True, exist_ok=True)
        with naming(out):
            yield part
        if out.is_dir():
            if others := _not_of_images(out):
                raise UsageError(f"{out} holds by now other things than rendered images: {listed(others, 3)}")
            out.rename(old)
        part.replace(out)
        remove(old)
    finally:
        remove(part)


def write(rendering: Rendering, out: Path, format: str, **options: Any) -> None:
    """Writes the images of a table in a format, with its options."""
    WRITERS[format](rendering, out, **options)
