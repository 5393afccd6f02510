"""Nothing within a step on a GPU waits for the host, or makes the host wait.

The test needs no GPU: its tensors have a device and a shape but no values. Operations that need a value (`item`,
`nonzero`, a boolean index) fail, and every copy between devices is recorded. This covers making a batch, the forward
pass and the optimiser's step. Backward passes do not work on such tensors.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
)
from torch.utils._python_dispatch import TorchDispatchMode

from lenskit.config import Config
from lenskit.data.training_set import StoredTrainingSet
from lenskit.training.runner import Job

GPU = torch.device("cuda", 7)
"""A device that no other test uses, because tensors cached for it have no values."""

HST = {"name": "hst", "pixels": 32, "theta_E": "uniform(0.3, 0.6)"}
TRAIN = {"batch_size": 8, "lenses": 64, "epochs": 1, "accelerator": "cpu"}
METHODS = ("byol", "simclr", "moco", "vicreg", "barlow-twins", "lejepa")


def imagined() -> bool:
    """Whether this torch supports CUDA tensors without values when there is no driver."""
    try:
        with FakeTensorMode():
            x = torch.empty(4, device=GPU)
            x[x > 0]
    except DynamicOutputShapeException:
        return True
    except RuntimeError:
        return False
    return False


pytestmark = pytest.mark.skipif(not imagined(), reason="torch needs CUDA's driver, which is not installed")


class Copies(TorchDispatchMode):
    """Mode that records copies between devices."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        if function in (torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default):
            devices = {value.device for value in (*args, result) if isinstance(value, Tensor)}
            if len(devices) > 1:
                self.seen.append(f"{function} of {tuple(args[0].shape)}")
        return result


def move(module: nn.Module) -> None:
    """Replace weights and buffers by tensors without values."""
    for part in module.modules():
        for name, weight in part._parameters.items():
            if weight is not None:
                part._parameters[name] = nn.Parameter(torch.empty_like(weight, device=GPU), weight.requires_grad)
        for name, buffer in part._buffers.items():
            if buffer is not None:
                part._buffers[name] = torch.empty_like(buffer, device=GPU)


def step(job: Job, optimizer: Any, fetched: dict[str, Tensor]) -> None:
    batch = job.training_set.batch(fetched)
    loss = job.method.step(batch)["loss"]
    assert (loss.device, loss.shape) == (GPU, ())
    optimizer.step()
    job.method.after_update()


def copies_in_a_step(config: Config) -> list[str]:
    """Return the copies between devices in the second step.

    In the first step, constants are copied to a device and kept.
    """
    job = Job(config)
    with FakeTensorMode(allow_non_fake_inputs=True):
        move(job.method)
        job.training_set.to(GPU)
        optimizer: Any = job.method.configure_optimizers()
        for weight in job.method.parameters():
            weight.grad = torch.empty_like(weight) if weight.requires_grad else None
        fetched = {"index": torch.arange(8, device=GPU)}
        if isinstance(job.training_set, StoredTrainingSet):
            fetched["pass"] = torch.zeros(8, dtype=torch.int64, device=GPU)
        step(job, optimizer, fetched)
        with Copies() as copies:
            step(job, optimizer, fetched)
    return copies.seen


@pytest.mark.slow
@pytest.mark.parametrize(
    "simulator",
    [
        HST,
        HST | {"noise": "instrument", "neighbours": "uniform(0, 2)", "merger_fraction": 0.5, "masked_pixels": 0.1},
        {"name": "euclid-challenge", "supersampling": 1},
    ],
    ids=["hst", "hst-all", "euclid-challenge"],
)
def test_no_simulator_waits(simulator: dict[str, Any]) -> None:
    config = Config.resolve({"train": TRAIN, "simulator": simulator, "backbone": {"name": "tiny"}})
    assert copies_in_a_step(config) == []


@pytest.mark.slow
@pytest.mark.parametrize(("stretch", "normalise"), [("zscale", "standard"), ("linear", "peak")])
def test_no_input_waits(stretch: str, normalise: str) -> None:
    names = {"simulator": "blobs", "backbone": "tiny", "pairs": "default"}
    inputs = {"input": {"stretch": stretch, "normalise": normalise}}
    config = Config.resolve({"train": TRAIN}, {section: {"name": name} for section, name in names.items()}, inputs)
    assert copies_in_a_step(config) == []


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_no_method_waits(method: str) -> None:
    names = {"simulator": "blobs", "backbone": "tiny", "pairs": "default", "method": method}
    config = Config.resolve({"train": TRAIN}, {section: {"name": name} for section, name in names.items()})
    assert copies_in_a_step(config) == []


@pytest.mark.parametrize(
    "wait", [lambda x: x[x > 0], lambda x: (x > 0).nonzero(), lambda x: x.sum().item(), lambda x: bool(x.any())]
)
def test_what_waits_is_noticed(wait: Any) -> None:
    with FakeTensorMode(), pytest.raises((DataDependentOutputException, DynamicOutputShapeException)):
        wait(torch.empty(4, device=GPU))


@pytest.mark.parametrize(
    "move", [lambda x: x.cpu(), lambda x: torch.tensor([1.0], device=GPU), lambda x: x.to("cpu", torch.float64)]
)
def test_copies_are_noticed(move: Any) -> None:
    with FakeTensorMode():
        x = torch.empty(4, device=GPU)
        with Copies() as copies:
            move(x)
    assert len(copies.seen) == 1
