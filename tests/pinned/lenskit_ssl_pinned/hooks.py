"""Components of this plugin.

This module runs whenever lenskit starts, so it imports nothing else.
"""

from lenskit.plugin import Component, hookimpl


@hookimpl
def lenskit_simulators():
    return [
        Component(
            "pinned-simulator",
            "lenskit_ssl_pinned.simulator:PinnedSimulator",
            "Rings of random radius with noise",
        ),
    ]


@hookimpl
def lenskit_datasets():
    return [
        Component(
            "pinned-dataset",
            "lenskit_ssl_pinned.dataset:PinnedDataset",
            "A folder with images.npy and labels.csv",
        ),
    ]


@hookimpl
def lenskit_pairs():
    return [
        Component(
            "pinned-pairs",
            "lenskit_ssl_pinned.pairs:PinnedPairs",
            "Add speckle to each view",
        ),
    ]


@hookimpl
def lenskit_methods():
    return [
        Component(
            "pinned-method",
            "lenskit_ssl_pinned.method:PinnedMethod",
            "Alignment of positive pairs and uniformity (Wang & Isola 2020)",
        ),
    ]


@hookimpl
def lenskit_backbones():
    return [
        Component(
            "pinned-backbone",
            "lenskit_ssl_pinned.backbone:PinnedBackbone",
            "Small convolutional network",
        ),
    ]


@hookimpl
def lenskit_evaluations():
    return [
        Component(
            "pinned-evaluation",
            "lenskit_ssl_pinned.evaluation:PinnedEvaluation",
            "Mean distance of held-out lenses from the training mean",
        ),
    ]


@hookimpl
def lenskit_instruments():
    return [
        Component(
            "pinned-instrument",
            "lenskit_ssl_pinned:instrument.toml",
            "Camera with a Gaussian PSF",
        ),
    ]


@hookimpl
def lenskit_recipes():
    return [
        Component(
            "pinned-recipe",
            "lenskit_ssl_pinned:recipe.toml",
            "SimSiam on lens-fixed pairs, in minutes",
        ),
    ]


@hookimpl
def lenskit_commands():
    return [
        Component(
            "pinned-command",
            "lenskit_ssl_pinned.command:command",
            "Print the brightest pixel of each stored lens",
        ),
    ]


@hookimpl
def lenskit_formats():
    return [
        Component(
            "pinned-format",
            "lenskit_ssl_pinned.format:PinnedFormat",
            "Images: a folder of PGM pictures",
        ),
    ]


@hookimpl
def lenskit_encoders():
    return [
        Component(
            "pinned-encoder",
            "lenskit_ssl_pinned:encoder",
            "Network with random weights; replace it by yours",
        ),
    ]
