"""Reader of LenSiam's pairs: one FITS file per lens, with all its views."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from annotated_types import Gt
from astropy.io import fits
from numpy.typing import NDArray
from torch import Tensor

from lenskit.plugin import LenskitError, Parameter, UsageError, at_most
from lenskit.toolbox import Plan, first_inexact, open_bytes, quiet_fits, repeated, unit_in, wrong_card
from lenskit_datasets.fits_file import FAULTS, is_blank_zero, is_unsigned_64, undefined_as_nan, unreadable
from lenskit_datasets.folders import FITS, check_names, each_file, has_ending, look_through, stem
from lenskit_datasets.formats.fits import FitsFormat
from lenskit_datasets.pixels import by, common_shape
from lenskit_datasets.reader import Reader
from lenskit_datasets.simulated import follow_plan

log = logging.getLogger("lenskit")

RELEASED = (
    Parameter("theta_E", "arcsec", r"$\theta_E$", headline=True),
    Parameter("gamma", "", r"$\gamma$", headline=True),
    Parameter("gamma1", "", r"$\gamma_1$", headline=True),
    Parameter("gamma2", "", r"$\gamma_2$", headline=True),
    Parameter("e1", "", "$e_1$"),
    Parameter("e2", "", "$e_2$"),
    Parameter("center_x", "arcsec", "$x_c$"),
    Parameter("center_y", "arcsec", "$y_c$"),
)
"""Parameters of the released pairs: those of the lens, which the two images share."""

ENDINGS = tuple(ending for ending in FITS if not ending.endswith(".fz"))
"""Endings of the files. Tile-compressed images (.fz) are left out, because they are not in the primary HDU."""
CARD = FitsFormat.card_file
MOST_VIEWS = 4
"""Largest number of views. Three axes are (y, x, view) if the last is at most this and the others are longer;
otherwise they are (channel, y, x)."""
MOST_HEADERS = 32
"""Number of headers, spread over the files, that are searched for parameters."""
BLOCK = 2880
"""Size in bytes of the blocks of a FITS file."""


class LensiamFits(Reader):
    """Pairs of images from LenSiam's release or `lenskit simulate --format fits`.

    ```
    pairs/
      00.fits               primary HDU (y, x, view) or (channel, y, x, view), in numpy's order;
      01.fits               theta_E, gamma, ... as header keys, or theta_E_1, theta_E_2 if the views differ
      simulation.json       configuration of the simulation, in files of lenskit
    ```

    Without `simulation.json` the views of a pair share the lens and nothing else, and a parameter that a header lacks
    is unknown. Checksums are verified if files have them. Files are opened when they are read, and some at the start
    for their headers.

    Args:
        path: Folder, or one file.
        size: Height and width in pixels of the central part to use; by default the entire image.
        keys: Header keys that are parameters, if there is no `simulation.json`. By default those of LenSiam's eight
            parameters that occur in a searched header.
        pixel_scale: Size of a pixel in arcsec, if there is no `simulation.json`. LenSiam's pairs have 0.05.
    """

    accepts = "a folder of pairs, each a FITS file (y, x, view), from LenSiam or `lenskit simulate --format fits`"

    def __init__(
        self,
        path: str | Path,
        *,
        size: Annotated[int, Gt(0), at_most(10**6)] | None = None,
        keys: list[str] | None = None,
        pixel_scale: Annotated[float, Gt(0)] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._root, self._size, self.pixel_scale = Path(path), size, pixel_scale
        if (self._root / CARD).is_file():
            if keys is not None or pixel_scale is not None:
                raise UsageError(f"{self._root / CARD} defines everything: remove keys and pixel_scale")
            self._follow_plan(size)
        else:
            self._files = self._find()
            self.names = [stem(file.name) for file in self._files]
            check_names(self._root, self.names, "rename or remove all but one")
            self._look_at_first(size, keys)
        self._columns = [key for keys in self._keys.values() for key in keys]
        self._table = np.full((len(self._files), len(self._columns)), np.nan, np.float32)
        self._taken = np.zeros(len(self._files), bool)
        """Rows of `_table` that have been read: astropy takes longer for header keys than for pixels."""

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether a path is a folder of `lenskit simulate`, or has FITS files of views.

        In a folder, only the first file is checked.
        """
        if path.is_dir():
            if FitsFormat(path).exists:
                return True
            path = Path(min((file for file in each_file(path, 0) if has_ending(file, ENDINGS)), default=path))
        if not path.is_file() or not has_ending(path, ENDINGS):
            return False
        try:
            return _holds_views(_header(path))
        except (LenskitError, *FAULTS):
            return False

    def read(self, index: Sequence[int]) -> tuple[Tensor, dict[str, Tensor]]:
        """Read images and parameters; see `Dataset.read`.

        Raises:
            LenskitError: A file is missing or damaged, differs in shape from the first, or has no image.
        """
        images = np.empty((len(index), self.views, *self.image_shape), np.float32)
        for place, number in enumerate(index):
            header, pixels = self._read(self._files[number])
            images[place] = self.clean(pixels, str(self._files[number]), self.names[number], self._size)
            self._take_values(number, header)
        return torch.from_numpy(images), self._values(index)

    def read_parameters(self, index: Sequence[int]) -> dict[str, Tensor]:
        """Return parameters without reading images; see `Dataset.read_parameters`."""
        for number in index:
            if not self._taken[number]:
                self._take_values(number, self._sound(_header, self._files[number]))
        return self._values(index)

    def check(self) -> Iterator[tuple[str, str]]:
        """Check all files; see `Dataset.check`."""
        for number, file in enumerate(self._files):
            try:
                self.read([number])
            except LenskitError as error:
                yield file.name, str(error).removeprefix(f"{file} ")
            else:
                yield file.name, ""
        if self.unfinished:
            yield CARD, self.unfinished

    def _follow_plan(self, size: int | None) -> None:
        """Read the description of the files from `simulation.json`; find missing files."""
        store = FitsFormat(self._root)
        attributes = store.attributes()
        plan = Plan.from_attributes(attributes)
        follow_plan(self, plan, size)
        self._files = [self._root / name for name in store.names(plan, range(plan["lenses"]))]
        self.names = [file.stem for file in self._files]
        self._stored_shape = plan.image_shape
        self._keys = {p.name: self._keys_of(p.name, not plan.is_shared(p)) for p in plan.parameters}
        self.missing = sum(len(plan.lenses_of(chunk)) for chunk in store.missing(plan))
        if not self.missing and not attributes["complete"]:
            self.unfinished = (
                f"all files are there, but not marked as complete: run lenskit simulate --out {self._root}"
            )

    def _find(self) -> list[Path]:
        if self._root.is_file():
            return [self._root]
        if not self._root.is_dir():
            raise UsageError(f"there is no file or folder {self._root}; lensiam-fits takes {self.accepts}")
        listing = look_through(self._root, depth=0)
        listing.tell(self._root)
        files = listing.ending(ENDINGS)
        if not files:
            raise UsageError(f"there is no FITS file in {self._root}; lensiam-fits takes {self.accepts}")
        return files

    def _look_at_first(self, size: int | None, keys: list[str] | None) -> None:
        """Read the shape from the first header, and the parameters from several headers."""
        file = self._files[0]
        header = self._sound(_header, file)
        if not _holds_views(header):
            raise UsageError(
                f"{file}: pairs have the axes (y, x, view) or (channel, y, x, view) in numpy's order, not "
                f"{_shape(header)}; single images are read by fits-folder"
            )
        *channels, height, width, self.views = _shape(header)
        self._stored_shape = ((channels or [1])[0], height, width)
        self.image_shape = common_shape([self._stored_shape], [file], size)
        self.shared_groups = frozenset({"lens"})
        self.stored_as = np.dtype(fits.BITPIX2DTYPE[header["BITPIX"]]).name
        usual = {parameter.name: parameter for parameter in RELEASED}
        headers = {file: header, **self._some_headers()}
        self._keys, parameters = {}, []
        for name in list(usual) if keys is None else keys:
            if any(name in keywords for keywords in headers.values()):
                self._keys[name] = [name]
                parameters.append(usual.get(name, Parameter(name, unit_in(name))))
            elif any(f"{name}_1" in keywords for keywords in headers.values()):
                self._keys[name] = self._keys_of(name, differs=True)
                parameters.append(Parameter(name, group="image"))
            elif keys is not None:
                more = f", nor have {len(headers) - 1} more files" if len(headers) > 1 else ""
                raise UsageError(f"{file} has no header key {name}, nor {name}_1{more}")
        self.parameters = parameters
        lacking = {
            name: [path for path in headers if keys[0] not in headers[path]] for name, keys in self._keys.items()
        }
        told = [f"{name} in {len(files)} (such as {files[0].name})" for name, files in lacking.items() if files]
        if told:
            wanting = f"of {len(headers)} headers searched, some lack keys, which are unknown there"
            log.warning("%s: %s: %s", self._root, wanting, ", ".join(told))

    def _some_headers(self) -> dict[Path, fits.Header]:
        """Return some headers after the first; ignore damaged ones until they are read."""
        headers = {}
        for number in np.unique(np.linspace(0, len(self._files) - 1, MOST_HEADERS).astype(int))[1:]:
            with suppress(LenskitError):
                headers[self._files[number]] = self._sound(_header, self._files[number])
        return headers

    def _keys_of(self, name: str, differs: bool) -> list[str]:
        return [f"{name}_{view + 1}" for view in range(self.views)] if differs else [name]

    def _take_values(self, number: int, header: fits.Header) -> None:
        """Check a header and store its parameters, once for each file."""
        if not self._taken[number]:
            if wrong := wrong_card(header):
                raise LenskitError(f"{self._files[number]} cannot be read as FITS: {wrong}")
            self._table[number] = [_number(self._files[number], header, key) for key in self._columns]
            self._taken[number] = True

    def _values(self, index: Sequence[int]) -> dict[str, Tensor]:
        """Return the parameters of lenses whose headers were read."""
        table = torch.from_numpy(self._table[np.asarray(index, np.int64)])
        columns = table.split([len(keys) for keys in self._keys.values()], 1) if self._keys else ()
        return {
            name: column if column.shape[1] > 1 else column[:, 0]
            for name, column in zip(self._keys, columns, strict=True)
        }

    def _read(self, file: Path) -> tuple[fits.Header, NDArray[Any]]:
        """Return the header and the images (views, channels, height, width) of a file."""
        header, data = self._sound(_header_and_data, file)
        *channels, height, width, views = data.shape if data.ndim in (3, 4) else (0, 0, 0)
        if (views, *(channels or [1]), height, width) != (self.views, *self._stored_shape):
            c, *area = self._stored_shape
            wanted = (c, *area, self.views) if c > 1 else (*area, self.views)
            raise LenskitError(f"{file} has {by(data.shape)} pixels, the others {by(wanted)}: all must agree")
        return header, np.moveaxis(data.reshape(*self._stored_shape, views), -1, 0)

    def _sound(self, read: Any, file: Path) -> Any:
        """Return `read(file)`; convert exceptions to errors that name the file."""
        try:
            with quiet_fits():
                return read(file)
        except FileNotFoundError as error:
            advice = f"; make it with: lenskit simulate --out {self._root}" if self.configuration else ""
            raise LenskitError(f"{file} is missing{advice}") from error
        except FAULTS as error:
            raise unreadable(file, error) from error


def _holds_views(header: fits.Header) -> bool:
    shape = _shape(header)
    return len(shape) in (3, 4) and shape[-1] <= MOST_VIEWS < min(shape[-3:-1])


def _shape(header: fits.Header) -> tuple[int, ...]:
    """Return the shape of an image in numpy's order."""
    return tuple(header[f"NAXIS{axis}"] for axis in range(header["NAXIS"], 0, -1))


def _header(file: Path) -> fits.Header:
    with quiet_fits(), open_bytes(file) as stream:
        header = fits.Header.fromfile(stream)
    if wrong := wrong_card(header):
        raise ValueError(wrong)
    return header


def _header_and_data(file: Path) -> tuple[fits.Header, NDArray[Any]]:
    """Return header and data of the primary HDU, twice as fast as `fits.open`.

    Raises:
        ValueError: The file is damaged; other `FAULTS` are possible too.
    """
    with open_bytes(file) as stream:
        header = fits.Header.fromfile(stream)
        start, shape = stream.tell(), _shape(header)
        stored = np.dtype(fits.BITPIX2DTYPE[header["BITPIX"]]).newbyteorder(">")
        end = start + -(-math.prod(shape) * stored.itemsize // BLOCK) * BLOCK
        stream.seek(0)
        content = stream.read(end)
        stream.read(1)  # at its end, a compressed file's checksum is verified
    if len(content) < end:
        raise ValueError("it was cut short")
    # The standard's checksum: with it, the words of an HDU sum to zero in ones' complement.
    if "CHECKSUM" in header and int(np.frombuffer(content[:end], ">u4").sum(dtype=np.uint64)) % (2**32 - 1):
        raise ValueError("its checksum is wrong")
    pixels = np.frombuffer(content, stored, math.prod(shape), start).reshape(shape)
    if is_unsigned_64(header):
        return header, undefined_as_nan(fits.PrimaryHDU.fromstring(content[:end], uint=True).data, header)
    if stored.kind != "f" or header.get("BSCALE", 1) != 1 or header.get("BZERO", 0) != 0:  # let astropy scale them
        data = fits.PrimaryHDU.fromstring(content[:end], uint=False).data
        return header, np.where(pixels == 0, np.nan, data) if is_blank_zero(header) else data
    return header, pixels


def _number(file: Path, header: fits.Header, key: str) -> float:
    """Return the value of a key, NaN if it has none."""
    try:
        contradiction = repeated(header, [key])
        value = header.get(key)
    except fits.VerifyError as error:
        raise LenskitError(f"{file}: the header key {key} cannot be read: {' '.join(str(error).split())}") from error
    if contradiction:
        raise LenskitError(f"{file} cannot be read: {contradiction}")
    if value is None or isinstance(value, fits.card.Undefined):
        return math.nan
    if isinstance(value, bool | str) or not isinstance(value, int | float):
        raise LenskitError(f"{file}: the header key {key} is {value!r}, but parameters are numbers")
    if not abs(value) <= np.finfo(np.float32).max or first_inexact([value] if isinstance(value, int) else [], "f4"):
        raise LenskitError(f"{file}: the header key {key} is {value}, which float32 cannot hold: leave it out of keys")
    return float(value)
