"""Export of a trained encoder as a timm folder or an ONNX file, with a model card."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from lenskit.destinations import check_folder, check_writable, same
from lenskit.encoder import Encoder
from lenskit.errors import LenskitError, UsageError, near
from lenskit.exporting import onnx_file, timm_folder
from lenskit.exporting.card import Facts
from lenskit.files import write_atomically
from lenskit.run import Run
from lenskit.words import listed

Content = str | bytes


FORMATS: Mapping[str, Callable[[Encoder, Facts], Mapping[str, Content]]] = {
    "timm": timm_folder.contents,
    "onnx": onnx_file.contents,
}

WRITTEN = {"timm": ("model.safetensors", "config.json", "README.md"), "onnx": ("encoder.onnx", "README.md")}
"""Names of the files of each format."""

CARD = re.compile(r"---\nlibrary_name: (timm|onnx)\ntags:\n(- .*\n)*- lenskit\n")
"""Beginning of a model card."""


def export(source: Run | Encoder, format: str = "timm", folder: Path | None = None, *, overwrite: bool = False) -> Path:
    """Write a trained encoder for use without lenskit; see `lenskit.api.export`."""
    if format not in FORMATS:
        raise UsageError(f"there is no format {format!r}{near(format, FORMATS)}; use {' or '.join(FORMATS)}")
    if isinstance(source, Run):
        folder = folder or source.path / "export" / format
        encoder, facts = source.encoder(), Facts.of_run(source)
    elif folder is None:
        raise UsageError("an encoder without a run needs an output folder: pass -o DIR")
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
    """Check that the files of a format can be written to a folder.

    Args:
        folder: The folder.
        format: The format.
        overwrite: Whether to overwrite files of an earlier export.
        own: Whether the folder is the export folder inside the run.

    Raises:
        UsageError: The folder has files that lenskit did not write, or files of an earlier export without `overwrite`.
            Or the path is not a folder, or is a part of a run.
        LenskitError: The folder is not writable.
    """
    if own:
        check_writable(folder)
    else:
        check_folder(folder, flag="-o")
    there = [name for name in WRITTEN[format] if os.path.lexists(folder / name)]
    strangers = [name for name in there if (folder / name).is_symlink() or not (own or is_exported(folder, name))]
    if strangers:
        raise UsageError(
            f"{folder} holds {listed(strangers, 3)}, which `lenskit export` did not write: choose another -o"
        )
    if there and not overwrite:
        raise UsageError(f"{folder / there[0]} exists: choose another -o, or replace it with --overwrite")


def is_exported(folder: Path, name: str) -> bool:
    """Whether `lenskit export` wrote the file."""
    if name in ("model.safetensors", "config.json"):
        try:
            return timm_folder.is_export(folder)
        except LenskitError:  # not JSON
            return False
    card = folder / "README.md"  # the ONNX file itself does not name lenskit
    return card.is_file() and bool(CARD.match(card.read_text(encoding="utf-8", errors="replace")))
