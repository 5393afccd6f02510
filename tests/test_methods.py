"""Properties of all registered methods, including those of other plugins."""

from __future__ import annotations

import inspect
import re
from functools import cache
from typing import Any
from unittest import SkipTest

import pytest
import torch

from lenskit.config import Config
from lenskit.errors import UsageError
from lenskit.kinds.method import Method
from lenskit.options import options_of
from lenskit.registry import registry
from lenskit.testing import MethodContract
from lenskit.training.runner import Job

pytestmark = pytest.mark.usefixtures("one_thread")

METHODS = [record.name for record in registry().of_kind("method")]
TOYS = {record.name for record in registry().of_kind("method") if "toys" in record.plugin.distribution}
FAULTY = {"exploding"}
"""Toys that break their contract on purpose."""

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


def contracts() -> list[Any]:
    """Return each method with each test of its contract.

    tests/lenskit/training/test_processes.py compares complete trainings in one and two processes.
    """
    names = sorted(name for name in dir(MethodContract) if name.startswith("test_"))
    trains = ("resumed", "seed", "batches", "without_further")
    return [
        pytest.param(
            method, name, id=f"{method}-{name}", marks=[pytest.mark.slow] if any(t in name for t in trains) else []
        )
        for method in METHODS
        for name in names
        if method not in FAULTY and "two_processes" not in name
    ]


@cache
def contract(method: str) -> MethodContract:
    """Return the contract of a method on small images, with a small backbone."""
    sections = config(method).sections
    members = {
        "component": method,
        "options": {name: value for name, value in sections["method"].items() if name != "name"},
        "sections": {name: sections[name] for name in ("simulator", "backbone")},
    }
    subject: MethodContract = type("Bundled", (MethodContract,), members)()
    return subject


@pytest.mark.parametrize(("method", "test"), contracts())
def test_a_method_meets_its_contract(method: str, test: str) -> None:
    try:
        getattr(contract(method), test)()
    except SkipTest:
        return  # the rule does not apply to this method


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
def test_every_method_names_its_paper(method: str) -> None:
    if method in TOYS:
        pytest.skip("there is no paper on a toy")
    assert "https://arxiv.org/abs/" in (inspect.getmodule(load(method)).__doc__ or "")
