"""Paths in cards and other texts for publication, reduced to the names of files and folders."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_FOLDERS = re.compile(r"[^:?&=]*/(?=[^/:?&=])")
"""Folders of a path, which may stand behind `READER:` and before `?OPTION=VALUE&...`."""

_LAST_SLASH = re.compile(r"/+(?=[?&]|$)")

_ABSOLUTE = re.compile(r"(?<![\w./])~?/(?:[^\s/|,;:'\"]+/)+")
"""Folders of an absolute path in a sentence."""

_ADDRESSES = ("hf-hub:", "http:", "https:")
"""Beginnings of addresses in the network, which are the same everywhere."""


def without_folders(value: Any) -> Any:
    """Return options whose paths are reduced to the names of files and folders.

    `fits-folder:/home/me/slacs?pixel_scale=0.05` becomes `fits-folder:slacs?pixel_scale=0.05`.

    Args:
        value: Options by name, a list of values, or one value. Texts without a slash stay as they are, and addresses
            in the network too.
    """
    if isinstance(value, Mapping):
        return {name: without_folders(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [without_folders(each) for each in value]
    if not isinstance(value, str) or value.startswith(_ADDRESSES):
        return value
    return _LAST_SLASH.sub("", _FOLDERS.sub("", value))


def without_absolute_paths(text: str) -> str:
    """Return a text whose absolute paths are reduced to the names of files and folders."""
    return _ABSOLUTE.sub("", text)
