"""FITS files that a user gives: compressed ones are unpacked up to a limit."""

from __future__ import annotations

import bz2
import gzip
import lzma
import math
import os
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from lenskit.errors import LenskitError
from lenskit.reading.limits import VARIABLE, allowed_bytes, check_bytes, max_bytes

if TYPE_CHECKING:
    from astropy.io import fits


class _Bounded:
    """What keeps a decompressed stream within the limit."""

    def __init__(self, file: Path | str) -> None:
        super().__init__(file, "rb")  # type: ignore[call-arg]  # of the class that is mixed in
        self._file, self._most = file, allowed_bytes(file)

    def read(self, size: int | None = -1) -> bytes:
        room = self._most - self.tell()  # type: ignore[attr-defined]
        wanted = room + 1 if size is None or size < 0 else min(size, room + 1)
        with self._told():
            found: bytes = super().read(wanted)  # type: ignore[misc]
        if len(found) > room:
            raise LenskitError(
                f"{self._file} goes on behind {self._most} bytes when unpacked, which is the limit; if the file can be "
                f"trusted, set the environment variable {VARIABLE} to more, such as {4 * self._most}"
            )
        return found

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if whence == os.SEEK_SET:
            check_bytes(self._file, offset)
        with self._told():
            return int(super().seek(offset, whence))  # type: ignore[misc]

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Makes damage an error that astropy does not take for the end of the file, as it does a wrong checksum."""
        try:
            yield
        except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
            raise LenskitError(f"{self._file} cannot be unpacked, it is damaged: {error}") from error


class _Gzip(_Bounded, gzip.GzipFile):
    pass


class _Bzip2(_Bounded, bz2.BZ2File):
    pass


class _Xz(_Bounded, lzma.LZMAFile):
    pass


COMPRESSED: dict[bytes, Any] = {b"\x1f\x8b": _Gzip, b"BZh": _Bzip2, b"\xfd7zXZ": _Xz}
"""How a compressed file begins, whatever its name, and what unpacks it."""


def _opener(file: Path | str) -> Any:
    """What unpacks a file, None if it is not compressed."""
    with open(file, "rb") as opened:
        start = opened.read(6)
    if start.startswith(b"PK\x03\x04"):
        raise OSError("it is a ZIP archive: unpack it, and give the file in it")
    return next((opener for magic, opener in COMPRESSED.items() if start.startswith(magic)), None)


def open_bytes(file: Path | str) -> IO[bytes]:
    """Open a file for reading bytes; a compressed one is unpacked, up to the limit.

    Raises:
        OSError: if it cannot be read, or is a ZIP archive.
        LenskitError: later, if more than the limit is read.
    """
    opener = _opener(file)
    return open(file, "rb") if opener is None else cast(IO[bytes], opener(file))


@contextmanager
def open_fits(file: Path | str, **options: Any) -> Iterator[fits.HDUList]:
    """Open a FITS file for reading, as `astropy.io.fits.open` does, with a limit on what is unpacked.

    Args:
        file: The file, compressed or not.
        options: Arguments of `astropy.io.fits.open`.

    Raises:
        LenskitError: if it unpacks to more than the limit, or is damaged, now or when data are read.
        Exception: of whatever kind astropy raises, if it is damaged.
    """
    from astropy.io import fits

    with ExitStack() as stack:
        # astropy maps a file that it opens itself into memory.
        source = stack.enter_context(open_bytes(file)) if _opener(file) else file
        yield stack.enter_context(fits.open(source, **options))


def check_hdu(file: Path | str, hdu: Any) -> None:
    """Check, before the data of an HDU are read, that they are not larger than the limit or than their file.

    Args:
        file: The file.
        hdu: An HDU of it.

    Raises:
        LenskitError: if they are.
    """
    from astropy.io import fits

    size = math.prod(hdu.shape) * abs(int(hdu.header["BITPIX"])) // 8 if hdu.is_image else hdu.size
    name = hdu.name or "PRIMARY"
    there = os.path.getsize(file)
    if size > max(there, max_bytes()) and not isinstance(hdu, fits.CompImageHDU) and not _opener(file):
        raise LenskitError(f"{file} is cut short: HDU {name} announces {size} bytes, the file has {there}")
    check_bytes(file, size, f"HDU {name}")
