"""Finds plugins, and finds components in them.

Each entry point of the group `lenskit.plugins` is loaded in a guard of its own, and so is each of its hooks: a plugin
that cannot be loaded costs one line on standard error and a row in `lenskit plugins`; everything else works. Two
environment variables steer this: `LENSKIT_STRICT=1` raises instead, `LENSKIT_PLUGINS=a,b` (or an empty value) limits
what is loaded.

Two components of one kind may have the same name: only asking for that name is an error. A command that has the name
of another verb is refused, for nobody could ask for it: it costs such a line and a remark in that row.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata, resources
from pathlib import Path
from typing import Any

import pluggy

from lenskit import hookspecs
from lenskit.component import FILES, INTERFACE, KINDS, Component
from lenskit.errors import LenskitError, UsageError, near
from lenskit.interface import old_names
from lenskit.kinds.evaluation import Evaluation
from lenskit.kinds.format import FileFormat
from lenskit.origin import is_strict, remember, told
from lenskit.verbs import VERBS
from lenskit.words import MESSAGE, escaped, listed, quoted, shortened

GROUP = "lenskit.plugins"

BASES: dict[str, tuple[type, str]] = {
    "evaluation": (Evaluation, "is no Evaluation"),
    "format": (FileFormat, "derives from none of Format, ImageFormat and FeatureFormat"),
}
"""Bases that a class of a kind must have, and what is said of one that has not."""


@dataclass
class Plugin:
    """A plugin that was found: its entry point's name, the distribution it came with, and why it failed, if it did.

    Attributes:
        refused: Lines that say which of its commands are left out, and why.
    """

    name: str
    distribution: str
    version: str
    error: str | None = None
    components: int = 0
    refused: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Record:
    """A component together with its kind and the plugin that brought it."""

    kind: str
    component: Component
    plugin: Plugin = field(compare=False)

    @property
    def name(self) -> str:
        return self.component.name

    @property
    def title(self) -> str:
        """The name as a user types it: `timm:MODEL` where a part behind a colon is expected."""
        argument = self.component.argument
        return f"{self.name}:{argument.upper()}" if argument else self.name

    @property
    def origin(self) -> str:
        """Where it comes from, for messages: `method 'simsiam' of lenskit-ssl 0.1.0`."""
        return f"{self.kind} {self.name!r} of {self.plugin.distribution} {self.plugin.version}"

    def load(self) -> Any:
        """Imports the class or the command that the component names; reads the file of a recipe or an instrument;
        finds the folder of an encoder, and downloads it if need be.

        Raises:
            LenskitError: if the component was written for another interface, or cannot be loaded.
        """
        where = self.origin
        if self.component.interface != INTERFACE:
            raise LenskitError(
                f"{where} was written for plugin interface {self.component.interface}, this lenskit has {INTERFACE}: "
                f"{'update the plugin' if self.component.interface < INTERFACE else 'update lenskit-ssl'}"
            )
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
                    raise TypeError(f"{attribute} is no click.Command")
                return loaded
            if not isinstance(loaded, type):
                raise TypeError(f"{attribute} is no class")
            base, fault = BASES.get(self.kind, (object, ""))
            if not issubclass(loaded, base):
                raise TypeError(f"{attribute} {fault}")
        except Exception as error:
            if is_strict():
                raise
            raise LenskitError(
                f"{where} cannot be loaded from {self.component.target}: {told(error, module)}"
            ) from error
        if renames := old_names(self.kind, loaded):
            raise LenskitError(
                f"{where} was written for plugin interface 1: update the plugin, or change {', '.join(renames)}"
            )
        if isinstance(loaded, type):
            remember(loaded, where)
        return loaded

    def folder(self, *names: str) -> Path:
        """The folder of an encoder.

        Args:
            names: Files that are wanted, if it has to be downloaded; none means all.

        Raises:
            LenskitError: if it cannot be had.
        """
        from lenskit.download import folder_of  # brings http and ssl, which no list needs

        try:
            return folder_of(self.component.target, self.component.digests, *names)
        except (LenskitError, ImportError) as error:
            raise LenskitError(f"encoder {self.name!r} of {self.plugin.distribution}: {error}") from error


class Registry:
    """The plugins that were found and the components they bring."""

    def __init__(self, plugins: list[Plugin], records: list[Record]) -> None:
        self.plugins = plugins
        self.records = records

    @classmethod
    def discover(cls, entry_points: Iterable[metadata.EntryPoint] | None = None) -> Registry:
        """Loads every plugin that is installed (or the given entry points, for tests)."""
        if entry_points is None:
            entry_points = metadata.entry_points(group=GROUP)
        strict = is_strict()
        wanted = os.environ.get("LENSKIT_PLUGINS")
        names = None if wanted is None else {name.strip() for name in wanted.split(",")}

        manager = pluggy.PluginManager("lenskit")
        manager.add_hookspecs(hookspecs)
        plugins: list[Plugin] = []
        records: list[Record] = []
        for entry_point in sorted(entry_points, key=lambda e: (e.name, e.value)):
            if names is not None and entry_point.name not in names:
                continue
            plugin = Plugin(entry_point.name, *_origin(entry_point.dist))
            plugins.append(plugin)
            try:
                plugin_records = _ask(manager, entry_point.load(), plugin)
            except (Exception, SystemExit) as error:
                if strict:
                    raise
                plugin.error = told(error, entry_point.module)
                _say(f"plugin {plugin.name!r} of {plugin.distribution} {plugin.version} is left out: {plugin.error}")
            else:
                plugin.components = len(plugin_records)
                records += plugin_records
        taken = {record.name for record in records if record.kind == "evaluation"}
        for record in [record for record in records if record.kind == "command"]:
            if why := _no_verb(record.name, taken):
                plugin = record.plugin
                said = f"command {record.name!r} of {plugin.distribution} {plugin.version} is left out: {why}"
                if strict:
                    raise UsageError(said)
                _say(said)
                records.remove(record)
                plugin.components -= 1
                plugin.refused.append(f"command {record.name!r} is left out: {why}")
        return cls(plugins, records)

    def of_kind(self, kind: str) -> list[Record]:
        """All components of a kind, by name."""
        return sorted((r for r in self.records if r.kind == kind), key=lambda r: r.name)

    def find(self, kind: str, name: str) -> Record:
        """The component of that name: `name`, `name@distribution`, or `name:argument`.

        Raises:
            UsageError: if there is none (the near ones are suggested), or if two distributions bring it.
        """
        head, _, argument = name.partition(":")
        head, _, distribution = head.partition("@")
        candidates = [r for r in self.of_kind(kind) if r.name == head]
        if distribution:
            candidates = [r for r in candidates if r.plugin.distribution == distribution]
        if not candidates:
            raise UsageError(self._unknown(kind, name))
        if len(candidates) > 1:
            origins = sorted({f"{r.plugin.distribution} {r.plugin.version}" for r in candidates})
            choices = sorted({f"{head}@{r.plugin.distribution}" for r in candidates})
            raise UsageError(
                f"{kind} {head!r} is brought by {len(candidates)} plugins ({', '.join(origins)}): "
                f"say which, as {' or '.join(choices)}"
            )
        record = candidates[0]
        if argument and not record.component.argument:
            raise UsageError(f"{kind} {head!r} takes nothing behind a colon, got {quoted(name)}")
        if record.component.argument and not argument:
            raise UsageError(f"{kind} {head!r} needs a part behind a colon: {record.title}")
        return record

    def find_any(self, name: str) -> list[Record]:
        """The components of that name, of whatever kind, for `lenskit info`.

        Raises:
            UsageError: if there is none.
        """
        head, _, distribution = name.partition(":")[0].partition("@")
        named = [r for kind in KINDS for r in self.of_kind(kind) if r.name == head]
        matches = [r for r in named if distribution in ("", r.plugin.distribution)]
        if not matches:
            hint = near(head, [r.name for r in self.records if r not in named])
            raise UsageError(f"no component is called {quoted(name)}{hint}; `lenskit list` shows all")
        return matches

    def _unknown(self, kind: str, name: str) -> str:
        names = [r.title for r in self.of_kind(kind)]
        broken = [p for p in self.plugins if p.error]
        message = f"no {kind} is called {quoted(name)}{near(name, names)}"
        message += (
            f"; there are {listed(names, see=f'`lenskit list {KINDS[kind]}`')}" if names else "; no plugin brings one"
        )
        if "LENSKIT_PLUGINS" in os.environ:
            message += " (LENSKIT_PLUGINS limits what is loaded)"
        if broken:
            message += f" ({len(broken)} plugin(s) could not be loaded: see `lenskit plugins`)"
        return message


@cache
def registry() -> Registry:
    """The registry of this process, made at its first use."""
    return Registry.discover()


@cache
def _origin(distribution: metadata.Distribution | None) -> tuple[str, str]:
    """Name and version of a distribution: read once, for they are parsed anew at each access."""
    if distribution is None:
        return "unknown", "?"
    headers = distribution.metadata
    return headers["Name"], headers["Version"]


def _ask(manager: pluggy.PluginManager, module: Any, plugin: Plugin) -> list[Record]:
    """Calls each hook of one plugin, alone in the manager, and checks what it returns."""
    records: list[Record] = []
    try:
        manager.register(module)
        manager.check_pending()
        for kind, plural in KINDS.items():
            for components in getattr(manager.hook, f"lenskit_{plural}")():
                records += [Record(kind, component, plugin) for component in _checked(plural, components)]
    finally:
        if manager.is_registered(module):
            manager.unregister(module)
    return records


def _checked(plural: str, components: Any) -> Iterable[Component]:
    if not isinstance(components, Iterable):
        raise TypeError(f"lenskit_{plural} returned {components!r}, which is no list of Components")
    for component in components:
        if not isinstance(component, Component):
            raise TypeError(f"lenskit_{plural} returned {component!r}, which is no Component")
        yield component


def _no_verb(name: str, evaluations: Iterable[str]) -> str:
    """Why no command may have a name; empty if one may."""
    if not re.fullmatch("[a-z][a-z0-9-]*", name):
        return "a verb has lower-case letters, digits and hyphens, and begins with a letter"
    if name in VERBS:
        return "lenskit has a verb of that name"
    return "there is an evaluation of that name" if name in evaluations else ""


def _say(line: str) -> None:
    print(f"lenskit: {shortened(escaped(line), MESSAGE)}", file=sys.stderr)
