"""Writes a trained encoder for others: a folder for timm, or an ONNX file, each with a model card."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lenskit.encoder import Encoder
from lenskit.errors import LenskitError, UsageError
from lenskit.export.card import Facts
from lenskit.files import write_atomically
from lenskit.registry import near
from lenskit.run import Run

Content = str | bytes


def _timm(encoder: Encoder, facts: Facts) -> Mapping[str, Content]:
    from lenskit.export.timm_folder import contents

    return contents(encoder, facts)


def _onnx(encoder: Encoder, facts: Facts) -> Mapping[str, Content]:
    from lenskit.export.onnx_file import contents

    return contents(encoder, facts)


FORMATS: dict[str, Callable[[Encoder, Facts], Mapping[str, Content]]] = {"timm": _timm, "onnx": _onnx}


def export(source: Run | Encoder, format: str = "timm", folder: Path | None = None, *, overwrite: bool = False) -> Path:
    """Writes a trained encoder for those who do not have lenskit.

    Args:
        source: The run, or a bare encoder.
        format: `timm` for safetensors and a JSON card that timm loads by itself; `onnx` for the whole encoder, with
            stretching and resizing, as one file.
        folder: Where to write; by default `export/FORMAT` in the run.
        overwrite: Whether to replace files that are there.

    Returns:
        The folder.

    Raises:
        UsageError: if there is no such format, or files are in the way, or the backbone is no model of timm.
        LenskitError: if there is no encoder yet, the format's extra is not installed, or what would be written gives
            other features than the encoder.
    """
    if format not in FORMATS:
        raise UsageError(f"there is no format {format!r}{near(format, list(FORMATS))}; there are {', '.join(FORMATS)}")
    if isinstance(source, Run):
        folder = folder or source.path / "export" / format
        encoder, facts = source.encoder(), Facts.of_run(source)
    elif folder is None:
        raise UsageError("an encoder without a run is exported to a folder: say which, with -o DIR")
    else:
        encoder, facts = source, Facts(name=folder.resolve().name)
    files = FORMATS[format](encoder.cpu().eval(), facts)
    try:
        there = [name for name in files if (folder / name).exists()]
        if there and not overwrite:
            raise UsageError(f"{folder / there[0]} exists: choose another -o, or replace it with --overwrite")
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            write_atomically(folder / name, content)
    except OSError as error:
        raise LenskitError(f"the folder {folder} cannot be written: {error.strerror}") from error
    return folder


def load_source(path: Path) -> Run | Encoder:
    """What is exported: whatever `lenskit.load` opens."""
    from lenskit.api import load

    source: Any = load(path)
    return source
