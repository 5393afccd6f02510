"""How the network computes: in which precision, memory format and by which compiler."""

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
    """Raises if a device lacks a precision, which Lightning would replace by another or emulate.

    Args:
        precision: As `--precision` takes it.
        device: Where the network computes.

    Raises:
        UsageError: saying what it has.
    """
    if precision == "16-mixed" and device.type == "cpu":
        raise UsageError("--precision 16-mixed needs a GPU, a CPU has no fp16: use --precision bf16-mixed or 32-true")
    if precision == "64-true" and device.type == "mps":
        raise UsageError("--precision 64-true is not to be had on Apple's GPUs: use --precision 32-true")
    if (
        precision == "bf16-mixed"
        and device.type == "cuda"
        and not torch.cuda.is_bf16_supported(including_emulation=False)
    ):
        name = torch.cuda.get_device_name(device)
        raise UsageError(f"--precision bf16-mixed is not to be had on {name}: use --precision 16-mixed or 32-true")


def compile_backbones(method: Method, images: Tensor, precision: Any) -> bool:
    """Compiles a method's backbone, and the copies of it that it may have, in place: their names stay. If that fails,
    they are left as they are, and a warning says so.

    Args:
        method: The method.
        images: Images such as it will see, on the device where it will be.
        precision: Lightning's precision plugin, which says in which precision.

    Returns:
        Whether they are compiled.
    """
    # Tried with a copy: it changes the statistics of norms. What is compiled for it is kept for the others. It learns
    # even where the backbone does not, as a teacher that follows another does not: the other is compiled as well.
    trial = precision.convert_module(copy.deepcopy(method.backbone).to(images.device)).train().requires_grad_(True)
    try:
        trial.compile()
        with precision.train_step_context():
            features = trial(precision.convert_input(images))
        features.float().square().mean().backward()
    except Exception as error:  # whatever a compiler may raise
        if is_out_of_memory(error):
            raise
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        log.warning("the backbone cannot be compiled, and is trained without train.compile: %s", reason)
        return False
    for part in method.modules():
        if type(part) is type(method.backbone):
            part.compile()
    return True
