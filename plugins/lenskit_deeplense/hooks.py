"""What this plugin brings."""

from lenskit.plugin import Component, hookimpl


@hookimpl
def lenskit_simulators() -> list[Component]:
    return []


@hookimpl
def lenskit_methods() -> list[Component]:
    return [
        Component("dcae", "lenskit_deeplense.dcae:DCAE", "DeepLense's convolutional autoencoder"),
        Component("vae", "lenskit_deeplense.vae:VAE", "DeepLense's variational autoencoder"),
        Component("aae", "lenskit_deeplense.aae:AAE", "DeepLense's adversarial autoencoder"),
        Component("rbm", "lenskit_deeplense.rbm:RBM", "DeepLense's restricted Boltzmann machine"),
    ]


@hookimpl
def lenskit_backbones() -> list[Component]:
    return [
        Component("deeplense-conv", "lenskit_deeplense.networks:DeepLenseConv", "DeepLense's three convolutions"),
        Component("rbm-hidden", "lenskit_deeplense.hidden:RBMHidden", "Sigmoid units that see all pixels, for rbm"),
    ]


@hookimpl
def lenskit_recipes() -> list[Component]:
    return []
