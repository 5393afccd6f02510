"""The origin of a result: command, versions, devices and git revision."""

from __future__ import annotations

import platform
import subprocess
import sys
from importlib import metadata
from typing import Any

import torch

from lenskit.registry import registry


def provenance() -> dict[str, Any]:
    """Return what a result depends on apart from the configuration."""
    packages = ("lenskit-ssl", "torch", "torchvision", "lightly", "pytorch-lightning", "timm", "lenstronomy", "numpy")
    return {
        "command": sys.argv,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: version for name in packages if (version := _version(name))},
        "plugins": {f"{p.name}@{p.distribution}": p.version for p in registry().plugins if not p.error},
        "devices": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())] or ["cpu"],
        "threads": torch.get_num_threads(),
        "git": _git_revision(),
    }


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _git_revision() -> str | None:
    try:
        answer = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40"], capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None
