"""Cache folder, for prepared galaxies and downloaded encoders."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """Return the path of the cache folder, which need not exist.

    It is $LENSKIT_CACHE, or `lenskit` in $XDG_CACHE_HOME (by default ~/.cache).
    """
    if own := os.environ.get("LENSKIT_CACHE"):
        return Path(own).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lenskit"
