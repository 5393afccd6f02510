"""What this plugin brings."""

from lenskit.plugin import Component, hookimpl


@hookimpl
def lenskit_pairs():
    return [
        Component(
            "lens-fixed",
            "lenskit_lensiam.pairs:LensFixed",
            "Two images of the same lens with other source, light, PSF and noise",
        ),
    ]


@hookimpl
def lenskit_recipes():
    return [
        Component("quickstart", "lenskit_lensiam:recipes/quickstart.toml", "LenSiam in minutes on two CPU cores"),
    ]
