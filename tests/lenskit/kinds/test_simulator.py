"""Property of every simulator: a scene depends only on its address."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lenskit.chosen import build
from lenskit.generator import KeyedGenerator
from lenskit.kinds.simulator import Scene, Simulator

SIMULATORS: dict[str, dict] = {
    "blobs": {},
    "hst": {"pixels": 32, "theta_E": "uniform(0.3, 0.6)"},
    "euclid-challenge": {"task": "detection", "supersampling": 1, "neighbours": "uniform(0, 3)"},
    "injection": {"pixels": 32, "theta_E": "uniform(0.3, 0.6)", "exposure_time": 500},
}
PRIOR = {
    "blobs": ("width", "uniform(2, 5)"),
    "hst": ("theta_E", "uniform(0.5, 0.7)"),
    "euclid-challenge": ("theta_E", "uniform(0.5, 0.7)"),
    "injection": ("theta_E", "uniform(0.5, 0.7)"),
}
"""A parameter of each simulator and another prior of it."""

RENDERED = {"arc", "mag_eff"}
"""Entries of scenes that are pixels, or sums of them."""

FOLLOWS = {"source_flux"}
"""Entries that may follow from the lens alone: whether there is a source."""

INDEX = torch.cat([torch.arange(10), torch.tensor([2**32, 2**40 + 3])])
VIEW = torch.arange(12) % 3


@pytest.fixture(scope="module", params=SIMULATORS)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def options(name: str, draw_galaxies: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    own = {"galaxies": str(draw_galaxies(tmp_path_factory.mktemp("galaxies")))} if name == "injection" else {}
    return SIMULATORS[name] | own


@pytest.fixture(scope="module")
def simulator(name: str, options: dict[str, Any]) -> Simulator:
    return build("simulator", name, options)


@pytest.fixture(scope="module")
def whole(simulator: Simulator) -> tuple[Scene, Tensor]:
    """Return scenes and images of a dozen addresses, made in one batch."""
    scene = simulator.scene(1, "train", INDEX, VIEW)
    return scene, simulator.render(scene)


def keys_of(simulator: Simulator, group: str) -> set[str]:
    """Return the names of the scene's entries that a group draws."""
    scene: Scene = {}
    for each in simulator.groups:
        drawn = simulator.draw(each, KeyedGenerator(1, "train", each, INDEX, VIEW), scene)
        if each == group:
            return set(drawn)
        scene |= drawn
    raise ValueError(group)


def test_records_what_it_says(simulator: Simulator, whole: tuple[Scene, Tensor]) -> None:
    scene, images = whole
    assert images.shape == (len(INDEX), *simulator.image_shape)
    assert images.dtype == torch.float32
    assert images.isfinite().all()
    assert all(len(value) == len(INDEX) for value in scene.values())
    for parameter in simulator.parameters:
        assert scene[parameter.name].shape == (len(INDEX),)
        assert parameter.name in keys_of(simulator, parameter.group)
    assert len({parameter.name for parameter in simulator.parameters}) == len(simulator.parameters)
    assert simulator.removable <= set(simulator.groups)


@pytest.mark.slow
@given(chosen=st.lists(st.integers(0, len(INDEX) - 1), min_size=1, max_size=len(INDEX)))
@settings(deadline=None, max_examples=12)
def test_neighbours_in_the_batch_do_not_matter(
    chosen: list[int], simulator: Simulator, whole: tuple[Scene, Tensor]
) -> None:
    """Batches of other sizes and orders give the same draws and images.

    Draws agree exactly, pixels within 1e-5 of the peak.
    """
    scene, images = whole
    some = simulator.scene(1, "train", INDEX[chosen], VIEW[chosen])
    for key, value in some.items():
        expected = scene[key][chosen]
        if key in RENDERED:
            assert (value - expected).abs().max() <= 1e-5 * scene[key].abs().max(), key
        else:
            assert torch.equal(value, expected), key
    peak = images[chosen].abs().amax((1, 2, 3), keepdim=True)
    assert ((simulator.render(some) - images[chosen]).abs() <= 1e-5 * peak).all()


@pytest.mark.slow
def test_sharing_a_group_shares_exactly_that(simulator: Simulator) -> None:
    index = torch.arange(64)
    one = simulator.scene(1, "train", index, 0)
    free = simulator.scene(1, "train", index, 1)
    shared = simulator.scene(1, "train", index, 1, shared={"lens"})
    lens = keys_of(simulator, "lens")
    for key, value in one.items():
        if key in lens:
            assert torch.equal(shared[key], value), key
            assert not torch.equal(free[key], value), key
        elif key not in FOLLOWS and (value != value[:1]).any():  # the quantity varies
            assert not torch.equal(shared[key], value), key


@pytest.mark.slow
def test_splits_seeds_and_views_are_other_lenses(simulator: Simulator) -> None:
    index = torch.arange(64)
    streams = [("train", 1, 0), ("probe", 1, 0), ("test", 1, 0), ("train", 2, 0), ("train", 1, 1)]
    scenes = [simulator.scene(seed, split, index, view) for split, seed, view in streams]
    for parameter in simulator.parameters:
        for one, other in combinations((scene[parameter.name] for scene in scenes), 2):
            by_chance = (one[:, None] == other).float().mean()  # two lenses may be equal: integers repeat
            assert (one == other).float().mean() <= by_chance + 0.2, parameter.name


def test_another_prior_leaves_the_other_parameters_alone(
    name: str, options: dict[str, Any], simulator: Simulator
) -> None:
    changed, prior = PRIOR[name]
    other = build("simulator", name, options | {changed: prior})
    before, after = (s.scene(1, "train", INDEX, VIEW) for s in (simulator, other))
    assert not torch.equal(before[changed], after[changed])
    for key in keys_of(simulator, "lens") - {changed}:
        assert torch.equal(before[key], after[key]), key
    if name == "blobs":  # if no other quantity derives from that parameter
        assert all(torch.equal(before[key], after[key]) for key in before if key != changed)
    assert torch.equal(before["noise"], after["noise"])


def test_leaves_out_what_is_removable(simulator: Simulator, whole: tuple[Scene, Tensor]) -> None:
    scene, images = whole
    for group in simulator.removable:
        assert not torch.allclose(simulator.render(scene, [group]), images)


def test_draws_in_double_precision_round_to_single(simulator: Simulator, whole: tuple[Scene, Tensor]) -> None:
    double = simulator.scene(1, "train", INDEX, VIEW, dtype=torch.float64)
    for parameter in simulator.parameters:
        if parameter.group == "lens":
            assert torch.equal(double[parameter.name].float(), whole[0][parameter.name])
    assert simulator.render(double).dtype == torch.float64


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_devices_agree(options: dict[str, Any], name: str, whole: tuple[Scene, Tensor]) -> None:
    there = build("simulator", name, options).to("cuda")
    scene = there.scene(1, "train", INDEX.cuda(), VIEW.cuda())
    peak = whole[1].abs().amax((1, 2, 3), keepdim=True)
    assert ((there.render(scene).cpu() - whole[1]).abs() <= 1e-5 * peak).all()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_nothing_waits_for_the_host(name: str, options: dict[str, Any]) -> None:
    there = build("simulator", name, options).to("cuda")
    index, view = INDEX.cuda(), VIEW.cuda()
    there.render(there.scene(1, "train", index, view))  # constants are moved to the device only once
    torch.cuda.set_sync_debug_mode("error")
    try:
        there.render(there.scene(1, "train", index + 1, view))
    finally:
        torch.cuda.set_sync_debug_mode("default")
