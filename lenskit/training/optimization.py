"""The optimiser of a run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from lightly.utils.lars import LARS
from torch import nn
from torch.optim import SGD, AdamW, Optimizer

from lenskit.training.settings import OptimizerSettings

TOKENS = ("pos_embed", "cls_token", "reg_token", "mask_token", "dist_token")
"""Learned tokens and position embeddings of transformers, which no weight decay acts on."""


def scaled_lr(settings: OptimizerSettings, batch_size: int) -> float:
    """The peak learning rate for a batch of so many lenses, over all processes: the linear scaling rule of
    https://arxiv.org/abs/1706.02677."""
    return settings.lr * batch_size / settings.lr_batch if settings.lr_batch else settings.lr


def make_optimizer(groups: Iterable[dict[str, Any]], settings: OptimizerSettings, batch_size: int) -> Optimizer:
    """Makes the optimiser.

    Args:
        groups: Each with `modules` (a list), and whatever else the method's `learning_rate` looks at.
        settings: The run's.
        batch_size: Lenses a batch, over all processes.
    """
    lr = scaled_lr(settings, batch_size)
    parts: list[dict[str, Any]] = []
    for group in groups:
        common = {"warmup_epochs": settings.warmup_epochs} | {k: v for k, v in group.items() if k != "modules"}
        decayed, kept = _split(group["modules"], settings.decay_all)
        if decayed:
            parts.append(common | {"params": decayed, "weight_decay": settings.weight_decay})
        if kept:
            parts.append(common | {"params": kept, "weight_decay": 0.0})
    if settings.name == "adamw":
        return AdamW(parts, lr=lr, betas=settings.betas)
    make = {"sgd": SGD, "lars": LARS}[settings.name]
    return make(parts, lr=lr, momentum=settings.momentum)


def _split(modules: Iterable[nn.Module], decay_all: bool) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """The trained parameters that weight decay acts on, and those that it does not."""
    decayed: list[nn.Parameter] = []
    kept: list[nn.Parameter] = []
    for module in modules:
        for name, parameter in module.named_parameters():
            if not parameter.requires_grad:
                continue
            spared = parameter.ndim <= 1 or name.rpartition(".")[2] in TOKENS
            (kept if spared and not decay_all else decayed).append(parameter)
    return decayed, kept
