"""Properties of all DeepLense autoencoders: score, backbones, defaults, bad input."""

from __future__ import annotations

import json
import logging
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from lenskit.config import Config
from lenskit.kinds.backbone import Backbone
from lenskit.plugin import Method, UsageError
from lenskit.registry import registry
from lenskit.training.runner import Job, train
from lenskit_backbones.resnet import ResNet18
from lenskit_backbones.timm import Timm
from lenskit_deeplense.networks import DeepLenseConv
from lenskit_toys.components import Tiny

METHODS = ["dcae", "vae", "aae"]


def make(method: str, backbone: Backbone, **options: Any) -> Method:
    torch.manual_seed(0)
    made = registry().find("method", method).load()(backbone, **{"latent_dim": 8} | options)
    return made.eval()


def images(n: int = 3, channels: int = 1, size: int = 32) -> Tensor:
    return torch.rand(n, channels, size, size, generator=torch.Generator().manual_seed(1))


def config(method: str, **changes: Any) -> Config:
    return Config.resolve({
        "train": {"lenses": 32, "epochs": 4, "batch_size": 8, "accelerator": "cpu"},
        "simulator": {"name": "blobs", "pixels": 16},
        "method": {"name": method, "latent_dim": 8},
        "monitor": {"log_every": 2, "probe_every": 8, "probe_lenses": 64},
    }, changes)  # fmt: skip


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("method", METHODS)
def test_the_score_is_the_mean_squared_error_of_each_image(method: str, channels: int) -> None:
    trained = make(method, DeepLenseConv(channels, 20))
    given = images(3, channels, 20)
    with torch.no_grad():
        made, score = trained.reconstruct(given), trained.score(given)
        assert torch.equal(trained.reconstruct(given), made)  # deterministic
    assert made.shape == given.shape
    expected = [((a - b) ** 2).sum().item() / (channels * 400) for a, b in zip(made, given, strict=True)]
    assert score.tolist() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_a_perfect_reconstruction_is_not_strange(method: str) -> None:
    trained = make(method, DeepLenseConv(1, 20))
    *_, weight, bias = trained.decoder.parameters()
    with torch.no_grad():  # every reconstruction is a grey image
        weight.zero_()
        bias.fill_(math.atanh(0.5))
    given = torch.full((3, 1, 20, 20), 0.5)
    given[2, 0, 3, 4] += 0.3
    with torch.no_grad():
        assert trained.score(given).tolist() == pytest.approx([0, 0, 0.09 / 400], rel=1e-6, abs=1e-12)


@pytest.mark.parametrize("backbone", [Tiny, ResNet18, lambda *shape: Timm(*shape, model="test_vit")])
@pytest.mark.parametrize("method", METHODS)
def test_any_backbone_encodes(method: str, backbone) -> None:
    trained = make(method, backbone(2, 32))
    given = images(3, 2, 32)
    with torch.no_grad():
        assert trained.reconstruct(given).shape == given.shape
        latent = trained.project(trained.embed(given))
    assert latent.shape == (3, 8)
    assert torch.equal(trained.embed(given), trained.backbone(given))


@pytest.mark.parametrize("method", METHODS)
def test_what_is_usual_is_as_published(method: str) -> None:
    chosen = Config.resolve({"method": {"name": method}}).sections
    assert chosen["backbone"] == {"name": "deeplense-conv", "last_relu": method != "dcae"}
    assert (chosen["input"]["stretch"], chosen["input"]["normalise"]) == ("linear", "peak")
    assert chosen["pairs"]["name"] == "single"
    assert chosen["method"]["latent_dim"] == 1000
    other = Config.resolve({"method": {"name": method}, "backbone": {"name": "resnet18"}}).sections
    assert "last_relu" not in other["backbone"]


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_a_run_learns_and_no_alarm_is_false(method: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "lenskit"):
        run = train(config(method), tmp_path / "run", progress=False)
    assert caplog.messages == []
    lines = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines if "loss" in line]
    assert losses[-1] < 0.7 * losses[0]
    assert any("probe_rank" in line for line in lines)
    again = run.method()
    assert torch.isfinite(again.score(Job(config(method)).training_set.by_index(torch.arange(2)).views[0])).all()


@pytest.mark.parametrize("method", METHODS)
def test_images_beyond_what_a_decoder_makes_are_refused(method: str) -> None:
    bright = config(method, input={"normalise": "standard"})
    with pytest.raises(UsageError, match=r"values from -1 to 1, but these images reach .*: use --set input.normalise"):
        Job(bright)


def test_images_too_small_for_the_layers_are_refused() -> None:
    with pytest.raises(UsageError, match=r"too small .*: use 15 pixels or more \(--set input.size=N\)"):
        Job(config("dcae", input={"size": 12}))
    assert Job(config("dcae", input={"size": 15})).method.backbone.size == 15
