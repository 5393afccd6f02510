"""Breaches of contracts, and the checks that several kinds share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
import torch
from torch import Tensor

from lenskit.errors import LenskitError
from lenskit.origin import origin_of

TOLERANCE = 1e-4
"""Largest difference that counts as rounding, as a fraction of the largest absolute value."""


class Met:
    """Components that were already checked.

    They are found by `id`, because a component need not be hashable.
    """

    def __init__(self) -> None:
        self._components: WeakValueDictionary[int, Any] = WeakValueDictionary()

    def __contains__(self, component: object) -> bool:
        return self._components.get(id(component)) is component

    def add(self, component: Any) -> None:
        """Remember a component until it is deleted."""
        self._components[id(component)] = component


def breach(component: object, fault: str) -> LenskitError:
    """Return the error for a component that breaks its contract.

    Args:
        component: The component.
        fault: The fault, as it follows the component's name: `returns a list`.
    """
    return LenskitError(f"{origin_of(component)} {fault}")


def check_tensor(
    component: object,
    name: str,
    value: Any,
    shape: tuple[int | None, ...],
    device: torch.device | None = None,
    floats: bool = True,
) -> None:
    """Check that a component returned a tensor of the right shape.

    Args:
        component: The component.
        name: Name of the value for the message, such as `images`.
        value: The value.
        shape: Required shape; None stands for any length.
        device: Required device; None for any.
        floats: Whether the tensor must hold floats.

    Raises:
        LenskitError: if the value differs; the message names the fault and the required shape, type or device.
    """
    wanted = " x ".join("n" if length is None else str(length) for length in shape)
    if not isinstance(value, Tensor):
        raise breach(component, f"gives {name} as {_article(type(value).__name__)}: give a tensor ({wanted})")
    fits = value.ndim == len(shape) and all(n in (None, m) for n, m in zip(shape, value.shape, strict=True))
    if not fits:
        given = " x ".join(map(str, value.shape)) or "one number"
        raise breach(component, f"gives {name} of shape {given}: give {wanted}")
    if floats and not value.is_floating_point():
        raise breach(component, f"gives {name} of {_dtype(value)}: give floats")
    if device is not None and value.device.type != device.type:
        raise breach(
            component, f"gives {name} on {value.device.type}: give them on {device.type}, the device of the input"
        )


def check_finite(component: object, name: str, value: Tensor) -> None:
    """Check that a component returned finite values.

    Raises:
        LenskitError: Some values are not finite. The message has their number.
    """
    finite = value.isfinite()
    if not finite.all():
        bad = int((~finite).sum())
        raise breach(component, f"gives {name} with NaN or infinite values ({bad} of {finite.numel()})")


def differ(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors of the same shape differ by more than rounding."""
    finite = torch.cat([one.flatten(), other.flatten()]).nan_to_num(0.0, 0.0, 0.0)
    reach = float(finite.abs().max()) if len(finite) else 0.0
    return not torch.allclose(one, other, rtol=0, atol=reach * TOLERANCE, equal_nan=True)


@contextmanager
def no_global_generator(component: object) -> Iterator[None]:
    """Check that a component takes no random numbers from a global generator.

    The generators of torch and numpy are checked, and restored afterwards. Python's own generator is not, because other
    threads use it. A component that uses it fails a different check: the image of a single lens differs from the
    image of the same lens in a batch.

    Raises:
        LenskitError: if the component uses a global generator; the message names the generator.
    """
    before, array = _generators(), np.random.get_state()
    fault: LenskitError | None = None
    with torch.random.fork_rng(devices=[]):
        try:
            yield
        except LenskitError as error:
            fault = error  # a global generator may be the cause
        finally:
            after = _generators()
            np.random.set_state(array)
    for name, state in before.items():
        if after[name] != state:
            raise breach(
                component,
                f"takes random numbers from the global generator of {name}: take them from `rng`, by name, so that "
                "they belong to the lens",
            ) from fault
    if fault:
        raise fault


def _generators() -> dict[str, Any]:
    _, keys, position, *_ = np.random.get_state()
    states = {"torch": torch.get_rng_state().numpy().tobytes(), "numpy": (np.asarray(keys).tobytes(), position)}
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        states["torch on the GPU"] = torch.cuda.get_rng_state().numpy().tobytes()
    return states


def _article(name: str) -> str:
    names = {"NoneType": "None", "ndarray": "a numpy array"}
    return names.get(name, f"{'an' if name[0] in 'aeiou' else 'a'} {name}")


def _dtype(value: Tensor) -> str:
    return str(value.dtype).removeprefix("torch.")
