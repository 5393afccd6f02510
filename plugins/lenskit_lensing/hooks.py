"""What this plugin brings."""

from lenskit.plugin import Component, hookimpl


@hookimpl
def lenskit_simulators() -> list[Component]:
    return [
        Component("hst", "lenskit_lensing.simulators.hst:HST", "HST-like galaxy-scale lenses: the scene of LenSiam"),
        Component(
            "euclid-challenge",
            "lenskit_lensing.simulators.euclid:EuclidChallenge",
            "Euclid's lenses and non-lenses, as in the Lens Finding Challenge 2",
        ),
        Component(
            "injection",
            "lenskit_lensing.simulators.injection:Injection",
            "Arcs on your own cutouts of real galaxies",
        ),
    ]


@hookimpl
def lenskit_instruments() -> list[Component]:
    return [
        Component("hst-acs-f814w", "lenskit_lensing:instruments/hst-acs-f814w.toml", "HST ACS F814W, as SLACS has it"),
        Component("euclid-vis", "lenskit_lensing:instruments/euclid-vis.toml", "Euclid's visible imager"),
        Component("euclid-nisp", "lenskit_lensing:instruments/euclid-nisp.toml", "Euclid's near infrared: Y, J, H"),
        Component("lsst", "lenskit_lensing:instruments/lsst.toml", "Rubin's ten-year survey: g, r, i"),
        Component(
            "jwst-nircam", "lenskit_lensing:instruments/jwst-nircam.toml", "JWST NIRCam: F115W, F150W, F277W, F444W"
        ),
    ]
