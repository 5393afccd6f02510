"""Records of plugins and components that were found, and loading of a component."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from lenskit.component import FILES, Component, in_words
from lenskit.errors import LenskitError
from lenskit.interface import old_names
from lenskit.naming import BUNDLED, is_same_distribution
from lenskit.origin import is_strict, remember, told
from lenskit.words import MESSAGE, shortened

BASES = {
    "simulator": ("lenskit.kinds.simulator", "Simulator"),
    "dataset": ("lenskit.kinds.dataset", "Dataset"),
    "pairs": ("lenskit.kinds.pairs", "PairStrategy"),
    "method": ("lenskit.kinds.method", "Method"),
    "backbone": ("lenskit.kinds.backbone", "Backbone"),
    "evaluation": ("lenskit.kinds.evaluation", "Evaluation"),
    "format": ("lenskit.kinds.format", "FileFormat"),
}
"""Module and name of the base class of each kind. A module is imported only when a component is loaded."""

OFFERED = {"FileFormat": "Format, ImageFormat or FeatureFormat"}
"""Names that `lenskit.plugin` offers in place of the name of a base class."""

SLOW = 0.2
"""Seconds after which loading a plugin counts as slow."""


@dataclass(frozen=True)
class Refusal:
    """Component or hook of a plugin that is left out.

    Attributes:
        label: Kind and name, such as `method 'mine'` or `hook lenskit_methods`.
        why: The reason.
        kind: Kind, if it is a component.
        name: Name, if it is a component.
    """

    label: str
    why: str
    kind: str = ""
    name: str = ""

    def __str__(self) -> str:
        return f"{self.label} is left out: {self.why}"

    def of(self, plugin: Plugin) -> str:
        """Return the message with the plugin's distribution and version."""
        return f"{self.label} of {plugin.distribution} {plugin.version} is left out: {self.why}"


@dataclass
class Plugin:
    """Installed plugin.

    Attributes:
        name: Name of its entry point.
        distribution: Name of its distribution.
        version: Version of its distribution.
        error: Reason why it could not be imported.
        components: Number of its components.
        refused: Its components and hooks that are left out.
        printed: Text that it printed or logged while it was loaded.
        seconds: Time in seconds that it took to load.
    """

    name: str
    distribution: str
    version: str
    error: str | None = None
    components: int = 0
    refused: list[Refusal] = field(default_factory=list)
    printed: str = ""
    seconds: float = 0

    @property
    def remarks(self) -> list[str]:
        """Lines for the author of the plugin."""
        lines = [str(refusal) for refusal in self.refused]
        if self.seconds > SLOW:
            lines.append(
                f"took {self.seconds:.2g} s to load: import no heavy packages in hooks or in a package's __init__"
            )
        if self.printed.strip():
            lines.append(f"printed while it was loaded: {shortened(' '.join(self.printed.split()), MESSAGE)}")
        return lines


@dataclass(frozen=True)
class Record:
    """Component together with its kind and its plugin.

    Attributes:
        kind: Its kind, such as `method`.
        component: The component.
        plugin: Its plugin.
        is_meant: Whether its name alone selects it. Otherwise the user has to add the distribution.
    """

    kind: str
    component: Component
    plugin: Plugin = field(compare=False)
    is_meant: bool = True

    @property
    def name(self) -> str:
        return self.component.name

    @property
    def is_bundled(self) -> bool:
        """Whether the component is part of lenskit's own distribution."""
        return is_same_distribution(self.plugin.distribution, BUNDLED)

    @property
    def qualified(self) -> str:
        """Name with the distribution: `simsiam@lenskit-ssl`."""
        return f"{self.name}@{self.plugin.distribution}"

    @property
    def recorded(self) -> str:
        """Name that files record: with the distribution, unless the component is bundled."""
        return self.name if self.is_bundled else self.qualified

    @property
    def typed(self) -> str:
        """Name that a user has to type: with the distribution only if it is needed."""
        return self.name if self.is_meant else self.qualified

    @property
    def title(self) -> str:
        """Name to type, with the argument if there is one: `timm:MODEL`."""
        argument = self.component.argument
        return f"{self.typed}:{argument.upper()}" if argument else self.typed

    @property
    def origin(self) -> str:
        """Description for messages, such as `method 'simsiam' of lenskit-ssl 0.1.0`."""
        return f"{in_words(self.kind)} {self.name!r} of {self.plugin.distribution} {self.plugin.version}"

    def load(self) -> Any:
        """Load the component.

        Returns:
            The class or the command; the TOML text of a recipe or an instrument; the folder of an encoder, which is
            downloaded first if necessary.

        Raises:
            LenskitError: The class was written for a different plugin interface, or the component cannot be loaded.
        """
        where = self.origin
        if self.kind == "encoder":
            return self.folder()
        module, _, attribute = self.component.target.partition(":")
        try:
            if self.kind in FILES:
                return (resources.files(module) / attribute).read_text(encoding="utf-8")
            loaded = getattr(importlib.import_module(module), attribute)
            if self.kind == "command":
                import click

                if not isinstance(loaded, click.Command):
                    raise TypeError(f"{attribute} is not a click.Command")
                return loaded
            if not isinstance(loaded, type):
                raise TypeError(f"{attribute} is not a class")
            if renames := old_names(self.kind, loaded):
                raise LenskitError(
                    f"{where} was written for plugin interface 1: update the plugin, or change {', '.join(renames)}"
                )
            at, name = BASES[self.kind]
            if not issubclass(loaded, getattr(importlib.import_module(at), name)):
                raise TypeError(f"{attribute} does not derive from {OFFERED.get(name, name)}")
        except LenskitError:
            raise
        except Exception as error:
            if is_strict():
                raise
            reason = told(error, module)
            raise LenskitError(f"{where} cannot be loaded from {self.component.target}: {reason}") from error
        remember(loaded, where)
        return loaded

    def folder(self, *names: str) -> Path:
        """Return the folder of an encoder.

        Args:
            names: Files to download if they are not on disk; all files by default.

        Raises:
            LenskitError: The files are missing and cannot be downloaded.
        """
        from lenskit.download import folder_of  # imports http and ssl, which `lenskit list` does not need

        try:
            return folder_of(self.component.target, self.component.digests, *names)
        except (LenskitError, ImportError) as error:
            raise LenskitError(f"encoder {self.name!r} of {self.plugin.distribution}: {error}") from error
