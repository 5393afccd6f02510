"""A component's options: its keyword-only constructor arguments.

There is nothing to declare: annotations say what an option takes, defaults what it is when not given, and the `Args:`
part of the docstring what it means. They are validated by pydantic before any work starts.
"""

from __future__ import annotations

import inspect
import textwrap
import types
import typing
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import PurePath
from typing import Annotated, Any, Literal, get_args, get_origin

import docstring_parser
from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError, create_model

from lenskit.distributions import Distribution
from lenskit.errors import LenskitError, UsageError, meant
from lenskit.words import listed, quoted, shortened

REQUIRED = inspect.Parameter.empty

INTEGERS = range(-(2**63), 2**63)
"""Integers that torch, TOML and FITS can hold."""

LARGEST = 3.4028234663852886e38
"""The largest float32."""


def at_most(limit: float) -> AfterValidator:
    """An upper limit that keeps nonsense out, and is not worth a word where an option is explained.

    It is written behind the type as in `Annotated[int, Ge(1), at_most(64)]`.
    """

    def check(value: float) -> float:
        if value > limit:
            raise ValueError(f"at most {limit:g}")
        return value

    return AfterValidator(check)


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
    """The options of a class, its own first, then what it passes on to its ancestors through `**options`.

    Raises:
        LenskitError: if an annotation names what cannot be found at run time.
    """
    options: dict[str, Option] = {}
    meanings = _meanings(component)
    for ancestor in component.__mro__:
        init = ancestor.__dict__.get("__init__")
        if not inspect.isfunction(init):
            continue
        try:
            hints = typing.get_type_hints(init, include_extras=True)
        except NameError as error:
            raise LenskitError(
                f"the options of {ancestor.__module__}.{ancestor.__qualname__} cannot be read: {error} when its "
                "annotations are evaluated (is it imported under TYPE_CHECKING only?)"
            ) from None
        parameters = inspect.signature(init).parameters.values()
        for parameter in parameters:
            if parameter.kind is parameter.KEYWORD_ONLY and parameter.name not in options:
                name = parameter.name
                options[name] = Option(name, hints.get(name, Any), parameter.default, meanings.get(name, ""))
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
            break
    return tuple(options.values())


def description(component: type) -> str:
    """A class's docstring up to its `Args:`."""
    return inspect.cleandoc(component.__doc__ or "").split("\n\nArgs:")[0]


def validate(
    component: type, values: Mapping[str, Any], where: str, see: str = ""
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Checks options and fills in defaults.

    Args:
        component: The class.
        values: What was given.
        where: How messages name the component, such as `method 'simsiam'`.
        see: Command that shows all options.

    Returns:
        The arguments to construct the class with, and the same as plain values that TOML can hold (without those that
        are None).

    Raises:
        UsageError: naming the option, what it takes, and the nearest name.
    """
    options = {option.name: option for option in options_of(component)}
    for name in values:
        if name not in options:
            hint = meant(name, options, f"it has {listed(options, see=see) or 'none'}")
            raise UsageError(f"{where} has no option {quoted(name)}: {hint}")
    try:
        checked = _model(component).model_validate(dict(values))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        name = str(first["loc"][0]) if first["loc"] else ""
        if first["type"] == "missing":
            raise UsageError(f"{where} needs option {name} ({options[name].takes}): {options[name].meaning}") from None
        got = quoted(values.get(name, options[name].default))
        # Quotes the value again, in many words.
        reason = shortened(first["msg"].removeprefix("Value error, "), 200)
        raise UsageError(f"{where}: option {name} takes {options[name].takes}, got {got} ({reason})") from None
    arguments = {name: getattr(checked, name) for name in options}
    for name, value in values.items():
        # pydantic would take true for 1.
        if isinstance(value, bool) and isinstance(arguments[name], int | float) and arguments[name] is not value:
            raise UsageError(f"{where}: option {name} takes {options[name].takes}, got {value!r}")
        if arguments[name] != options[name].default and (wrong := _unfit(arguments[name])):
            got = quoted(value)
            raise UsageError(f"{where}: option {name} takes {options[name].takes}, got {got} ({wrong})")
    return arguments, checked.model_dump(mode="json", exclude_none=True)


def _unfit(value: Any) -> str:
    """Why a value, or one in it, can be no option of any component; nothing if it can."""
    if isinstance(value, Mapping):
        return next(filter(None, map(_unfit, [*value, *value.values()])), "")
    if isinstance(value, list | tuple | set | frozenset):
        return next(filter(None, map(_unfit, value)), "")
    if isinstance(value, Distribution):
        return _unfit(tuple(vars(value).values()))
    if isinstance(value, str | PurePath) and not is_text(value):
        return "it is not valid UTF-8"
    if isinstance(value, int) and value not in INTEGERS:
        return "an integer has 64 bits"
    if isinstance(value, float) and not abs(value) <= LARGEST:
        return "a number is finite, and below 3.4e38 as float32 is"
    return ""


def is_text(text: str | PurePath) -> bool:
    """Whether a text can be written to a file: the name of a file that is not UTF-8 cannot."""
    try:
        str(text).encode()
    except UnicodeEncodeError:
        return False
    return True


@cache
def _model(component: type) -> type[BaseModel]:
    fields: dict[str, Any] = {
        option.name: (option.annotation, ... if option.required else option.default) for option in options_of(component)
    }
    config = ConfigDict(arbitrary_types_allowed=True, validate_default=True, protected_namespaces=())
    with warnings.catch_warnings():
        # An option may well be called `copy` or `schema`, as old methods of pydantic's models are.
        warnings.filterwarnings("ignore", message="Field name .* shadows an attribute", category=UserWarning)
        return create_model(component.__name__, __config__=config, **fields)


def _meanings(component: type) -> dict[str, str]:
    """What the docstrings of a class and its constructor, or else those of its ancestors, say of each argument."""
    meanings: dict[str, str] = {}
    for ancestor in reversed(component.__mro__):
        for text in (ancestor.__doc__, getattr(vars(ancestor).get("__init__"), "__doc__", None)):
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


_SIGNS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}


def _describe(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        bounds = [_describe_bounds(extra) for extra in arguments[1:]]
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


def _describe_bounds(extra: Any) -> str:
    """The bounds that one of annotated_types' objects stands for, such as `Gt(0)` or an `Interval`."""
    bounds = ((sign, getattr(extra, name, None)) for name, sign in _SIGNS.items())
    return " and ".join(f"{sign} {bound}" for sign, bound in bounds if bound is not None)
