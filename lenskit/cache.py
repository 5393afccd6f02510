"""The folder of files that lenskit keeps for later: prepared stamps and downloaded encoders."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """Return $LENSKIT_CACHE, or `lenskit` in $XDG_CACHE_HOME, which is ~/.cache by default; it need not exist."""
    if own := os.environ.get("LENSKIT_CACHE"):
        return Path(own).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lenskit"
