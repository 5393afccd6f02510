"""Input checks of `lenskit finetune`, and the name of the folder of results."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from lenskit.evaluation import Encoder
from lenskit.plugin import Dataset, Parameter, Simulator, UsageError


def folder_name(targets: Sequence[Parameter], where: str, freeze: str, labels: int) -> str:
    """Return the default folder name: targets, data, frozen part, number of labels."""
    source = Path(where.partition(":")[2] or where).name.removeprefix("simulator ")
    text = "-".join([*(target.name for target in targets), source.partition(" ")[0], freeze, str(labels)])
    return re.sub(r"[^\w.+-]", "_", text)


def check_images(origin: Dataset | Simulator, encoders: Mapping[str, Encoder], where: str, turned: bool) -> None:
    """Check that all encoders take the images, and that augmentation can rotate them.

    Args:
        origin: Source of the images.
        encoders: Encoders by label.
        where: Name of the source, for messages.
        turned: Whether images are rotated by quarter turns.

    Raises:
        UsageError: The size of the images is wrong for an encoder or for rotations.
    """
    there = " x ".join(map(str, origin.image_shape))
    for label, encoder in encoders.items():
        if encoder.image_shape not in (None, tuple(origin.image_shape)):
            wanted = " x ".join(map(str, encoder.image_shape or ()))
            raise UsageError(f"{where} has images of {there}, but {label} takes {wanted}")
    if turned and origin.image_shape[-1] != origin.image_shape[-2]:
        raise UsageError(f"images of {there} are not square and cannot be rotated: use --no-augment")
