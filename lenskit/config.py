"""Configuration of a run: its components and their options.

Layers, lowest first: the method's defaults, the recipe `default`, the recipe, the file, the flags. Options of a higher
layer override those of a lower one, with three rules:

- If a layer names a method different from the chosen one, the sections `method` and `optimizer` of the layer are
  dropped. Its values for options that either method has defaults for are dropped as well; of a component, the whole
  section.
- A layer that names a different component replaces the whole section. `data` and `simulator` replace each other.
- A layer that names a different optimizer takes the defaults of that optimizer.

The result is validated once. It holds the value of every option, so `run.toml` repeats the run even if defaults change.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tomli_w

from lenskit.chosen import Chosen, ChosenPairs, choose, choose_pairs
from lenskit.component import in_words
from lenskit.errors import UsageError
from lenskit.layers import (
    COMPONENTS,
    SECTIONS,
    FileLayer,
    Layer,
    assignment,
    check_sections,
    merge,
    over,
    read_layer,
    read_recipe,
)
from lenskit.naming import without_distribution
from lenskit.options import is_text, options_of, validate
from lenskit.records import parse_toml
from lenskit.registry import registry
from lenskit.settings import USUAL, InputSettings, MonitorSettings, OptimizerSettings, TrainSettings
from lenskit.words import quoted, shortened

SETTINGS: dict[str, type] = {"train": TrainSettings, "input": InputSettings, "monitor": MonitorSettings}

DEFAULT = ("default", "lenskit-ssl")
"""Name and distribution of the recipe with the defaults, which all other recipes override."""


@dataclass(frozen=True)
class Settings:
    """Validated settings.

    Attributes:
        component: The class.
        arguments: Arguments of its constructor.
        plain: The arguments as plain values.
    """

    component: type
    arguments: dict[str, Any]
    plain: dict[str, Any]

    def build(self) -> Any:
        """Construct the settings."""
        return self.component(**self.arguments)


@dataclass(frozen=True)
class Config:
    """Resolved configuration.

    Attributes:
        sections: Plain values of each section; a section of a component has a `name`, and `data` also a `path`.
        validated: For each section, the validated settings or component that `build` constructs.
    """

    sections: dict[str, dict[str, Any]]
    validated: dict[str, Settings | Chosen | ChosenPairs] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def resolve(cls, *layers: Layer, only: Container[str] = SECTIONS) -> Config:
        """Merge layers over the defaults, and validate the result.

        Args:
            layers: Layers; each overrides the one before.
            only: Sections to resolve. The components of other sections are not loaded.

        Raises:
            UsageError: A section, component or option is unknown, or a value is wrong. If the fault is in a file, the
                message names the file.
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
        """Return the message of the error in layers; empty if they are valid."""
        try:
            cls._resolve(layers, only)
        except UsageError as error:
            return str(error)
        return ""

    @classmethod
    def _resolve(cls, layers: Sequence[Layer], only: Container[str]) -> Config:
        merged = _merged([_default(), *layers], with_method="method" in only)
        needed = {*SETTINGS, *COMPONENTS} - {"simulator" if "data" in merged else "data"}
        sections: dict[str, dict[str, Any]] = {}
        validated: dict[str, Settings | Chosen | ChosenPairs] = {}
        for section in SECTIONS:
            values = merged.get(section, {})
            if section not in only:
                continue
            if section in SETTINGS:
                validated[section] = _settings(SETTINGS[section], section, values)
            elif section in needed:
                sections[section], validated[section] = _component(section, values)
            elif section == "optimizer" and (settings := _optimizer(validated["method"], values)):
                validated[section] = settings
            if section in validated:
                sections[section] = sections.get(section, {}) | validated[section].plain
        return cls(sections, validated)

    @classmethod
    def from_toml(cls, path: Path | str) -> Config:
        """Read a file with a complete configuration, such as a run's `run.toml`.

        Raises:
            UsageError: A section or option is wrong; the message names the section or option and the file.
        """
        return cls.resolve(read_layer(Path(path)))

    def build(self, section: str, *given: Any) -> Any:
        """Construct the component or the settings of a section.

        Args:
            section: Name of the section.
            given: Positional arguments of the component's constructor.

        Raises:
            UsageError: The constructor does not accept its options.
        """
        return self.validated[section].build(*given)

    def name(self, section: str) -> str:
        """Return the name of a section's component."""
        return self.sections[section]["name"]

    def to_toml(self) -> str:
        """Return the configuration as TOML.

        Characters that a terminal would not print are written as escape sequences.
        """
        text = tomli_w.dumps(self.sections)
        return "".join(c if c.isprintable() or c == "\n" else f"\\U{ord(c):08x}" for c in text)


def read_layers(
    recipe: str | None,
    config: str | None,
    flags: Iterable[Layer],
    set: Mapping[str, Any],
    only: Container[str] = SECTIONS,
) -> list[Layer]:
    """Read the arguments of a command into layers.

    Each layer overrides the one before.

    Args:
        recipe: Name or path of a recipe, see `read_recipe`.
        config: Path of a configuration.
        flags: Layers of flags.
        set: Values by `section.option`, which override the flags (see `assignment`), or options by section.
        only: Sections that the command uses.

    Raises:
        UsageError: A file cannot be read, or an entry of `set` names no section.
    """
    if not isinstance(set, Mapping):
        raise UsageError(f"set takes values by name, such as {{'train.epochs': 10}}, got {set!r}")
    below = [] if recipe is None else [read_recipe(recipe)]
    below += [] if config is None else [read_layer(Path(config))]
    layers, bare = [*flags], dict[str, Any]()
    for key, value in set.items():
        if not isinstance(key, str):
            raise UsageError(f"set takes options by name, such as {{'train.epochs': 10}}, got {key!r}")
        if isinstance(value, Mapping) and "." not in key:
            layers.append({key: value})
        elif key.strip() and "." not in key:
            bare[key.strip()] = value
        else:
            layers.append(assignment(key, value))
    merged = [*below, merge(layers)]
    if bare:
        key, value = next(iter(bare.items()))
        raise UsageError(
            f"--set takes SECTION.OPTION=VALUE, got {quoted(f'{key}={value}')}: {_advice(key, value, merged, only)}"
        )
    return merged


def _advice(key: str, value: Any, layers: Sequence[Layer], only: Container[str]) -> str:
    """Return advice for an option without a section: its section, or an example."""
    if key in SETTINGS:
        return f"{key} is a section, with options such as {key}.{next(iter(options_of(SETTINGS[key]))).name}"
    if key in SECTIONS:
        return f"{key} is a section; use {key}.name={shortened(str(value))}"
    try:
        config = Config.resolve(*layers, only=only)
    except UsageError as error:
        return str(error)
    options = {section: chosen.arguments for section, chosen in config.validated.items()}
    places = [f"{section}.{option}" for section, names in options.items() for option in names]
    if matches := [place for place in places if place.endswith(f".{key}")]:
        return f"use {' or '.join(matches)}"
    section = next((name for name in ("method", "simulator") if options.get(name)), "train")
    return f"no section has the option {quoted(key)}; an example is {section}.{next(iter(options[section]))}"


def _default() -> Layer:
    """Return the recipe `default`; empty if its plugin was not loaded."""
    records = (r for r in registry().of_kind("recipe") if (r.name, r.plugin.distribution) == DEFAULT)
    return next((parse_toml(record.load(), "recipe 'default'") for record in records), {})


def _merged(layers: Sequence[Layer], with_method: bool) -> dict[str, dict[str, Any]]:
    """Merge layers by the rules of this module.

    Args:
        layers: Layers; each overrides the one before.
        with_method: Whether the rules about the method apply.
    """
    for layer in layers:
        check_sections(layer)
        if "data" in layer and "simulator" in layer:
            raise UsageError("data and simulator exclude each other: images are stored or simulated")
    layers = [_recorded(layer) for layer in layers]
    names = [layer["method"]["name"] for layer in layers if "name" in layer.get("method", {})]
    optimizer = None
    if with_method and names and isinstance(names[-1], str):
        method = _method(names[-1])
        optimizer = (method.optimizer_defaults or {}).get("name")
        layers = [_recorded(method.default_sections), *(_without_replaced(layer, names[-1]) for layer in layers)]
    merged: dict[str, dict[str, Any]] = {}
    for layer in layers:
        for section, values in layer.items():
            below = merged.get(section, {})
            before = below.get("name", optimizer if section == "optimizer" else None)
            merged[section] = dict(values) if values.get("name", before) != before else over(below, values)
            if section in ("data", "simulator"):
                merged.pop("simulator" if section == "data" else "data", None)
    return merged


def _recorded(layer: Layer) -> Layer:
    """Replace the names of a layer's components by the names that files record.

    Each component then has a single name, no matter how it was typed.
    """
    return {section: _recorded_section(section, values) for section, values in layer.items()}


def _recorded_section(section: str, values: Mapping[str, Any]) -> Mapping[str, Any]:
    name = values.get("name")
    if section == "pairs":  # a table of options of a part is named without the distribution
        values = {without_distribution(key) if isinstance(v, Mapping) else key: v for key, v in values.items()}
    if section not in COMPONENTS or not isinstance(name, str):
        return values
    parts = name.split("+") if section == "pairs" else [name]
    return {**values, "name": "+".join(registry().recorded(COMPONENTS[section], part) for part in parts)}


def _method(name: str) -> Any:
    """Return the class of a method."""
    return registry().named("method", name)[0].load()


def _without_replaced(layer: Layer, chosen: str) -> Layer:
    """Drop a layer's settings for its own method if a different method is chosen."""
    own = layer.get("method", {}).get("name", chosen)
    if own == chosen or not isinstance(own, str):
        return layer
    kept = {section: values for section, values in layer.items() if section not in ("method", "optimizer")}
    for defaults in (_method(own).default_sections, _method(chosen).default_sections):
        for section, options in defaults.items():
            if section in COMPONENTS:
                kept.pop(section, None)
            elif section in kept:
                kept[section] = {name: value for name, value in kept[section].items() if name not in options}
    return kept


def _settings(settings: type, section: str, values: Mapping[str, Any]) -> Settings:
    return Settings(settings, *validate(settings, values, f"section {section!r}"))


def _component(section: str, values: Mapping[str, Any]) -> tuple[dict[str, Any], Chosen | ChosenPairs]:
    """Choose the component of a section.

    Returns:
        The entries `name` and, for data, `path`; and the component.

    Raises:
        UsageError: An entry is missing or wrong.
    """
    reserved = {"name": f"the {in_words(COMPONENTS[section])} to use"}
    if section == "data":
        reserved["path"] = "the file or folder of the data"
    for key, meaning in reserved.items():
        if not isinstance(values.get(key), str):
            got = f", got {quoted(values[key])}" if key in values else ""
            raise UsageError(f"section {section!r} needs a {key}, {meaning}{got}")
        if not is_text(values[key]):
            raise UsageError(f"the {key} {quoted(values[key])} is not valid UTF-8: rename the file or folder")
    options = {key: value for key, value in values.items() if key not in reserved}
    name = values["name"]
    chosen = choose_pairs(name, options) if section == "pairs" else choose(COMPONENTS[section], name, options)
    return {key: values[key] for key in reserved} | {"name": chosen.name}, chosen


def _optimizer(method: Any, values: Mapping[str, Any]) -> Settings | None:
    """Return the settings of the optimizer; None if the method creates its own.

    `values` override the defaults of the method.

    Raises:
        UsageError: There are values, but the method creates its own optimizers.
    """
    own = method.component.optimizer_defaults
    if own is None:
        if values:
            raise UsageError(
                f"method {method.name!r} creates its own optimizers: omit --optimizer, --lr and the section "
                f"optimizer, and see `lenskit info {method.name}` for its options"
            )
        return None
    name = values.get("name", own["name"])
    base = own if name == own["name"] else USUAL.get(str(name), {})
    return _settings(OptimizerSettings, "optimizer", {**base, **values})
