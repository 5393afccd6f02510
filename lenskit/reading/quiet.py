"""Silences astropy while lenskit reads a FITS file: what a reader cannot use, it reports itself."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Lock

_FILTER = ("ignore", None, Warning, re.compile(r"astropy\.io\.fits"), 0)
_LOCK = Lock()
_readers = 0


@contextmanager
def quiet_fits() -> Iterator[None]:
    """Ignore the warnings of `astropy.io.fits`, such as of padding behind the last HDU.

    `warnings.catch_warnings` does not serve: it is not safe with threads, in which readers run.
    """
    global _readers
    with _LOCK:
        _readers += 1
        if _FILTER not in warnings.filters:
            warnings.filters.insert(0, _FILTER)  # type: ignore[attr-defined]
    try:
        yield
    finally:
        with _LOCK:
            _readers -= 1
            if not _readers:
                with suppress(ValueError):  # others have reset the filters meanwhile
                    warnings.filters.remove(_FILTER)  # type: ignore[attr-defined]
