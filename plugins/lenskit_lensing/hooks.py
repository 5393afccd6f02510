"""Plugin hooks: the simulators and instruments of this plugin."""

from lenskit.plugin import Component, hookimpl


@hookimpl
def lenskit_simulators() -> list[Component]:
    return [
        Component("hst", "lenskit_lensing.simulators.hst:HST", "HST-like galaxy-scale lenses, as in LenSiam"),
        Component(
            "euclid-challenge",
            "lenskit_lensing.simulators.euclid:EuclidChallenge",
            "Euclid images of lenses and non-lenses, as in the Lens Finding Challenge 2",
        ),
        Component(
            "injection",
            "lenskit_lensing.simulators.injection:Injection",
            "Simulated arcs added to your own cutouts of real galaxies",
        ),
    ]


@hookimpl
def lenskit_instruments() -> list[Component]:
    return [
        Component(
            "hst-acs-f814w", "lenskit_lensing:instruments/hst-acs-f814w.toml", "HST ACS/WFC in F814W, as in SLACS"
        ),
        Component("euclid-vis", "lenskit_lensing:instruments/euclid-vis.toml", "Euclid VIS, the visible imager"),
        Component(
            "euclid-nisp",
            "lenskit_lensing:instruments/euclid-nisp.toml",
            "Euclid NISP, the near-infrared imager: Y, J, H",
        ),
        Component("lsst", "lenskit_lensing:instruments/lsst.toml", "Rubin LSST after ten years: g, r, i"),
        Component(
            "jwst-nircam", "lenskit_lensing:instruments/jwst-nircam.toml", "JWST NIRCam: F115W, F150W, F277W, F444W"
        ),
    ]
