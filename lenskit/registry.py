"""Registry of the installed components, and lookup by name.

Two components of one kind may have the same name. If one of them is bundled, the name alone means the bundled one.
Otherwise a lookup by that name is an error. `name@distribution` selects one of them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import cache
from importlib import metadata

from lenskit.component import KINDS, in_words
from lenskit.discovery import find_plugins, say
from lenskit.errors import UsageError, meant
from lenskit.found import Plugin, Record
from lenskit.naming import is_same_distribution, parse
from lenskit.words import listed, quoted, shortened


class Registry:
    """Installed plugins and their components."""

    def __init__(self, plugins: list[Plugin], records: list[Record]) -> None:
        self.plugins = plugins
        self.records = records
        self._told: set[tuple[str, str]] = set()

    @classmethod
    def discover(cls, entry_points: Iterable[metadata.EntryPoint] | None = None) -> Registry:
        """Load every installed plugin, or the plugins of some entry points (for tests)."""
        return cls(*find_plugins(entry_points))

    def of_kind(self, kind: str) -> list[Record]:
        """Return all components of a kind, sorted by name.

        A bundled component comes before other components of the same name.
        """
        records = (record for record in self.records if record.kind == kind)
        return sorted(records, key=lambda r: (r.name, not r.is_bundled, r.plugin.distribution))

    def find(self, kind: str, name: str) -> Record:
        """Return the component that a name selects.

        The forms are `name`, `name@distribution`, `name:argument` and `name@distribution:argument`.

        If several components have the name, the bundled one is returned. A line on standard error reports this once.

        Raises:
            UsageError: No component has the name (the message suggests similar names), or several have it and none is
                bundled. Or an argument after a colon is missing, or is not accepted.
        """
        record, *others = self.named(kind, name)
        if others and (kind, record.name) not in self._told:
            self._told.add((kind, record.name))
            choices = " or ".join(r.qualified for r in others)
            origin = record.plugin.distribution
            say(f"{in_words(kind)} {record.name!r} is from {origin}; to use a different one, type {choices}")
        return record

    def named(self, kind: str, name: str) -> list[Record]:
        """Return all components with a name; the name selects the first of them.

        Nothing is printed.

        Raises:
            UsageError: As for `find`.
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
                f"{in_words(kind)} {head!r} is in {len(candidates)} plugins ({', '.join(origins)}): "
                f"type {' or '.join(choices)}"
            )
        if argument and not record.component.argument:
            raise UsageError(f"{in_words(kind)} {head!r} takes no argument after a colon, got {quoted(name)}")
        if record.component.argument and not argument:
            raise UsageError(f"{in_words(kind)} {head!r} needs an argument after a colon: {record.title}")
        return candidates

    def recorded(self, kind: str, name: str) -> str:
        """Return the name that files record, which later installations do not change.

        It is `name` for a bundled component, else `name@distribution`, followed by `:argument` if `name` has one. A
        name that selects no component is returned unchanged.
        """
        try:
            record = self.named(kind, name)[0]
        except UsageError:
            return name
        argument = parse(name).argument
        return f"{record.recorded}:{argument}" if argument else record.recorded

    def find_any(self, name: str) -> list[Record]:
        """Return the components of any kind that have a name, for `lenskit info`.

        Raises:
            UsageError: No component has the name.
        """
        head, distribution, _ = parse(name)
        named = [r for kind in KINDS for r in self.of_kind(kind) if r.name == head]
        matches = [r for r in named if _is_of(r.plugin, distribution)]
        if not matches:
            if refused := self.why_refused(name):
                raise UsageError(refused)
            hint = meant(head, [r.name for r in self.records if r not in named], "`lenskit list` shows all")
            raise UsageError(f"unknown component {quoted(name)}; {hint}")
        return matches

    def why_refused(self, name: str, kind: str | None = None) -> str:
        """Return the reason why a component is left out; empty if it is not."""
        head, distribution, _ = parse(name)
        for plugin in self.plugins:
            for refusal in plugin.refused:
                if refusal.name == head and kind in (None, refusal.kind) and _is_of(plugin, distribution):
                    return refusal.of(plugin)
        return ""

    def _unknown(self, kind: str, name: str) -> str:
        """Return the message for a name that no component has."""
        if refused := self.why_refused(name, kind):
            return refused
        distribution = parse(name).distribution
        records = self.of_kind(kind)
        typed = [r.title for r in records]
        message = f"unknown {in_words(kind)} {quoted(name)}"
        if hint := meant(name, [r.qualified for r in records] if distribution else typed):
            message += f"; {hint}"
        else:
            if distribution and not any(_is_of(plugin, distribution) for plugin in self.plugins):
                message += f": no plugin of {shortened(distribution)} is installed"
            known = listed(typed, see=f"`lenskit list {KINDS[kind]}`")
            message += f"; there are {known}" if typed else "; no plugin provides one"
        if "LENSKIT_PLUGINS" in os.environ:
            message += " (LENSKIT_PLUGINS restricts the plugins that are loaded)"
        if broken := sum(bool(p.error or p.refused) for p in self.plugins):
            message += f" ({broken} plugin(s) could not be loaded in full: see `lenskit plugins`)"
        return message


@cache
def registry() -> Registry:
    """Return the registry of this process; the first call creates it."""
    return Registry.discover()


def _is_of(plugin: Plugin, distribution: str) -> bool:
    """Whether a plugin belongs to a distribution; an empty string means any."""
    return not distribution or is_same_distribution(plugin.distribution, distribution)
