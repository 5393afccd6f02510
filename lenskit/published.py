"""Removal of parent folders from paths, for texts that are published."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

_ABSOLUTE = re.compile(r"file:///[^\s|,;'\"?&=]+|(?<![\w./)])~?/(?!/)[^\s|,;'\"?&=]+")
"""Absolute path in a sentence."""


def without_folders(value: Any) -> Any:
    """Return options with each path reduced to the name of its file or folder.

    `fits-folder:/home/me/slacs?pixel_scale=0.05` becomes `fits-folder:slacs?pixel_scale=0.05`.

    Args:
        value: Options by name, a list of values, or one value. Absolute paths, and paths of existing files and
            folders, are reduced. Other texts, URLs and names of components are not changed.
    """
    if isinstance(value, Mapping):
        return {name: each if name == "name" else without_folders(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [without_folders(each) for each in value]
    if not isinstance(value, str):
        return value
    before, mark, behind = value.partition("?")
    start = max(before.find(":"), before.find("=")) + 1  # behind `READER:` or `OPTION=`
    path = before[start:]
    if not path.startswith("//") and (path.startswith(("/", "~/")) or os.path.exists(path)):
        path = PurePosixPath(path).name or path
    options = [name + equals + without_folders(each) for name, equals, each in _options(behind)]
    return before[:start] + path + mark + "&".join(options)


def _options(text: str) -> list[tuple[str, str, str]]:
    return [part.partition("=") for part in text.split("&")] if text else []


def without_absolute_paths(text: str) -> str:
    """Reduce each absolute path in a text to the name of its file or folder."""
    return _ABSOLUTE.sub(lambda match: PurePosixPath(match[0]).name, text)
