"""Supervised learning of recorded parameters and classes.

It is an upper bound for methods that learn without labels. Regression of lens parameters by a network follows
Hezaveh et al. 2017 (https://arxiv.org/abs/1708.08842). The optimiser settings are from DeiT (Touvron et al. 2021,
https://arxiv.org/abs/2012.12877, Table 9), which suit ViTs and ResNets. Unlike DeiT there is no stochastic depth, no
mixing of images and no random erasing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
import torch.distributed
from lightly.utils.dist import world_size
from torch import Tensor, nn
from torch.nn import functional as F

from lenskit.plugin import Backbone, Batch, Method, Parameter, Predictor, Scorer, UsageError, meant

SAMPLE = 1024
"""Number of lenses that give the mean and standard deviation of a parameter (to 3 %)."""

TARGETS = "targets"
"""Key of a checkpoint with the predicted parameters and classes."""


class Supervised(Method, Scorer, Predictor):
    """Supervised: predict recorded parameters and classes from the features.

    A linear layer on the features makes the predictions. The loss of a parameter is the squared error in units of its
    standard deviation. The loss of a class column is the cross-entropy. The losses are added. Unknown values (NaN) are
    left out. Angles are treated like other numbers, although 0 and pi are the same orientation.

    Args:
        backbone: Network whose features are learned.
        targets: Names of the parameters or class columns to predict (one or several). By default the headline
            parameters, or if there are none, all continuous parameters.
        normal: Name of the class of normal images, for the anomaly score. By default the first class. If there are
            several class columns, the score uses the first that has this class, or by default the first column.
    """

    views = 1
    judged_by = "probe"
    default_sections = MappingProxyType({"pairs": MappingProxyType({"name": "single"})})
    optimizer_defaults = MappingProxyType(
        {"name": "adamw", "lr": 5e-4, "lr_batch": 512, "weight_decay": 0.05, "warmup_epochs": 5}
    )

    mean: Tensor
    std: Tensor

    def __init__(self, backbone: Backbone, *, targets: tuple[str, ...] | str = (), normal: str | None = None) -> None:
        super().__init__(backbone)
        self.targets = (targets,) if isinstance(targets, str) else targets
        self.normal = normal
        self._normal: tuple[str, int] | None = None
        self.continuous: tuple[str, ...] = ()
        self.classes: dict[str, int] = {}

    def prepare(self, parameters: Sequence[Parameter], sample: Callable[[int], dict[str, Tensor]]) -> None:
        """Make the output layer; store mean and standard deviation of the parameters.

        Raises:
            UsageError: A target is not recorded or has nothing to learn from, or `normal` is not the name of a class.
        """
        chosen = _chosen(self.targets, parameters)
        self.continuous = tuple(p.name for p in chosen if not p.classes)
        self.classes = {p.name: len(p.classes) for p in chosen if p.classes}
        self._normal = _normal_class(self.normal, {p.name: p.classes for p in chosen if p.classes})
        values = {name: value.double() for name, value in sample(SAMPLE).items()}
        finite = [values[name][values[name].isfinite()] for name in self.continuous]
        for name, value in zip(self.continuous, finite, strict=True):
            if len(value) < 2 or value.min() == value.max():
                what = "the same for all" if len(value) else "known for none"
                raise UsageError(
                    f"target {name!r} is {what} of the first {len(values[name])} lenses: choose other targets"
                )
        for name, count in self.classes.items():
            labels = values[name][values[name].isfinite()]
            if not len(labels) or not torch.isin(labels, torch.arange(count)).all():
                raise UsageError(f"target {name!r} must hold numbers of its {count} classes, from 0 to {count - 1}")
        self._make_layers([float(value.mean()) for value in finite], [float(value.std()) for value in finite])

    def _make_layers(self, mean: Sequence[float], std: Sequence[float]) -> None:
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32))
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32))
        self.head = nn.Linear(self.backbone.features, len(self.continuous) + sum(self.classes.values()))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint[TARGETS] = {"continuous": self.continuous, "classes": self.classes, "normal": self._normal}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Make the output layer from the checkpoint if `prepare` has not made it."""
        if hasattr(self, "head") or TARGETS not in checkpoint:
            return
        kept = checkpoint[TARGETS]
        self.continuous, self.classes, self._normal = kept["continuous"], kept["classes"], kept["normal"]
        self._make_layers([0.0] * len(self.continuous), [1.0] * len(self.continuous))

    def step(self, batch: Batch) -> dict[str, Tensor]:
        """Return the loss: mean squared errors and mean cross-entropies, added.

        Errors are in units of the standard deviation, and means are over the known values.
        """
        features = self.backbone(batch.views[0])
        numbers, logits = self._outputs(features)
        outputs: dict[str, Tensor] = {"embedding": features.detach()}
        loss = numbers.new_zeros(())
        if self.continuous:
            target = torch.stack([batch.parameters[name][:, 0] for name in self.continuous], 1)
            finite = target.isfinite()
            target = (torch.where(finite, target, 0) - self.mean) / self.std
            error = torch.where(finite, numbers - target, 0).square()
            loss = loss + _mean(error, finite)
            # Relative to the variance over all lenses, which is 1 in these units.
            outputs["r2"] = 1 - error.detach().sum() / finite.sum().clamp(min=1)
        right, labelled = [], []
        for name, scores in logits.items():
            label = batch.parameters[name][:, 0]
            finite = label.isfinite()
            label = torch.where(finite, label, 0).long()
            loss = loss + _mean(torch.where(finite, F.cross_entropy(scores, label, reduction="none"), 0), finite)
            right.append((scores.argmax(1) == label) & finite)
            labelled.append(finite)
        if right:
            outputs["accuracy"] = torch.cat(right).sum() / torch.cat(labelled).sum().clamp(min=1)
        return {"loss": loss} | outputs

    @torch.no_grad()
    def predict(self, images: Tensor) -> dict[str, Tensor]:
        """Return the predictions for images (n, channels, height, width).

        The images are preprocessed as for the backbone.

        Returns:
            (n,) for each target: parameters in their unit, class columns as the number of the most probable class.
        """
        numbers, logits = self._outputs(self.backbone(images))
        values = numbers * self.std + self.mean
        predicted = dict(zip(self.continuous, values.unbind(1), strict=True))
        return predicted | {name: scores.argmax(1) for name, scores in logits.items()}

    @torch.no_grad()
    def probabilities(self, images: Tensor) -> dict[str, Tensor]:
        """Return the class probabilities of images (n, channels, height, width).

        The images are preprocessed as for the backbone.

        Returns:
            (n, classes) for each class column, in the order of its classes; each row sums to 1.
        """
        _, logits = self._outputs(self.backbone(images))
        return {name: scores.softmax(1) for name, scores in logits.items()}

    @torch.no_grad()
    def score(self, images: Tensor) -> Tensor | None:
        """Return the probability (n,) that an image is not of the normal class.

        Returns None if no class column is a target.
        """
        if self._normal is None:
            return None
        target, number = self._normal
        _, logits = self._outputs(self.backbone(images))
        # The sum over the other classes, rather than 1 minus the normal class: 1 - p would round to the same value for
        # all images that are almost certainly normal.
        others = [i for i in range(self.classes[target]) if i != number]
        return logits[target].softmax(1)[:, others].sum(1)

    def _outputs(self, features: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Return standardised parameters (n, parameters) and scores (n, classes)."""
        numbers, *scores = self.head(features).split([len(self.continuous), *self.classes.values()], 1)
        return numbers, dict(zip(self.classes, scores, strict=True))


def _chosen(targets: Sequence[str], parameters: Sequence[Parameter]) -> list[Parameter]:
    recorded = {parameter.name: parameter for parameter in parameters if not parameter.identity}
    for name in targets:
        if name not in recorded:
            hint = meant(name, recorded, f"recorded are {', '.join(recorded) or 'none'}")
            raise UsageError(f"target {name!r} is not recorded for these lenses: {hint}")
    chosen = [recorded[name] for name in dict.fromkeys(targets)]
    chosen = chosen or [p for p in parameters if p.headline] or [p for p in parameters if p.continuous]
    if not chosen:
        raise UsageError("method 'supervised' needs recorded parameters or classes, and these lenses have none")
    return chosen


def _normal_class(name: str | None, classes: Mapping[str, Sequence[str]]) -> tuple[str, int] | None:
    """Return the class column of the normal class, and the number of this class.

    Returns None if there is no class column.

    Raises:
        UsageError: No class column has a class of that name.
    """
    if name is None:
        return next(((target, 0) for target in classes), None)
    for target, names in classes.items():
        if name in names:
            return target, list(names).index(name)
    candidates = [each for names in classes.values() for each in names]
    none = "no class column is among the targets; name one with --set method.targets=NAME"
    hint = meant(name, candidates, f"there are {', '.join(candidates)}" if candidates else none)
    raise UsageError(f"method 'supervised' has no class {name!r} for method.normal: {hint}")


def _mean(losses: Tensor, known: Tensor) -> Tensor:
    """Return the mean of the known losses; unknown losses are zero.

    The number of known losses is summed over processes, so that the processes' average is the mean of the whole batch.
    """
    count = known.sum()
    processes = world_size()
    if processes > 1:
        torch.distributed.all_reduce(count)
    return losses.sum() * processes / count.clamp(min=1)
