"""Neighbours: their number, flux and place, their light against lenstronomy, and what they leave alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from lenstronomy.LightModel.light_model import LightModel

from lenskit.plugin import Scene
from lenskit_lensing.scenes.field import neighbour_light
from lenskit_lensing.simulators.hst import HST, normalised

torch.set_num_threads(1)
pytestmark = pytest.mark.filterwarnings("ignore:`axes` should not be `None`:DeprecationWarning:lenstronomy")

FEW = {"neighbours": "choice(0, 1, 3)"}


@pytest.fixture(scope="module")
def simulator() -> HST:
    return HST(**FEW, pixels=48)


@pytest.fixture(scope="module")
def scene(simulator: HST) -> Scene:
    return simulator.scene(2, "train", torch.arange(200), dtype=torch.float64)


def light_of(scene: Scene, row: int, k: int) -> dict[str, float]:
    """A neighbour as lenstronomy's SERSIC_ELLIPSE."""
    names = {
        "amp": "amplitude", "R_sersic": "radius", "n_sersic": "n", "e1": "e1", "e2": "e2", "center_x": "x",
        "center_y": "y",
    }  # fmt: skip
    return {theirs: float(scene[f"neighbour_{ours}"][row, k]) for theirs, ours in names.items()}


def test_as_many_are_there_as_the_prior_says(scene: Scene) -> None:
    assert scene["neighbour_amplitude"].shape == (200, 3)
    assert torch.equal((scene["neighbour_amplitude"] > 0).sum(1).double(), scene["neighbours"])
    numbers, counts = scene["neighbours"].unique(return_counts=True)
    assert numbers.tolist() == [0, 1, 3]
    assert counts.min() > 40


def test_flux_is_relative_to_the_lens_light(simulator: HST, scene: Scene) -> None:
    model = LightModel(["SERSIC_ELLIPSE"])
    ratios = []
    for row in range(30):
        lens = {"amp": 1.0, "R_sersic": float(scene["light_R_sersic"][row]), "n_sersic": float(scene["light_n"][row])}
        whole = model.total_flux([lens | dict.fromkeys(("e1", "e2", "center_x", "center_y"), 0.0)])[0]
        for k in range(int(scene["neighbours"][row])):
            ratios.append(np.log10(model.total_flux([light_of(scene, row, k)])[0] / whole))
    low, high = simulator.priors["neighbour_log_flux"].bounds
    assert low <= min(ratios) < low + 0.4
    assert high - 0.4 < max(ratios) <= high


def test_flux_in_the_image_is_relative_to_the_lens_lights() -> None:
    """A tenth, of light that is all in the frame; the maxima are the lens's in both images."""
    small = {"light_n": 1, "light_radius": 0.2, "theta_E": 1, "center_x": 0, "center_y": 0, "light_deviation": 0}
    one = {"neighbours": 1, "neighbour_n": 1, "neighbour_radius": 0.2, "neighbour_log_flux": -1, "neighbour_x": 0.3}
    simulator = HST(**small, **one, log_light_to_arc="uniform(0, 2)", neighbour_y=0, noise="white")
    scene = simulator.scene(0, "train", torch.arange(5), dtype=torch.float64)
    scene["log_noise"].fill_(-torch.inf)
    with_it, alone = (simulator.render(scene, without).sum((1, 2, 3)) for without in ({"source"}, {"source", "field"}))
    torch.testing.assert_close(with_it / alone, torch.full_like(alone, 1.1), rtol=2e-3, atol=0)


def test_light_is_lenstronomys_away_from_the_centres(simulator: HST, scene: Scene) -> None:
    """The 5 x 5 pixels around a centre, or at the border beside it, are averages: the next test compares those."""
    rows = torch.tensor([int(row) for row in range(200) if scene["neighbours"][row] == 3][:4])
    some = {name: values[rows] for name, values in scene.items()}
    light = neighbour_light(some, simulator.renderer).numpy()
    axis = (np.arange(48) - 23.5) * 0.05
    x, y = (grid.ravel() for grid in np.meshgrid(axis, axis))
    for row in range(4):
        galaxies = [light_of(some, row, k) for k in range(3)]
        expected = LightModel(["SERSIC_ELLIPSE"] * 3).surface_brightness(x, y, galaxies)
        away = np.all([np.maximum(abs(x - g["center_x"]), abs(y - g["center_y"])) > 0.25 for g in galaxies], axis=0)
        np.testing.assert_allclose(light[row].ravel()[away], expected[away], rtol=1e-10)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.float64, 1e-8)])
def test_renderers_agree(dtype: torch.dtype, tolerance: float) -> None:
    """Neighbours alone, and the whole image with noise, slope and holes."""
    options = FEW | {"noise": "instrument", "background_gradient": "uniform(-3, 3)", "masked_pixels": 0.03}
    fast, reference = HST(**options), HST(**options, renderer="lenstronomy")
    scene = fast.scene(4, "train", torch.arange(8), dtype=dtype)
    exact = {name: values.double() if values.is_floating_point() else values for name, values in scene.items()}
    assert scene["neighbours"].max() == 3
    ours, theirs = (neighbour_light(s, each.renderer) for s, each in ((scene, fast), (exact, reference)))
    assert (normalised(ours.double()) - normalised(theirs)).abs().max() <= tolerance
    assert (fast.render(scene).double() - reference.render(exact)).abs().max() <= tolerance


def test_neighbours_are_in_the_image_and_can_be_left_out(simulator: HST, scene: Scene) -> None:
    quiet = scene | {"log_noise": torch.full_like(scene["log_noise"], -torch.inf)}
    whole, without = simulator.render(quiet), simulator.render(quiet, {"field"})
    differs = (whole - without).abs().amax((1, 2, 3)) > 0
    assert torch.equal(differs, scene["neighbours"] > 0)
    plain = HST(pixels=48)
    usual = plain.scene(2, "train", torch.arange(200), dtype=torch.float64)
    assert (without - plain.render(usual | {"log_noise": quiet["log_noise"]})).abs().max() < 1e-12


def test_other_draws_are_left_as_they_are(scene: Scene) -> None:
    usual = HST(pixels=48).scene(2, "train", torch.arange(200), dtype=torch.float64)
    assert not any(name.startswith("neighbour") for name in usual)
    for name, values in usual.items():
        assert torch.equal(values, scene[name]), name


def test_a_neighbour_stays_where_more_of_them_are_possible(scene: Scene) -> None:
    more = HST(neighbours="choice(0, 1, 3, 5)", pixels=48).scene(2, "train", torch.arange(200), dtype=torch.float64)
    assert torch.equal(more["neighbour_x"][:, :3], scene["neighbour_x"])
    assert torch.equal(more["neighbour_radius"][:, :3], scene["neighbour_radius"])


def test_draws_and_images_do_not_depend_on_the_batch(simulator: HST) -> None:
    together, order = simulator.scene(7, "train", torch.arange(24)), torch.tensor([17, 4, 21])
    some = simulator.scene(7, "train", order)
    for name, values in together.items():
        assert torch.equal(values[order], some[name]), name
    assert (simulator.render(together)[order] - simulator.render(some)).abs().max() < 1e-5


def test_the_field_is_a_group_of_its_own(simulator: HST) -> None:
    assert simulator.groups == ("lens", "source", "lens_light", "field", "instrument")
    first, second = (simulator.scene(7, "train", torch.arange(9), view, shared={"field"}) for view in (0, 1))
    for name in ("neighbours", "neighbour_x", "neighbour_n"):
        assert torch.equal(first[name], second[name])
    assert not torch.equal(first["light_n"], second["light_n"])
