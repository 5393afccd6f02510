"""Verb `lenskit doctor`: check of the installation."""

from __future__ import annotations

from importlib import metadata

import click

from lenskit.cli.output import echo
from lenskit.registry import registry

CLASH = (
    "the distribution 'lenskit' (a recommender toolkit) is installed too; its package and its command have the same "
    "names: keep the two in separate environments, or uninstall lenskit and reinstall lenskit-ssl"
)


@click.command("doctor", short_help="Check the installation")
def command() -> int:
    """Check the installation.

    The checks cover versions, devices, plugins, and a clash of names with the distribution `lenskit`. The exit status
    is 1 if a check fails.
    """
    import torch

    wrong = []
    for name in ("torch", "torchvision", "pytorch-lightning", "lightly", "timm", "lenstronomy"):
        try:
            _row("ok", f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            wrong.append(f"{name} is not installed: pip install {name}")
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    _row("ok", f"devices: {', '.join(gpus) or f'CPU with {torch.get_num_threads()} threads'}")
    _row("ok", f"several devices: {', '.join(backends()) or 'not with this torch'}")
    plugins = registry().plugins
    _row("ok", f"{sum(not p.error for p in plugins)} plugins, {len(registry().records)} components")
    wrong += [f"plugin {p.name!r} of {p.distribution} {p.version}: {p.error}" for p in plugins if p.error]
    wrong += [f"plugin {p.name!r} of {p.distribution} {p.version}: {why}" for p in plugins for why in p.refused]
    if clashes():
        wrong.append(CLASH)
    for line in wrong:
        _row("wrong", line)
    return 1 if wrong else 0


def _row(state: str, text: str) -> None:
    echo(f"{state:6} {text}", indent=7)


def backends() -> list[str]:
    """Return the communication backends for several devices that are available."""
    from torch import distributed

    if not distributed.is_available():
        return []
    return ["gloo"] * distributed.is_gloo_available() + ["nccl (GPUs)"] * distributed.is_nccl_available()


def clashes() -> bool:
    """Whether the unrelated distribution `lenskit` is installed."""
    try:
        metadata.version("lenskit")
    except metadata.PackageNotFoundError:
        return False
    return True
