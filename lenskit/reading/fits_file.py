"""Reader of FITS files, which unpacks compressed files up to a limit."""

from __future__ import annotations

import bz2
import gzip
import lzma
import math
import os
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from io import FileIO
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from lenskit.errors import LenskitError
from lenskit.reading.fits_header import wrong_card
from lenskit.reading.limits import VARIABLE, allowed_bytes, check_bytes, max_bytes
from lenskit.reading.quiet import quiet_fits

if TYPE_CHECKING:
    from astropy.io import fits


BLOCK = 2880
"""Size of a block of a FITS file in bytes. astropy reads headers block by block."""

MOST_HEADER = 2**24
"""Maximum size of a header in bytes: 200,000 cards. A header without END would be read to the end of its file."""


class _Headers:
    """Mixin for streams that end at a header longer than `MOST_HEADER`."""

    _blocks = 0

    def _is_endless(self, size: int | None) -> bool:
        """Count consecutive blocks, and return whether they exceed the maximum header."""
        self._blocks = self._blocks + 1 if size == BLOCK else 0
        return self._blocks > MOST_HEADER // BLOCK


class _Plain(_Headers, FileIO):
    """File that is not compressed. astropy can map it into memory."""

    def read(self, size: int | None = -1) -> bytes:
        if self._is_endless(size):
            return b""
        if size is None or size < 0:
            return super().read()
        # Limit the size, because FileIO allocates all of it at once even if the file is shorter.
        return super().read(min(size, os.path.getsize(self.name)))

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._blocks = 0
        return super().seek(offset, whence)


class _Bounded(_Headers):
    """Mixin that limits the size of a decompressed stream."""

    def __init__(self, file: Path | str) -> None:
        super().__init__(file, "rb")  # type: ignore[call-arg]  # the other base class takes them
        self._file, self._most = file, allowed_bytes(file)

    def read(self, size: int | None = -1) -> bytes:
        if self._is_endless(size):
            return b""
        room = self._most - self.tell()  # type: ignore[attr-defined]
        wanted = room + 1 if size is None or size < 0 else min(size, room + 1)
        with self._errors_of_damage():
            content: bytes = super().read(wanted)  # type: ignore[misc]
        if len(content) > room:
            raise LenskitError(
                f"{self._file} unpacks to more than the limit of {self._most} bytes; if the file can be trusted, set "
                f"the environment variable {VARIABLE} to a larger number, such as {4 * self._most}"
            )
        return content

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if whence == os.SEEK_SET:  # `tell` seeks by 0 from here
            self._blocks = 0
            check_bytes(self._file, offset)
        with self._errors_of_damage():
            return int(super().seek(offset, whence))  # type: ignore[misc]

    @contextmanager
    def _errors_of_damage(self) -> Iterator[None]:
        """Turn errors of damaged files into a LenskitError.

        astropy would treat other errors, such as a wrong checksum, as the end of the file.
        """
        try:
            yield
        except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
            raise LenskitError(f"{self._file} cannot be unpacked, because it is damaged: {error}") from error


class _Gzip(_Bounded, gzip.GzipFile):
    pass


class _Bzip2(_Bounded, bz2.BZ2File):
    pass


class _Xz(_Bounded, lzma.LZMAFile):
    pass


COMPRESSED: dict[bytes, Any] = {b"\x1f\x8b": _Gzip, b"BZh": _Bzip2, b"\xfd7zXZ": _Xz}
"""First bytes of compressed files, which identify them, and the classes that unpack them."""


def _opener(file: Path | str) -> Any:
    """Return the class that unpacks a file; None if it is not compressed."""
    with open(file, "rb") as opened:
        start = opened.read(6)
    if start.startswith(b"PK\x03\x04"):
        raise OSError("it is a ZIP archive: unpack it, and use the file in it")
    return next((opener for magic, opener in COMPRESSED.items() if start.startswith(magic)), None)


def open_bytes(file: Path | str) -> IO[bytes]:
    """Open a file for reading bytes; a compressed file is unpacked, up to the limit.

    If a FITS header is longer than 16 MiB, the stream ends there.

    Raises:
        OSError: The file cannot be read, or is a ZIP archive.
        LenskitError: During reading: the unpacked data exceed the limit, or the file is damaged.
    """
    return cast(IO[bytes], (_opener(file) or _Plain)(os.fspath(file)))


@contextmanager
def open_fits(file: Path | str, **options: Any) -> Iterator[fits.HDUList]:
    """Open a FITS file like `astropy.io.fits.open`, with a limit on unpacked data.

    Warnings of `astropy.io.fits` are ignored while the file is open.

    Args:
        file: The file, compressed or not.
        options: Arguments of `astropy.io.fits.open`.

    Raises:
        LenskitError: The unpacked data exceed the limit, or the file is damaged. Also raised later, when data are read.
        Exception: Any exception that astropy raises for a damaged file.
    """
    from astropy.io import fits

    with ExitStack() as stack:
        stack.enter_context(quiet_fits())
        yield stack.enter_context(fits.open(stack.enter_context(open_bytes(file)), **options))


def check_hdu(file: Path | str, hdu: Any) -> None:
    """Check the cards and the size of an HDU before its data are read.

    Args:
        file: The file.
        hdu: An HDU of the file.

    Raises:
        LenskitError: A card is invalid or contradicts itself, or the HDU is larger than the limit or than its file.
    """
    from astropy.io import fits

    name = hdu.name or "PRIMARY"
    if hdu.is_image and (wrong := wrong_card(hdu.header)):
        raise LenskitError(f"{file}: HDU {name} cannot be read: {wrong}")
    size = math.prod(hdu.shape) * abs(int(hdu.header["BITPIX"])) // 8 if hdu.is_image else hdu.size
    there = os.path.getsize(file)
    if size > max(there, max_bytes()) and not isinstance(hdu, fits.CompImageHDU) and not _opener(file):
        raise LenskitError(f"{file} is cut short: HDU {name} should have {size} bytes, but the file has {there}")
    check_bytes(file, size, f"HDU {name}")
