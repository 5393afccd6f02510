"""Finds plugins, and finds components in them.

Each entry point of the group `lenskit.plugins` is loaded in a guard of its own, and so is each of its hooks. A fault
costs a line on standard error and a remark in `lenskit plugins`, and no more than it has to:

- A plugin that cannot be imported is left out.
- A hook that fails, is unknown or lacks `@hookimpl` brings nothing; the plugin's other hooks do.
- A component that breaks a rule (`naming.py`) is left out alone.

Two environment variables steer this: `LENSKIT_STRICT=1` raises instead, `LENSKIT_PLUGINS=a,b` (or an empty value)
limits what is loaded.

Two components of one kind may have the same name. A bundled one is meant by its name alone; among others, only asking
for that name is an error. `name@distribution` picks one.
"""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import metadata, resources
from pathlib import Path
from time import perf_counter
from typing import Any

import pluggy

from lenskit import hookspecs
from lenskit.captured import captured
from lenskit.component import FILES, KINDS, Component
from lenskit.errors import LenskitError, UsageError, near
from lenskit.interface import old_names
from lenskit.naming import BUNDLED, DISTRIBUTION, fault, is_same_distribution, parse, shown
from lenskit.origin import is_strict, remember, told
from lenskit.words import MESSAGE, escaped, listed, quoted, shortened

GROUP = "lenskit.plugins"

BASES = {
    "simulator": ("lenskit.kinds.simulator", "Simulator"),
    "dataset": ("lenskit.kinds.dataset", "Dataset"),
    "pairs": ("lenskit.kinds.pairs", "PairStrategy"),
    "method": ("lenskit.kinds.method", "Method"),
    "backbone": ("lenskit.kinds.backbone", "Backbone"),
    "evaluation": ("lenskit.kinds.evaluation", "Evaluation"),
    "format": ("lenskit.kinds.format", "FileFormat"),
}
"""Module and name of the base that a class of a kind derives from. It is imported only when the class is."""

OFFERED = {"FileFormat": "Format, ImageFormat or FeatureFormat"}
"""Names that plugins have for a base, where they are others."""

SLOW = 0.2
"""Seconds after which loading a plugin counts as slow."""

HOOKS = {f"lenskit_{plural}": kind for kind, plural in KINDS.items()}
"""Kind of the components of each hook."""


@dataclass(frozen=True)
class Refusal:
    """Something of a plugin that is left out.

    Attributes:
        what: Words for it, such as `method 'mine'` or `hook lenskit_methods`.
        why: The reason.
        kind: Kind, if it is a component.
        name: Name, if it is a component.
    """

    what: str
    why: str
    kind: str = ""
    name: str = ""

    def __str__(self) -> str:
        return f"{self.what} is left out: {self.why}"

    def of(self, plugin: Plugin) -> str:
        """Say it with the plugin's distribution and version."""
        return f"{self.what} of {plugin.distribution} {plugin.version} is left out: {self.why}"


@dataclass
class Plugin:
    """A plugin that was found.

    Attributes:
        name: Name of its entry point.
        distribution: Name of its distribution.
        version: Version of that.
        error: Why it could not be imported.
        components: Number of its components.
        refused: What of it is left out.
        printed: What it printed or logged while it was loaded.
        seconds: Time that it took to load.
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
        """Lines for its author."""
        lines = [str(refusal) for refusal in self.refused]
        if self.seconds > SLOW:
            lines.append(f"took {self.seconds:.2g} s to load: hooks and packages' __init__ import nothing heavy")
        if self.printed.strip():
            lines.append(f"printed while it was loaded: {shortened(' '.join(self.printed.split()), MESSAGE)}")
        return lines


@dataclass(frozen=True)
class Record:
    """A component together with its kind and the plugin that brought it.

    Attributes:
        is_meant: Whether its name alone means it; else the distribution has to be named, too.
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
        """Whether it comes with lenskit."""
        return is_same_distribution(self.plugin.distribution, BUNDLED)

    @property
    def qualified(self) -> str:
        """The name with the distribution: `simsiam@lenskit-ssl`."""
        return f"{self.name}@{self.plugin.distribution}"

    @property
    def recorded(self) -> str:
        """The name that files record: with the distribution, unless the component is bundled."""
        return self.name if self.is_bundled else self.qualified

    @property
    def typed(self) -> str:
        """The name as a user types it: without the distribution if that need not be named."""
        return self.name if self.is_meant else self.qualified

    @property
    def title(self) -> str:
        """The same, with the part behind a colon if one is expected: `timm:MODEL`."""
        argument = self.component.argument
        return f"{self.typed}:{argument.upper()}" if argument else self.typed

    @property
    def origin(self) -> str:
        """Where it comes from, for messages: `method 'simsiam' of lenskit-ssl 0.1.0`."""
        return f"{self.kind} {self.name!r} of {self.plugin.distribution} {self.plugin.version}"

    def load(self) -> Any:
        """Imports the class or the command that the component names; reads the file of a recipe or an instrument;
        finds the folder of an encoder, and downloads it if need be.

        Raises:
            LenskitError: if the class was written for another interface, or cannot be loaded.
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
                    raise TypeError(f"{attribute} is no click.Command")
                return loaded
            if not isinstance(loaded, type):
                raise TypeError(f"{attribute} is no class")
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
        self._told: set[tuple[str, str]] = set()

    @classmethod
    def discover(cls, entry_points: Iterable[metadata.EntryPoint] | None = None) -> Registry:
        """Loads every plugin that is installed (or the given entry points, for tests)."""
        if entry_points is None:
            entry_points = metadata.entry_points(group=GROUP)
        wanted = os.environ.get("LENSKIT_PLUGINS")
        names = None if wanted is None else {name.strip() for name in wanted.split(",")}

        manager = pluggy.PluginManager(hookspecs.PROJECT)
        manager.add_hookspecs(hookspecs)
        plugins: list[Plugin] = []
        records: list[Record] = []
        for entry_point in sorted(entry_points, key=lambda e: (e.name, e.value)):
            if names is not None and entry_point.name not in names:
                continue
            plugin = Plugin(entry_point.name, *_origin(entry_point.dist))
            plugins.append(plugin)
            records += _load(entry_point, plugin, manager)
        records = _without_doubles(records)
        for plugin in plugins:
            plugin.components = sum(record.plugin is plugin for record in records)
            _tell(plugin)
        return cls(plugins, _meant(records))

    def of_kind(self, kind: str) -> list[Record]:
        """All components of a kind, by name; of one name, the bundled one is first."""
        records = (record for record in self.records if record.kind == kind)
        return sorted(records, key=lambda r: (r.name, not r.is_bundled, r.plugin.distribution))

    def find(self, kind: str, name: str) -> Record:
        """The component of that name: `name`, `name@distribution`, or `name:argument`.

        Of several of one name, the bundled one is meant, which is said once on standard error.

        Raises:
            UsageError: if there is none (the near ones are suggested), or if two distributions bring it.
        """
        record, *others = self.named(kind, name)
        if others and (kind, record.name) not in self._told:
            self._told.add((kind, record.name))
            choices = " or ".join(r.qualified for r in others)
            _say(f"{kind} {record.name!r} is that of {record.plugin.distribution}; for another, say {choices}")
        return record

    def named(self, kind: str, name: str) -> list[Record]:
        """The components of a name, the one that is meant first; nothing is said of the others.

        Raises:
            UsageError: as `find` does.
        """
        head, distribution, argument = parse(name)
        candidates = [r for r in self.of_kind(kind) if r.name == head and _is_of(r.plugin, distribution)]
        if not candidates:
            raise UsageError(self._unknown(kind, name))
        record, *others = candidates
        if others and not record.is_bundled:
            origins = sorted({f"{r.plugin.distribution} {r.plugin.version}" for r in candidates})
            choices = sorted({r.qualified for r in candidates})
            raise UsageError(
                f"{kind} {head!r} is brought by {len(candidates)} plugins ({', '.join(origins)}): "
                f"say which, as {' or '.join(choices)}"
            )
        if argument and not record.component.argument:
            raise UsageError(f"{kind} {head!r} takes nothing behind a colon, got {quoted(name)}")
        if record.component.argument and not argument:
            raise UsageError(f"{kind} {head!r} needs a part behind a colon: {record.title}")
        return candidates

    def recorded(self, kind: str, name: str) -> str:
        """The name by which files record a component, whatever else is installed later.

        It is `name` for a bundled component and `name@distribution` for another, with `:argument` if there is one. A
        name that means no component, or several, stays as it is.
        """
        try:
            record = self.named(kind, name)[0]
        except UsageError:
            return name
        argument = parse(name).argument
        return f"{record.recorded}:{argument}" if argument else record.recorded

    def find_any(self, name: str) -> list[Record]:
        """The components of that name, of whatever kind, for `lenskit info`.

        Raises:
            UsageError: if there is none.
        """
        head, distribution, _ = parse(name)
        named = [r for kind in KINDS for r in self.of_kind(kind) if r.name == head]
        matches = [r for r in named if _is_of(r.plugin, distribution)]
        if not matches:
            if refused := self.why_refused(name):
                raise UsageError(refused)
            hint = near(head, [r.name for r in self.records if r not in named])
            raise UsageError(f"no component is called {quoted(name)}{hint}; `lenskit list` shows all")
        return matches

    def why_refused(self, name: str, kind: str | None = None) -> str:
        """Say why a component is left out; empty if none of that name is."""
        head, distribution, _ = parse(name)
        for plugin in self.plugins:
            for refusal in plugin.refused:
                if refusal.name == head and kind in (None, refusal.kind) and _is_of(plugin, distribution):
                    return refusal.of(plugin)
        return ""

    def _unknown(self, kind: str, name: str) -> str:
        if refused := self.why_refused(name, kind):
            return refused
        distribution = parse(name).distribution
        records = self.of_kind(kind)
        typed = [r.title for r in records]
        hint = near(name, [r.qualified for r in records] if distribution else typed)
        message = f"no {kind} is called {quoted(name)}{hint}"
        if distribution and not hint and not any(_is_of(plugin, distribution) for plugin in self.plugins):
            message += f": no plugin of {shortened(distribution)} is installed"
        message += (
            f"; there are {listed(typed, see=f'`lenskit list {KINDS[kind]}`')}" if typed else "; no plugin brings one"
        )
        if "LENSKIT_PLUGINS" in os.environ:
            message += " (LENSKIT_PLUGINS limits what is loaded)"
        if broken := sum(bool(p.error or p.refused) for p in self.plugins):
            message += f" ({broken} plugin(s) could not be loaded in full: see `lenskit plugins`)"
        return message


@cache
def registry() -> Registry:
    """The registry of this process, made at its first use."""
    return Registry.discover()


@cache
def _origin(distribution: metadata.Distribution | None) -> tuple[str, str]:
    """Name and version of a distribution: read once, for they are parsed anew at each access."""
    try:
        assert distribution is not None
        headers = distribution.metadata
        name, version = str(headers["Name"]), str(headers["Version"])
    except Exception:  # there is none, or its metadata are damaged
        return "unknown", "?"
    return (name, version) if DISTRIBUTION.fullmatch(name) else ("unknown", version)


def _is_of(plugin: Plugin, distribution: str) -> bool:
    """Whether a plugin is of a distribution; of any if that is empty."""
    return not distribution or is_same_distribution(plugin.distribution, distribution)


def _load(entry_point: metadata.EntryPoint, plugin: Plugin, manager: pluggy.PluginManager) -> list[Record]:
    """Load a plugin, and call each of its hooks, alone in the manager.

    What goes wrong is noted in the plugin, or raised if strict.
    """
    start, records, module = perf_counter(), list[Record](), None
    with captured() as texts:
        try:
            module = entry_point.load()
            manager.register(module)
        except (Exception, SystemExit) as error:
            if is_strict():
                raise
            plugin.error = told(error, entry_point.module)
        else:
            for hook in _hooks_of(module, plugin, manager):
                records += _call(hook, plugin, entry_point.module)
        finally:
            if module is not None and manager.is_registered(module):
                manager.unregister(module)
    plugin.seconds, plugin.printed = perf_counter() - start, "".join(texts)
    return records


def _hooks_of(module: Any, plugin: Plugin, manager: pluggy.PluginManager) -> list[pluggy.HookCaller]:
    """Return the hooks of a module, in the order of the kinds."""
    hooks = {hook.name: hook for hook in manager.get_hookcallers(module) or ()}
    for name in HOOKS:
        if name not in hooks and inspect.isroutine(getattr(module, name, None)):
            _refuse(plugin, Refusal(f"hook {name}", "it lacks @hookimpl"))
    for name in sorted(hooks.keys() - HOOKS):
        _refuse(plugin, Refusal(f"hook {name}", f"there is no such hook{near(name, HOOKS)}"))
    return [hooks[name] for name in HOOKS if name in hooks]


def _call(hook: pluggy.HookCaller, plugin: Plugin, module: str) -> list[Record]:
    """Call one hook, and check what it returns."""
    name, kind = hook.name, HOOKS[hook.name]
    try:
        components = next(iter(hook()), None)  # pluggy leaves None out
        if isinstance(components, str | bytes | Mapping) or not isinstance(components, Iterable):
            _refuse(plugin, Refusal(f"hook {name}", f"it returned {shown(components)}, which is no list of Components"))
            return []
        every = list(components)
    except (Exception, SystemExit) as error:
        if is_strict():
            raise
        plugin.refused.append(Refusal(f"hook {name}", told(error, module)))
        return []
    records = []
    for component in every:
        if not isinstance(component, Component):
            _refuse(plugin, Refusal(f"an entry of hook {name}", f"{shown(component)} is no Component"))
        elif why := fault(kind, component):
            _refuse(plugin, _refusal(kind, component, why))
        else:
            records.append(Record(kind, component, plugin))
    return records


def _without_doubles(records: list[Record]) -> list[Record]:
    """Leave out components that nobody could ask for: a second one of a name, or a second verb.

    A command gives way to an evaluation, and any evaluation to a bundled command.
    """
    evaluations = {r.name for r in records if r.kind == "evaluation"}
    commands = {r.name for r in records if r.kind == "command" and r.is_bundled}
    kept: list[Record] = []
    known: set[tuple[str, str]] = set()
    for record in records:
        why = ""
        if (record.kind, record.qualified) in known:
            why = f"{record.plugin.distribution} brings another one of that name"
        elif record.kind == "command" and not record.is_bundled and record.name in evaluations:
            why = "there is an evaluation of that name"
        elif record.kind == "evaluation" and record.name in commands:
            why = "lenskit has a command of that name"
        if why:
            _refuse(record.plugin, _refusal(record.kind, record.component, why))
        else:
            known.add((record.kind, record.qualified))
            kept.append(record)
    return kept


def _meant(records: list[Record]) -> list[Record]:
    """Mark the components that their name alone does not mean."""
    owners: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        owners.setdefault((record.kind, record.name), []).append(record)
    return [
        replace(record, is_meant=record.is_bundled or len(owners[record.kind, record.name]) == 1) for record in records
    ]


def _refusal(kind: str, component: Component, why: str) -> Refusal:
    name = component.name if isinstance(component.name, str) else ""
    return Refusal(f"{kind} {shown(component.name)}", why, kind, name)


def _refuse(plugin: Plugin, refusal: Refusal) -> None:
    if is_strict():
        raise UsageError(refusal.of(plugin))
    plugin.refused.append(refusal)


def _tell(plugin: Plugin) -> None:
    """Say in one line what of a plugin is left out."""
    if plugin.error:
        _say(f"plugin {plugin.name!r} of {plugin.distribution} {plugin.version} is left out: {plugin.error}")
    elif plugin.refused:
        first, *others = plugin.refused
        more = f" (and {len(others)} more: see `lenskit plugins`)" if others else ""
        _say(f"{first.of(plugin)}{more}")


def _say(line: str) -> None:
    print(f"lenskit: {shortened(escaped(line), MESSAGE)}", file=sys.stderr)
