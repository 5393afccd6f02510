"""Training loop of fine-tuning, with early stopping.

The loop does not use Lightning. With Lightning's Trainer, this file was 40 lines longer, and training a small network
took 1.4 times as long.
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
"""Minimum share of the weights of a backbone that partial training trains, in the last stages.

These stages are layer4 of any ResNet, the last stage of a ConvNeXt or Swin, and the last third of a ViT.
"""

CONTAINER = 0.8
"""A module with more than this share of the weights is not a stage but a container of stages."""


@dataclass(frozen=True)
class Recipe:
    """Settings of a training with AdamW and a cosine schedule that ends at zero.

    AdamW: Loshchilov & Hutter 2019, https://arxiv.org/abs/1711.05101.

    Attributes:
        freeze: Frozen part of the backbone, see `trained_parts`.
        epochs: Maximum number of epochs.
        patience: Training ends after this number of epochs without a lower validation loss.
        batch_size: Images per batch.
        lr: Learning rate of the head.
        backbone_lr: Learning rate of the backbone.
        weight_decay: Weight decay of all weights except biases and norms.
        augment: Whether images are rotated and mirrored.
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
    """Losses of a training.

    Attributes:
        train: Mean training loss of each epoch.
        validation: Validation loss after each epoch.
        best: Number, from 1, of the epoch with the lowest validation loss; its weights are kept.
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
    """Train a model and load the weights with the best validation loss.

    The state of the global random number generators does not change. The same seed gives the same weights on the same
    machine.

    Args:
        model: The model, on the device of the training.
        images: (n, C, H, W), on the CPU.
        labels: (8 or 1, n, targets), for all orientations of the images or only the first.
        train: Numbers of the training images.
        validation: Numbers of the validation images.
        recipe: Settings of the training.
        seed: Random seed of the order of images, of orientations and of dropout.
        report: Function that is called after each epoch with the epoch number, the training loss and the validation
            loss.

    Returns:
        The losses of all epochs.

    Raises:
        LenskitError: The loss is not finite.
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
            # Batches of nearly equal size: batch norm cannot normalise a last batch of a single image.
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
    """Return the parts of a backbone that are trained.

    Args:
        backbone: The network; its modules must be in the order in which the network applies them.
        freeze: `frozen` for no part, `full` for the entire backbone, `partial` for the last stages, see `LAST_PART`.
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
    """Return the stages of a network with weights, in order.

    A module with nearly all weights is replaced by its submodules, see `CONTAINER`.
    """
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
    """Return a function from image numbers and orientations to the model's outputs.

    The features of a frozen backbone are computed once for each image and orientation.
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
    """Return the loss of images without augmentation, in eval mode."""
    model.eval()
    parts = [outputs(part, torch.zeros_like(part)) for part in rows.split(256)]
    return float(model.loss(torch.cat(parts), labels[0, rows].to(device)))


def _groups(model: FineTuned, parts: list[nn.Module], recipe: Recipe) -> list[dict[str, Any]]:
    """Return the optimiser's parameter groups.

    Head and backbone have separate groups, with and without weight decay.
    """
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
    """Set a random seed and use deterministic convolutions inside the `with` block."""
    with (
        torch.random.fork_rng([device] if device.type == "cuda" else []),
        torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True),
    ):
        torch.manual_seed(seed)
        yield
