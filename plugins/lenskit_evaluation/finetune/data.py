"""Labelled images in memory, for fine-tuning and for testing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lenskit.evaluation import Array, LensSet, LensSplit, join_values, known_values, stored_split
from lenskit.plugin import Dataset, Parameter, UsageError, meant
from lenskit.toolbox import orient_images, orient_values

USUAL = "theta_E"
"""Default target: the parameter that the LenSiam paper predicts."""

ORIENTATIONS = tuple((quarters, mirrored) for mirrored in (False, True) for quarters in range(4))
"""The eight orientations of a square image: (quarter turns, whether the image is mirrored first).

The first orientation is the identity.
"""


@dataclass(frozen=True)
class Labelled:
    """Images with known targets, one image of each lens.

    Attributes:
        images: (n, C, H, W), float32, on the CPU.
        values: Values (n,) of all recorded parameters by name.
        names: n names of the images.
        dropped: Number of images that were left out because a target is not known.
    """

    images: Tensor
    values: dict[str, Array]
    names: list[str]
    dropped: int

    def __len__(self) -> int:
        return len(self.names)

    def labels(self, targets: Sequence[Parameter]) -> Array:
        """Return the values (n, targets) of the targets."""
        return np.stack([self.values[target.name] for target in targets], axis=1)


def known_split(
    dataset: Dataset, targets: Sequence[Parameter], lenses: int, test_lenses: int, seed: int
) -> tuple[LensSplit, tuple[int, int]]:
    """Return training and test lenses with known targets, and numbers of the others.

    Args:
        dataset: The images.
        targets: Parameters that must be known.
        lenses: Maximum number of training lenses.
        test_lenses: Maximum number of test lenses; at most a quarter of the dataset.
        seed: Random seed of the split and of the choice.

    Returns:
        The split, and the numbers of training and test lenses without a target.
    """
    # The whole dataset is split first, so that the test lenses do not depend on the targets.
    sides = stored_split(dataset, len(dataset), test_lenses, seed)
    has_labels = [_known(side.values(), targets) for side in (sides.train, sides.test)]
    chosen = np.random.default_rng(seed).permutation(np.flatnonzero(has_labels[0]))[:lenses]
    split = LensSplit(sides.train.select(np.sort(chosen)), sides.test.select(has_labels[1]))
    return split, (int((~has_labels[0]).sum()), int((~has_labels[1]).sum()))


def gather(lenses: LensSet, targets: Sequence[Parameter], dropped: int, use: str) -> Labelled:
    """Return the images of the lenses with known targets.

    Args:
        lenses: The lenses.
        targets: Parameters that must be known.
        dropped: Number of lenses that were already left out.
        use: Use of the lenses, for messages: `train on` or `test on`.

    Raises:
        UsageError: No lens has all targets.
    """
    images: list[Tensor] = []
    values: list[dict[str, Array]] = []
    names: list[str] = []
    for read in lenses.chunks():
        plain = read.arrays()
        has_labels = _known(plain, targets)
        images.append(read.images.float().cpu()[torch.from_numpy(has_labels)])
        values.append({name: value[has_labels] for name, value in plain.items()})
        names += lenses.names_of(read.lens.cpu().numpy()[has_labels])
        dropped += int((~has_labels).sum())
    if not names:
        wanted = " and ".join(target.name for target in targets)
        raise UsageError(f"{wanted}: known for none of the {dropped} lenses to {use}")
    return Labelled(torch.cat(images), join_values(values), names, dropped)


def _known(values: Mapping[str, Array], targets: Sequence[Parameter]) -> NDArray[np.bool_]:
    """Return a mask (n,) of the images with all targets known."""
    columns = np.stack([known_values(values[target.name], target) for target in targets])
    return np.asarray(np.isfinite(columns).all(axis=0))


def choose_targets(names: Sequence[str], parameters: Sequence[Parameter], where: str) -> list[Parameter]:
    """Return the parameters to predict.

    These are the parameters `names`. Without names, the target is theta_E. If theta_E is not recorded, the targets are
    the headline parameters, or else the only parameter.

    Args:
        names: Names that the user chose.
        parameters: Recorded parameters.
        where: Name of the source of the images, for messages.

    Raises:
        UsageError: A name is not recorded, or there are no names and no default.
    """
    recorded = {parameter.name: parameter for parameter in parameters if not parameter.identity}
    if not recorded:
        raise UsageError(f"{where} has no labels: fine-tuning needs labelled images")
    for name in names:
        if name not in recorded:
            hint = meant(name, recorded, f"there are {', '.join(recorded)}")
            raise UsageError(f"{where} has no label {name!r}: {hint}")
    if names:
        return [recorded[name] for name in dict.fromkeys(names)]
    if USUAL in recorded:
        return [recorded[USUAL]]
    chosen = [p for p in recorded.values() if p.headline] or (list(recorded.values()) if len(recorded) == 1 else [])
    if not chosen:
        raise UsageError(f"{where} has the labels {', '.join(recorded)}: choose one with --target NAME")
    return chosen


def check_labels(labels: Array, targets: Sequence[Parameter], where: str) -> None:
    """Check that the labels (n, targets) of each target differ.

    Raises:
        UsageError: All labels of a target are equal.
    """
    for target, values in zip(targets, labels.T, strict=True):
        if np.ptp(values) == 0:
            label = target.classes[int(values[0])] if target.classes else f"{values[0]:g}"
            undefined = "no AUC" if target.classes else "no R2"
            raise UsageError(
                f"{where}: {target.name} is {label} for all of the {len(values)} lenses to train on: there is "
                f"nothing to learn and {undefined}"
            )


def orient(images: Tensor, orientation: Tensor) -> Tensor:
    """Rotate and mirror images (n, C, H, W).

    Args:
        images: The images.
        orientation: (n,) index of each image's orientation in `ORIENTATIONS`.
    """
    ways = torch.tensor(ORIENTATIONS)[orientation]
    return orient_images(images, ways[:, 0], ways[:, 1] == 1)


def oriented_labels(
    values: Mapping[str, Array], parameters: Sequence[Parameter], targets: Sequence[Parameter], turned: bool
) -> Tensor:
    """Return the targets of images in all orientations, or only in the first.

    Args:
        values: Recorded values of n images by name.
        parameters: Recorded parameters.
        targets: Parameters to predict.
        turned: Whether images are rotated and mirrored, in all `ORIENTATIONS`.

    Returns:
        (8 or 1, n, targets), float32.

    Raises:
        UsageError: A target changes with the orientation, and its unknown partner component is needed for the change.
    """
    tensors = {name: torch.from_numpy(np.asarray(value)) for name, value in values.items()}
    n = len(next(iter(tensors.values())))
    ways = []
    for quarters, mirrored in ORIENTATIONS if turned else ORIENTATIONS[:1]:
        new = orient_values(tensors, torch.full((n,), quarters), torch.full((n,), bool(mirrored)), parameters)
        ways.append(torch.stack([new[target.name] for target in targets], 1))
    labels = torch.stack(ways)
    for target, column in zip(targets, labels.unbind(2), strict=True):
        if not column.isfinite().all():
            raise UsageError(
                f"{target.name} changes when its image is rotated, and {target.partner}, which the change needs, is "
                "not known: use --no-augment"
            )
    return labels.float()
