"""Network outputs that several detectors of a run share."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

import torch
from torch import Tensor

from lenskit.evaluation import Encoder
from lenskit.plugin import Method, Reconstructor


class Shared:
    """A cache of network outputs for the latest batch of images.

    Several detectors of one run preprocess, encode and reconstruct the same images. The cache computes each output
    once. A batch is recognised by the identity of the tensor. The cache changes the encoder and the method in place.

    Args:
        encoder: Encoder of the run; it is set to eval mode.
        method: Method of the run, if a detector uses it. If the backbones of method and encoder have the same weights,
            the method gets the backbone of the encoder.

    Attributes:
        saved: Seconds of computation that the cache saved.
    """

    def __init__(self, encoder: Encoder, method: Method | None = None) -> None:
        self.saved = 0.0
        encoder.eval()
        if method is not None and _same(method.backbone, encoder.backbone):
            method.backbone = encoder.backbone
        elif method is not None:
            method.backbone.forward = self._once(method.backbone.forward)  # type: ignore[assignment,method-assign]
        encoder.prepare = self._once(encoder.prepare)  # type: ignore[assignment,method-assign]
        encoder.backbone.forward = self._once(encoder.backbone.forward)  # type: ignore[assignment,method-assign]
        if isinstance(method, Reconstructor):
            method.reconstruct = self._once(method.reconstruct)

    def _once(self, function: Callable[[Tensor], Any]) -> Callable[[Tensor], Any]:
        """Return the function with a cache of its latest call."""
        latest: list[Any] = []
        seconds = 0.0

        def answer(images: Tensor) -> Any:
            nonlocal seconds
            if latest and images is latest[0]:
                self.saved += seconds
                return latest[1]
            began, before = perf_counter(), self.saved
            result = function(images)
            if images.is_cuda:
                torch.cuda.synchronize()
            # Add the time that cached parts of the call would have taken without the cache.
            seconds = perf_counter() - began + self.saved - before
            latest[:] = [images, result]
            return result

        return answer


def _same(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    """Whether two networks have the same weights."""
    a, b = one.state_dict(), other.state_dict()
    return a.keys() == b.keys() and all(a[name].shape == b[name].shape and a[name].equal(b[name]) for name in a)
