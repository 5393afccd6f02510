"""Properties of all registered methods, including new methods and other plugins.

tests/lenskit/training/test_processes.py compares training in one and two processes.
"""

from __future__ import annotations

import inspect
import os
import re
import signal
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor

from lenskit.config import Config
from lenskit.errors import UsageError
from lenskit.kinds.method import Method
from lenskit.options import options_of
from lenskit.registry import registry
from lenskit.run import Run
from lenskit.training.resume import resume
from lenskit.training.runner import Job

pytestmark = pytest.mark.usefixtures("one_thread")

METHODS = [record.name for record in registry().of_kind("method")]
TOYS = {record.name for record in registry().of_kind("method") if "toys" in record.plugin.distribution}
RESNET, VIT, TINY_VIT = "resnet18", "timm:vit_tiny_patch16_224", "timm:test_vit"

SMALL = {"_dim": 32, "_depth": 1, "queue": 64, "slices": 32}
"""Small values of options, by the end of the option's name."""


def load(method: str) -> type[Method]:
    return registry().find("method", method).load()


@cache
def needed(method: str) -> str | None:
    """Return the backbone that a method requires; None if any backbone works.

    It is taken from the error message for another backbone.
    """
    try:
        Job(config(method, {"name": "tiny"}))
    except UsageError as error:
        said = re.fullmatch(rf"method {method!r} (needs|learns) .*: use --backbone (\S+)", str(error))
        assert said, error  # noqa: PT017 - an error is not required
        return said[2]
    return None


@cache
def steps_itself(method: str) -> bool:
    """Whether a method uses manual optimisation, which needs a Trainer."""
    return not Job(config(method)).method.automatic_optimization


def small_backbone(method: str) -> str:
    return {None: "tiny", VIT: TINY_VIT}.get(needed(method)) or str(needed(method))


def config(method: str, backbone: dict[str, Any] | None = None) -> Config:
    """Return the configuration of two epochs with four batches of eight lenses."""
    names = [option.name for option in options_of(load(method))]
    small = {name: size for name in names for end, size in SMALL.items() if name.endswith(end)}
    return Config.resolve({
        "train": {"lenses": 32, "epochs": 2, "batch_size": 8, "checkpoint_every": 3, "accelerator": "cpu"},
        "simulator": {"name": "blobs", "pixels": 32},
        "method": {"name": method} | small,
        "backbone": backbone or {"name": small_backbone(method)},
    })  # fmt: skip


class Interrupt(pl.Callback):
    """A callback that sends an interrupt (Ctrl-C) in one batch."""

    def __init__(self, batch: int) -> None:
        self.batch = batch

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if pl_module.batches == self.batch:
            os.kill(os.getpid(), signal.SIGINT)


def train(config: Config, path: Path, *callbacks: pl.Callback) -> Run:
    return Job(config).fit(Run.create(path, config), None, False, callbacks)


def checkpoint(run: Run) -> dict[str, Any]:
    return torch.load(run.checkpoint, weights_only=True)


def assert_equal(a: Any, b: Any, where: str) -> None:
    """Check that two values are equal bit by bit."""
    if isinstance(a, Tensor):
        assert torch.equal(a, b), where
    elif isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key, value in a.items():
            assert_equal(value, b[key], f"{where}.{key}")
    elif isinstance(a, list | tuple):
        assert len(a) == len(b), where
        for number, (one, other) in enumerate(zip(a, b, strict=True)):
            assert_equal(one, other, f"{where}.{number}")
    else:
        assert a == b, where


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_a_run_that_was_stopped_and_resumed_is_the_run_that_was_not(method: str, tmp_path: Path) -> None:
    if method == "exploding":
        pytest.skip("its loss is made to be infinite")
    settings = config(method)
    whole = train(settings, tmp_path / "whole")
    stopped = train(settings, tmp_path / "stopped", Interrupt(5))
    assert checkpoint(stopped)["lenskit"]["batches"] == 6
    state = checkpoint(stopped)["state_dict"]
    assert any(not torch.equal(state[name], value) for name, value in checkpoint(whole)["state_dict"].items())

    resumed = resume(stopped.path, progress=False)
    assert resumed.finished
    for part in ("state_dict", "optimizer_states", "lenskit"):
        assert_equal(checkpoint(whole)[part], checkpoint(resumed)[part], part)
    assert_equal(whole.encoder().state_dict(), resumed.encoder().state_dict(), "encoder")

    again = whole.method()
    assert not again.training
    assert_equal(dict(checkpoint(whole)["state_dict"]), dict(again.state_dict()), "method")


@pytest.mark.slow
@pytest.mark.parametrize("backbone", [RESNET, VIT])
@pytest.mark.parametrize("method", METHODS)
def test_one_step_reaches_all_weights(method: str, backbone: str) -> None:
    if needed(method) not in (None, backbone):
        with pytest.raises(UsageError, match=f"use --backbone {needed(method)}$"):
            Job(config(method, {"name": backbone}))
        if needed(method) == VIT or backbone == VIT:
            return
        backbone = str(needed(method))
    settings = config(method, {"name": backbone})
    job = Job(settings)
    if not job.method.automatic_optimization:
        pytest.skip("it steps its optimisers itself, which only a Trainer lets it do")
    outputs = job.method.step(job.training_set.by_index(torch.arange(8)))
    outputs["loss"].backward()
    assert outputs["loss"].isfinite()
    assert outputs["loss"].shape == ()
    for name in {"embedding", "projection"} & outputs.keys():
        assert outputs[name].shape[0] == 8
        assert outputs[name].isfinite().all()
        assert not outputs[name].requires_grad
    assert method in TOYS or outputs["embedding"].shape[1] == job.method.backbone.features

    optimised = [p for group in job.method.configure_optimizers().param_groups for p in group["params"]]
    trained = {name: p for name, p in job.method.named_parameters() if p.requires_grad}
    assert {id(p) for p in optimised} == {id(p) for p in trained.values()}
    if job.method.unused_parameters:
        return
    for name, parameter in trained.items():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
    # Toys need not use their backbone.
    assert method in TOYS or sum(bool(parameter.grad.any()) for parameter in trained.values()) > 0.9 * len(trained)


@pytest.mark.parametrize("precision", ["bf16-mixed", "64-true"])
@pytest.mark.parametrize("method", METHODS)
def test_a_step_in_another_precision_is_nearly_the_same(method: str, precision: str) -> None:
    losses = []
    for other in (False, True):
        job = Job(config(method))
        if not job.method.automatic_optimization:
            pytest.skip("it steps its optimisers itself, which only a Trainer lets it do")
        batch = job.training_set.by_index(torch.arange(8))
        if other and precision == "64-true":
            job.method.double()
            batch.views = tuple(view.double() for view in batch.views)
        torch.manual_seed(0)
        with torch.autocast("cpu", torch.bfloat16, enabled=other and precision == "bf16-mixed"):
            losses.append(job.method.step(batch)["loss"])
    assert losses[1].item() == pytest.approx(losses[0].item(), rel=0.1, abs=0.05)


@pytest.mark.parametrize("method", METHODS)
def test_the_embedding_is_the_backbones(method: str) -> None:
    job = Job(config(method))
    images = job.training_set.by_index(torch.arange(4)).views[0]
    job.method.eval()
    with torch.no_grad():
        assert torch.equal(job.method.embed(images), job.encoder.backbone(images))


@pytest.mark.parametrize("method", METHODS)
def test_what_it_projects_is_the_projection_of_its_step(method: str) -> None:
    job = Job(config(method))
    if not job.method.automatic_optimization:
        pytest.skip("it steps its optimisers itself, which only a Trainer lets it do")
    batch = job.training_set.by_index(torch.arange(8))
    job.method.eval()
    with torch.no_grad():
        projected = job.method.project(job.method.embed(batch.views[0]))
        stated = job.method.step(batch).get("projection")
    assert projected is not None or stated is None
    if stated is not None:  # an autoencoder does not give its latents to the collapse monitor
        torch.testing.assert_close(projected, stated)


@pytest.mark.parametrize("method", METHODS)
def test_every_option_is_explained(method: str) -> None:
    assert [option.name for option in options_of(load(method)) if not option.meaning] == []


@pytest.mark.parametrize("method", METHODS)
def test_every_method_names_its_paper(method: str) -> None:
    if method in TOYS:
        pytest.skip("there is no paper on a toy")
    assert "https://arxiv.org/abs/" in (inspect.getmodule(load(method)).__doc__ or "")
