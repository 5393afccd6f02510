"""What is checked before `lenskit finetune` begins, and how the folder of its outcome is called."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from lenskit.evaluation import Encoder
from lenskit.plugin import Dataset, Parameter, Simulator, UsageError


def folder_name(targets: Sequence[Parameter], where: str, freeze: str, labels: int) -> str:
    source = Path(where.partition(":")[2] or where).name.removeprefix("simulator ")
    text = "-".join([*(target.name for target in targets), source.partition(" ")[0], freeze, str(labels)])
    return re.sub(r"[^\w.+-]", "_", text)


def check_images(origin: Dataset | Simulator, encoders: Mapping[str, Encoder], where: str, turned: bool) -> None:
    """Raises if some encoder does not take the images, or if they cannot be turned.

    Raises:
        UsageError: saying what there is, and what would be right.
    """
    there = " x ".join(map(str, origin.image_shape))
    for label, encoder in encoders.items():
        if encoder.image_shape not in (None, tuple(origin.image_shape)):
            wanted = " x ".join(map(str, encoder.image_shape or ()))
            raise UsageError(f"{where} has images of {there}, but {label} takes {wanted}")
    if turned and origin.image_shape[-1] != origin.image_shape[-2]:
        raise UsageError(f"images of {there} cannot be turned by a quarter: use --no-augment")
