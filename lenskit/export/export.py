"""Writes a trained encoder for others: a folder for timm, or an ONNX file, each with a model card."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lenskit.encoder import Encoder
from lenskit.errors import LenskitError, UsageError, near
from lenskit.export.card import Facts
from lenskit.files import write_atomically
from lenskit.ownership import check_folder, check_writable, same
from lenskit.run import Run
from lenskit.words import listed

Content = str | bytes


def _timm(encoder: Encoder, facts: Facts) -> Mapping[str, Content]:
    from lenskit.export.timm_folder import contents

    return contents(encoder, facts)


def _onnx(encoder: Encoder, facts: Facts) -> Mapping[str, Content]:
    from lenskit.export.onnx_file import contents

    return contents(encoder, facts)


FORMATS: dict[str, Callable[[Encoder, Facts], Mapping[str, Content]]] = {"timm": _timm, "onnx": _onnx}


WRITTEN = {"timm": ("model.safetensors", "config.json", "README.md"), "onnx": ("encoder.onnx", "README.md")}
"""The files of each format."""

CARD = re.compile(r"---\nlibrary_name: (timm|onnx)\ntags:\n(- .*\n)*- lenskit\n")
"""Beginning of a model card."""


def export(source: Run | Encoder, format: str = "timm", folder: Path | None = None, *, overwrite: bool = False) -> Path:
    """Writes a trained encoder for those who do not have lenskit.

    Args:
        source: The run, or a bare encoder.
        format: `timm` for safetensors and a JSON card that timm loads by itself; `onnx` for the whole encoder, with
            stretching and resizing, as one file.
        folder: Where to write; by default `export/FORMAT` in the run.
        overwrite: Whether to replace the files of an earlier export.

    Returns:
        The folder.

    Raises:
        UsageError: if there is no such format, or files are in the way, or the backbone is no model of timm.
        LenskitError: if there is no encoder yet, the format's extra is not installed, or what would be written gives
            other features than the encoder.
    """
    if format not in FORMATS:
        raise UsageError(f"there is no format {format!r}{near(format, FORMATS)}; there are {', '.join(FORMATS)}")
    if isinstance(source, Run):
        folder = folder or source.path / "export" / format
        encoder, facts = source.encoder(), Facts.of_run(source)
    elif folder is None:
        raise UsageError("an encoder without a run is exported to a folder: say which, with -o DIR")
    else:
        encoder, facts = source, Facts(name=folder.resolve().name)
    own = isinstance(source, Run) and same(folder, source.path / "export" / format)
    check_free(folder, format, overwrite, own)
    files = FORMATS[format](encoder.cpu().eval(), facts)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            write_atomically(folder / name, content)
    except OSError as error:
        raise LenskitError(f"the folder {folder} cannot be written: {error.strerror}") from error
    return folder


def check_free(folder: Path, format: str, overwrite: bool, own: bool = False) -> None:
    """Checks, before there is any work, that a format's files can be written to a folder.

    Args:
        folder: The folder.
        format: The format.
        overwrite: Whether files of an earlier export are replaced.
        own: Whether it is the folder of a run's exports.

    Raises:
        UsageError: if files are in the way that lenskit did not write, or may not be replaced; or it is no folder, or
            a part of a run.
        LenskitError: if nothing can be written there.
    """
    if own:
        check_writable(folder)
    else:
        check_folder(folder, flag="-o")
    there = [name for name in WRITTEN[format] if os.path.lexists(folder / name)]
    strangers = [name for name in there if (folder / name).is_symlink() or not (own or is_exported(folder, name))]
    if strangers:
        raise UsageError(f"{folder} holds {listed(strangers, 3)}, which no export of lenskit wrote: choose another -o")
    if there and not overwrite:
        raise UsageError(f"{folder / there[0]} exists: choose another -o, or replace it with --overwrite")


def is_exported(folder: Path, name: str) -> bool:
    """Whether a file of that name was written by an export."""
    from lenskit.export.timm_folder import is_export

    if name in ("model.safetensors", "config.json"):
        try:
            return is_export(folder)
        except LenskitError:  # it is no JSON
            return False
    card = folder / "README.md"  # an ONNX file says of itself only what torch says
    return card.is_file() and bool(CARD.match(card.read_text(encoding="utf-8", errors="replace")))


def load_source(path: Path) -> Run | Encoder:
    """What is exported: whatever `lenskit.load` opens."""
    from lenskit.api import load

    source: Any = load(path)
    return source
