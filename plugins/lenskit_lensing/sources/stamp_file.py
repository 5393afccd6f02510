"""Files of prepared stamps: written image by image, memory-mapped, and verified.

The format is safetensors (https://huggingface.co/docs/safetensors): eight bytes with the length of a header, the header
in JSON, the bytes of the tensors. Space is reserved for the header, because its content is known only at the end.
"""

from __future__ import annotations

import json
import logging
import zlib
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

ROOM = 1 << 13
"""Number of bytes before the tensors."""

BLOCK = 1 << 24
"""Number of bytes that are verified at a time."""

TYPES = {"images": "F16", "half_light": "F32", "flux": "F32", "rows": "I64"}
"""Tensors of a file in order, with their safetensors types."""

log = logging.getLogger("lenskit")


class StampWriter:
    """Writer of prepared stamps, one at a time.

    Args:
        file: Output file, from its beginning.
        size: Side of the images in pixels.
    """

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file, self._size, self._checksum = file, size, 0
        self._half_light: list[float] = []
        self._flux: list[float] = []
        self._rows: list[int] = []
        file.write(bytes(ROOM))

    @property
    def count(self) -> int:
        """Number of stamps so far."""
        return len(self._rows)

    def add(self, image: NDArray[np.float16], *, half_light: float, row: int) -> None:
        """Add a stamp; see `StampSources`."""
        self._put(image, "<f2")
        self._half_light.append(half_light)
        self._flux.append(float(image.sum(dtype=np.float64)))
        self._rows.append(row)

    def finish(self, digest: str, name: str) -> None:
        """Write the header and the small tensors.

        Args:
            digest: Digest of the inputs and options of the preparation.
            name: Name of the catalogue, for information.
        """
        pixels = self.count * self._size**2
        lengths = [2 * pixels] + [
            self._put(np.array(column), kind)
            for column, kind in ((self._half_light, "<f4"), (self._flux, "<f4"), (self._rows, "<i8"))
        ]
        ends = np.cumsum(lengths).tolist()
        header: dict[str, Any] = {
            "__metadata__": {"digest": digest, "checksum": str(self._checksum), "catalogue": name[-512:]}
        }
        for tensor, length, end in zip(TYPES, lengths, ends, strict=True):
            shape = [self.count, self._size, self._size] if tensor == "images" else [self.count]
            header[tensor] = {"dtype": TYPES[tensor], "shape": shape, "data_offsets": [end - length, end]}
        self._file.seek(0)
        self._file.write((ROOM - 8).to_bytes(8, "little") + json.dumps(header).encode().ljust(ROOM - 8))

    def _put(self, array: NDArray[Any], kind: str) -> int:
        content = np.ascontiguousarray(array, kind).tobytes()
        self._checksum = zlib.crc32(content, self._checksum)
        return self._file.write(content)


def read_stamps(path: Path, digest: str) -> dict[str, Tensor] | None:
    """Return the tensors of a file by name; images are memory-mapped.

    Args:
        path: The file.
        digest: Required digest of inputs and options.

    Returns:
        None if the file does not exist, is damaged or has a different digest; the last two cases are logged.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            about = file.metadata() or {}
            if about.get("digest") == digest and about.get("checksum") == str(_checksum(path)):
                return {name: file.get_tensor(name) for name in TYPES}
    except (OSError, SafetensorError):
        pass
    log.warning("%s: damaged, or not a file of prepared stamps; it is prepared again", path)
    return None


def _checksum(path: Path) -> int:
    """Return the checksum of all bytes after the header."""
    checksum = 0
    with path.open("rb") as file:
        file.seek(ROOM)
        while block := file.read(BLOCK):
            checksum = zlib.crc32(block, checksum)
    return checksum
