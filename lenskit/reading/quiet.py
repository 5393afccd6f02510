"""Suppression of astropy's warnings while lenskit reads FITS files.

The readers of lenskit report data that they cannot use.
"""

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
    """Ignore warnings of `astropy.io.fits`, such as padding after the last HDU.

    `warnings.catch_warnings` cannot be used, because readers run in threads and it is not thread-safe.
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
                with suppress(ValueError):  # other code may have reset the filters
                    warnings.filters.remove(_FILTER)  # type: ignore[attr-defined]
