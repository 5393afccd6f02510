"""Checksums of files of weights: whatever changes in such a file, be it one bit, is found before it is used.

A checkpoint is a zip archive, whose comment gets the checksum of all before it. Of archives without such a comment
(those of before, and other people's) the checksums that zip keeps of each member are compared: they leave out headers
and padding. A file of safetensors gets the checksum of all else in its metadata; one that has none is opened as it is.
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
"""Bytes that are read and summed at a time: they are still in the processor's cache then."""
END = struct.Struct("<4s16sH")
"""The end of a zip archive: its mark, where its directory is, and the length of the comment behind."""
COMMENT = b"lenskit crc32c "
DIGITS = 8
FIELD = re.compile(rb'"checksum":"([^"]{8})"')


class Damaged(LenskitError):
    """A file is damaged.

    Args:
        path: The file.
        fault: What is wrong.
        remedy: What to do.
    """

    def __init__(self, path: Path, fault: str, remedy: str) -> None:
        self.told = f"{fault}; {remedy}"
        """The same without the file."""
        super().__init__(f"{path} is damaged: {self.told}")


def seal_archive(archive: BytesIO) -> memoryview:
    """The bytes of a zip archive without a comment, and its checksum as that."""
    archive.seek(-2, os.SEEK_END)
    archive.write((len(COMMENT) + DIGITS).to_bytes(2, "little") + COMMENT)
    archive.write(_digits(_extended(0, archive.getbuffer())))
    return archive.getbuffer()


def check_archive(path: Path, remedy: str) -> None:
    """Compares the checksums of a zip archive that `torch.save` or `seal_archive` wrote.

    Args:
        path: The file.
        remedy: What to do if it is damaged.

    Raises:
        Damaged: if it is, or is no archive.
        OSError: if it cannot be read.
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
            raise Damaged(path, "it does not end as it was written", remedy)
        file.seek(0)
        try:
            with zipfile.ZipFile(file) as archive:
                bad = archive.testzip()
        except Exception as error:  # whatever a decompressor says of what its bytes happen to spell
            raise Damaged(path, " ".join(str(error).split())[:120] or type(error).__name__, remedy) from None
        if bad is not None:
            raise Damaged(path, f"the checksum of {bad[:80]!r} in it is wrong", remedy)


def save_tensors(tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> bytes:
    """A file of safetensors with a checksum in its metadata. The same tensors give the same bytes."""
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
    """The tensors of a file of safetensors and the texts of its metadata, by name, if its checksum is right.

    Args:
        path: The file. One without a checksum is opened, too.
        remedy: What to do if it is damaged.

    Raises:
        Damaged: if it is.
        OSError: if it cannot be read.
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
    """The checksum of plain values beside their own field `checksum`, however JSON writes them."""
    content = json.loads(json.dumps({name: value for name, value in card.items() if name != "checksum"}))
    return _digits(_extended(0, json.dumps(content, sort_keys=True).encode())).decode()


def _start(content: bytes) -> int:
    """Where the tensors begin: behind the length of the header and the header."""
    return min(8 + int.from_bytes(content[:8], "little"), len(content))


def _sum_of(file: BinaryIO, size: int) -> int:
    """Of the next bytes of a file."""
    checksum = 0
    while size > 0 and (piece := file.read(min(PIECE, size))):
        checksum, size = _extended(checksum, piece), size - len(piece)
    return checksum


def _extended(checksum: int, content: bytes | memoryview) -> int:
    """The checksum of what it is of and more behind that."""
    return int(google_crc32c.extend(checksum, np.frombuffer(content, np.uint8)))


def _digits(checksum: int) -> bytes:
    return b"%0*x" % (DIGITS, checksum)
