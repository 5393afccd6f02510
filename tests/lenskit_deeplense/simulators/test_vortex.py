"""Vortices: deflection, length and recorded values."""

from __future__ import annotations

import pytest
import torch

from lenskit_deeplense.simulators.deeplense import DeepLenseA
from lenskit_deeplense.simulators.recorded import CLASSES
from lenskit_deeplense.simulators.substructure import Substructure

torch.set_num_threads(1)


FEW = torch.arange(4)


def test_the_line_looks_like_its_points() -> None:
    """A line and 100 points deflect alike, within the reference's bound away from it."""
    line, points = (DeepLenseA(classes="vortex", vortex=vortex, strength="nominal") for vortex in ("line", "points"))
    scene = line.scene(1, "train", FEW)
    axis = (torch.arange(60, dtype=torch.float32) - 29.5) * 0.05
    x, y = torch.broadcast_tensors(axis[None, :], axis[:, None])
    ours, theirs = (torch.stack(each.kinds["vortex"].deflection(x, y, scene)) for each in (line, points))
    angle = scene["string_direction"][:, None, None]
    along, across = x * angle.cos() + y * angle.sin(), y * angle.cos() - x * angle.sin()
    distance = torch.hypot((along.abs() - scene["string_half_length"][:, None, None]).clamp(min=0), across)
    assert torch.where(distance > 0.03, torch.linalg.vector_norm(ours - theirs, dim=0), 0).max() < 0.004


def test_an_axions_mass_gives_the_length() -> None:
    """The reference: half of the length is .06 / (2 m) 1e-22 arcsec."""
    scene = Substructure(classes="vortex", log_axion_mass="-23").scene(0, "train", FEW)
    assert scene["string_length"].tolist() == pytest.approx([0.6] * 4)


def test_a_vortex_is_known_where_there_is_one() -> None:
    scene = DeepLenseA(classes=CLASSES, pixels=16).scene(0, "train", torch.arange(30))
    assert torch.equal(scene["string_length"].isfinite(), scene["substructure"] == 2)
    assert torch.equal(scene["substructure_mass"] > 0, scene["substructure"] > 0)
