"""Discovery of plugins and their components.

Each entry point of the group `lenskit.plugins` is loaded separately, and so is each of its hooks. A fault gives a line
on standard error and a remark in `lenskit plugins`. It affects as little as possible:

- A plugin that cannot be imported is left out.
- A hook that fails, is unknown or lacks `@hookimpl` is left out. The other hooks of the plugin are called.
- A component that breaks a rule (`naming.py`) is left out. The other components of its hook are used.

Two environment variables change this. `LENSKIT_STRICT=1` raises the error instead. `LENSKIT_PLUGINS=a,b` (or an empty
value) restricts the plugins that are loaded.
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache
from importlib import metadata
from time import perf_counter
from typing import Any

import pluggy

from lenskit import hookspecs
from lenskit.captured import captured
from lenskit.component import KINDS, Component, in_words
from lenskit.errors import UsageError, near
from lenskit.found import Plugin, Record, Refusal
from lenskit.naming import DISTRIBUTION, fault, shown
from lenskit.origin import is_strict, told
from lenskit.words import MESSAGE, escaped, shortened

GROUP = "lenskit.plugins"

HOOKS = {f"lenskit_{plural}": kind for kind, plural in KINDS.items()}
"""Kind of the components that each hook returns."""


def find_plugins(
    entry_points: Iterable[metadata.EntryPoint] | None = None, specs: Any = hookspecs, **arguments: Any
) -> tuple[list[Plugin], list[Record]]:
    """Load plugins, and return them with their components.

    Args:
        entry_points: Entry points of plugins; by default those of all installed distributions.
        specs: Specifications of the hooks.
        arguments: Arguments that these specifications have. A hook of a plugin may take fewer of them.
    """
    if entry_points is None:
        entry_points = metadata.entry_points(group=GROUP)
    wanted = os.environ.get("LENSKIT_PLUGINS")
    names = None if wanted is None else {name.strip() for name in wanted.split(",")}

    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(specs)
    plugins: list[Plugin] = []
    records: list[Record] = []
    for entry_point in sorted(entry_points, key=lambda e: (e.name, e.value)):
        if names is not None and entry_point.name not in names:
            continue
        plugin = Plugin(entry_point.name, *_origin(entry_point.dist))
        plugins.append(plugin)
        records += _load(entry_point, plugin, manager, arguments)
    records = _without_doubles(records)
    for plugin in plugins:
        plugin.components = sum(record.plugin is plugin for record in records)
        _tell(plugin)
    return plugins, _meant(records)


@cache
def _origin(distribution: metadata.Distribution | None) -> tuple[str, str]:
    """Return name and version of a distribution.

    The result is cached, because the metadata are parsed again at each access.
    """
    headers = distribution.metadata if distribution else None
    if not headers:  # there is no distribution, or its metadata are missing
        return "unknown", "?"
    name, version = str(headers["Name"]), str(headers["Version"])
    return (name, version) if DISTRIBUTION.fullmatch(name) else ("unknown", version)


def _load(
    entry_point: metadata.EntryPoint, plugin: Plugin, manager: pluggy.PluginManager, arguments: Mapping[str, Any]
) -> list[Record]:
    """Load a plugin, and call each of its hooks.

    The manager holds no other plugin at the same time. A fault is recorded in the plugin, or raised if strict.
    """
    start, module = perf_counter(), None
    records: list[Record] = []
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
                records += _call(hook, plugin, entry_point.module, arguments)
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


def _call(hook: pluggy.HookCaller, plugin: Plugin, module: str, arguments: Mapping[str, Any]) -> list[Record]:
    """Call one hook, and check its result."""
    name, kind = hook.name, HOOKS[hook.name]
    try:
        components = next(iter(hook(**arguments)), None)  # pluggy leaves None out
        if isinstance(components, str | bytes | Mapping) or not isinstance(components, Iterable):
            _refuse(
                plugin, Refusal(f"hook {name}", f"it returned {shown(components)}, which is not a list of Components")
            )
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
            _refuse(plugin, Refusal(f"an entry of hook {name}", f"{shown(component)} is not a Component"))
        elif why := fault(kind, component):
            _refuse(plugin, _refusal(kind, component, why))
        else:
            records.append(Record(kind, component, plugin))
    return records


def _without_doubles(records: list[Record]) -> list[Record]:
    """Leave out components whose names are taken.

    A name is taken by an earlier component of the same kind and distribution. A command also gives way to an evaluation
    of its name, and an evaluation to a bundled command.
    """
    evaluations = {r.name for r in records if r.kind == "evaluation"}
    commands = {r.name for r in records if r.kind == "command" and r.is_bundled}
    kept: list[Record] = []
    known: set[tuple[str, str]] = set()
    for record in records:
        why = ""
        if (record.kind, record.qualified) in known:
            why = f"{record.plugin.distribution} has an earlier {in_words(record.kind)} of that name"
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
    """Set `is_meant` of the components that their bare name selects."""
    owners: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        owners.setdefault((record.kind, record.name), []).append(record)
    return [
        replace(record, is_meant=record.is_bundled or len(owners[record.kind, record.name]) == 1) for record in records
    ]


def _refusal(kind: str, component: Component, why: str) -> Refusal:
    name = component.name if isinstance(component.name, str) else ""
    return Refusal(f"{in_words(kind)} {shown(component.name)}", why, kind, name)


def _refuse(plugin: Plugin, refusal: Refusal) -> None:
    if is_strict():
        raise UsageError(refusal.of(plugin))
    plugin.refused.append(refusal)


def _tell(plugin: Plugin) -> None:
    """Report in one line the parts of a plugin that are left out."""
    if plugin.error:
        say(f"plugin {plugin.name!r} of {plugin.distribution} {plugin.version} is left out: {plugin.error}")
    elif plugin.refused:
        first, *others = plugin.refused
        more = f" (and {len(others)} more: see `lenskit plugins`)" if others else ""
        say(f"{first.of(plugin)}{more}")


def say(line: str) -> None:
    """Print a line on standard error, shortened and without control characters."""
    print(f"lenskit: {shortened(escaped(line), MESSAGE)}", file=sys.stderr)
