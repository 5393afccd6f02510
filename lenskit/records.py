"""Reading of JSON and TOML files, which are validated with pydantic models.

Every error is one line that names the file and the field.
"""

from __future__ import annotations

import json
import math
import re
import reprlib
import tomllib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from lenskit.errors import LenskitError

LARGEST = {"JSON": 2**26, "TOML": 2**20}
"""Largest size of a file in bytes. tomllib needs a second for a megabyte."""
DEEPEST = 64
"""Largest depth of lists and tables, so that readers can use recursion."""
BITS = 64
"""Largest number of bits of an integer: numpy, torch and other readers of JSON accept no more."""


_LONG_KEY = re.compile(rf"""(?:\.[ \t]*[\w"'-]+[ \t]*){{{DEEPEST}}}""")
"""Dotted key with many parts (`a.a.a.a. ...`), which takes tomllib minutes to parse."""


class Record(BaseModel):
    """Model of a file. Further fields are kept unchanged.

    Types are strict: `"1"` and `true` are not numbers. Numbers are finite.
    """

    model_config = ConfigDict(strict=True, extra="allow", allow_inf_nan=False, protected_namespaces=())


class FiniteRecord(Record):
    """Record whose numbers are all finite, including those of further fields."""

    @model_validator(mode="before")
    @classmethod
    def _is_finite(cls, found: Any) -> Any:
        if _has_infinite(found):
            raise ValueError("it holds NaN or Infinity; all numbers must be finite")
        return found


def load_json(
    path: Path, model: type[Record] | None = Record, where: str = "", error: type[LenskitError] = LenskitError
) -> Any:
    """Read a JSON file that contains an object.

    Args:
        path: The file.
        model: Model of its contents; None if the caller checks them.
        where: Name of the file in messages; by default its path.
        error: Class of errors.

    Returns:
        All contents, as plain values.

    Raises:
        LenskitError: The file cannot be read, is not JSON, or does not fit the model. The class is `error`.
    """
    where = where or str(path)
    return parse_json(_content(path, "JSON", where, error), where, model, error)


def load_toml(
    path: Path, model: type[Record] = Record, where: str = "", error: type[LenskitError] = LenskitError
) -> dict[str, Any]:
    """Read a TOML file; see `load_json`."""
    where = where or str(path)
    return parse_toml(_content(path, "TOML", where, error), where, model, error)


def parse_json(
    content: str | bytes, where: str, model: type[Record] | None = Record, error: type[LenskitError] = LenskitError
) -> Any:
    """Read an object from JSON in memory; see `load_json`."""
    try:
        value = json.loads(_text(content), object_pairs_hook=_distinct)
    except (ValueError, RecursionError) as fault:
        raise error(f"{where} is no valid JSON: {_reason(fault)}") from None
    return checked(value, where, model, error)


def parse_toml(
    content: str | bytes, where: str, model: type[Record] = Record, error: type[LenskitError] = LenskitError
) -> dict[str, Any]:
    """Read TOML in memory; see `load_json`."""
    try:
        if _LONG_KEY.search(text := _text(content)):
            raise RecursionError
        value = tomllib.loads(text)
    except (ValueError, RecursionError) as fault:
        raise error(f"{where} is no valid TOML: {_reason(fault)}") from None
    return checked(value, where, model, error)


def checked(
    found: Any, where: str, model: type[Record] | None = Record, error: type[LenskitError] = LenskitError
) -> Any:
    """Validate plain values with a model; see `load_json`.

    Raises:
        LenskitError: The values do not fit the model; the message names the field. The class is `error`.
    """
    if model and not isinstance(found, dict):
        raise error(f"{where} holds no object")
    if fault := _unsound(found):
        raise error(f"{where} has a wrong field {fault[0]}: {fault[1]}")
    if not model:
        return found
    try:
        model.model_validate(found)
    except ValidationError as faults:
        first = faults.errors(include_url=False)[0]
        field = _name(first["loc"])
        if first["type"] == "missing":
            raise error(f"{where} lacks the field {field}") from None
        reason = first["msg"].removeprefix("Input ").removeprefix("Value error, ")
        got = reprlib.repr(first["input"])
        raise error(f"{where} has a wrong field {field}: {reason}, got {got}") from None
    return found


def _content(path: Path, kind: str, where: str, error: type[LenskitError]) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST[kind] + 1)
    except OSError as fault:
        raise error(f"{where} cannot be read: {fault.strerror}") from None
    if len(content) > LARGEST[kind]:
        raise error(f"{where} is larger than {LARGEST[kind] >> 20} MiB, the limit for such a file")
    return content


def _text(content: str | bytes) -> str:
    """Decode text, without the byte order mark of some editors."""
    return content.decode("utf-8-sig") if isinstance(content, bytes) else content


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build an object; a key that occurs twice is an error, although JSON permits it."""
    fields = dict(pairs)
    if len(fields) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the field {next(key for key in fields if keys.count(key) > 1)} occurs twice")
    return fields


def _reason(fault: Exception) -> str:
    if isinstance(fault, RecursionError):
        return f"it is nested more than {DEEPEST} levels deep"
    if isinstance(fault, UnicodeDecodeError):
        return f"it is not UTF-8 at byte {fault.start}"
    return " ".join(str(fault).split())[:160]


def _unsound(found: Any) -> tuple[str, str] | None:
    """Return the first field that is unsafe for readers, and the reason.

    The function does not use recursion, because it guards against deep nesting.
    """
    # A place is a key and the place of its container. Its name is built only for a message.
    waiting: list[tuple[Any, Any, int]] = [(None, found, 0)]
    while waiting:
        place, value, depth = waiting.pop()
        if depth > DEEPEST:
            return _path(place), f"it is nested more than {DEEPEST} levels deep"
        if isinstance(value, dict):
            waiting += (((key, place), item, depth + 1) for key, item in value.items())
            value = "".join(value)
        elif isinstance(value, list):
            waiting += (((number, place), item, depth + 1) for number, item in enumerate(value))
        elif isinstance(value, int) and value.bit_length() > BITS:
            return _path(place), f"a whole number of more than {BITS} bits"
        if isinstance(value, str) and not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                return _path(place), "text that is no valid Unicode"
    return None


def _has_infinite(found: Any) -> bool:
    """Whether plain values (not deeply nested) contain NaN or infinities."""
    if isinstance(found, dict):
        return any(map(_has_infinite, found.values()))
    if isinstance(found, list):
        return any(map(_has_infinite, found))
    return isinstance(found, float) and not math.isfinite(found)


def _path(place: Any) -> str:
    parts: list[str | int] = []
    while place:
        key, place = place
        parts.append(key.encode(errors="replace").decode() if isinstance(key, str) else key)
    return _name(parts[::-1])


def _name(parts: Any) -> str:
    """Return a name such as `targets[0].name`, shortened if long."""
    name = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts).removeprefix(".")
    return name if len(name) <= 80 else f"{name[:77]}..."
