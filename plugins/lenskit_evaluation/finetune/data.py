"""Labelled images in memory: those that a model is fine-tuned on, and those that it is judged on."""

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
"""What the paper predicts."""

ORIENTATIONS = tuple((quarters, mirrored) for mirrored in (False, True) for quarters in range(4))
"""The eight ways in which a square lies on a square: quarters of a turn, after a mirror or not. The first leaves all
as it is."""


@dataclass(frozen=True)
class Labelled:
    """Images of which the targets are known, one of each lens.

    Attributes:
        images: (n, C, H, W), float32, on the CPU.
        values: All that is recorded of them, (n,) each.
        names: n names.
        dropped: Images that were left out because a target of them is not known.
    """

    images: Tensor
    values: dict[str, Array]
    names: list[str]
    dropped: int

    def __len__(self) -> int:
        return len(self.names)

    def labels(self, targets: Sequence[Parameter]) -> Array:
        """The values of the targets: (n, targets)."""
        return np.stack([self.values[target.name] for target in targets], axis=1)


def known_split(
    dataset: Dataset, targets: Sequence[Parameter], lenses: int, test_lenses: int, seed: int
) -> tuple[LensSplit, tuple[int, int]]:
    """Return the lenses of a dataset of which the targets are known, and how many others each side had.

    Args:
        dataset: The images.
        targets: What has to be known.
        lenses: How many lenses to learn from, at most.
        test_lenses: How many to judge on, at most; no more than a quarter of all.
        seed: Seed of the split and of the choice.
    """
    # Of all, whatever is known of them: which lenses are judged on does not depend on the target.
    sides = stored_split(dataset, len(dataset), test_lenses, seed)
    has_labels = [_known(side.values(), targets) for side in (sides.train, sides.test)]
    chosen = np.random.default_rng(seed).permutation(np.flatnonzero(has_labels[0]))[:lenses]
    split = LensSplit(sides.train.select(np.sort(chosen)), sides.test.select(has_labels[1]))
    return split, (int((~has_labels[0]).sum()), int((~has_labels[1]).sum()))


def gather(lenses: LensSet, targets: Sequence[Parameter], dropped: int, use: str) -> Labelled:
    """Return the images of lenses of which all targets are known.

    Args:
        lenses: The lenses.
        targets: What has to be known.
        dropped: Lenses that were left out before.
        use: Their use, for messages: `judge on`.

    Raises:
        UsageError: There is none.
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
        raise UsageError(f"{wanted}: known of none of the {dropped} lenses to {use}")
    return Labelled(torch.cat(images), join_values(values), names, dropped)


def _known(values: Mapping[str, Array], targets: Sequence[Parameter]) -> NDArray[np.bool_]:
    """Of which images all targets are known, (n,)."""
    columns = np.stack([known_values(values[target.name], target) for target in targets])
    return np.asarray(np.isfinite(columns).all(axis=0))


def choose_targets(names: Sequence[str], parameters: Sequence[Parameter], where: str) -> list[Parameter]:
    """What is to be predicted: the parameters of these names, or else theta_E, or else the headline ones.

    Args:
        names: What was asked for.
        parameters: What is recorded.
        where: How messages call the images.

    Raises:
        UsageError: if something is not recorded, or nothing was asked for and nothing stands out.
    """
    recorded = {parameter.name: parameter for parameter in parameters if not parameter.identity}
    if not recorded:
        raise UsageError(f"{where} has no labels: fine-tuning needs images of which something is known")
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
        raise UsageError(f"{where} has the labels {', '.join(recorded)}: say which to predict, --target NAME")
    return chosen


def check_labels(labels: Array, targets: Sequence[Parameter], where: str) -> None:
    """Raises if there is nothing to learn in some labels (n, targets).

    Raises:
        UsageError: for labels that are all the same.
    """
    for target, values in zip(targets, labels.T, strict=True):
        if np.ptp(values) == 0:
            label = target.classes[int(values[0])] if target.classes else f"{values[0]:g}"
            undefined = "no AUC" if target.classes else "no R2"
            raise UsageError(
                f"{where}: {target.name} is {label} for all of the {len(values)} lenses to learn from, so that there "
                f"is nothing to learn, and {undefined}"
            )


def orient(images: Tensor, orientation: Tensor) -> Tensor:
    """Turns and mirrors images (n, C, H, W), each by the number (n,) of one of `ORIENTATIONS`."""
    ways = torch.tensor(ORIENTATIONS)[orientation]
    return orient_images(images, ways[:, 0], ways[:, 1] == 1)


def oriented_labels(
    values: Mapping[str, Array], parameters: Sequence[Parameter], targets: Sequence[Parameter], turned: bool
) -> Tensor:
    """The targets of images in each of `ORIENTATIONS`, or only as they are.

    Args:
        values: What is recorded of n images.
        parameters: What is known of that.
        targets: What is predicted.
        turned: Whether images are turned.

    Returns:
        (8 or 1, n, targets), float32.

    Raises:
        UsageError: if a target turns with its image, and how cannot be told without another that is not known.
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
                f"{target.name} turns with its image, for which {target.partner} has to be known too: use --no-augment"
            )
    return labels.float()
