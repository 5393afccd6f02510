"""Simulators, pair strategies, methods, backbones and recipes of this plugin."""

from lenskit.plugin import Component, hookimpl


@hookimpl
def lenskit_simulators() -> list[Component]:
    return [
        Component(
            "substructure",
            "lenskit_deeplense.simulators.substructure:Substructure",
            "Lenses without substructure, with subhalos, or with a vortex",
        ),
        Component(
            "deeplense-a",
            "lenskit_deeplense.simulators.deeplense:DeepLenseA",
            "DeepLense's Model A: lenses with and without substructure",
        ),
        Component(
            "deeplense-b",
            "lenskit_deeplense.simulators.deeplense:DeepLenseB",
            "DeepLense's Model B: as Model A, with more random parameters",
        ),
        Component(
            "deeplense-1",
            "lenskit_deeplense.simulators.released:DeepLense1",
            "Model I of DeepLense's public simulations: no lens light, 150 pixels",
        ),
        Component(
            "deeplense-2",
            "lenskit_deeplense.simulators.released:DeepLense2",
            "Model II of DeepLense's public simulations: Euclid, 64 pixels",
        ),
        Component(
            "deeplense-3",
            "lenskit_deeplense.simulators.released:DeepLense3",
            "Model III of DeepLense's public simulations: HST, 64 pixels",
        ),
    ]


@hookimpl
def lenskit_pairs() -> list[Component]:
    return [
        Component(
            "substructure-fixed",
            "lenskit_deeplense.pairs:SubstructureFixed",
            "Two images of one lens and its substructure with different source, lens light, PSF and noise",
        )
    ]


@hookimpl
def lenskit_methods() -> list[Component]:
    return [
        Component("dcae", "lenskit_deeplense.dcae:DCAE", "DeepLense's convolutional autoencoder"),
        Component("vae", "lenskit_deeplense.vae:VAE", "DeepLense's variational autoencoder"),
        Component("aae", "lenskit_deeplense.aae:AAE", "DeepLense's adversarial autoencoder"),
        Component("rbm", "lenskit_deeplense.rbm:RBM", "DeepLense's restricted Boltzmann machine"),
        Component(
            "refit", "lenskit_deeplense.refit.method:Refit", "Chi-square of the residual of a fitted macro model"
        ),
    ]


@hookimpl
def lenskit_backbones() -> list[Component]:
    return [
        Component("deeplense-conv", "lenskit_deeplense.networks:DeepLenseConv", "DeepLense's three convolutions"),
        Component("rbm-hidden", "lenskit_deeplense.hidden:RBMHidden", "Sigmoid units that see all pixels, for rbm"),
    ]


@hookimpl
def lenskit_recipes() -> list[Component]:
    return [
        Component(
            f"deeplense-{model}-{method}",
            f"lenskit_deeplense:recipes/deeplense-{model}-{method}.toml",
            f"DeepLense's {method_name} on its Model {model.upper()}",
        )
        for model in ("a", "b")
        for method, method_name in (
            ("aae", "adversarial autoencoder"),
            ("vae", "variational autoencoder"),
            ("dcae", "convolutional autoencoder"),
            ("rbm", "Boltzmann machine"),
            ("resnet18", "supervised upper bound, a ResNet-18 with labels,"),
        )
    ] + [
        Component(
            f"deeplense-{model}-refit",
            f"lenskit_deeplense:recipes/deeplense-{model}-refit.toml",
            f"Fits of the macro model to images of DeepLense's Model {model.upper()}",
        )
        for model in ("a", "b")
    ]
