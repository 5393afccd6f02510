"""What this plugin brings."""

from lenskit.plugin import Component, hookimpl


@hookimpl
def lenskit_methods():
    return [
        Component("simsiam", "lenskit_siamese.simsiam:SimSiam", "SimSiam (Chen & He 2021)"),
    ]


@hookimpl
def lenskit_pairs():
    return [
        Component(
            "default", "lenskit_siamese.pairs:Default", "One image, cropped, flipped, jittered and blurred twice"
        ),
        Component("single", "lenskit_siamese.pairs:Single", "One image, as it is: for autoencoders and supervision"),
    ]
