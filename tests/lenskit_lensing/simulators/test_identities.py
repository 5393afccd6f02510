"""Identities of real galaxies, so that each galaxy is in one split only.

Tests cover every simulator with real galaxies.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from lenskit.plugin import Simulator
from lenskit.registry import registry

torch.set_num_threads(1)

MERGING = {"merger_fraction": 0.5, "stamps_clean": True}
FRACTION = {"hst": "cosmos_fraction", "euclid-challenge": "real_fraction", "injection": "cosmos_fraction"}
"""How each calls the share of sources that are real galaxies."""

LENSES = {"injection": {"lens_galaxy"}}
"""What numbers things other than sources."""


def taking_stamps() -> dict[str, Callable[..., Simulator]]:
    """Simulators with an option for a folder of stamps."""
    known = {record.name: record.load() for record in registry().of_kind("simulator")}
    return {name: kind for name, kind in known.items() if "stamps" in inspect.signature(kind).parameters}


@pytest.fixture
def stamps(tmp_path: Path) -> Path:
    """Five galaxies on an empty sky."""
    y, x = np.indices((50, 50)) - 24.5
    np.save(tmp_path / "discs.npy", [np.where((r := np.hypot(x, y)) < 20, np.exp(-r / s), 0) for s in (2, 3, 4, 5, 6)])
    return tmp_path


def test_all_are_looked_at() -> None:
    assert set(taking_stamps()) == set(FRACTION)


@pytest.mark.slow
@pytest.mark.parametrize("name", FRACTION)
def test_a_source_says_which_galaxy_it_is(name: str, stamps: Path, draw_galaxies: Callable[..., Path]) -> None:
    kind = taking_stamps()[name]
    if name == "injection":
        kind = partial(kind, galaxies=str(draw_galaxies(stamps / "lenses", 4)))
    real = {"stamps": str(stamps), **MERGING}
    simulator = kind(**real, **{FRACTION[name]: 0.7})
    things = {parameter.name for parameter in simulator.parameters if parameter.identity}
    assert things == {"source_stamp", "companion_stamp"} | LENSES.get(name, set())
    scene = simulator.scene(0, "train", torch.arange(60))
    assert set(scene["source_stamp"].tolist()) == {-1, 0, 1, 2, 3, 4}
    assert (scene["companion_stamp"][scene["companion_flux"] == 0] == -1).all()

    def identities(**options: object) -> set[str]:
        things = {parameter.name for parameter in kind(**options).parameters if parameter.identity}
        return things - LENSES.get(name, set())

    assert identities(**real | {"merger_fraction": 0.0}) == {"source_stamp"}
    assert identities() == set()


def test_no_galaxy_is_named_where_there_is_no_source(stamps: Path) -> None:
    simulator = taking_stamps()["euclid-challenge"](
        task="detection", lens_fraction=0.3, stamps=str(stamps), real_fraction=1.0, supersampling=1, **MERGING
    )
    scene = simulator.scene(0, "train", torch.arange(60))
    absent = scene["source_flux"] == 0
    assert 10 < absent.sum() < 50
    assert torch.equal(scene["source_stamp"] == -1, absent)
    assert torch.equal(scene["companion_stamp"] == -1, scene["companion_flux"] == 0)
