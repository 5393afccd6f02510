"""Look-alikes: number, shapes in pixels, and light compared with that of arcs."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import stats
from torch import Tensor

from lenskit.plugin import Scene, UsageError
from lenskit_lensing.render.torch_renderer import TorchRenderer
from lenskit_lensing.scenes.look_alikes import EDGE_ON, KINDS, MERGER, RING, LookAlikes, look_alike_light, magnification
from lenskit_lensing.simulators.euclid import EuclidChallenge

torch.set_num_threads(1)

MANY, FINE, SCALE = 600, 400, 0.05


def simulator_of(**fractions: float) -> EuclidChallenge:
    options = {f"look_alike_{kind}": fractions.get(kind, 0.0) for kind in KINDS[1:]}
    return EuclidChallenge(task="detection", lens_fraction=0.5, supersampling=1, **options)


@pytest.fixture(scope="module")
def simulator() -> EuclidChallenge:
    return simulator_of(ring=0.3, spiral=0.25, merger=0.25, edge_on=0.2)


@pytest.fixture(scope="module")
def scene(simulator: EuclidChallenge) -> Scene:
    scene = simulator.scene(0, "train", torch.arange(MANY))
    return scene | {"noise": torch.zeros_like(scene["noise"])}


@pytest.fixture(scope="module")
def fine() -> tuple[Scene, Tensor]:
    """Look-alikes about 1 arcsec large in fine pixels without a PSF.

    Images are (n, pixels, pixels).
    """
    simulator = EuclidChallenge(
        task="detection", lens_fraction=0, supersampling=1, theta_E=1, center_x=0, center_y=0, look_alike_ring=0.4,
        look_alike_spiral=0, look_alike_merger=0.2, look_alike_edge_on=0.4,
    )  # fmt: skip
    scene = simulator.scene(1, "train", torch.arange(24), dtype=torch.float64)
    renderer = TorchRenderer(pixels=FINE, pixel_scale=SCALE, ellipticity=0.5, psfs=torch.ones(1, 1, 1))
    return scene, look_alike_light(scene, renderer)


@pytest.mark.slow
def test_there_are_as_many_of_each_kind_as_asked(scene: Scene) -> None:
    negative = scene["source_candidate"] == 0
    assert (scene["look_alike"][~negative] == 0).all()
    counts = scene["look_alike"][negative].bincount(minlength=5)
    assert counts[0] == 0
    expected = torch.tensor([0.3, 0.25, 0.25, 0.2]) * negative.sum()
    assert stats.chisquare(counts[1:].numpy(), expected.numpy()).pvalue > 1e-3


def test_fractions_of_more_than_all_are_one_line() -> None:
    with pytest.raises(
        UsageError, match=r"look_alike_edge_on: these fractions add up to 1\.1; the sum must be at most 1"
    ) as e:
        simulator_of(ring=0.5, spiral=0.6)
    assert "\n" not in str(e.value)
    tenths = 0.1, 0.2, 0.3, 0.4
    assert (LookAlikes(tenths).kind(torch.linspace(0.001, 0.999, 999)) > 0).all()


def test_the_light_has_a_flux_of_one(fine: tuple[Scene, Tensor]) -> None:
    flux = fine[1].sum((1, 2)) * SCALE**2
    assert flux.numpy() == pytest.approx(1, abs=0.03)


def test_rings_are_where_they_are_drawn(fine: tuple[Scene, Tensor]) -> None:
    """The pixel-wise maximum lies on the ellipse of the ring's radius."""
    scene, light = fine
    rows = (scene["look_alike"] == RING).nonzero().flatten()
    assert len(rows) >= 5
    for row in rows:
        place = int(light[row].argmax())
        x, y = ((number - (FINE - 1) / 2) * SCALE for number in (place % FINE, place // FINE))
        z, e = complex(x, y), complex(scene["look_alike_band_e1"][row], scene["look_alike_band_e2"][row])
        radius = abs(z - e * z.conjugate()) / math.sqrt(1 - abs(e) ** 2)
        assert radius == pytest.approx(float(scene["look_alike_band_radius"][row]), abs=SCALE)
        assert 0.7 <= scene["look_alike_band_radius"][row] <= 1.4


def test_edge_on_discs_have_their_axis_ratio(fine: tuple[Scene, Tensor]) -> None:
    """The ratio of second moments is the axis ratio squared."""
    scene, light = fine
    rows = (scene["look_alike"] == EDGE_ON).nonzero().flatten()
    assert len(rows) >= 5
    axis = (torch.arange(FINE, dtype=torch.float64) - (FINE - 1) / 2) * SCALE
    for row in rows:
        x, y = axis[None, :].expand(FINE, FINE), axis[:, None].expand(FINE, FINE)
        moments = torch.stack([torch.stack([(a * b * light[row]).sum() for a in (x, y)]) for b in (x, y)])
        low, high = torch.linalg.eigvalsh(moments)
        e = math.hypot(scene["look_alike_first_e1"][row], scene["look_alike_first_e2"][row])
        q = (1 - e) / (1 + e)
        assert 0.1 <= q <= 0.25
        assert float((low / high).sqrt()) == pytest.approx(q, abs=0.02)


def test_mergers_are_galaxies_with_a_faint_arc(scene: Scene) -> None:
    rows = scene["look_alike"] == MERGER
    first, second, arc = (scene[f"look_alike_{part}_share"][rows] for part in ("first", "second", "band"))
    assert torch.allclose(first + second + arc, torch.ones_like(arc))
    assert ((arc >= 0.1) & (arc <= 0.3)).all()
    assert 0.3 < (second > 0).double().mean() < 0.7


def test_magnification_is_that_of_an_isothermal_sphere() -> None:
    """A point has magnification 2 / offset; a disc behind the centre has 2 <1/r>.

    2 <1/r> is 2 / h for the scale length h.
    """
    two, zero = torch.tensor([2.0]), torch.tensor([0.0])
    assert float(magnification(torch.tensor([0.25]), zero, two)) == pytest.approx(8)
    scale = 0.1
    assert float(magnification(zero, torch.tensor([1.678 * scale]), two)) == pytest.approx(2 / scale, rel=0.01)


@pytest.mark.slow
def test_neither_flux_nor_surface_brightness_tells_look_alikes_from_lenses(
    simulator: EuclidChallenge, scene: Scene
) -> None:
    """Compare light after the PSF, without the lens galaxy.

    The area under the ROC curve is 0.5 for a random guess.
    """
    light = simulator.render(scene, {"lens_light", "field"})[:, 0].double()
    is_lens, is_like = scene["source_candidate"] == 1, scene["look_alike"] > 0
    flux = light.sum((1, 2))
    brightness = light.square().sum((1, 2)) / flux
    assert stats.ks_2samp(flux[is_lens].log().numpy(), flux[is_like].log().numpy()).pvalue > 1e-3
    for values in (flux, brightness):
        above = stats.mannwhitneyu(values[is_like].numpy(), values[is_lens].numpy()).statistic
        assert 0.4 < above / (int(is_like.sum()) * int(is_lens.sum())) < 0.6


def test_look_alikes_are_no_lenses_and_have_no_source(simulator: EuclidChallenge, scene: Scene) -> None:
    is_like = scene["look_alike"] > 0
    assert not scene["is_lens"][is_like].any()
    assert not scene["source_flux"][is_like].any()
    some = {name: values[is_like][:8] for name, values in scene.items()}
    whole, without = simulator.render(some), simulator.render(some, {"source"})
    assert (whole - without).amax((1, 2, 3)).min() > 0
    assert torch.equal(without, simulator.render(some | {"look_alike_magnification": torch.zeros(8)}))


def test_lenses_are_the_same_with_and_without_look_alikes() -> None:
    plain, other = simulator_of(), simulator_of(ring=0.5, spiral=0.5)
    index = torch.arange(24)
    ours, theirs = (each.scene(0, "train", index) for each in (plain, other))
    is_lens = ours["source_candidate"] == 1
    for name, values in ours.items():
        assert torch.equal(values[is_lens], theirs[name][is_lens]), name
    assert torch.equal(plain.render(ours)[is_lens], other.render(theirs)[is_lens])


def test_the_kind_is_recorded_where_there_are_non_lenses() -> None:
    for options, recorded in (({"task": "detection"}, True), ({}, False), ({"lens_fraction": 0.5}, True)):
        simulator = EuclidChallenge(supersampling=1, **options)
        found = [parameter for parameter in simulator.parameters if parameter.name == "look_alike"]
        assert [parameter.classes for parameter in found] == [KINDS] * recorded
    assert all(parameter.name != "look_alike" for parameter in simulator_of().parameters)
