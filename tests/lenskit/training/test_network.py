"""Precisions, memory formats and compilation, and devices without them."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins.precision import MixedPrecision, Precision
from torch import Tensor, nn

from lenskit.errors import UsageError
from lenskit.run import Run
from lenskit.training.network import check_precision, compile_backbones
from lenskit.training.resume import resume
from lenskit.training.runner import Job, train

OPTIMIZERS = ["sgd", "lars", "adamw"]


def weights(run: Run) -> dict[str, Tensor]:
    return torch.load(run.checkpoint, weights_only=True)["state_dict"]


# --- Precision ---


@pytest.mark.slow
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_bf16_learns_nearly_the_same(name: str, toys, tmp_path: Path) -> None:
    """The weights change in the same direction, and stay in single precision."""
    quiet = {"method": {"name": "restless", "noise": 0.0}, "backbone": {"name": "tiny", "dropout": 0.0}}
    single, half = (
        weights(train(toys(train={"precision": p}, optimizer={"name": name}, **quiet), tmp_path / p, progress=False))
        for p in ("32-true", "bf16-mixed")
    )
    start = Job(toys(**quiet)).method.state_dict()
    for key in ("backbone.body.0.weight", "head.weight"):
        assert half[key].dtype == torch.float32
        ours, theirs = (half[key] - start[key]).flatten(), (single[key] - start[key]).flatten()
        assert 0.9 < float(torch.cosine_similarity(ours, theirs, 0)) < 1, key


@pytest.mark.parametrize(
    ("precision", "device", "message"),
    [
        ("16-mixed", "cpu", "a CPU has no fp16: use --precision bf16-mixed or 32-true"),
        ("64-true", "mps", "is not available on Apple's GPUs: use --precision 32-true"),
    ],
)
def test_a_precision_that_the_device_lacks(precision: str, device: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        check_precision(precision, torch.device(device))


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "64-true"])
def test_precisions_of_a_cpu(precision: str) -> None:
    check_precision(precision, torch.device("cpu"))


class Scaled(pl.Callback):
    """Mixed precision whose loss scale is so large that the first gradients overflow.

    fp16 begins like this on a GPU.
    """

    def __init__(self) -> None:
        self.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**60, backoff_factor=2.0**-8, growth_interval=1000)
        self.scales: list[float] = []
        self.first: list[Tensor] = []

    def setup(self, trainer: pl.Trainer, pl_module: Any, stage: str) -> None:
        trainer.strategy.precision_plugin = MixedPrecision("16-mixed", "cpu", self.scaler)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.scales.append(self.scaler.get_scale())
        self.first.append(pl_module.head.weight.detach().clone())


@pytest.mark.slow
@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("clip", [0.0, 1.0])
def test_steps_that_fp16_skips_do_not_end_a_run(clip: float, parts: int, toys, tmp_path: Path) -> None:
    """Gradients that are not finite change no weights; the logged loss is correct.

    Checkpoints are saved during these steps.
    """
    config, scaled = toys(train={"accumulate": parts, "checkpoint_every": 1}, optimizer={"clip": clip}), Scaled()
    run = Job(config).fit(Run.create(tmp_path / "run", config), None, False, [scaled])
    assert run.finished
    start = Job(config).method.head.weight
    skipped = [torch.equal(weight, start) for weight in scaled.first]
    assert skipped[:2] == [True, True]
    assert not skipped[-1]
    assert scaled.scales[0] == 2.0**52
    assert scaled.scales[-1] < 2.0**52
    assert all(value.isfinite().all() for value in weights(run).values())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="fp16 needs a GPU")
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_fp16_trains_on_a_gpu(name: str, toys, tmp_path: Path) -> None:
    config = toys(train={"precision": "16-mixed", "accelerator": "gpu", "devices": 1}, optimizer={"name": name})
    run = train(config, tmp_path / "run", progress=False)
    assert run.finished
    assert all(value.isfinite().all() for value in weights(run).values())


# --- Channels last ---


class Formats(pl.Callback):
    """Callback that records the memory formats of views, weights and gradients."""

    def __init__(self) -> None:
        self.seen: set[bool] = set()

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        weight = pl_module.backbone.body[3].weight
        for tensor in (weight, trainer.optimizers[0].state[weight]["momentum_buffer"]):
            self.seen.add(tensor.is_contiguous(memory_format=torch.channels_last) and not tensor.is_contiguous())
        self.views = batch.views


@pytest.mark.slow
def test_channels_last_learns_the_same(toys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = train(toys(), tmp_path / "usual", progress=False)
    config, formats = toys(train={"channels_last": True}), Formats()
    run = Job(config).fit(Run.create(tmp_path / "run", config), None, False, [formats])
    assert formats.seen == {True}
    assert all(view.is_contiguous(memory_format=torch.channels_last) for view in formats.views)
    for name, value in weights(usual).items():
        torch.testing.assert_close(weights(run)[name], value, rtol=1e-4, atol=1e-5)
    # and is resumed exactly
    monkeypatch.setenv("TOYS_SIGNAL", "SIGINT:10")
    train(config, tmp_path / "cut", progress=False)
    monkeypatch.delenv("TOYS_SIGNAL")
    resumed = resume(tmp_path / "cut", progress=False)
    assert all(torch.equal(weights(resumed)[name], value) for name, value in weights(run).items())


# --- Compilation ---


class Compiled(pl.Callback):
    """Callback that records whether the backbone is compiled."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        self.found = [part._compiled_call_impl is not None for part in pl_module.modules()]
        self.backbone: nn.Module = pl_module.backbone


@pytest.fixture
def own_compiler_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "inductor"))
    torch._dynamo.reset()


@pytest.mark.slow
@pytest.mark.usefixtures("own_compiler_cache")
def test_a_compiled_backbone_learns_the_same_under_the_same_names(toys, tmp_path: Path) -> None:
    quiet = {"method": {"name": "restless", "noise": 0.0}, "backbone": {"name": "tiny", "dropout": 0.0}}
    usual = train(toys(**quiet, train={"epochs": 1}), tmp_path / "usual", progress=False)
    config, seen = toys(**quiet, train={"epochs": 1, "compile": True, "ema": 0.5}), Compiled()
    run = Job(config).fit(Run.create(tmp_path / "run", config), None, False, [seen])
    assert sum(seen.found) == 1
    assert seen.backbone._compiled_call_impl is not None
    assert weights(run).keys() == weights(usual).keys()
    for name, value in weights(usual).items():
        torch.testing.assert_close(weights(run)[name], value, rtol=1e-3, atol=1e-4)
    run.encoder()


@pytest.mark.slow
def test_a_teacher_and_its_student_are_both_compiled(toys) -> None:
    """The teacher is the backbone and requires no gradients, also afterwards.

    The trial uses a copy with gradients.
    """
    sizes = {"output_dim": 8, "hidden_dim": 8, "bottleneck_dim": 8}
    method: Any = Job(toys(method={"name": "dino", **sizes})).method
    images = torch.randn(4, method.backbone.channels, *[method.backbone.size] * 2)
    with torch.compiler.set_stance("force_eager"):  # this test is not about the compiled code
        assert compile_backbones(method, images, Precision())
    compiled = {name for name, part in method.named_modules() if part._compiled_call_impl is not None}
    assert compiled == {"backbone", "student"}
    assert not any(parameter.requires_grad for parameter in method.backbone.parameters())
    assert all(parameter.grad is None for parameter in method.parameters())


@pytest.mark.slow
@pytest.mark.usefixtures("own_compiler_cache")
def test_a_compiler_that_fails_costs_a_line(
    toys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The log has one warning, and the run equals a run without compilation.

    Compilation fails because there is no C++ compiler.
    """
    from torch._inductor import config as inductor

    usual = train(toys(train={"epochs": 1}), tmp_path / "usual", progress=False)
    monkeypatch.setattr(inductor.cpp, "cxx", ("no-such-compiler",))
    caplog.set_level(logging.WARNING, "lenskit")
    run = train(toys(train={"epochs": 1, "compile": True}), tmp_path / "run", progress=False)
    # torch may have logged records too.
    ours = [record for record in caplog.records if record.name == "lenskit" and record.levelno >= logging.WARNING]
    (warning,) = [record.getMessage() for record in ours]
    assert warning.startswith("the backbone cannot be compiled; training goes on without train.compile: ")
    assert "\n" not in warning
    assert len(warning) < 350
    assert all(torch.equal(weights(run)[name], value) for name, value in weights(usual).items())
