"""Supervised learning of what is recorded of each lens: the honest upper line of what is learned without labels.

Regression of lens parameters by a network is Hezaveh et al. 2017 (https://arxiv.org/abs/1708.08842). The optimiser is
that of DeiT (Touvron et al. 2021, https://arxiv.org/abs/2012.12877, Table 9), which serves ViTs and ResNets; where it
departs: no stochastic depth, no mixing of images, no erasing, all of which change what is to be predicted.
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
"""Lenses from which the mean and the spread of a parameter are taken: to 3 % of the spread."""

TARGETS = "targets"
"""Where in a checkpoint it is written what is predicted."""


class Supervised(Method, Scorer, Predictor):
    """Supervised: a linear layer on the features predicts what is recorded of each lens.

    Parameters are predicted in units of their spread, by least squares; class columns by cross-entropy, and all these
    losses are added. Values that are not known (NaN) are left out. An angle is a number like any other here, although
    pi is its zero.

    Args:
        backbone: Network whose features are learned.
        targets: Name of the parameter or class column to predict, or several; if none are given, the headline
            parameters, or else all that are continuous.
        normal: Name of the class of what is no anomaly, for the score; if none is given, the first class. Of several
            class columns, the first that has it (the first of all, if no name is given).
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
        """Makes the layer that predicts, from the recorded parameters and the mean and spread of their values.

        Raises:
            UsageError: if a target is not recorded, there is nothing in it to learn, or no class is called as the
                normal one is said to be.
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
                raise UsageError(f"target {name!r} is {what} of the first {len(values[name])} lenses: choose others")
        for name, count in self.classes.items():
            labels = values[name][values[name].isfinite()]
            if not len(labels) or not torch.isin(labels, torch.arange(count)).all():
                raise UsageError(f"target {name!r} holds no numbers of its {count} classes, from 0 to {count - 1}")
        self._make_layers([float(value.mean()) for value in finite], [float(value.std()) for value in finite])

    def _make_layers(self, mean: Sequence[float], std: Sequence[float]) -> None:
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32))
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32))
        self.head = nn.Linear(self.backbone.features, len(self.continuous) + sum(self.classes.values()))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint[TARGETS] = {"continuous": self.continuous, "classes": self.classes, "normal": self._normal}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Makes the layer without the lenses, where `prepare` has not; a checkpoint has all that they told."""
        if hasattr(self, "head") or TARGETS not in checkpoint:
            return
        kept = checkpoint[TARGETS]
        self.continuous, self.classes, self._normal = kept["continuous"], kept["classes"], kept["normal"]
        self._make_layers([0.0] * len(self.continuous), [1.0] * len(self.continuous))

    def step(self, batch: Batch) -> dict[str, Tensor]:
        """The mean over all known values of the squared error in units of the spread, and of the cross-entropy."""
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
            # With respect to the spread over all lenses, which is 1.
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
        """What is predicted for images (n, channels, height, width) as the backbone takes them.

        Returns:
            (n,) for each target, in the parameter's unit; of class columns, the number of the likeliest class.
        """
        numbers, logits = self._outputs(self.backbone(images))
        values = numbers * self.std + self.mean
        predicted = dict(zip(self.continuous, values.unbind(1), strict=True))
        return predicted | {name: scores.argmax(1) for name, scores in logits.items()}

    @torch.no_grad()
    def probabilities(self, images: Tensor) -> dict[str, Tensor]:
        """How likely each class is, of images (n, channels, height, width) as the backbone takes them.

        Returns:
            (n, classes) for each class column, in the order of its classes; each row adds up to 1.
        """
        _, logits = self._outputs(self.backbone(images))
        return {name: scores.softmax(1) for name, scores in logits.items()}

    @torch.no_grad()
    def score(self, images: Tensor) -> Tensor | None:
        """How likely an image is of any class but the normal one: (n,). None if no class column is a target."""
        if self._normal is None:
            return None
        target, number = self._normal
        _, logits = self._outputs(self.backbone(images))
        # The probabilities of the others are added, rather than that of the normal class taken from 1, because that
        # makes ties of all images that are normal beyond doubt.
        others = [i for i in range(self.classes[target]) if i != number]
        return logits[target].softmax(1)[:, others].sum(1)

    def _outputs(self, features: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Standardised parameters (n, number of these), and the scores (n, classes) of each class column."""
        numbers, *scores = self.head(features).split([len(self.continuous), *self.classes.values()], 1)
        return numbers, dict(zip(self.classes, scores, strict=True))


def _chosen(targets: Sequence[str], parameters: Sequence[Parameter]) -> list[Parameter]:
    recorded = {parameter.name: parameter for parameter in parameters if not parameter.identity}
    for name in targets:
        if name not in recorded:
            hint = meant(name, recorded, f"recorded are {', '.join(recorded) or 'none'}")
            raise UsageError(f"target {name!r} is not recorded of these lenses: {hint}")
    chosen = [recorded[name] for name in dict.fromkeys(targets)]
    chosen = chosen or [p for p in parameters if p.headline] or [p for p in parameters if p.continuous]
    if not chosen:
        raise UsageError("method 'supervised' predicts what is recorded of each lens, and of these there is nothing")
    return chosen


def _normal_class(name: str | None, classes: Mapping[str, Sequence[str]]) -> tuple[str, int] | None:
    """The class column, and the number in it, of what is no anomaly; None if there is no class column.

    Raises:
        UsageError: if no class column has a class of that name.
    """
    if name is None:
        return next(((target, 0) for target in classes), None)
    for target, names in classes.items():
        if name in names:
            return target, list(names).index(name)
    candidates = [each for names in classes.values() for each in names]
    none = "no class column is among the targets, such as --set method.targets=NAME"
    hint = meant(name, candidates, f"there are {', '.join(candidates)}" if candidates else none)
    raise UsageError(f"method 'supervised' knows no class {name!r} to be the normal one: {hint}")


def _mean(losses: Tensor, known: Tensor) -> Tensor:
    """The mean of losses, zero where they are not known, over the known ones of all processes, whose mean is then the
    whole batch's."""
    count = known.sum()
    processes = world_size()
    if processes > 1:
        torch.distributed.all_reduce(count)
    return losses.sum() * processes / count.clamp(min=1)
