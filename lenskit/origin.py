"""Origins of components and places of errors, for messages."""

from __future__ import annotations

import os

_origins: dict[type, str] = {}


def is_strict() -> bool:
    """Whether `LENSKIT_STRICT=1` is set, so that faults in plugins give tracebacks."""
    return os.environ.get("LENSKIT_STRICT", "") not in ("", "0")


def remember(component: type, origin: str) -> None:
    """Store the origin of a component's class.

    Args:
        component: The class.
        origin: Text such as `method 'simsiam' of lenskit-ssl 0.1.0`.
    """
    _origins[component] = origin


def origin_of(component: object) -> str:
    """Return the origin of a component: `method 'simsiam' of lenskit-ssl 0.1.0`.

    Args:
        component: A class or an object. If no registry loaded it, its module and class are returned.
    """
    cls = component if isinstance(component, type) else type(component)
    return _origins.get(cls, f"{cls.__module__}.{cls.__qualname__}")


def is_known(component: object) -> bool:
    """Whether a registry loaded the class of an object."""
    return type(component) in _origins


def told(error: BaseException, module: str) -> str:
    """Return an error and its place in the code, in one line.

    For example `KeyError: 'x' (my_plugin.sim, line 12)`.

    Args:
        error: The error.
        module: A module of the plugin. The place is the last line of the traceback in the module's package. If the
            traceback has no such line, the place is omitted.
    """
    line = " ".join(f"{type(error).__name__}: {error}".split())
    package, place, traceback = module.partition(".")[0], "", error.__traceback__
    while traceback:
        name = traceback.tb_frame.f_globals.get("__name__", "")
        if name.partition(".")[0] == package:
            place = f" ({name}, line {traceback.tb_lineno})"
        traceback = traceback.tb_next
    return line + place
