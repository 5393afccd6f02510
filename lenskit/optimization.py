"""Optimiser of a run: construction, learning rate and parameter groups."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer

from lenskit.errors import LenskitError
from lenskit.settings import OptimizerSettings

TOKENS = ("pos_embed", "cls_token", "reg_token", "mask_token", "dist_token")
"""Names of the learned tokens and position embeddings of transformers, which have no weight decay."""


def scaled_lr(settings: OptimizerSettings, batch_size: int) -> float:
    """Return the peak learning rate for a batch size.

    It is proportional to the batch size: the linear scaling rule of https://arxiv.org/abs/1706.02677. It is not scaled
    if `lr_batch` is 0.

    Args:
        settings: Settings of the optimiser.
        batch_size: Lenses per batch, over all processes.
    """
    return settings.lr * batch_size / settings.lr_batch if settings.lr_batch else settings.lr


def describe(settings: OptimizerSettings, batch_size: int, epochs: int) -> str:
    """Return the settings of the optimiser in one line.

    For example `lr 0.0469 = 0.03 x 400 / 256, sgd, momentum 0.9, ...`.

    Args:
        settings: Settings of the optimiser.
        batch_size: Lenses per batch, over all processes.
        epochs: Number of epochs of the run.
    """
    warmup = min(settings.warmup_epochs, epochs / 2)
    asked = "" if warmup == settings.warmup_epochs else f" (half of the run; {settings.warmup_epochs:g} asked for)"
    scaling = f" = {settings.lr:g} x {batch_size} / {settings.lr_batch}" if settings.lr_batch else ""
    averages = f"betas {settings.betas[0]:g} {settings.betas[1]:g}"
    parts = [
        f"lr {scaled_lr(settings, batch_size):.3g}{scaling}",
        settings.name,
        averages if settings.name == "adamw" else f"momentum {settings.momentum:g}",
        f"weight decay {settings.weight_decay:g}{' of all weights' if settings.decay_all else ''}",
        f"{warmup:g} epochs of warm-up{asked}",
    ]
    return ", ".join([*parts, f"gradients clipped at {settings.clip:g}"] if settings.clip else parts)


def make_optimizer(groups: Iterable[dict[str, Any]], settings: OptimizerSettings, batch_size: int) -> Optimizer:
    """Return the optimiser.

    Args:
        groups: Parameter groups: dictionaries with a list `modules`. Other keys are copied to the optimiser's groups,
            where the `learning_rate` of the method can read them.
        settings: Settings of the optimiser.
        batch_size: Lenses per batch, over all processes.
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
    if settings.name == "sgd":
        return SGD(parts, lr=lr, momentum=settings.momentum)
    # timm's LARS: lightly's takes the same steps, but copies two norms per weight back to the host.
    from timm.optim import Lars

    return Lars(parts, lr=lr, momentum=settings.momentum)


def check_groups(module: nn.Module, groups: Iterable[dict[str, Any]]) -> None:
    """Check that each trained parameter of a module is in exactly one group.

    Args:
        module: The module. A parameter is trained if it has `requires_grad`.
        groups: Parameter groups: dictionaries with a list `modules`.

    Raises:
        LenskitError: A parameter is in no group or in several. The message names the first one.
    """
    times: dict[Tensor, int] = {}
    for group in groups:
        for parameter in {p: None for m in group["modules"] for p in m.parameters()}:
            times[parameter] = times.get(parameter, 0) + 1
    for name, parameter in module.named_parameters():
        if parameter.requires_grad and (count := times.get(parameter, 0)) != 1:
            raise LenskitError(
                f"parameter_groups() of {type(module).__name__} has the parameter {name} in "
                f"{f'{count} groups' if count else 'no group'}: put each parameter with requires_grad into one group"
            )


def _split(modules: Iterable[nn.Module], decay_all: bool) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Return the trained parameters with and without weight decay, each once.

    Biases, scales and offsets of norms, `TOKENS`, and parameters that a network excludes have no weight decay, unless
    `decay_all` is set.
    """
    decayed: dict[nn.Parameter, None] = {}
    kept: dict[nn.Parameter, None] = {}
    for module in modules:
        named = set(_not_decayed(module))
        for name, parameter in module.named_parameters():
            if parameter.requires_grad and parameter not in decayed and parameter not in kept:
                spared = parameter.ndim <= 1 or name.rpartition(".")[2] in TOKENS or name in named
                (kept if spared and not decay_all else decayed)[parameter] = None
    return list(decayed), list(kept)


def _not_decayed(module: nn.Module) -> Iterator[str]:
    """Yield the names of parameters that a network excludes from weight decay.

    The network lists these names in a method `no_weight_decay`, as the networks of timm do.
    """
    for prefix, part in module.named_modules():
        if callable(getattr(part, "no_weight_decay", None)):
            for name in part.no_weight_decay():
                yield f"{prefix}.{name}".lstrip(".")
