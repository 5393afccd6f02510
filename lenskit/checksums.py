"""Checksums of weight files, which detect damage before a file is used.

A checkpoint is a zip archive. Its comment holds the checksum of all preceding bytes. An archive without such a comment
is from an earlier version or a different program. Then the checksums of the zip members are verified, but they do not
cover headers and padding. The metadata of a safetensors file hold the checksum of all other bytes. A safetensors file
without a checksum is loaded without verification.
"""

from __future__ import annotations

import json
import os
import re
import struct
import zipfile
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import google_crc32c
import numpy as np

from lenskit.errors import LenskitError
from lenskit.records import parse_json

if TYPE_CHECKING:
    from torch import Tensor

PIECE = 2**18
"""Bytes to read at a time; they fit into the processor's cache."""
END = struct.Struct("<4s16sH")
"""End of a zip archive: its magic number, the position of its directory, and the length of the comment."""
COMMENT = b"lenskit crc32c "
DIGITS = 8
FIELD = re.compile(rb'"checksum":"([^"]{8})"')


class Damaged(LenskitError):
    """Error of a damaged file.

    Args:
        path: The file.
        fault: Description of the fault.
        remedy: Advice.
    """

    def __init__(self, path: Path, fault: str, remedy: str) -> None:
        self.told = f"{fault}; {remedy}"
        """The message without the path."""
        super().__init__(f"{path} is damaged: {self.told}")


def seal_archive(archive: BytesIO) -> memoryview:
    """Add the checksum to a zip archive as its comment, and return the archive.

    The archive must not have a comment yet.
    """
    archive.seek(-2, os.SEEK_END)
    archive.write((len(COMMENT) + DIGITS).to_bytes(2, "little") + COMMENT)
    archive.write(_digits(_extended(0, archive.getbuffer())))
    return archive.getbuffer()


def check_archive(path: Path, remedy: str) -> None:
    """Verify a zip archive that `torch.save` or `seal_archive` wrote.

    Args:
        path: The file.
        remedy: Advice if it is damaged.

    Raises:
        Damaged: The file is damaged, or is not a zip archive.
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        tail = END.size + len(COMMENT) + DIGITS
        file.seek(max(size - tail, 0))
        end = file.read()
        mark, _, length = END.unpack(end[: END.size]) if len(end) == tail else (b"", b"", 0)
        if mark == b"PK\5\6" and length == len(COMMENT) + DIGITS and end[END.size :].startswith(COMMENT):
            file.seek(0)
            if _digits(_sum_of(file, size - DIGITS)) != end[-DIGITS:]:
                raise Damaged(path, "its checksum is wrong", remedy)
            return
        mark, _, length = END.unpack(end[-END.size :]) if len(end) >= END.size else (b"", b"", 0)
        if mark != b"PK\5\6" or length:
            raise Damaged(path, "its end is missing or changed", remedy)
        file.seek(0)
        try:
            with zipfile.ZipFile(file) as archive:
                bad = archive.testzip()
        except Exception as error:  # a decompressor may raise any error for damaged bytes
            raise Damaged(path, " ".join(str(error).split())[:120] or type(error).__name__, remedy) from None
        if bad is not None:
            raise Damaged(path, f"the checksum of {bad[:80]!r} in it is wrong", remedy)


def save_tensors(tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> bytes:
    """Return a safetensors file with a checksum in its metadata.

    The same tensors give the same bytes.
    """
    import safetensors.torch

    content = safetensors.torch.save(dict(tensors))
    start = _start(content)
    header = {"__metadata__": {"checksum": "0" * DIGITS, **(metadata or {})}} | json.loads(content[8:start])
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    text = len(text).to_bytes(8, "little") + text
    checksum = _extended(_extended(0, text), content[start:])
    return FIELD.sub(b'"checksum":"%b"' % _digits(checksum), text, count=1) + content[start:]


def load_tensors(path: Path, remedy: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Verify a safetensors file, and return its tensors and metadata.

    Args:
        path: The file. A file without a checksum is loaded without verification.
        remedy: Advice if it is damaged.

    Raises:
        Damaged: The file is damaged.
        OSError: The file cannot be read.
    """
    import safetensors.torch
    from safetensors import SafetensorError

    content = path.read_bytes()
    start = _start(content)
    if match := FIELD.search(content, 8, start):
        first, last = match.span(1)
        checksum = _extended(_extended(_extended(0, content[:first]), b"0" * DIGITS), memoryview(content)[last:])
        if _digits(checksum) != match[1]:
            raise Damaged(path, "its checksum is wrong", remedy)
    try:
        tensors = safetensors.torch.load(content)
    except (SafetensorError, ValueError, KeyError) as error:
        raise Damaged(path, " ".join(str(error).split())[:160], remedy) from None
    return tensors, parse_json(content[8:start], f"{path}: its header").get("__metadata__", {})


def card_checksum(card: Mapping[str, Any]) -> str:
    """Return the checksum of a card, which excludes the field `checksum`.

    The checksum does not depend on the formatting of the JSON file.
    """
    content = json.loads(json.dumps({name: value for name, value in card.items() if name != "checksum"}))
    return _digits(_extended(0, json.dumps(content, sort_keys=True).encode())).decode()


def _start(content: bytes) -> int:
    """Return the offset of the tensors, after the header and its length."""
    return min(8 + int.from_bytes(content[:8], "little"), len(content))


def _sum_of(file: BinaryIO, size: int) -> int:
    """Return the checksum of the next `size` bytes of a file."""
    checksum = 0
    while size > 0 and (piece := file.read(min(PIECE, size))):
        checksum, size = _extended(checksum, piece), size - len(piece)
    return checksum


def _extended(checksum: int, content: bytes | memoryview) -> int:
    """Extend a checksum by more bytes."""
    return int(google_crc32c.extend(checksum, np.frombuffer(content, np.uint8)))


def _digits(checksum: int) -> bytes:
    return b"%0*x" % (DIGITS, checksum)
