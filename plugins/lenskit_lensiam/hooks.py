"""What this plugin brings."""

from lenskit.plugin import Component, hookimpl


@hookimpl
def lenskit_pairs() -> list[Component]:
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
def lenskit_recipes() -> list[Component]:
    summaries = {
        "default": "The components that count where nothing else is named: SimSiam on lens-fixed pairs of HST images",
        "quickstart": "LenSiam in minutes on two CPU cores",
        "lensiam": "LenSiam at its best, for a GPU",
        "lensiam-paper": "LenSiam as in its paper: ResNet-101, 224 pixels, 800 epochs",
        "simsiam-paper": "The paper's baseline: SimSiam on one image, augmented twice",
        "hst-lens": "Scenes like real HST lenses, without a shortcut to theta_E",
        "byol-lens": "BYOL on lens-fixed pairs, for a GPU",
        "vit-lens": "A vision transformer on lens-fixed pairs with DINO, for a GPU",
    }
    return [Component(name, f"lenskit_lensiam:recipes/{name}.toml", summary) for name, summary in summaries.items()]


@hookimpl
def lenskit_encoders() -> list[Component]:
    return [Component("hst-lens", "lenskit_lensiam:encoders/hst-lens", "Einstein radii of HST lenses, real ones too")]
