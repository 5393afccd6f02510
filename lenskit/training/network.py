"""Precision and compilation of the network."""

from __future__ import annotations

import copy
import logging
from typing import Any

import torch
from torch import Tensor

from lenskit.errors import UsageError
from lenskit.kinds.method import Method
from lenskit.out_of_memory import is_out_of_memory

log = logging.getLogger("lenskit")


def check_precision(precision: str, device: torch.device) -> None:
    """Check that a device supports a precision.

    Lightning would silently replace or emulate an unsupported precision.

    Args:
        precision: Value of `--precision`.
        device: Device of the network.

    Raises:
        UsageError: The device does not support the precision. The message names precisions that it supports.
    """
    if precision == "16-mixed" and device.type == "cpu":
        raise UsageError("--precision 16-mixed needs a GPU, a CPU has no fp16: use --precision bf16-mixed or 32-true")
    if precision == "64-true" and device.type == "mps":
        raise UsageError("--precision 64-true is not available on Apple's GPUs: use --precision 32-true")
    if (
        precision == "bf16-mixed"
        and device.type == "cuda"
        and not torch.cuda.is_bf16_supported(including_emulation=False)
    ):
        name = torch.cuda.get_device_name(device)
        raise UsageError(f"--precision bf16-mixed is not available on {name}: use --precision 16-mixed or 32-true")


def compile_backbones(method: Method, images: Tensor, precision: Any) -> bool:
    """Compile a method's backbone and its copies, such as a teacher, in place.

    The names of weights do not change. If compilation fails, a warning is logged and nothing is compiled.

    Args:
        method: The method.
        images: Images with the shape and device of training.
        precision: Lightning's precision plugin.

    Returns:
        Whether the backbones are compiled.
    """
    # Try with a copy, because the trial changes batch norm statistics. The other copies reuse the compiler's cache. The
    # trial requires gradients even if the backbone does not, because another copy (a student) may learn.
    trial = precision.convert_module(copy.deepcopy(method.backbone).to(images.device)).train().requires_grad_(True)
    try:
        trial.compile()
        with precision.train_step_context():
            features = trial(precision.convert_input(images))
        features.float().square().mean().backward()
    except Exception as error:  # a compiler may raise anything
        if is_out_of_memory(error):
            raise
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        log.warning("the backbone cannot be compiled; training goes on without train.compile: %s", reason)
        return False
    for part in method.modules():
        if type(part) is type(method.backbone):
            part.compile()
    return True
