"""Contract of simulators: an image is a function of the address of its lens."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from lenskit.breach import Met, breach, check_finite, check_tensor, differ, no_global_generator
from lenskit.kinds.parameter import Parameter
from lenskit.kinds.simulator import Scene, Simulator

LENSES = 4
"""Number of lenses that are rendered together. The first and the last lens are also rendered alone."""

_met = Met()


def meet_simulator(simulator: Simulator, seed: int, split: str, shared: Iterable[str], device: torch.device) -> None:
    """Check a simulator when it is first used; later calls return at once.

    Args:
        simulator: The simulator.
        seed: Seed of the lenses.
        split: Split of the lenses, such as `train`.
        shared: Parameter groups that all views of a lens share.
        device: Device on which images are rendered.

    Raises:
        LenskitError: The simulator breaks its contract.
    """
    if simulator in _met:
        return
    check_stated(simulator)
    index = torch.arange(LENSES, device=device)
    with no_global_generator(simulator):
        scene = _scene(simulator, seed, split, index, shared)
        images = simulator.render(scene)
        check_images(simulator, images, LENSES, device)
        check_finite(simulator, "images", images)
        if _is_varied(scene) and not differ(images[:1].expand_as(images), images):
            raise breach(simulator, f"renders the same image of {LENSES} lenses whose scenes differ")
        for row in (0, LENSES - 1):
            alone = _scene(simulator, seed, split, index[row : row + 1], shared)
            for parameter in simulator.parameters:
                if differ(scene[parameter.name][row].double(), alone[parameter.name][0].double()):
                    raise breach(
                        simulator,
                        f"draws a different {parameter.name!r} for a lens alone and in a batch: draw it with `rng`, "
                        "and use no other lens of the batch",
                    )
            if differ(images[row], simulator.render(alone)[0]):
                raise breach(
                    simulator,
                    "renders a different image of a lens alone and in a batch: use no other lens of the batch, and "
                    "keep the order of the lenses",
                )
    _met.add(simulator)


def check_stated(simulator: Simulator) -> None:
    """Check the attributes of a simulator.

    Raises:
        LenskitError: An attribute is missing or wrong.
    """
    groups = _stated(simulator, "groups")
    if not isinstance(groups, tuple) or not groups or not all(isinstance(group, str) for group in groups):
        raise breach(simulator, f"states groups = {groups!r}: it must be a tuple of names, such as ('lens', 'source')")
    parameters = _stated(simulator, "parameters")
    if not isinstance(parameters, tuple | list) or not all(isinstance(one, Parameter) for one in parameters):
        raise breach(simulator, f"states parameters = {parameters!r}: it must be a tuple of Parameters")
    if unknown := sorted({one.group for one in parameters} - {"", Parameter.group, *groups}):
        raise breach(simulator, f"has parameters of the groups {', '.join(unknown)} but states groups = {groups!r}")
    shape = _stated(simulator, "image_shape")
    sizes = isinstance(shape, tuple | list) and len(shape) == 3
    if not sizes or not all(isinstance(n, int) and n > 0 for n in shape):
        raise breach(simulator, f"states image_shape = {shape!r}: it must be channels, height and width in pixels")


def check_scene(simulator: Simulator, scene: Any, lenses: int) -> None:
    """Check the recorded parameters of a scene.

    Args:
        simulator: The simulator that sampled the scene.
        scene: The scene.
        lenses: Number of images in the scene.

    Raises:
        LenskitError: A parameter is missing or has the wrong shape.
    """
    for parameter in simulator.parameters:
        value = scene.get(parameter.name)
        if value is None:
            raise breach(simulator, f"states the parameter {parameter.name!r} but `draw` returns no value of it")
        if not isinstance(value, Tensor) or value.shape != (lenses,):
            given = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise breach(
                simulator, f"returns {parameter.name!r} as {given}: return one number for each of {lenses} images"
            )


def check_images(simulator: Simulator, images: Any, count: int, device: torch.device) -> None:
    """Check the type, the shape and the device of images.

    Args:
        simulator: The simulator that rendered them.
        images: The images.
        count: Expected number of images.
        device: Expected device.

    Raises:
        LenskitError: The type, the shape or the device is wrong.
    """
    check_tensor(simulator, "images", images, (count, *simulator.image_shape), device)


def _scene(simulator: Simulator, seed: int, split: str, index: Tensor, shared: Iterable[str]) -> Scene:
    scene = simulator.scene(seed, split, index, shared=shared)
    check_scene(simulator, scene, len(index))
    return scene


def _is_varied(scene: Scene) -> bool:
    """Whether the scenes of the lenses differ; not so if all priors are constants."""
    values = [value.double() for value in scene.values() if isinstance(value, Tensor) and value.ndim]
    return any(differ(value[:1].expand_as(value), value) for value in values)


def _stated(simulator: Simulator, name: str) -> Any:
    if not hasattr(simulator, name):
        raise breach(simulator, f"states no `{name}`")
    return getattr(simulator, name)
