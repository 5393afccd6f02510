"""Component chosen by name, with validated options."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from lenskit.component import in_words
from lenskit.errors import LenskitError, UsageError
from lenskit.interface import old_names
from lenskit.naming import without_distribution
from lenskit.options import validate
from lenskit.registry import registry
from lenskit.words import quoted, reason, shortened


@dataclass(frozen=True)
class Chosen:
    """Component with validated options.

    Attributes:
        kind: Kind, such as `method`.
        name: Name that files record.
        component: The class.
        arguments: Validated options as arguments of the constructor.
        plain: Validated options as plain values that TOML can hold, without options that are None.
    """

    kind: str
    name: str
    component: type
    arguments: dict[str, Any]
    plain: dict[str, Any]

    def build(self, *given: Any) -> Any:
        """Construct the component.

        Args:
            given: Positional arguments of the constructor.

        Raises:
            UsageError: The constructor raises a `ValueError` for its options.
            LenskitError: The component was written for plugin interface 1.
        """
        try:
            component = self.component(*given, **deepcopy(self.arguments))
        except LenskitError:
            raise
        except ValueError as error:
            raise UsageError(
                f"{in_words(self.kind)} {quoted(self.name)} does not accept these options: {reason(error)}"
            ) from error
        if changes := old_names(self.kind, component):
            raise LenskitError(
                f"{in_words(self.kind)} {quoted(self.name)} was written for plugin interface 1: change "
                f"{', '.join(changes)}"
            )
        return component


@dataclass(frozen=True)
class ChosenPairs:
    """Pair strategy composed of several components (`lens-fixed+blur`).

    Attributes:
        first: Component that makes the views.
        rest: Components that transform the views, in this order.
    """

    first: Chosen
    rest: tuple[Chosen, ...]

    @property
    def name(self) -> str:
        """Name that files record."""
        return "+".join(part.name for part in (self.first, *self.rest))

    @property
    def arguments(self) -> dict[str, Any]:
        """Validated options; an option of a later part is `PART.OPTION`."""
        parts = self._by_part().items()
        return self.first.arguments | {f"{key}.{name}": v for key, part in parts for name, v in part.arguments.items()}

    @property
    def plain(self) -> dict[str, Any]:
        """Return the options as plain values, with one table for each further part."""
        return self.first.plain | {key: part.plain for key, part in self._by_part().items()}

    def _by_part(self) -> dict[str, Chosen]:
        """Return the parts after the first, by the names of their tables of options."""
        return {without_distribution(part.name): part for part in self.rest}

    def build(self) -> Any:
        """Construct the components.

        Raises:
            UsageError: A part after the first is no transform, but makes views itself.
        """
        from lenskit.kinds.pairs import Composition, Transform

        transforms = {key: part.build() for key, part in self._by_part().items()}
        for name, transform in transforms.items():
            if not isinstance(transform, Transform):
                raise UsageError(f"pair strategy {name!r} makes views itself, so it must be the first part")
        return Composition(self.first.build(), transforms)


def choose(kind: str, name: str, options: Mapping[str, Any]) -> Chosen:
    """Find a component by name, and validate its options.

    Args:
        kind: Kind, such as `method`.
        name: Name as a user types it. The text after a colon is the value of an option.
        options: Options.

    Raises:
        UsageError: The name is unknown, or an option is wrong.
        LenskitError: The component cannot be loaded.
    """
    record = registry().find(kind, name)
    component, argument = record.load(), record.component.argument
    if argument and argument in options:
        raise UsageError(f"{in_words(kind)} {name!r} sets {argument} after the colon: remove the option {argument!r}")
    behind = {argument: name.partition(":")[2]} if argument else {}
    arguments, plain = validate(
        component, {**options, **behind}, f"{in_words(kind)} {quoted(name)}", f"`lenskit info {record.typed}`"
    )
    plain = {key: value for key, value in plain.items() if key not in behind}
    return Chosen(kind, registry().recorded(kind, name), component, arguments, plain)


def choose_pairs(name: str, options: Mapping[str, Any]) -> Chosen | ChosenPairs:
    """Choose a pair strategy, which may consist of parts joined by `+`.

    The section holds the options of the first part directly. For each further part it has a table of options, named
    like the part without the distribution.

    Raises:
        UsageError: A part is named twice, or its options are no table.
    """
    first, *rest = name.split("+")
    tables = {without_distribution(part): part for part in rest}
    if len({without_distribution(first), *tables}) <= len(rest):
        raise UsageError(f"pair strategy {quoted(name)} names a part twice")
    for key, part in tables.items():
        if not isinstance(options.get(key, {}), Mapping):
            raise UsageError(
                f"pair strategy {quoted(part)} takes options, such as --set pairs.{shortened(key)}.OPTION=VALUE, "
                f"got {quoted(options[key])}"
            )
    head = choose("pairs", first, {key: value for key, value in options.items() if key not in tables})
    parts = tuple(choose("pairs", part, options.get(key, {})) for key, part in tables.items())
    return ChosenPairs(head, parts) if parts else head


def build(kind: str, name: str, options: Mapping[str, Any], *given: Any) -> Any:
    """Construct a component by name.

    Args:
        kind: Kind, such as `method`.
        name: Name as a user types it.
        options: Options.
        given: Positional arguments of the constructor.

    Raises:
        UsageError: The name is unknown, or an option is wrong.
        LenskitError: The component cannot be loaded.
    """
    return choose(kind, name, options).build(*given)
