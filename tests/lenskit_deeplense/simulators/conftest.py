"""Fixtures for the tests of simulators: profiles for lenstronomy."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lenskit.kinds.simulator import Scene
from lenskit_deeplense.simulators.subhalos import Subhalos
from lenskit_deeplense.simulators.substructure import Substructure

LENSTRONOMY = {"point": "POINT_MASS", "tnfw": "TNFW", "pjaffe": "PJAFFE"}

Profiles = tuple[list[str], list[dict[str, float]]]


@pytest.fixture
def subhalos_of() -> Callable[[Substructure, Scene, int], Profiles]:
    """Return the names and parameters of one lens's subhalos, for lenstronomy."""

    def profiles(simulator: Substructure, scene: Scene, row: int) -> Profiles:
        kind = simulator.kinds["spherical"]
        assert isinstance(kind, Subhalos)
        names = ("theta_E", "Rs", "r_trunc", "x", "y")
        some = {name: scene[f"subhalo_{name}"][row].double() for name in names if f"subhalo_{name}" in scene}
        some = {name: values[: int(scene["subhalos"][row])] for name, values in some.items()}
        found = {name: values.tolist() for name, values in kind.lenstronomy(some).items()}
        rows = [dict(zip(found, values, strict=True)) for values in zip(*found.values(), strict=True)]
        return [LENSTRONOMY[kind.profile]] * len(rows), rows

    return profiles
