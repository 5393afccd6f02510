"""Components of this plugin.

This module runs whenever lenskit starts, so it imports nothing else.
"""

from lenskit.plugin import Component, hookimpl


@hookimpl
def lenskit_simulators():
    return [
        Component(
            "double-plane",
            "lenskit_ssl_double_plane.simulator:DoublePlane",
            "Lenses with two sources at different redshifts",
        ),
    ]


@hookimpl
def lenskit_recipes():
    return [
        Component(
            "double-plane-simsiam",
            "lenskit_ssl_double_plane:recipe.toml",
            "SimSiam on lens-fixed pairs of double-plane lenses",
        ),
    ]
