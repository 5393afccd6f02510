"""A component's options: its keyword-only constructor arguments.

There is nothing to declare: annotations say what an option takes, defaults what it is when not given, and the `Args:`
part of the docstring what it means. They are validated by pydantic before any work starts.
"""

from __future__ import annotations

import difflib
import inspect
import textwrap
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal, get_args, get_origin

import docstring_parser
from annotated_types import BaseMetadata
from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from lenskit.distributions import Distribution
from lenskit.errors import UsageError

REQUIRED = inspect.Parameter.empty


@dataclass(frozen=True)
class Option:
    """One option of a component."""

    name: str
    annotation: Any
    default: Any
    meaning: str

    @property
    def takes(self) -> str:
        """What it takes, in words: `int > 0`, `'torch' or 'lenstronomy'`."""
        return _describe(self.annotation)

    @property
    def required(self) -> bool:
        return self.default is REQUIRED


@cache
def options_of(component: type) -> tuple[Option, ...]:
    """The options of a class, its own first, then what it passes on to its ancestors through `**options`."""
    found: dict[str, Option] = {}
    for ancestor in component.__mro__:
        init = ancestor.__dict__.get("__init__")
        if not inspect.isfunction(init):
            continue
        hints = typing.get_type_hints(init, include_extras=True)
        meanings = _meanings(ancestor, init)
        parameters = inspect.signature(init).parameters.values()
        for parameter in parameters:
            if parameter.kind is parameter.KEYWORD_ONLY and parameter.name not in found:
                name = parameter.name
                found[name] = Option(name, hints.get(name, Any), parameter.default, meanings.get(name, ""))
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
            break
    return tuple(found.values())


def validate(component: type, values: Mapping[str, Any], where: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Checks options and fills in defaults.

    Args:
        component: The class.
        values: What was given.
        where: How messages name the component, such as `method 'simsiam'`.

    Returns:
        The arguments to construct the class with, and the same as plain values that TOML can hold (without those that
        are None).

    Raises:
        UsageError: naming the option, what it takes, and the nearest name.
    """
    options = {option.name: option for option in options_of(component)}
    for name in values:
        if name not in options:
            near = difflib.get_close_matches(name, options, n=1, cutoff=0.5)
            hint = f": did you mean {near[0]}?" if near else f"; it has {', '.join(options) or 'none'}"
            raise UsageError(f"{where} has no option {name!r}{hint}")
    try:
        checked = _model(component).model_validate(dict(values))
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]) if first["loc"] else ""
        if first["type"] == "missing":
            raise UsageError(f"{where} needs option {name} ({options[name].takes}): {options[name].meaning}") from None
        reason = first["msg"].removeprefix("Value error, ")
        got = values.get(name, options[name].default)
        raise UsageError(f"{where}: option {name} takes {options[name].takes}, got {got!r} ({reason})") from None
    arguments = {name: getattr(checked, name) for name in options}
    return arguments, checked.model_dump(mode="json", exclude_none=True)


@cache
def _model(component: type) -> type[BaseModel]:
    fields: dict[str, Any] = {
        option.name: (option.annotation, ... if option.required else option.default) for option in options_of(component)
    }
    config = ConfigDict(arbitrary_types_allowed=True, validate_default=True, protected_namespaces=())
    return create_model(component.__name__, __config__=config, **fields)


def _meanings(owner: type, init: Any) -> dict[str, str]:
    """What the docstrings of a constructor and of its class say of each argument."""
    meanings: dict[str, str] = {}
    for text in (owner.__doc__, init.__doc__):
        text = inspect.cleandoc(text or "")
        if text.startswith("Args:\n"):  # a constructor's, in which formatters take the indentation away
            text = "\nArgs:\n" + textwrap.indent(text.removeprefix("Args:\n"), "    ")
        try:
            parsed = docstring_parser.parse(text, docstring_parser.DocstringStyle.GOOGLE)
        except docstring_parser.ParseError:
            continue  # a docstring of another style explains nothing here, and harms nothing
        for parameter in parsed.params:
            meanings[parameter.arg_name] = " ".join((parameter.description or "").split())
    return meanings


_BOUNDS = {"Gt": ("gt", ">"), "Ge": ("ge", ">="), "Lt": ("lt", "<"), "Le": ("le", "<=")}


def _describe(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        bounds = [_describe_bound(extra) for extra in arguments[1:] if isinstance(extra, BaseMetadata)]
        return f"{_describe(arguments[0])} {' and '.join(filter(None, bounds))}".rstrip()
    if origin is Literal:
        return " or ".join(repr(value) for value in arguments)
    if origin in (typing.Union, types.UnionType):
        return " or ".join("nothing" if a is type(None) else _describe(a) for a in arguments)
    if isinstance(annotation, type) and issubclass(annotation, Distribution):
        return "a distribution"
    if origin is not None:
        return str(annotation).replace("typing.", "")
    return getattr(annotation, "__name__", str(annotation))


def _describe_bound(bound: BaseMetadata) -> str:
    parts = []
    for attribute, sign in _BOUNDS.values():
        value = getattr(bound, attribute, None)
        if value is not None:
            parts.append(f"{sign} {value}")
    return " and ".join(parts)
