"""Plugin hooks: the pair strategies, recipes and encoder of this plugin."""

from lenskit.plugin import Component, hookimpl


@hookimpl
def lenskit_pairs() -> list[Component]:
    return [
        Component(
            "lens-fixed",
            "lenskit_lensiam.pairs:LensFixed",
            "Two images of the same lens with different sources, lens light, PSFs and noise",
        ),
        Component(
            "lens-fixed-dihedral",
            "lenskit_lensiam.pairs:LensFixedDihedral",
            "Lens-fixed pairs, both images rotated by the same multiple of 90 degrees and mirrored alike",
        ),
        Component(
            "source-fixed",
            "lenskit_lensiam.pairs:SourceFixed",
            "Two images of the same source behind different lenses (control experiment)",
        ),
        Component(
            "instrument-only",
            "lenskit_lensiam.pairs:InstrumentOnly",
            "Two images that share only the PSF and the noise level (control experiment)",
        ),
    ]


@hookimpl
def lenskit_recipes() -> list[Component]:
    summaries = {
        "default": "Default components: SimSiam with a ResNet-18 on lens-fixed pairs of HST images",
        "quickstart": "LenSiam in minutes on two CPU cores",
        "lensiam": "LenSiam with live lenses, a ResNet-50 and an asinh stretch, for a GPU",
        "lensiam-paper": "LenSiam as in its paper: ResNet-101, 224 pixels, 800 epochs",
        "simsiam-paper": "The paper's baseline: SimSiam on one image, augmented twice",
        "hst-lens": "Supervised Einstein radii from scenes like real HST lenses, without a lens-light shortcut",
        "byol-lens": "BYOL on lens-fixed pairs, for a GPU",
        "vit-lens": "A vision transformer on lens-fixed pairs with DINO, for a GPU",
    }
    return [Component(name, f"lenskit_lensiam:recipes/{name}.toml", summary) for name, summary in summaries.items()]


@hookimpl
def lenskit_encoders() -> list[Component]:
    return [
        Component(
            "hst-lens", "lenskit_lensiam:encoders/hst-lens", "Einstein radii of simulated and real HST lens cutouts"
        )
    ]
