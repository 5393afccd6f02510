"""Recipes: each resolves, equals the publication, and trains."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from lenskit.config import Config
from lenskit.layers import read_recipe
from lenskit.registry import registry
from lenskit.training.runner import train
from lenskit_deeplense.one_cycle import OneCycle

DETECTORS = ("aae", "vae", "dcae", "rbm")
RECIPES = tuple(f"deeplense-{model}-{method}" for model in "ab" for method in (*DETECTORS, "refit", "resnet18"))

SMALL: dict[str, dict[str, Any]] = {
    "aae": {"method": {"latent_dim": 8, "discriminator_dim": 8}},
    "vae": {"method": {"latent_dim": 8}},
    "dcae": {"method": {"latent_dim": 8}},
    "rbm": {"backbone": {"hidden": 8}},
    "refit": {"method": {"steps": 2}, "backbone": {"name": "tiny"}},
    "supervised": {"backbone": {"name": "tiny"}},
}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_these_are_all() -> None:
    ours = [r.name for r in registry().of_kind("recipe") if r.component.target.startswith("lenskit_deeplense:")]
    assert ours == sorted(RECIPES)


@pytest.mark.parametrize("name", RECIPES)
def test_trains_two_batches_of_a_smaller_kind(name: str, tmp_path: Path) -> None:
    """Use the recipe's components and options, with fewer lenses and a small network."""
    recipe = read_recipe(name)
    small = {
        "train": {"lenses": 8, "batch_size": 4, "epochs": 1, "accelerator": "cpu"},
        "simulator": {"pixels": 16, "pixel_scale": 0.4},
        "input": {"size": 16},
    }
    config = Config.resolve(recipe, small, SMALL[recipe["method"]["name"]])
    run = train(config, tmp_path / "run", progress=False)
    assert run.finished
    images = torch.rand(3, 1, 16, 16)
    method = run.method()
    scores = method.score(images)
    assert scores is not None
    assert scores.shape == (3,)
    assert scores.isfinite().all()


@pytest.mark.parametrize("name", RECIPES)
def test_images_are_deeplenses(name: str) -> None:
    config = Config.resolve(read_recipe(name))
    assert config.build("simulator").image_shape == (1, 150, 150)
    assert config.sections["simulator"]["pixel_scale"] == 0.05
    inputs = config.build("input")
    assert (inputs.stretch, inputs.normalise, inputs.size) == ("linear", "peak", 150)
    assert config.name("pairs") == "single"
    assert config.build("train").batch_size == (20 if name.endswith("refit") else 100)


@pytest.mark.parametrize("method", DETECTORS)
@pytest.mark.parametrize("model", ["a", "b"])
def test_a_detector_is_as_published(model: str, method: str) -> None:
    """Compare with Alexander et al. 2020 and the authors' package.

    There are 25,000 lenses without substructure and 500 epochs. Three of the four detectors use Adam at 2e-3 with
    weight decay 1e-5 and one cycle.
    """
    config = Config.resolve(read_recipe(f"deeplense-{model}-{method}"))
    assert config.name("method") == method
    settings = config.build("train")
    assert (settings.lenses, settings.epochs) == (25_000, 500)
    assert config.sections["simulator"]["classes"] == ["none"]
    options, cycled = config.sections["method"], registry().find("method", method).load()
    assert issubclass(cycled, OneCycle) == (method != "aae")
    if method != "aae":
        assert (options["lr"], options["weight_decay"]) == (2e-3, 1e-5)
    published = {
        "aae": {"latent_dim": 1000, "prior_std": 5, "discriminator_dim": 256, "lr": 1e-3, "generator_lr": 1e-4},
        "vae": {"latent_dim": 1000, "beta": 0},
        "dcae": {"latent_dim": 1000},
        "rbm": {"visible": "bernoulli", "k": 1, "init_std": 1, "reconstruction": "sample"},
    }[method]
    assert published.items() <= options.items()
    backbone = {
        "rbm": {"name": "rbm-hidden", "hidden": 1000},
        "dcae": {"name": "deeplense-conv", "last_relu": False},
    }.get(method, {"name": "deeplense-conv", "last_relu": True})
    assert config.sections["backbone"] == backbone


def test_the_upper_line_knows_the_classes() -> None:
    config = Config.resolve(read_recipe("deeplense-a-resnet18"))
    assert config.name("backbone") == "resnet18"
    assert config.sections["simulator"]["classes"] == ["none", "spherical", "vortex"]
    assert config.sections["method"]["targets"] == "substructure"
    assert config.sections["method"]["normal"] == "none"


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_says_nothing_of_the_machine(name: str) -> None:
    """Settings of the machine are left to the user."""
    assert not {"accelerator", "devices", "num_nodes", "strategy"} & set(read_recipe(name)["train"])
