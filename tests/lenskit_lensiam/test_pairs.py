"""Lens-fixed pairs, with and without rotation, and pairs of control experiments."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from lenskit.chosen import build
from lenskit.data.training_set import SimulatedTrainingSet
from lenskit.plugin import Batch, KeyedGenerator
from lenskit.preprocessing.preprocess import Preprocess
from lenskit.toolbox import orient_images, orient_values
from lenskit_lensiam.pairs import InstrumentOnly, LensFixed, LensFixedDihedral, SourceFixed

SIMULATOR = build("simulator", "hst", {"pixels": 24, "pixel_scale": 0.2})


def test_lens_fixed_returns_the_two_renderings_as_they_are():
    images = torch.randn(3, 2, 4, 8, 8)
    parameters = {"theta_E": torch.rand(3, 2)}
    index = torch.tensor([7, 1, 5])
    batch = LensFixed()(images, parameters, KeyedGenerator(0, "train", "views", index, torch.zeros_like(index)))
    assert len(batch.views) == LensFixed.views == LensFixed.draws
    for view, expected in zip(batch.views, (images[:, 0], images[:, 1]), strict=True):
        assert torch.equal(view, expected)
    assert torch.equal(batch.parameters["theta_E"], parameters["theta_E"])
    assert torch.equal(batch.index, index)


def test_lens_fixed_shares_the_lens_and_nothing_else():
    assert LensFixed.shared_groups == {"lens"}


@pytest.mark.parametrize(
    ("strategy", "same"),
    [(LensFixed, "lens"), (SourceFixed, "source"), (InstrumentOnly, "instrument"), (LensFixedDihedral, "lens")],
)
def test_pairs_share_the_parameters_of_one_group_and_no_others(strategy: type, same: str) -> None:
    pairs = strategy(turn="no", mirror="no") if strategy is LensFixedDihedral else strategy()
    source = SimulatedTrainingSet(SIMULATOR, pairs, Preprocess(), 0)
    batch = source.by_index(torch.arange(200))
    for parameter in source.parameters:
        one, other = batch.parameters[parameter.name].T
        if parameter.name in ("source_dx", "source_dy", "source_magnification"):
            continue  # these belong to the source, but also depend on the lens
        equal = (one == other).float().mean()
        assert (equal == 1) == (parameter.group == same), parameter.name
        assert equal in (0, 1) or parameter.name == "psf", parameter.name
    assert not any(torch.equal(one, other) for one, other in zip(*batch.views, strict=True))


def test_pairs_of_one_source_share_how_it_looks() -> None:
    scenes = [SIMULATOR.scene(0, "train", torch.arange(50), view, shared={"source"}) for view in (0, 1)]
    for name in ("source_half_light_radius", "source_e1", "source_n", "source_R_sersic", "companion_flux"):
        assert torch.equal(scenes[0][name], scenes[1][name])
    # The position in the source plane is the same too, if both lenses magnify the source enough there.
    assert (scenes[0]["source_dx"] == scenes[1]["source_dx"]).float().mean() > 0.5


def test_pairs_of_one_instrument_share_the_level_of_the_noise_and_not_the_noise() -> None:
    """If both images had the same noise in each pixel, only noise would be learned."""
    scenes = [SIMULATOR.scene(0, "train", torch.arange(50), view, shared={"instrument"}) for view in (0, 1)]
    assert torch.equal(scenes[0]["log_noise"], scenes[1]["log_noise"])
    assert torch.equal(scenes[0]["psf"], scenes[1]["psf"])
    one, other = (scene["noise"].flatten() for scene in scenes)
    assert abs(torch.corrcoef(torch.stack([one, other]))[0, 1]) < 4 / one.numel() ** 0.5
    plain = SIMULATOR.scene(0, "train", torch.arange(50), 1)
    assert torch.equal(plain["noise"], scenes[1]["noise"])


@pytest.mark.parametrize("quarters", range(4))
@pytest.mark.parametrize("mirrored", [False, True])
def test_a_turned_image_is_the_image_of_turned_parameters(quarters: int, mirrored: bool, tmp_path: Path) -> None:
    """With a symmetric PSF, rendering rotated entries rotates the image."""
    axis = np.arange(-4, 5)
    np.save(tmp_path / "psf.npy", np.exp(-(axis**2 + axis[:, None] ** 2) / 4))
    simulator = build("simulator", "hst", {"pixels": 40, "pixel_scale": 0.1, "psf": str(tmp_path / "psf.npy")})
    scene = simulator.scene(3, "train", torch.arange(6), dtype=torch.float64)
    turn, mirror = torch.full((6,), quarters), torch.full((6,), mirrored)
    scalars = {name: value for name, value in scene.items() if value.ndim == 1 and value.is_floating_point()}
    turned = scene | orient_values(scalars, turn, mirror, simulator.parameters)
    turned["noise"] = orient_images(scene["noise"][:, None], turn, mirror)[:, 0]
    expected = orient_images(simulator.render(scene), turn, mirror)
    assert (simulator.render(turned) - expected).abs().max() < 1e-9
    if quarters or mirrored:
        assert (simulator.render(scene) - expected).abs().max() > 0.1


VECTORS, SPIN_2 = [("center_x", "center_y"), ("source_dx", "source_dy")], [("e1", "e2"), ("gamma1", "gamma2")]


def values(batch: Batch, names: tuple[str, str]) -> torch.Tensor:
    return torch.complex(batch.parameters[names[0]].double(), batch.parameters[names[1]].double())


def test_turned_pairs_are_lens_fixed_pairs_turned_with_their_parameters() -> None:
    index = torch.arange(64)
    plain = SimulatedTrainingSet(SIMULATOR, LensFixed(), Preprocess(), 0).by_index(index)
    turned = SimulatedTrainingSet(
        SIMULATOR, LensFixedDihedral(turn="independently", mirror="independently"), Preprocess(), 0
    )
    turned_batch = turned.by_index(index)
    ways = set()
    for view in range(2):
        for row in range(64):
            quarters, mirrored = way(plain.views[view][row], turned_batch.views[view][row])
            ways.add((quarters, mirrored))
            for names, spin in [*((n, 1) for n in VECTORS), *((n, 2) for n in SPIN_2)]:
                z = values(plain, names)[row, view]
                expected = ((-1) ** spin * z.conj() if mirrored else z) * 1j ** (spin * quarters)
                assert abs(values(turned_batch, names)[row, view] - expected) < 1e-6
    assert len(ways) == 8
    for name in ("theta_E", "gamma"):
        assert torch.equal(turned_batch.parameters[name], plain.parameters[name])


def way(image: torch.Tensor, turned: torch.Tensor) -> tuple[int, bool]:
    """Return rotation and mirroring of an image, from +x to +y (columns to rows)."""
    for mirrored in (False, True):
        start = image.flip(-1) if mirrored else image
        for quarters in range(4):
            if torch.equal(torch.rot90(start, quarters, (-1, -2)), turned):
                return quarters, mirrored
    raise AssertionError("the image is none of the eight")


def test_pairs_turned_alike_still_share_the_lens() -> None:
    batch = SimulatedTrainingSet(SIMULATOR, LensFixedDihedral(), Preprocess(), 0).by_index(torch.arange(64))
    plain = SimulatedTrainingSet(SIMULATOR, LensFixed(), Preprocess(), 0).by_index(torch.arange(64))
    for names in (("center_x", "center_y"), *SPIN_2):
        z = values(batch, names)
        assert torch.equal(z[:, 0], z[:, 1])
        torch.testing.assert_close(z.abs(), values(plain, names).abs())
        assert not torch.equal(z, values(plain, names))
