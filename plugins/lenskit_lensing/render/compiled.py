"""Optional `torch.compile` for passes over many pixels.

Compilation fuses the passes, which saves about a fifth of the time of an image on a CPU. It takes a minute when a
process first renders, as much as it saves on hundreds of thousands of images. It is therefore off by default;
LENSKIT_COMPILE=1 in the environment enables it.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from functools import cache, wraps
from typing import ParamSpec, TypeVar

import torch
from torch import Tensor

P = ParamSpec("P")
T = TypeVar("T")

VARIABLE = "LENSKIT_COMPILE"

log = logging.getLogger("lenskit")


def compiled(function: Callable[P, T]) -> Callable[P, T]:
    """Compile a function for batches of any size, if enabled and supported.

    Args:
        function: Function of tensors; its first argument is a tensor.
    """

    @cache
    def chosen(device: str) -> Callable[P, T]:
        return torch.compile(function, dynamic=True) if works(device) else function

    @wraps(function)
    def call(*arguments: P.args, **named: P.kwargs) -> T:
        wanted = os.environ.get(VARIABLE) == "1" and not torch.compiler.is_compiling()
        first = arguments[0]
        if not wanted or not isinstance(first, Tensor):
            return function(*arguments, **named)
        return chosen(first.device.type)(*arguments, **named)

    return call


@cache
def works(device: str) -> bool:
    """Whether compiled code runs.

    It is tried once, because a missing compiler is noticed only when compiled code first runs.
    """
    try:
        # New code, so that no cache has a compiled version.
        torch.compile(lambda x: torch.sin(x) * x + 1)(torch.zeros(64, device=device))
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        log.warning("torch.compile does not work here; continuing without it (%s)", reason)
        return False
    return True
