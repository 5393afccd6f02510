"""Hooks of the toy plugin."""

from lenskit.plugin import Component, hookimpl


@hookimpl
def lenskit_simulators():
    return [
        Component("blobs", "lenskit_toys.components:Blobs", "Gaussian blobs of random width with noise"),
        Component("indelible", "lenskit_toys.components:Indelible", "Blobs whose source cannot be omitted"),
        Component("marked", "lenskit_toys.strange:Marked", "Blobs; some images have a bright row or column"),
    ]


@hookimpl
def lenskit_backbones():
    return [Component("tiny", "lenskit_toys.components:Tiny", "Two convolutions and dropout")]


@hookimpl
def lenskit_encoders():
    return [Component("dotty", "lenskit_toys:encoders/dotty", "Widths of Gaussian blobs")]


@hookimpl
def lenskit_methods():
    return [
        Component("restless", "lenskit_toys.components:Restless", "Like SimSiam, with noise from the global generator"),
        Component("two-optimizers", "lenskit_toys.components:TwoOptimizers", "Manual optimisation with two optimisers"),
        Component("idle", "lenskit_toys.components:Idle", "A method with weights that get no gradient"),
        Component("exploding", "lenskit_toys.components:Exploding", "A method with a loss that becomes NaN"),
        Component("linear", "lenskit_toys.strange:Linear", "Linear autoencoder with four latent numbers"),
    ]


@hookimpl
def lenskit_evaluations():
    return [
        Component("note", "lenskit_toys.note:Note", "The arguments of the command, as JSON"),
        Component("crowding", "lenskit_toys.crowding:Crowding", "Mean distance of features from their mean"),
    ]


@hookimpl
def lenskit_commands():
    return [Component("peaks", "lenskit_toys.peaks:peaks", "Print the brightest pixel of each stored lens")]


@hookimpl
def lenskit_formats():
    return [
        Component("json-features", "lenskit_toys.json_features:JsonFeatures", "Features: one JSON file"),
        Component("npy-folder", "lenskit_toys.npy_folder:NpyFolder", "Stores: a .npy file for each lens"),
        Component("pgm", "lenskit_toys.pgm:Pgm", "Images: a folder of PGM pictures"),
    ]


@hookimpl
def lenskit_instruments():
    return [Component("pinhole", "lenskit_toys:instruments/pinhole.toml", "A box with a hole")]


@hookimpl
def lenskit_recipes():
    return [Component("toys", "lenskit_toys:recipes/toys.toml", "A run of a second")]
