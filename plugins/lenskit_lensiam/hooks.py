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
        Component(
            "lens-fixed-dihedral",
            "lenskit_lensiam.pairs:LensFixedDihedral",
            "Two images of the same lens, turned by quarters and mirrored alike",
        ),
        Component(
            "source-fixed",
            "lenskit_lensiam.pairs:SourceFixed",
            "Two images of one source behind different lenses: a control experiment",
        ),
        Component(
            "instrument-only",
            "lenskit_lensiam.pairs:InstrumentOnly",
            "Two images with the PSF and noise level in common only: a control experiment",
        ),
    ]


@hookimpl
def lenskit_recipes():
    return [
        Component("quickstart", "lenskit_lensiam:recipes/quickstart.toml", "LenSiam in minutes on two CPU cores"),
    ]
