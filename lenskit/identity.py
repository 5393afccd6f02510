"""Identities of runs, encoders, embeddings and results.

An identity is a text of 32 hexadecimal digits. A new run gets a random identity, which its provenance records. The
identity of anything else is the SHA-256 digest of its content, cut to 32 digits.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from uuid import uuid4

from lenskit.errors import LenskitError
from lenskit.records import parse_json

DIGITS = 32


def new_id() -> str:
    """Return a random identity."""
    return uuid4().hex


def digest(*parts: Any) -> str:
    """Return the identity of some content.

    Args:
        parts: Bytes, or plain values. A value that JSON cannot hold is replaced by its text.
    """
    import hashlib

    hasher = hashlib.sha256()
    for part in parts:
        # Through JSON twice: the first pass turns keys into texts, because keys of mixed types cannot be sorted.
        plain = part if isinstance(part, bytes) else json.loads(json.dumps(part, default=str))
        hasher.update(part if isinstance(part, bytes) else json.dumps(plain, sort_keys=True).encode())
    return hasher.hexdigest()[:DIGITS]


def recorded_id(file: Path) -> str:
    """Return the identity of a file: its recorded `id`, or the digest of its content.

    The digest is used if the file is not valid JSON or has no valid `id`.

    Raises:
        LenskitError: The file cannot be read.
    """
    try:
        content = file.read_bytes()
    except OSError as error:
        raise LenskitError(f"{file} cannot be read: {error.strerror}") from None
    try:
        own = parse_json(content, str(file)).get("id")
    except LenskitError:
        own = None  # a damaged file, or one of another format
    return own if isinstance(own, str) and re.fullmatch(rf"[0-9a-f]{{{DIGITS}}}", own) else digest(content)
