"""Each recipe resolves, has the stated options, and trains."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from lenskit.config import Config
from lenskit.layers import read_recipe
from lenskit.optimization import scaled_lr
from lenskit.preprocessing.preprocess import Preprocess
from lenskit.registry import registry
from lenskit.training.runner import train

RECIPES = ("byol-lens", "default", "hst-lens", "lensiam", "lensiam-paper", "quickstart", "simsiam-paper", "vit-lens")

SMALL: dict[str, dict[str, Any]] = {
    "simsiam": {"projection_dim": 16, "hidden_dim": 16, "predictor_dim": 8},
    "byol": {"projection_dim": 16, "hidden_dim": 16},
    "dino": {"output_dim": 32, "hidden_dim": 16, "bottleneck_dim": 8},
}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_these_are_all() -> None:
    ours = [r.name for r in registry().of_kind("recipe") if r.component.target.startswith("lenskit_lensiam:")]
    assert ours == sorted(RECIPES)


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES)
def test_trains_two_batches_of_a_smaller_kind(name: str, tmp_path: Path) -> None:
    """Train with a recipe's options, on few lenses, small inputs and a small network."""
    recipe = read_recipe(name)
    vit = recipe["backbone"]["name"].startswith("timm:")
    small = {
        "train": {"lenses": 8, "batch_size": 4, "epochs": 1, "precision": "32-true", "accelerator": "cpu"},
        "method": SMALL.get(recipe["method"]["name"], {}),
        "backbone": {"name": "timm:test_vit" if vit else "resnet18"},
        "input": {"size": 32},
    }
    run = train(Config.resolve(recipe, small), tmp_path / "run", progress=False)
    assert run.finished
    encoder = run.encoder()
    pixels = recipe["simulator"].get("pixels", 110)
    # Two unsharp masks, and the image minus a model of the lens light.
    channels = 3 if name == "hst-lens" else recipe.get("input", {}).get("channels", 1)
    assert (encoder.image_shape, encoder.backbone.channels) == ((1, pixels, pixels), channels)
    assert encoder(torch.rand(2, 1, pixels, pixels)).isfinite().all()


def test_the_papers_recipe_is_the_papers() -> None:
    """Options are those of Chang et al. 2023, Sec. 3, and of the authors' release."""
    config = Config.resolve(read_recipe("lensiam-paper"))
    settings, optimizer = config.build("train"), config.build("optimizer")
    assert (settings.batch_size, settings.epochs, settings.lenses) == (400, 800, 100_000)
    assert scaled_lr(optimizer, settings.batch_size) == pytest.approx(0.03 * 400 / 256)
    assert (optimizer.name, optimizer.momentum, optimizer.weight_decay) == ("sgd", 0.9, 5e-4)
    assert (optimizer.decay_all, optimizer.warmup_epochs) == (True, 10)
    assert config.name("backbone") == "resnet101"
    assert (config.name("pairs"), config.name("method")) == ("lens-fixed", "simsiam")
    inputs = config.build("input")
    assert Preprocess(inputs.stretch, inputs.size, inputs.channels).shape((1, 110, 110)) == (3, 224, 224)


def test_the_papers_baseline_differs_in_its_pairs_only() -> None:
    ours, baseline = (Config.resolve(read_recipe(name)).sections for name in ("lensiam-paper", "simsiam-paper"))
    assert {section for section in ours if ours[section] != baseline[section]} == {"pairs"}
    assert baseline["pairs"]["name"] == "default"


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_says_nothing_of_the_machine(name: str) -> None:
    """Users choose the hardware."""
    assert not {"accelerator", "devices", "num_nodes", "strategy"} & set(read_recipe(name).get("train", {}))
