"""Fine-tuning of a model: what is trained, with what, and when it ends.

The loop is not Lightning's: on its Trainer this file was 40 lines longer, and a small network took 1.4 times as long.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from lenskit.plugin import LenskitError
from lenskit_evaluation.finetune.data import orient
from lenskit_evaluation.finetune.model import FineTuned

Freeze = Literal["frozen", "partial", "full"]

LAST_PART = 0.25
"""The last stages of a backbone are as many as hold at least this share of its weights: layer4 of any ResNet, the last
stage of a ConvNeXt or Swin, the last third of a ViT."""

CONTAINER = 0.8
"""A part that holds more than this share of the weights is no stage, but what stages are in."""


@dataclass(frozen=True)
class Recipe:
    """The choices of a training: AdamW (Loshchilov & Hutter 2019, https://arxiv.org/abs/1711.05101), whose rates fall
    to zero along half a cosine.

    Attributes:
        freeze: What of the backbone is held still.
        epochs: Epochs at most.
        patience: Epochs without a better validation loss after which it ends.
        batch_size: Images a batch.
        lr: Rate of the head.
        backbone_lr: Rate of the backbone.
        weight_decay: Weight decay of all but biases and norms.
        augment: Whether images are turned and mirrored.
    """

    freeze: Freeze = "full"
    epochs: int = 60
    patience: int = 15
    batch_size: int = 32
    lr: float = 1e-3
    backbone_lr: float = 1e-4
    weight_decay: float = 0.05
    augment: bool = True


@dataclass(frozen=True)
class History:
    """What happened in a training.

    Attributes:
        train: The mean loss of each epoch's batches.
        validation: The loss of the validation part after each epoch.
        best: Number of the epoch, from 1, whose weights were kept.
    """

    train: list[float]
    validation: list[float]
    best: int


def fit(
    model: FineTuned,
    images: Tensor,
    labels: Tensor,
    train: np.ndarray,
    validation: np.ndarray,
    recipe: Recipe,
    seed: int,
    report: Callable[[int, float, float], None] = lambda epoch, train, validation: None,
) -> History:
    """Trains a model, and gives it the weights that did best on the validation part.

    The global random numbers are left as they were. The same seed gives the same weights on the same machine.

    Args:
        model: What is trained, on the device to do it on.
        images: (n, C, H, W), on the CPU.
        labels: (8 or 1, n, targets): in each orientation of the images, or only as they are.
        train: Numbers of the images to learn from.
        validation: Numbers of the images that say when to stop.
        recipe: The choices.
        seed: Seed of the order, of the orientations and of dropout.
        report: Is told the number of each epoch, and both losses.

    Raises:
        LenskitError: if the loss is not finite.
    """
    used = np.concatenate([train, validation])
    images, labels = images[used], labels[:, used]
    train, validation = np.split(np.arange(len(used)), [len(train)])
    parts = trained_parts(model.encoder.backbone, recipe.freeze)
    model.requires_grad_(False)
    for part in (*parts, model.head):
        part.requires_grad_(True)
    device = model.head.weight.device
    start = model.predict([images[train]]).features
    model.standardise(torch.from_numpy(start).float(), labels[:, train].flatten(0, 1))
    outputs = _outputs_of(model, images, len(labels), recipe)
    optimizer = torch.optim.AdamW(_groups(model, parts, recipe), fused=True)
    generator = torch.Generator().manual_seed(seed)
    batches = math.ceil(len(train) / recipe.batch_size)
    total = recipe.epochs * batches
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda done: (1 + math.cos(math.pi * done / total)) / 2)
    losses: list[float] = []
    checks: list[float] = []
    best, kept = 0, _state(model)
    with _reproducible(device, seed):
        for epoch in range(1, recipe.epochs + 1):
            model.eval()
            for part in parts:
                part.train()
            order = torch.from_numpy(train)[torch.randperm(len(train), generator=generator)]
            summed = torch.zeros((), device=device)
            # Batches of nearly one size: a last one of one image would have no spread to be normalised by.
            for rows in order.tensor_split(batches):
                turn = torch.randint(len(labels), (len(rows),), generator=generator)
                loss = model.loss(outputs(rows, turn), labels[turn, rows].to(device))
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                schedule.step()
                summed += loss.detach() * len(rows)
            losses.append(float(summed) / len(train))
            checks.append(_check(model, outputs, labels, torch.from_numpy(validation), device))
            report(epoch, losses[-1], checks[-1])
            if not (math.isfinite(losses[-1]) and math.isfinite(checks[-1])):
                raise LenskitError(f"the loss of epoch {epoch} is not finite: use a smaller --lr or --backbone-lr")
            if not best or checks[-1] < checks[best - 1]:
                best, kept = epoch, _state(model)
            elif epoch - best >= recipe.patience:
                break
    model.load_state_dict(kept)
    model.eval().requires_grad_(False)
    return History(losses, checks, best)


def trained_parts(backbone: nn.Module, freeze: Freeze) -> list[nn.Module]:
    """The parts of a backbone that are trained.

    Args:
        backbone: The network; its parts are taken to stand in the order in which they are used.
        freeze: `frozen` for none, `full` for all; `partial` for the last stages, see `LAST_PART`.
    """
    if freeze == "frozen":
        return []
    if freeze == "full":
        return [backbone]
    total, held = _size(backbone), 0
    last: list[nn.Module] = []
    for stage in reversed(_stages(backbone, total)):
        if held >= LAST_PART * total:
            break
        last.append(stage)
        held += _size(stage)
    return last


def _stages(module: nn.Module, total: int) -> list[nn.Module]:
    """The parts of a network that hold weights, in order; one that holds nearly all is taken apart."""
    stages: list[nn.Module] = []
    for child in module.children():
        if _size(child) > CONTAINER * total and any(_size(part) for part in child.children()):
            stages += _stages(child, total)
        elif _size(child):
            stages.append(child)
    return stages


def _size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _outputs_of(
    model: FineTuned, images: Tensor, orientations: int, recipe: Recipe
) -> Callable[[Tensor, Tensor], Tensor]:
    """What gives the outputs for some images, by number, each in one of the orientations.

    A frozen backbone is asked once for each image and orientation.
    """
    device = model.head.weight.device
    if recipe.freeze != "frozen":
        return lambda rows, turn: model(orient(images[rows], turn).to(device))
    ways = [torch.full((len(images),), way) for way in range(orientations)]
    features = torch.stack([torch.from_numpy(model.predict([orient(images, way)]).features).float() for way in ways])
    return lambda rows, turn: model.outputs(features[turn, rows].to(device))


@torch.no_grad()
def _check(
    model: FineTuned, outputs: Callable[[Tensor, Tensor], Tensor], labels: Tensor, rows: Tensor, device: torch.device
) -> float:
    """The loss of some images as they are, in eval mode."""
    model.eval()
    parts = [outputs(part, torch.zeros_like(part)) for part in rows.split(256)]
    return float(model.loss(torch.cat(parts), labels[0, rows].to(device)))


def _groups(model: FineTuned, parts: list[nn.Module], recipe: Recipe) -> list[dict[str, Any]]:
    """The optimiser's groups: head and backbone, and of these what decays and what does not."""
    groups = []
    for lr, modules in ((recipe.lr, [model.head]), (recipe.backbone_lr, parts)):
        parameters = [parameter for module in modules for parameter in module.parameters()]
        for decay, chosen in (
            (recipe.weight_decay, [p for p in parameters if p.ndim > 1]),
            (0.0, [p for p in parameters if p.ndim <= 1]),
        ):
            if chosen:
                groups.append({"params": chosen, "lr": lr, "weight_decay": decay})
    return groups


def _state(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


@contextmanager
def _reproducible(device: torch.device, seed: int) -> Iterator[None]:
    """Seeded global random numbers, which are put back, and no convolutions that differ from run to run."""
    with (
        torch.random.fork_rng([device] if device.type == "cuda" else []),
        torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True),
    ):
        torch.manual_seed(seed)
        yield
