"""Creation of a plugin from templates."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2

from lenskit.component import FILES, KINDS, Component
from lenskit.errors import UsageError
from lenskit.naming import NAME, fault
from lenskit.ownership import scratch
from lenskit.version import __version__
from lenskit.words import quoted

TEMPLATE = 1
"""Version of the templates. It increases when an existing plugin should adopt a change; see `CHANGES`."""

CHANGES: Mapping[int, str] = {}
"""Change that each version of the templates asks an existing plugin to make: `{2: "pyproject.toml: ..."}`."""

MINOR_RELEASES = 2
"""A deprecated name works for one more minor release. So a plugin is sure to work up to the second one after this."""

PREFIX = "lenskit-ssl-"


@dataclass(frozen=True)
class Part:
    """Component of a new plugin.

    Attributes:
        kind: Its kind.
        name: Its name.
        cls: Name of its class in Python.
        target: Import string or path of its implementation.
        title: Its kind in words, for headings.
        summary: One line for `lenskit list`.
        use: Markdown with the commands that use it.
    """

    kind: str
    name: str
    cls: str
    target: str
    title: str
    summary: str
    use: str

    @property
    def hook(self) -> str:
        """Name of the hook that announces it."""
        return f"lenskit_{KINDS[self.kind]}"


def new_plugin(name: str, kinds: Sequence[str], folder: Path | None = None) -> Path:
    """Write the files of a new plugin.

    Args:
        name: Name of the plugin and, for a single kind, of its component.
        kinds: Kinds of its components. If there are several, the components are called `NAME-KIND`.
        folder: Folder to create; by default `lenskit-ssl-NAME`.

    Returns:
        The folder.

    Raises:
        UsageError: The name is invalid, or the folder exists.
    """
    kinds = [*dict.fromkeys(kinds)]
    names = {kind: name if len(kinds) == 1 else f"{name}-{kind}" for kind in kinds}
    for kind, component in names.items():
        if why := _fault(kind, component):
            raise UsageError(f"a plugin cannot be called {quoted(name)}: {why}")
    distribution = distribution_of(name)
    folder = Path(distribution) if folder is None else folder
    if os.path.lexists(folder) and not (folder.is_dir() and not any(folder.iterdir())):
        raise UsageError(f"{folder} exists: choose a different --folder")
    part = scratch(folder, "part")
    for path, text in _files(name, distribution, names):
        file = part / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    if "encoder" in names:
        _write_encoder(part / _package(distribution) / "encoder")
    if folder.is_dir():
        folder.rmdir()
    folder.parent.mkdir(parents=True, exist_ok=True)
    part.rename(folder)
    return folder


def distribution_of(name: str) -> str:
    """Return the name of the distribution of a new plugin."""
    return PREFIX + name.removeprefix(PREFIX)


def _fault(kind: str, name: str) -> str:
    """Return the reason why a component cannot have a name, or an empty text."""
    if not NAME.fullmatch(name) or not name.replace("-", "_").replace(".", "_").isidentifier():
        return "use lower-case letters, digits and hyphens, and begin with a letter"
    target = "package:path" if kind in (*FILES, "encoder") else "package:name"
    return fault(kind, Component(name, target, "summary"))


def _files(name: str, distribution: str, names: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the path and the content of each text file."""
    package = _package(distribution)
    parts = [_part(kind, component, package) for kind, component in names.items()]
    shared = {
        "name": name,
        "names": names,
        "title": parts[0].summary if len(parts) == 1 else f"Components of {name}",
        "distribution": distribution,
        "package": package,
        "kinds": [*names],
        "parts": parts,
        "template": TEMPLATE,
        "year": date.today().year,
        **_bounds(__version__),
    }
    yield "pyproject.toml", _rendered("common/pyproject.toml", shared)
    yield "README.md", _rendered("common/README.md", shared)
    yield "LICENSE", _rendered("common/LICENSE", shared)
    yield ".gitignore", _rendered("common/gitignore", shared)
    yield ".github/workflows/test.yml", _rendered("common/test.yml", shared)
    yield "tests/test_plugin.py", _rendered("common/test_plugin.py", shared)
    yield f"{package}/__init__.py", f'"""{shared["title"]}."""\n'
    yield f"{package}/hooks.py", _rendered("common/hooks.py", shared)
    for part in parts:
        values = shared | {"part": part}
        if part.kind != "encoder":
            ending = ".toml" if part.kind in FILES else ".py"
            yield f"{package}/{part.kind}{ending}", _rendered(f"{part.kind}/component{ending}", values)
        yield f"tests/test_{part.kind}.py", _rendered(f"{part.kind}/test.py", values)


def _part(kind: str, name: str, package: str) -> Part:
    words = tomllib.loads(_text(f"{kind}/part.toml"))
    cls = "".join(word.capitalize() for word in name.replace(".", "-").replace("_", "-").split("-"))
    target = {
        "command": f"{package}.command:command",
        "encoder": f"{package}:encoder",
        **{kind: f"{package}:{kind}.toml" for kind in FILES},
    }.get(kind, f"{package}.{kind}:{cls}")
    use = words["use"].strip().replace("NAME", name).replace("PACKAGE", package)
    return Part(kind, name, cls, target, words["title"], words["summary"], use)


def _package(distribution: str) -> str:
    """Return the name of the Python package of a distribution."""
    return distribution.replace("-", "_").replace(".", "_")


def _bounds(version: str) -> dict[str, str]:
    """Return the lowest version of lenskit, and the first that is too high."""
    major, minor, *_ = version.split(".")
    return {"lowest": f"{major}.{minor}", "highest": f"{major}.{int(minor) + MINOR_RELEASES}"}


def _rendered(template: str, values: Mapping[str, Any]) -> str:
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined, keep_trailing_newline=True, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(_text(f"{template}.jinja")).render(values)


def _text(path: str) -> str:
    return (resources.files("lenskit.scaffold") / "templates" / path).read_text(encoding="utf-8")


def _write_encoder(folder: Path) -> None:
    """Write an encoder with random weights."""
    from lenskit.encoder import Encoder

    card = {
        "summary": "Random weights: replace this folder by the output of lenskit package",
        "backbone": {"name": "timm:test_resnet"},
        "input": {"size": 32, "channels": 1},
        "image_shape": [1, 32, 32],
        "trained_on": "nothing: the weights are random",
        "licence": "MIT",
    }
    Encoder.untrained(card, seed=0).save(folder, half=True)
