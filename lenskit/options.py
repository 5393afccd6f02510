"""Options of a component: the keyword-only arguments of its constructor.

The annotation of an argument is the type of the option, and its default is the default of the option. The `Args:`
section of the docstring explains the option. pydantic validates options before any work starts.
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
    """Return a validator for an upper limit that excludes only absurd values.

    Unlike `Le`, the limit is not shown in the help of the option. Write it after the type, as in
    `Annotated[int, Ge(1), at_most(64)]`.
    """

    def check(value: float) -> float:
        if value > limit:
            raise ValueError(f"at most {limit:g}")
        return value

    return AfterValidator(check)


@dataclass(frozen=True)
class Option:
    """Option of a component.

    Attributes:
        name: Name of the option.
        annotation: Type annotation.
        default: Default; `REQUIRED` if there is none.
        meaning: Text from the `Args:` section of the docstring.
    """

    name: str
    annotation: Any
    default: Any
    meaning: str

    @property
    def takes(self) -> str:
        """Accepted values in words: `int > 0`, `'torch' or 'lenstronomy'`."""
        return _describe(self.annotation)

    @property
    def required(self) -> bool:
        return self.default is REQUIRED


@cache
def options_of(component: type) -> tuple[Option, ...]:
    """Return the options of a class, its own first.

    Options of an ancestor follow if the constructor passes them on through `**options`.

    Raises:
        LenskitError: An annotation uses a name that is not defined at run time.
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
    """Return a class's docstring up to its `Args:`."""
    return inspect.cleandoc(component.__doc__ or "").split("\n\nArgs:")[0]


def validate(
    component: type, values: Mapping[str, Any], where: str, see: str = ""
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Validate options and fill in defaults.

    Args:
        component: The class.
        values: The options to validate.
        where: Name of the component in messages, such as `method 'simsiam'`.
        see: Command that shows all options.

    Returns:
        The arguments of the class's constructor, and the options as plain values that TOML can hold, without options
        that are None.

    Raises:
        UsageError: An option is unknown or has a wrong value. The message names the option and its accepted values.
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
        # The message of pydantic may quote the entire value again.
        reason = shortened(first["msg"].removeprefix("Value error, "), 200)
        raise UsageError(f"{where}: option {name} takes {options[name].takes}, got {got} ({reason})") from None
    arguments = {name: getattr(checked, name) for name in options}
    for name, value in values.items():
        # pydantic accepts true as 1.
        if isinstance(value, bool) and isinstance(arguments[name], int | float) and arguments[name] is not value:
            raise UsageError(f"{where}: option {name} takes {options[name].takes}, got {value!r}")
        if arguments[name] != options[name].default and (wrong := _unfit(arguments[name])):
            got = quoted(value)
            raise UsageError(f"{where}: option {name} takes {options[name].takes}, got {got} ({wrong})")
    return arguments, checked.model_dump(mode="json", exclude_none=True)


def _unfit(value: Any) -> str:
    """Return the reason why a value fits no option, or an empty text.

    Values in lists and tables are checked, too.
    """
    if isinstance(value, Mapping):
        return next(filter(None, map(_unfit, [*value, *value.values()])), "")
    if isinstance(value, list | tuple | set | frozenset):
        return next(filter(None, map(_unfit, value)), "")
    if isinstance(value, Distribution):
        return _unfit(tuple(vars(value).values()))
    if isinstance(value, str | PurePath) and not is_text(value):
        return "it is not valid UTF-8"
    if isinstance(value, int) and value not in INTEGERS:
        return "an integer has at most 64 bits"
    if isinstance(value, float) and not abs(value) <= LARGEST:
        return "a number must be finite and within float32, below 3.4e38"
    return ""


def is_text(text: str | PurePath) -> bool:
    """Whether a text can be written to a file as UTF-8; some file names cannot."""
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
        # An option may be called `copy` or `schema`, like old methods of pydantic's models.
        warnings.filterwarnings("ignore", message="Field name .* shadows an attribute", category=UserWarning)
        return create_model(component.__name__, __config__=config, **fields)


def _meanings(component: type) -> dict[str, str]:
    """Return the meaning of each argument in the docstrings of a class.

    The docstrings of the class and its constructor take precedence over those of its ancestors.
    """
    meanings: dict[str, str] = {}
    for ancestor in reversed(component.__mro__):
        for text in (ancestor.__doc__, getattr(vars(ancestor).get("__init__"), "__doc__", None)):
            text = inspect.cleandoc(text or "")
            if text.startswith("Args:\n"):  # a constructor's docstring, which `cleandoc` dedents entirely
                text = "\nArgs:\n" + textwrap.indent(text.removeprefix("Args:\n"), "    ")
            try:
                parsed = docstring_parser.parse(text, docstring_parser.DocstringStyle.GOOGLE)
            except docstring_parser.ParseError:
                continue  # a docstring of another style has no `Args:`
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
    if origin in (list, tuple, dict):
        return f"{origin.__name__}[{', '.join('...' if a is ... else _describe(a) for a in arguments)}]"
    if origin is not None:
        return str(annotation).replace("typing.", "")
    return getattr(annotation, "__name__", str(annotation))


def _describe_bounds(extra: Any) -> str:
    """Return the bounds of an annotation, such as `Gt(0)` or `Interval`, as a text."""
    bounds = ((sign, getattr(extra, name, None)) for name, sign in _SIGNS.items())
    return " and ".join(f"{sign} {bound}" for sign, bound in bounds if bound is not None)
