"""Origin of a result: command, versions, devices and git revision."""

from __future__ import annotations

import platform
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from lenskit.component import in_words
from lenskit.errors import LenskitError
from lenskit.layers import COMPONENTS
from lenskit.naming import DISTRIBUTION, is_same_distribution, parse
from lenskit.records import load_json
from lenskit.registry import registry
from lenskit.run_files import ORIGIN
from lenskit.words import listed, quoted


def provenance() -> dict[str, Any]:
    """Return the command, versions, devices and git revision that a result depends on."""
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


def not_installed(run: Path, sections: Mapping[str, Any]) -> str:
    """Return a line on the missing distributions of a run, or an empty text.

    A distribution is missing if it is not installed, or if the installed version lacks the component. Runs of earlier
    versions record components without a distribution. For these, every recorded distribution of the run is considered.

    Args:
        run: The run directory.
        sections: Sections of the run's configuration, as read from `run.toml`.

    Returns:
        One line with the `pip install` command; empty if no distribution is missing.
    """
    versions = _recorded_versions(run)
    for kind, name in _components(sections):
        head, own, _ = parse(name)
        if any(r.name == head and _same(r.plugin.distribution, own) for r in registry().of_kind(kind)):
            continue
        made_with = {d: v for d, v in versions.items() if _same(d, own)} or ({own: None} if own else {})
        made_with = {d: v for d, v in made_with.items() if DISTRIBUTION.fullmatch(d)}
        if gone := {d: v for d, v in made_with.items() if _version(d) is None}:
            state = "which is not installed" if len(gone) == 1 else "which are not installed"
        elif gone := {d: v for d, v in made_with.items() if own and v != _version(d) and _is_sound(d)}:
            state = f"and the installed version {_version(own)} does not have it"
        else:
            continue
        missing = listed((f"{d} {v}" if v else d for d, v in gone.items()), 3)
        packages = " ".join(f'"{d}=={v}"' if v else d for d, v in gone.items())
        return f"run {run} was made with {in_words(kind)} {quoted(head)} of {missing}, {state}: pip install {packages}"
    return ""


def _recorded_versions(run: Path) -> dict[str, str | None]:
    """Return the versions of the plugins' distributions that a run records."""
    try:
        plugins = load_json(run / ORIGIN)["plugins"]
        versions = {str(plugin).rpartition("@")[2]: version for plugin, version in plugins.items()}
    except (LenskitError, TypeError, KeyError, AttributeError):
        return {}  # damaged, or of an earlier version
    return {d: v if isinstance(v, str) and re.fullmatch(r"[\w.!+-]+", v) else None for d, v in versions.items()}


def _components(sections: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield kind and name of each component of a configuration."""
    for section, kind in COMPONENTS.items():
        values = sections.get(section)
        name = values.get("name") if isinstance(values, Mapping) else None
        if isinstance(name, str):
            yield from ((kind, part) for part in (name.split("+") if kind == "pairs" else [name]))


def _same(distribution: str, own: str) -> bool:
    """Whether a distribution is `own`; true if `own` is empty."""
    return not own or is_same_distribution(distribution, own)


def _is_sound(distribution: str) -> bool:
    """Whether all plugins of a distribution were loaded completely."""
    plugins = [plugin for plugin in registry().plugins if is_same_distribution(plugin.distribution, distribution)]
    return bool(plugins) and not any(plugin.error or plugin.refused for plugin in plugins)


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
