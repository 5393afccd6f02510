"""Names of components, and checks of the records of components."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from lenskit.component import FILES, INTERFACE, Component
from lenskit.verbs import VERBS
from lenskit.words import quoted

BUNDLED = "lenskit-ssl"
"""Distribution of the bundled components. Files record bundled components by name, without the distribution."""

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
DISTRIBUTION = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
"""Form of a distribution's name, https://packaging.python.org/en/latest/specifications/name-normalization."""

WITHOUT_ARGUMENT = ("dataset", "command", "format", *FILES)
"""Kinds whose names take no argument after a colon."""

BEST = "best"
"""Subfolder of a run's results, for the results of the best encoder."""


class Name(NamedTuple):
    """Parts of `head@distribution:argument`; missing parts are empty."""

    head: str
    distribution: str
    argument: str

    def __str__(self) -> str:
        distribution = f"@{self.distribution}" if self.distribution else ""
        return f"{self.head}{distribution}{f':{self.argument}' if self.argument else ''}"


def parse(name: str) -> Name:
    """Split a name as a user types it."""
    before, _, argument = name.partition(":")
    head, _, distribution = before.partition("@")
    return Name(head, distribution, argument)


def without_distribution(name: str) -> str:
    """Remove the distribution from a name: `noise@lenskit-foo:1` gives `noise:1`."""
    return str(parse(name)._replace(distribution=""))


def is_same_distribution(one: str, other: str) -> bool:
    """Whether two names mean one distribution: `Lenskit_Foo` and `lenskit-foo` do."""
    return _normal(one) == _normal(other)


def _normal(distribution: str) -> str:
    return re.sub("[-_.]+", "-", distribution).lower()


def shown(value: Any) -> str:
    """Return any value as a short text, even if its `repr` fails."""
    try:
        return quoted(value)
    except Exception:
        return f"a {type(value).__name__}"


def fault(kind: str, component: Component) -> str:
    """Return the reason why a component is invalid, or an empty text."""
    return _interface_fault(component.interface) or _name_fault(kind, component.name) or _other_fault(kind, component)


def _interface_fault(interface: Any) -> str:
    if type(interface) is not int:
        return f"its interface is {shown(interface)}, which is not an integer"
    if interface == INTERFACE:
        return ""
    update = "the plugin" if interface < INTERFACE else BUNDLED
    written = f"it was written for plugin interface {shown(interface)}"
    return f"{written}, but this version of lenskit has {INTERFACE}: update {update}"


def _name_fault(kind: str, name: Any) -> str:
    if type(name) is not str or not NAME.fullmatch(name):
        return (
            "a name must have up to 64 lower-case letters, digits, dots, hyphens and underscores, "
            "and begin with a letter or a digit"
        )
    if name.endswith(".toml"):
        return "a name must not end in .toml, which marks a file"
    if kind == "pairs" and "." in name:
        return "a name of pairs must not contain a dot, which precedes an option (--set pairs.NAME.OPTION=VALUE)"
    if kind in ("evaluation", "command") and name in VERBS:
        return "lenskit has a verb of this name"
    if kind == "evaluation" and name == BEST:
        return f"the folder {BEST} of a run is for the results of its best encoder: choose a different name"
    return ""


def _other_fault(kind: str, component: Component) -> str:
    target, summary, argument, digests = component.target, component.summary, component.argument, component.digests
    if type(summary) is not str or len(summary.splitlines()) > 1:
        return f"a summary must be one line of text, got {shown(summary)}"
    if type(target) is not str or not _is_target(kind, target):
        form = "package:path" if kind in (*FILES, "encoder") else "package.module:name"
        return f"a target of this kind must have the form {form}, got {shown(target)}"
    if argument is not None and (type(argument) is not str or not argument.isidentifier()):
        return f"argument must be the name of an option, got {shown(argument)}"
    if argument is not None and kind in WITHOUT_ARGUMENT:
        return "components of this kind take no argument"
    if not isinstance(digests, Mapping) or not all(type(text) is str for pair in digests.items() for text in pair):
        return f"digests must map each file name to its digest, got {shown(digests)}"
    return ""


def _is_target(kind: str, target: str) -> bool:
    if not target.isprintable():
        return False
    if kind == "encoder" and "://" in target:
        return True
    package, _, attribute = target.partition(":")
    is_package = all(part.isidentifier() for part in package.split("."))
    return is_package and (bool(attribute) if kind in (*FILES, "encoder") else attribute.isidentifier())
