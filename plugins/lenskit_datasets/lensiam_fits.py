"""LenSiam's pairs: one FITS file a lens, with all its views."""

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
"""The parameters of the released pairs: the lens, which the two images share."""

ENDINGS = tuple(ending for ending in FITS if not ending.endswith(".fz"))
"""Endings of files: tile-compressed images are not in the primary HDU."""
CARD = FitsFormat.card_file
MOST_VIEWS = 4
"""Three axes are (y, x, view) rather than (channel, y, x) if the last one is this short, and the others are longer."""
MOST_HEADERS = 32
"""So many headers, spread over the files, are looked at for parameters."""
BLOCK = 2880
"""FITS files come in blocks of so many bytes."""


class LensiamFits(Reader):
    """Pairs of images as LenSiam released them, and as `lenskit simulate --format fits` writes them.

    ```
    pairs/
      00.fits               primary HDU (y, x, view) or (channel, y, x, view), in numpy's order;
      01.fits               theta_E, gamma, ... as header keys, or theta_E_1, theta_E_2 where the views differ
      simulation.json       what made them: ours have it, and it says everything
    ```

    Without `simulation.json` the views of a pair are taken to share the lens, and nothing else; and a parameter that
    a header lacks is not known. Checksums are verified where files have them. Files are opened when they are read,
    and some at the start for their headers.

    Args:
        path: Folder, or one file.
        size: Height and width in pixels of the middle of each image that is used; by default all of it.
        keys: Header keys that are parameters, where there is no `simulation.json`. By default LenSiam's eight, as far
            as any of some files has them.
        pixel_scale: Size of a pixel in arcsec, where there is no `simulation.json`. LenSiam's have 0.05.
    """

    accepts = "a folder of pairs, each a FITS file (y, x, view), as LenSiam's or of `lenskit simulate --format fits`"

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
                raise UsageError(f"{self._root / CARD} says what there is: leave out keys and pixel_scale")
            self._follow_plan(size)
        else:
            self._files = self._find()
            self.names = [stem(file.name) for file in self._files]
            check_names(self._root, self.names, "rename or remove all but one")
            self._look_at_first(size, keys)
        self._columns = [key for keys in self._keys.values() for key in keys]
        self._table = np.full((len(self._files), len(self._columns)), np.nan, np.float32)
        self._taken = np.zeros(len(self._files), bool)
        """The values of each key, and which rows have been read: astropy takes longer for them than for pixels."""

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether it is a folder that `lenskit simulate` wrote, or a FITS file (the first of a folder) holds views."""
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
        """See `Dataset.read`.

        Raises:
            LenskitError: if a file is missing, damaged, of another shape than the first, or holds no image.
        """
        images = np.empty((len(index), self.views, *self.image_shape), np.float32)
        for place, number in enumerate(index):
            header, pixels = self._read(self._files[number])
            images[place] = self.clean(pixels, str(self._files[number]), self.names[number], self._size)
            self._take_values(number, header)
        return torch.from_numpy(images), self._values(index)

    def read_parameters(self, index: Sequence[int]) -> dict[str, Tensor]:
        """See `Dataset.read_parameters`; no pixel is read."""
        for number in index:
            if not self._taken[number]:
                self._take_values(number, self._sound(_header, self._files[number]))
        return self._values(index)

    def check(self) -> Iterator[tuple[str, str]]:
        """See `Dataset.check`; parts are files."""
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
        """Takes from `simulation.json` what it says, and looks which files there are."""
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
            self.unfinished = f"all files are there, but not yet said to be: run lenskit simulate --out {self._root}"

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
        """Takes the shape from the header of the first file, and the parameters from those of some more."""
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
            wanting = f"of {len(headers)} files looked at, some lack keys, which are not known there"
            log.warning("%s: %s: %s", self._root, wanting, ", ".join(told))

    def _some_headers(self) -> dict[Path, fits.Header]:
        """Headers of files behind the first; of damaged ones is told when they are read."""
        headers = {}
        for number in np.unique(np.linspace(0, len(self._files) - 1, MOST_HEADERS).astype(int))[1:]:
            with suppress(LenskitError):
                headers[self._files[number]] = self._sound(_header, self._files[number])
        return headers

    def _keys_of(self, name: str, differs: bool) -> list[str]:
        return [f"{name}_{view + 1}" for view in range(self.views)] if differs else [name]

    def _take_values(self, number: int, header: fits.Header) -> None:
        """Checks a header, once, and keeps the parameters that it holds."""
        if not self._taken[number]:
            if wrong := wrong_card(header):
                raise LenskitError(f"{self._files[number]} cannot be read as FITS: {wrong}")
            self._table[number] = [_number(self._files[number], header, key) for key in self._columns]
            self._taken[number] = True

    def _values(self, index: Sequence[int]) -> dict[str, Tensor]:
        """The parameters of lenses whose headers were read."""
        table = torch.from_numpy(self._table[np.asarray(index, np.int64)])
        columns = table.split([len(keys) for keys in self._keys.values()], 1) if self._keys else ()
        return {
            name: column if column.shape[1] > 1 else column[:, 0]
            for name, column in zip(self._keys, columns, strict=True)
        }

    def _read(self, file: Path) -> tuple[fits.Header, NDArray[Any]]:
        """Header and images (views, channels, height, width) of a file."""
        header, data = self._sound(_header_and_data, file)
        *channels, height, width, views = data.shape if data.ndim in (3, 4) else (0, 0, 0)
        if (views, *(channels or [1]), height, width) != (self.views, *self._stored_shape):
            c, *area = self._stored_shape
            wanted = (c, *area, self.views) if c > 1 else (*area, self.views)
            raise LenskitError(f"{file} has {by(data.shape)} pixels, the others {by(wanted)}: all must agree")
        return header, np.moveaxis(data.reshape(*self._stored_shape, views), -1, 0)

    def _sound(self, read: Any, file: Path) -> Any:
        """What `read` makes of a file, whose faults are errors that name it."""
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
    """In numpy's order."""
    return tuple(header[f"NAXIS{axis}"] for axis in range(header["NAXIS"], 0, -1))


def _header(file: Path) -> fits.Header:
    with quiet_fits(), open_bytes(file) as stream:
        header = fits.Header.fromfile(stream)
    if wrong := wrong_card(header):
        raise ValueError(wrong)
    return header


def _header_and_data(file: Path) -> tuple[fits.Header, NDArray[Any]]:
    """The primary HDU. Not by `fits.open`, which takes more than twice the time.

    Raises:
        ValueError: or another of `FAULTS`, if it is damaged.
    """
    with open_bytes(file) as stream:
        header = fits.Header.fromfile(stream)
        start, shape = stream.tell(), _shape(header)
        stored = np.dtype(fits.BITPIX2DTYPE[header["BITPIX"]]).newbyteorder(">")
        end = start + -(-math.prod(shape) * stored.itemsize // BLOCK) * BLOCK
        stream.seek(0)
        content = stream.read(end)
        stream.read(1)  # at the end of a compressed file its checksum is verified
    if len(content) < end:
        raise ValueError("it was cut short")
    # The standard's checksum: with it, the words of an HDU add up to zero in ones' complement.
    if "CHECKSUM" in header and int(np.frombuffer(content[:end], ">u4").sum(dtype=np.uint64)) % (2**32 - 1):
        raise ValueError("its checksum is wrong")
    pixels = np.frombuffer(content, stored, math.prod(shape), start).reshape(shape)
    if is_unsigned_64(header):
        return header, undefined_as_nan(fits.PrimaryHDU.fromstring(content[:end], uint=True).data, header)
    if stored.kind != "f" or header.get("BSCALE", 1) != 1 or header.get("BZERO", 0) != 0:  # astropy scales them
        data = fits.PrimaryHDU.fromstring(content[:end], uint=False).data
        return header, np.where(pixels == 0, np.nan, data) if is_blank_zero(header) else data
    return header, pixels


def _number(file: Path, header: fits.Header, key: str) -> float:
    """A key's value, NaN if it has none."""
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
        raise LenskitError(f"{file}: the header key {key} is {value!r}, parameters are numbers")
    if not abs(value) <= np.finfo(np.float32).max or first_inexact([value] if isinstance(value, int) else [], "f4"):
        raise LenskitError(
            f"{file}: the header key {key} is {value}, which float32 does not hold: leave it out of keys"
        )
    return float(value)
