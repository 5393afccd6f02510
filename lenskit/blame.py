"""Identification of the plugin in whose code an error arose."""

from __future__ import annotations

from typing import Any

from lenskit.found import Plugin
from lenskit.origin import is_known, origin_of, told
from lenskit.registry import registry


def fault_of_plugin(error: BaseException) -> str | None:
    """Return a line that blames a third party's plugin for an error, or None.

    None means that the error arose in lenskit itself. The line names the component, its distribution, the error, the
    module and the line number, such as `method 'mine' of lenskit-mine 1.0 failed: KeyError: 'x' (lenskit_mine.method,
    line 12)`, and advises to set LENSKIT_STRICT=1 for the traceback.

    Args:
        error: The error, with its traceback.
    """
    plugins = _packages()
    package, origin, traceback = "", "", error.__traceback__
    while traceback:
        frame, traceback = traceback.tb_frame, traceback.tb_next
        of = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        if of in plugins:
            package, origin = of, _component(frame.f_locals.get("self")) or _plugin(plugins[of])
    if not package:
        return None
    return f"{origin} failed: {told(error, package)}; set LENSKIT_STRICT=1 to see the traceback"


def _packages() -> dict[str, Plugin]:
    """Return the plugins of third parties by the package of their components."""
    foreign = [record for record in registry().records if not record.is_bundled]
    return {record.component.target.partition(":")[0].partition(".")[0]: record.plugin for record in foreign}


def _component(owner: Any) -> str | None:
    return origin_of(owner) if is_known(owner) else None


def _plugin(plugin: Plugin) -> str:
    return f"plugin {plugin.name!r} of {plugin.distribution} {plugin.version}"
