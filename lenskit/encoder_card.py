"""Card of an encoder (`encoder.json`): backbone, images, training and results."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Ge, Gt, Le, Len

from lenskit.checksums import card_checksum
from lenskit.errors import LenskitError
from lenskit.records import FiniteRecord, Record, checked, load_json

log = logging.getLogger("lenskit")

FORMAT = 1

Count = Annotated[int, Ge(0)]


class _Backbone(FiniteRecord):
    name: str


class _Trained(Record):
    batches: Count
    of: Count


class _Probe(Record):
    score: float


class _Result(FiniteRecord):
    on: str
    parameter: str
    unit: str = ""


class _Measure(FiniteRecord):
    name: str
    unit: str = ""


class _Head(FiniteRecord):
    parameters: list[_Measure]


class EncoderCard(Record):
    """Contents of `encoder.json`.

    Attributes:
        backbone: Name and options of the backbone.
        input: Options of the preprocessing.
        image_shape: Channels, height and width of the input images; None if the encoder resizes images of any shape.
        pixel_scale: Pixel size of the training images in arcsec.
        method: Name of the training method.
        pairs: Name of the pair strategy.
        trained: Number of batches done, and of batches planned.
        probe: Score of the encoder in the probe during training.
        summary: Description in one line.
        trained_on: Description of the training images.
        licence: Terms under which the weights may be used.
        simulator: Name and options of the simulator of the training images.
        results: Measured performance, one record per parameter and set of images.
        head: Description of the predictions of the head.
    """

    backbone: _Backbone
    input: FiniteRecord
    image_shape: Annotated[list[Annotated[int, Gt(0), Le(2**16)]], Len(3, 3)] | None
    pixel_scale: Annotated[float, Gt(0)] | None = None
    method: str | None = None
    pairs: str | None = None
    trained: _Trained | None = None
    probe: _Probe | None = None
    summary: str | None = None
    trained_on: str | None = None
    licence: str | None = None
    simulator: _Backbone | None = None
    results: list[_Result] | None = None
    head: _Head | None = None


def read_card(folder: Path) -> dict[str, Any]:
    """Read the card of the encoder in a folder.

    Raises:
        LenskitError: There is no card, or the card has a different format or is damaged.
    """
    path = folder / "encoder.json"
    require(path)
    where = f"the encoder in {folder} is damaged: encoder.json:"
    card = load_json(path, None, where)
    version = card.get("format") if isinstance(card, dict) else None
    if isinstance(version, bool) or version != FORMAT:
        raise LenskitError(f"the encoder in {folder} has format {version!r:.40}, this lenskit reads {FORMAT}")
    checked(card, where, EncoderCard)
    # People may edit a card, so a wrong checksum is not an error.
    if card.pop("checksum", checksum := card_checksum(card)) != checksum:
        log.warning(
            "%s was changed after it was written: its checksum differs. If nobody edited it, it is damaged: restore "
            'it, or %s; if somebody did, remove "checksum" from it',
            path, remake(folder),
        )  # fmt: skip
    return card


def is_as_written(folder: Path) -> bool:
    """Whether the card in a folder agrees with its checksum, or has no checksum.

    Raises:
        LenskitError: The card cannot be read.
    """
    card = load_json(folder / "encoder.json")
    return "checksum" not in card or card["checksum"] == card_checksum(card)


def remake(folder: Path) -> str:
    """Return advice on restoring an encoder."""
    if not (folder.parent / "run.toml").is_file():
        return "make it again"
    if folder.name == "encoder":
        return f"make it again: lenskit train --resume {folder.parent}"
    return f"use the last encoder of the run instead: {folder.parent}"


def require(path: Path) -> None:
    """Check that a file of an encoder's folder exists.

    Raises:
        LenskitError: The file is missing; the message names it.
    """
    if not path.exists():
        raise LenskitError(f"{path.parent} holds no encoder: {path.name} is missing")
