"""What this plugin brings."""

from lenskit.plugin import Component, hookimpl


@hookimpl
def lenskit_simulators():
    return [
        Component("hst", "lenskit_lensing.hst:HST", "HST-like galaxy-scale lenses: the scene of LenSiam"),
    ]
