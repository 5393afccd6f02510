"""A run's configuration: which components with which options.

It is read in layers, each over the one before: lenskit's defaults, a recipe, a file, flags. The outcome is checked as
a whole and holds every option's value, so that `run.toml` repeats the run whatever happens to the defaults.
"""

from __future__ import annotations

import tomllib
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w

from lenskit.errors import LenskitError, UsageError
from lenskit.options import is_text, validate
from lenskit.records import load_toml, parse_toml
from lenskit.registry import Record, near, registry
from lenskit.settings import USUAL, InputSettings, MonitorSettings, OptimizerSettings, TrainSettings
from lenskit.words import listed, quoted, reason, shortened

Layer = Mapping[str, Mapping[str, Any]]


class FileLayer(dict[str, Any]):
    """A layer that a file holds.

    Args:
        path: The file, for messages.
        values: What it holds.
    """

    def __init__(self, path: Path, values: Mapping[str, Any]) -> None:
        super().__init__(values)
        self.path = path


SETTINGS: dict[str, type] = {"train": TrainSettings, "input": InputSettings, "monitor": MonitorSettings}
COMPONENTS = {"simulator": "simulator", "data": "dataset", "pairs": "pairs", "method": "method", "backbone": "backbone"}
"""Sections that name a component, and its kind."""

SECTIONS = (*SETTINGS, *COMPONENTS, "optimizer")

DEFAULTS: Layer = {
    "simulator": {"name": "hst"},
    "pairs": {"name": "lens-fixed"},
    "method": {"name": "simsiam"},
    "backbone": {"name": "resnet18"},
}


UNREADABLE = (ValueError, RecursionError)
"""Raised for a text that is no TOML, no UTF-8, has a number of too many digits, or lists in lists without end."""


@dataclass(frozen=True)
class Config:
    """A resolved configuration.

    Attributes:
        sections: For each section its plain values; component sections have a `name`, and `data` a `path`.
    """

    sections: dict[str, dict[str, Any]]

    @classmethod
    def resolve(cls, *layers: Layer, only: Container[str] = SECTIONS) -> Config:
        """Merges layers over the defaults and checks the outcome.

        Args:
            layers: Each over the one before.
            only: Sections that are wanted; the components of others are not even loaded.

        Raises:
            UsageError: for an unknown section, component or option, or a wrong value; naming the file that has it.
        """
        try:
            return cls._resolve(layers, only)
        except UsageError as error:
            for layer in layers:
                if isinstance(layer, FileLayer) and cls._fault([layer], only) == str(error):
                    raise UsageError(f"{error} (in {layer.path})") from None
            raise

    @classmethod
    def _fault(cls, layers: Sequence[Layer], only: Container[str]) -> str:
        """Return the message of the error in some layers, empty if there is none."""
        try:
            cls._resolve(layers, only)
        except UsageError as error:
            return str(error)
        return ""

    @classmethod
    def _resolve(cls, layers: Sequence[Layer], only: Container[str]) -> Config:
        usual = _usual(layers) if "method" in only else {}
        lowest = {name: dict(usual.get(name, DEFAULTS.get(name, {}))) for name in (*DEFAULTS, *usual)}
        merged = dict(lowest)
        paired = False
        beside: set[tuple[str, str]] = set()  # options that were said together with the method
        for layer in layers:
            if "data" in layer and "simulator" in layer:
                raise UsageError("data and simulator exclude each other: images are stored or simulated")
            if _replaces(merged, layer, "method"):
                # What was said of the optimiser and of the pairs was said for the method that is replaced.
                merged.pop("optimizer", None)
                paired = False
                merged |= _without_usual(merged, lowest, beside, layer["method"]["name"])
            paired = paired or "pairs" in layer
            # The optimiser comes last: its name, where none was said, is the method's.
            for section in sorted(layer, key=lambda section: section == "optimizer"):
                values = layer[section]
                _check_section(section, values)
                # The options of a component that is replaced mean nothing to the one that replaces it.
                other = _replaces(merged, layer, section)
                merged[section] = dict(values) if other else _over(merged.get(section, {}), values)
                if section in ("data", "simulator"):
                    merged.pop("simulator" if section == "data" else "data", None)
            said = {(section, option) for section, values in layer.items() for option in values}
            beside = beside | said if ("method", "name") in said else beside - said
        if not paired and "method" in only and _takes_one_view(merged["method"]):
            merged["pairs"] = {"name": "single"}
        wanted = [s for s in [*SETTINGS, *COMPONENTS] if s in only and _in(s, merged)]
        sections = {s: cls._resolve_section(s, merged.get(s, {})) for s in wanted}
        if "optimizer" in only and "method" in merged:
            sections |= _optimizer(merged["method"]["name"], merged.get("optimizer", {}))
        return cls(sections)

    @classmethod
    def from_toml(cls, path: Path | str) -> Config:
        """Reads a file that holds all of a configuration, such as a run's.

        Raises:
            UsageError: naming the file, and the section or option that is wrong.
        """
        return cls.resolve(read_layer(Path(path)))

    @staticmethod
    def _resolve_section(section: str, values: dict[str, Any]) -> dict[str, Any]:
        if section in SETTINGS:
            return validate(SETTINGS[section], values, f"section {section!r}")[1]
        kind, reserved = COMPONENTS[section], _reserved(section)
        for key, meaning in reserved.items():
            if not isinstance(values.get(key), str):
                got = f", got {quoted(values[key])}" if key in values else ""
                raise UsageError(f"section {section!r} needs a {key}, {meaning}{got}")
            if not is_text(values[key]):
                raise UsageError(f"the {key} {quoted(values[key])} is not valid UTF-8: rename the file or folder")
        own = {key: value for key, value in values.items() if key not in reserved}
        first, *rest = _parts(section, values["name"], own)
        plain = _plain(kind, *first)
        return {key: values[key] for key in reserved} | plain | {name: _plain(kind, name, part) for name, part in rest}

    def build(self, section: str, *given: Any) -> Any:
        """Constructs the component of a section (or the settings).

        Args:
            section: One of the sections.
            given: What the core gives it, before its options.
        """
        values = self.sections[section]
        if section not in COMPONENTS:
            settings = SETTINGS.get(section, OptimizerSettings)
            return settings(**validate(settings, values, f"section {section!r}")[0])
        own = {key: value for key, value in values.items() if key not in _reserved(section)}
        first, *rest = _parts(section, values["name"], own)
        built = build(COMPONENTS[section], *first, *given)
        return _composed(built, {name: build("pairs", name, options) for name, options in rest}) if rest else built

    def name(self, section: str) -> str:
        """Name of a section's component."""
        return self.sections[section]["name"]

    def to_toml(self) -> str:
        """The configuration as TOML, with escape sequences for what a terminal would not print."""
        text = tomli_w.dumps(self.sections)
        return "".join(c if c.isprintable() or c == "\n" else f"\\U{ord(c):08x}" for c in text)


def build(kind: str, name: str, options: Mapping[str, Any], *given: Any) -> Any:
    """Constructs a component by name.

    Args:
        kind: Its kind, such as `method`.
        name: Its name, as a user types it.
        options: Its options.
        given: What the core gives it, before its options.

    Raises:
        UsageError: if there is no such component, or an option is wrong, as far as its annotation or its constructor
            (by a `ValueError`) tells.
    """
    record = registry().find(kind, name)
    arguments, _ = _validated(record, name, options)
    try:
        return record.load()(*given, **arguments)
    except LenskitError:
        raise
    except ValueError as error:
        raise UsageError(f"{kind} {quoted(name)} does not take these options: {reason(error)}") from error


def read_layer(path: Path) -> dict[str, Any]:
    """Reads a TOML file.

    Raises:
        UsageError: if there is no such file, or it is not TOML.
    """
    return FileLayer(path, load_toml(path, error=UsageError))


def read_recipe(name: str) -> Layer:
    """Reads the recipe of that name, or the file of that path if the name ends in `.toml`; see `read_toml`."""
    return read_toml("recipe", name)


def read_toml(kind: str, name: str) -> dict[str, Any]:
    """Reads a component that is a TOML file: the one of that name, or the file of that path if it ends in `.toml`.

    Args:
        kind: `recipe` or `instrument`.
        name: Name or path.

    Raises:
        UsageError: if there is no such component or file, or the file is not TOML.
        LenskitError: if a plugin's file cannot be read, or is not TOML.
    """
    if name.endswith(".toml"):
        return read_layer(Path(name))
    content: dict[str, Any] = parse_toml(registry().find(kind, name).load(), f"{kind} {name!r}")
    return content


def read_layers(
    recipe: str | None, config: str | None, flags: Iterable[Layer], assignments: Iterable[str]
) -> list[Layer]:
    """Reads what a command is given into layers, each over the one before.

    Args:
        recipe: Name or path of a recipe, see `read_recipe`.
        config: Path of a configuration.
        flags: What flags of their own say.
        assignments: What `--set` says, see `read_assignment`.
    """
    below = [*([read_recipe(recipe)] if recipe else []), *([read_layer(Path(config))] if config else [])]
    return [*below, merge([*flags, *map(read_assignment, assignments)])]


def read_assignment(text: str) -> Layer:
    """Reads `section.option=value` (`--set`); the value is TOML, or else a plain string.

    Raises:
        UsageError: if the text has another form, or several lines.
    """
    key, equals, value = text.partition("=")
    section, _, option = key.strip().partition(".")
    if not (equals and section and option):
        raise UsageError(f"--set takes SECTION.OPTION=VALUE, such as method.lr=0.1, got {quoted(text)}")
    if len(text.splitlines()) > 1:
        raise UsageError(f"--set takes one option in one line; say --set once for each, got {quoted(text)}")
    try:
        read = tomllib.loads(f"value = {value.strip()}")["value"]
    except UNREADABLE:
        read = value.strip()
    return layer_of(section, option, read)


def layer_of(section: str, option: str, value: Any) -> Layer:
    """The layer that sets one option; dots in its name lead into tables."""
    name, *inner = option.split(".")
    for key in reversed(inner):
        value = {key: value}
    return {section: {name: value}}


def merge(layers: Iterable[Layer]) -> Layer:
    """Puts layers that name no components twice, such as the flags of one command, into one."""
    merged: dict[str, dict[str, Any]] = {}
    for layer in layers:
        for section, values in layer.items():
            _check_section(section, values)
            merged[section] = _over(merged.get(section, {}), values)
    return merged


def _replaces(merged: Layer, layer: Layer, section: str) -> bool:
    """Whether a layer puts another component, or another optimiser, in the place of the one below."""
    values, below = layer.get(section, {}), merged.get(section, {})
    if not isinstance(values, Mapping) or "name" not in values:
        return False
    before = below.get("name")
    if section == "optimizer" and before is None:
        before = (_method(merged).optimizer or {}).get("name")
    return values["name"] != before


def _method(merged: Layer) -> Any:
    """The class of the method."""
    return registry().find("method", str(merged["method"]["name"])).load()


def _without_usual(merged: Layer, lowest: Layer, beside: Container[tuple[str, str]], name: Any) -> dict[str, Any]:
    """What is left of the sections that a method, or the one of that name which replaces it, has beside it: what was
    said with the method that is replaced was said for it. Of a component all goes, of settings what one of them names.
    """
    if not isinstance(name, str):
        return {}
    left: dict[str, Mapping[str, Any]] = {}
    for usual in (_method(merged).usual, registry().find("method", name).load().usual):
        for section, options in usual.items():
            below, now = lowest.get(section, {}), left.get(section, merged.get(section, {}))
            if section in COMPONENTS:
                left[section] = below if (section, "name") in beside else now
            else:
                gone = {option for option in options if (section, option) in beside}
                kept = {option: value for option, value in now.items() if option not in gone}
                left[section] = kept | {option: below[option] for option in gone & below.keys()}
    return left


def _usual(layers: Iterable[Layer]) -> Layer:
    """What the method that layers choose has as its defaults of other sections."""
    name = DEFAULTS["method"]["name"]
    for layer in layers:
        method = layer.get("method")
        name = method.get("name", name) if isinstance(method, Mapping) else name
    return registry().find("method", name).load().usual if isinstance(name, str) else {}


def _over(below: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Options over others; those of a part, which are a table, over that part's."""
    return {**below} | {
        name: _over(below[name], value)
        if isinstance(value, Mapping) and isinstance(below.get(name), Mapping)
        else value
        for name, value in values.items()
    }


def _reserved(section: str) -> dict[str, str]:
    """What a component's section holds beside options, and what that is."""
    return {"name": f"the {COMPONENTS[section]} to use"} | ({"path": "where the data are"} if section == "data" else {})


def _parts(section: str, name: str, options: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """The components that a name puts together, and the options of each.

    Only pairs are put together (`lens-fixed+blur`): the options of the first stand in the section itself, as if it
    were alone, those of each other in a table of its name.

    Raises:
        UsageError: if a part is named twice, or its options are no table.
    """
    if section != "pairs":
        return [(name, dict(options))]
    first, *rest = name.split("+")
    if len({first, *rest}) <= len(rest):
        raise UsageError(f"pairs {quoted(name)} name a part twice")
    for part in rest:
        if not isinstance(options.get(part, {}), Mapping):
            raise UsageError(
                f"pairs {quoted(part)} has options, such as --set pairs.{shortened(part)}.OPTION=VALUE, "
                f"got {quoted(options[part])}"
            )
    own = {key: value for key, value in options.items() if key not in rest}
    return [(first, own), *((part, dict(options.get(part, {}))) for part in rest)]


def _plain(kind: str, name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """A component's options, checked and complete, as plain values."""
    record = registry().find(kind, name)
    plain = _validated(record, name, options)[1]
    if record.component.argument:
        plain.pop(record.component.argument)
    return plain


def _composed(first: Any, transforms: dict[str, Any]) -> Any:
    """A pair strategy with what is then done to its views.

    Raises:
        UsageError: if one of these makes pairs of its own.
    """
    from lenskit.kinds.pairs import Composition, Transform

    for name, transform in transforms.items():
        if not isinstance(transform, Transform):
            raise UsageError(f"pairs {name!r} make views of their own: only the first of several may do so")
    return Composition(first, transforms)


def _optimizer(method: str, values: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The section of the optimiser, if the method leaves it to the run: its own choices, and what is said over them.

    Raises:
        UsageError: if something is said, and the method makes its optimisers itself.
    """
    own = registry().find("method", method).load().optimizer
    if own is None:
        if values:
            raise UsageError(
                f"method {method!r} makes its optimisers itself, and takes no --optimizer, --lr or options of that "
                f"section: see `lenskit info {method}` for those of its own, such as --set method.lr=0.1"
            )
        return {}
    name = values.get("name", own["name"])
    base = own if name == own["name"] else USUAL.get(str(name), {})
    return {"optimizer": validate(OptimizerSettings, {**base, **values}, "section 'optimizer'")[1]}


def _takes_one_view(values: Mapping[str, Any]) -> bool:
    name = values.get("name")
    return isinstance(name, str) and getattr(registry().find("method", name).load(), "views", None) == 1


def _in(section: str, merged: Mapping[str, Any]) -> bool:
    return section in SETTINGS or section in merged


def _validated(record: Record, name: str, options: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Checks a component's options together with the one that the part behind a colon of its name sets."""
    argument = record.component.argument
    if argument and argument in options:
        raise UsageError(f"{record.kind} {name!r} has its {argument} behind the colon, and no option {argument!r}")
    behind = {argument: name.partition(":")[2]} if argument else {}
    see = f"`lenskit info {record.name}`"
    return validate(record.load(), {**options, **behind}, f"{record.kind} {quoted(name)}", see)


def _check_section(section: str, values: Any) -> None:
    known = SECTIONS
    if section not in known:
        raise UsageError(f"there is no section {quoted(section)}{near(section, [*known])}; there are {listed(known)}")
    if not isinstance(values, Mapping):
        raise UsageError(f"section {section!r} holds options, got {quoted(values)}")
