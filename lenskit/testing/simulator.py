"""Contract of simulators: an image is a function of its address."""

from __future__ import annotations

from math import inf
from numbers import Real
from typing import ClassVar
from unittest import SkipTest

import torch
from torch import Tensor

from lenskit.breach import differ, no_global_generator
from lenskit.contracts.simulator import check_scene, check_stated, meet_simulator
from lenskit.generator import KeyedGenerator
from lenskit.kinds.simulator import Scene, Simulator
from lenskit.testing.contract import ClassContract

CPU = torch.device("cpu")

ROUNDING = 1e-5
"""Largest difference of pixels that counts as rounding, as a fraction of the peak of the image."""


class SimulatorContract(ClassContract):
    """Tests of a simulator.

    ```python
    class TestRings(SimulatorContract):
        component = "rings"
        options = {"pixels": 32}
    ```
    """

    kind = "simulator"

    index: ClassVar[Tensor] = torch.tensor([0, 1, 2, 3, 2**32, 2**40 + 3])
    """Numbers of the lenses that are rendered."""

    def scene(
        self, simulator: Simulator, seed: int = 1, split: str = "train", view: int = 0, **options: object
    ) -> Scene:
        """Draw the scenes of the test."""
        return simulator.scene(seed, split, self.index, view, **options)  # type: ignore[arg-type]

    def test_it_passes_the_checks_at_first_use(self) -> None:
        simulator = self.build()
        with self.rules_of_lenskit():
            check_stated(simulator)
        with self.rules_of_lenskit("draw"):
            check_scene(simulator, self.scene(simulator), len(self.index))
        with self.rules_of_lenskit("render"):
            meet_simulator(simulator, 0, "train", (), CPU)

    def test_images_are_finite_and_float32(self) -> None:
        simulator = self.build()
        images = simulator.render(self.scene(simulator))
        render = self.member("render")
        self.require(images.dtype == torch.float32, f"renders {images.dtype}: render float32", render)
        self.require(images.isfinite().all(), "renders NaN or infinite pixels", render)

    def test_parameters_have_different_names(self) -> None:
        names = [parameter.name for parameter in self.build().parameters]
        self.require(len({*names}) == len(names), f"records a parameter twice: {names}", self.loaded)

    def test_recorded_values_are_finite(self) -> None:
        simulator = self.build()
        scene = self.scene(simulator)
        for parameter in simulator.parameters:
            value = scene[parameter.name].double()
            self.require(value.isfinite().all(), f"draws {parameter.name!r} as NaN or infinity", self.member("draw"))

    def test_the_pixel_scale_is_positive(self) -> None:
        scale = self.build().pixel_scale
        self.require(
            scale is None or (isinstance(scale, Real) and 0 < float(scale) < inf),
            f"has pixel_scale = {scale!r}: give arcseconds a pixel, or None",
            self.loaded,
        )

    def test_an_address_determines_the_image(self) -> None:
        """Another state of the global generators changes neither scenes nor images."""
        first, second = self.build(), self.build()
        scene = self.scene(first)
        images = first.render(scene)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(12345)
            again = self.scene(second)
            rendered = second.render(again)
        for name, value in scene.items():
            self.require(
                equal(value, again[name]),
                f"draws another {name!r} for the same address: draw it with `rng`, by name",
                self.member("draw"),
            )
        self.require(close(images, rendered), "renders another image of the same scene", self.member("render"))

    def test_neighbours_in_the_batch_do_not_matter(self) -> None:
        simulator = self.build()
        scene = self.scene(simulator)
        images = simulator.render(scene)
        for rows in ([0], [5], [3, 1], [4, 3, 2, 1, 0]):
            some = simulator.scene(1, "train", self.index[rows], 0)
            for parameter in simulator.parameters:
                self.require(
                    not differ(some[parameter.name].double(), scene[parameter.name][rows].double()),
                    f"draws {parameter.name!r} of a lens from other lenses of the batch: draw it with `rng`",
                    self.member("draw"),
                )
            self.require(
                close(images[rows], simulator.render(some)),
                "renders another image of a lens in another batch: use no other lens of the batch",
                self.member("render"),
            )

    def test_no_global_generator_is_used(self) -> None:
        simulator = self.build()
        with self.rules_of_lenskit("draw"), no_global_generator(simulator):
            scene = self.scene(simulator)
        with self.rules_of_lenskit("render"), no_global_generator(simulator):
            simulator.render(scene)

    def test_views_share_the_groups_that_are_shared_and_no_others(self) -> None:
        simulator = self.build()
        one, free = self.scene(simulator), self.scene(simulator, view=1)
        for number, group in enumerate(simulator.groups, 1):
            # A group may depend on earlier groups: the position of the source may depend on the lens.
            shared = self.scene(simulator, view=1, shared=simulator.groups[:number])
            drawn = self._drawn(simulator, group)
            for name in drawn & {parameter.name for parameter in simulator.parameters}:
                self.require(
                    equal(one[name], shared[name]),
                    f"draws another {name!r} for views that share {group!r}: draw it with the `rng` of that group",
                    self.member("draw"),
                )
            varied = [name for name in drawn if is_varied(one[name])]
            self.require(
                not varied or any(not equal(one[name], free[name]) for name in varied),
                f"draws the same {group!r} for another view: draw it with the `rng` of that group",
                self.member("draw"),
            )

    def test_other_seeds_and_splits_are_other_lenses(self) -> None:
        simulator = self.build()
        scene = self.scene(simulator)
        recorded = {parameter.name for parameter in simulator.parameters}
        varied = {name for name, value in scene.items() if is_varied(value)}
        if not varied:
            raise SkipTest("all priors are constants")
        for other in (self.scene(simulator, seed=2), self.scene(simulator, split="test")):
            self.require(
                # Other noise on the same lenses is not enough.
                any(not equal(scene[name], other[name]) for name in varied & recorded or varied),
                "draws the same lenses for another seed or split: draw them with `rng`",
                self.member("draw"),
            )

    def test_removable_groups_can_be_omitted(self) -> None:
        simulator = self.build()
        if not simulator.removable:
            raise SkipTest("no group is removable")
        scene = self.scene(simulator)
        images = simulator.render(scene)
        for group in simulator.removable:
            self.require(group in simulator.groups, f"can remove {group!r}, which is not in `groups`", self.loaded)
            without = simulator.render(scene, [group])
            self.require(
                without.isfinite().all() and differ(without, images),
                f"renders the same image if {group!r} is omitted: leave its light out",
                self.member("render"),
            )

    def test_double_precision_is_possible(self) -> None:
        simulator = self.build()
        double = simulator.render(self.scene(simulator, dtype=torch.float64))
        self.require(
            double.dtype == torch.float64,
            f"renders a scene of float64 as {double.dtype}: make tensors with the dtype of the scene",
            self.member("render"),
        )

    def test_tensors_are_on_the_device_of_the_scene(self) -> None:
        remedy = "Make tensors on the device of the scene, and keep constants as attributes, which `to` moves"
        with self.on_a_gpu(remedy, "render") as device:
            simulator = self.build().to(device)
            images = simulator.render(simulator.scene(1, "train", self.index.to(device)))
        self.require(images.device.type == device.type, f"renders on {images.device.type}", self.member("render"))

    def _drawn(self, simulator: Simulator, wanted: str) -> set[str]:
        """Return the names of the entries that a group draws."""
        scene: Scene = {}
        for group in simulator.groups:
            drawn = simulator.draw(group, KeyedGenerator(1, "train", group, self.index, 0 * self.index), scene)
            if group == wanted:
                return {*drawn}
            scene |= drawn
        return set()


def close(one: Tensor, other: Tensor) -> bool:
    """Whether images (n, channels, height, width) agree within rounding."""
    peak = one.abs().amax((1, 2, 3), keepdim=True)
    return one.shape == other.shape and bool(((one - other).abs() <= ROUNDING * peak).all())


def equal(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors have equal values; NaN equals NaN."""
    return one.shape == other.shape and bool(((one == other) | ((one != one) & (other != other))).all())


def is_varied(value: Tensor) -> bool:
    """Whether an entry of the scene differs between lenses (n, ...)."""
    return value.ndim > 0 and not equal(value, value[:1].expand_as(value))
