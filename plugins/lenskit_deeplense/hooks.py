"""What this plugin brings."""

from lenskit.plugin import Component, hookimpl


@hookimpl
def lenskit_simulators() -> list[Component]:
    return []


@hookimpl
def lenskit_methods() -> list[Component]:
    return []


@hookimpl
def lenskit_backbones() -> list[Component]:
    return []


@hookimpl
def lenskit_recipes() -> list[Component]:
    return []
