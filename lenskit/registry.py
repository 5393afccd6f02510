"""Finds components by name.

Two components of one kind may have the same name. A bundled one is meant by its name alone; among others, only asking
for that name is an error. `name@distribution` picks one.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import cache
from importlib import metadata

from lenskit.component import KINDS
from lenskit.discovery import find_plugins, say
from lenskit.errors import UsageError, near
from lenskit.found import Plugin, Record
from lenskit.naming import is_same_distribution, parse
from lenskit.words import listed, quoted, shortened


class Registry:
    """The plugins that were found and the components they bring."""

    def __init__(self, plugins: list[Plugin], records: list[Record]) -> None:
        self.plugins = plugins
        self.records = records
        self._told: set[tuple[str, str]] = set()

    @classmethod
    def discover(cls, entry_points: Iterable[metadata.EntryPoint] | None = None) -> Registry:
        """Loads every plugin that is installed (or the given entry points, for tests)."""
        return cls(*find_plugins(entry_points))

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
            say(f"{kind} {record.name!r} is that of {record.plugin.distribution}; for another, say {choices}")
        return record

    def named(self, kind: str, name: str) -> list[Record]:
        """The components of a name, beginning with the one that the name means. Prints nothing.

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


def _is_of(plugin: Plugin, distribution: str) -> bool:
    """Whether a plugin is of a distribution; of any if that is empty."""
    return not distribution or is_same_distribution(plugin.distribution, distribution)
