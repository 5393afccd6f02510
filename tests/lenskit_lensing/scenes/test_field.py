"""Neighbours: number, flux, position, and light against lenstronomy.

Neighbours do not change the rest of a scene.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from lenstronomy.LightModel.light_model import LightModel

from lenskit.plugin import KeyedGenerator, Scene
from lenskit_lensing.priors import parse_priors
from lenskit_lensing.scenes.field import Neighbours, neighbour_light
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


def light_of(scene: Scene, row: int, k: int, flux: float) -> dict[str, float]:
    """Arguments of a neighbour for lenstronomy's SERSIC_ELLIPSE."""
    names = {"R_sersic": "radius", "n_sersic": "n", "e1": "e1", "e2": "e2", "center_x": "x", "center_y": "y"}
    galaxy = {theirs: float(scene[f"neighbour_{ours}"][row, k]) for theirs, ours in names.items()}
    return galaxy | {"amp": flux / LightModel(["SERSIC_ELLIPSE"]).total_flux([galaxy | {"amp": 1.0}])[0]}


@pytest.mark.parametrize(
    ("prior", "numbers"),
    [("choice(0, 1, 3)", [0, 1, 3]), ("uniform(0, 4)", [0, 1, 2, 3]), ("uniform(0, 2.5)", [0, 1, 2]), ("0", [0])],
)
def test_as_many_are_there_as_the_prior_says(prior: str, numbers: list[int]) -> None:
    priors = dict.fromkeys(("x", "y", "e1", "e2"), 0.2) | dict.fromkeys(("radius", "n"), 0.5)
    priors = {f"neighbour_{name}": value for name, value in priors.items()} | {"neighbours": prior}
    rng = KeyedGenerator(0, "train", "field", torch.arange(400), torch.zeros(400, dtype=torch.int64))
    scene = Neighbours(parse_priors(priors), 10.0, ()).draw(rng)
    assert scene["neighbours"].unique().tolist() == numbers
    assert scene["neighbour_x"].shape == (400, numbers[-1])
    assert (scene["neighbour_x"] == 2).all()


def test_flux_in_bands_is_what_was_asked(simulator: HST) -> None:
    """Small galaxies lie fully in the frame; entries beyond the number add no flux."""
    scene = {"neighbours": torch.tensor([2.0, 1.0])}
    values = {"x": 0.2, "y": -0.3, "radius": 0.15, "n": 1.0, "e1": 0.1, "e2": 0.0}
    scene |= {f"neighbour_{name}": torch.full((2, 2), value) for name, value in values.items()}
    flux = torch.tensor([[[1.0, 10.0], [3.0, 0.5]], [[7.0, torch.inf], [2.0, 100.0]]])
    found = neighbour_light(scene, simulator.renderer, flux).sum((2, 3)) * 0.05**2
    torch.testing.assert_close(found, torch.tensor([[11.0, 3.5], [7.0, 2.0]]), rtol=5e-3, atol=0)


def test_flux_in_the_image_is_relative_to_the_lens_lights() -> None:
    """A neighbour adds a tenth of the lens light; all light is in the frame.

    The lens has the maximum in both images.
    """
    small = {"light_n": 1, "light_radius": 0.2, "theta_E": 1, "center_x": 0, "center_y": 0, "light_deviation": 0}
    one = {"neighbours": 1, "neighbour_n": 1, "neighbour_radius": 0.2, "neighbour_log_flux": -1, "neighbour_x": 0.3}
    simulator = HST(**small, **one, log_light_to_arc="uniform(0, 2)", neighbour_y=0, noise="white")
    scene = simulator.scene(0, "train", torch.arange(5), dtype=torch.float64)
    scene["log_noise"].fill_(-torch.inf)
    with_it, alone = (simulator.render(scene, without).sum((1, 2, 3)) for without in ({"source"}, {"source", "field"}))
    torch.testing.assert_close(with_it / alone, torch.full_like(alone, 1.1), rtol=2e-3, atol=0)


def test_light_is_lenstronomys_away_from_the_centres(simulator: HST, scene: Scene) -> None:
    """Pixels around centres are averages, which the next test compares.

    These are the 5 x 5 pixels around a centre, or those at the border next to the centre.
    """
    rows = torch.tensor([int(row) for row in range(200) if scene["neighbours"][row] == 3][:4])
    some = {name: values[rows] for name, values in scene.items()}
    flux = torch.rand(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) + 0.5
    light = neighbour_light(some, simulator.renderer, flux[:, None])[:, 0].numpy()
    axis = (np.arange(48) - 23.5) * 0.05
    x, y = (grid.ravel() for grid in np.meshgrid(axis, axis))
    for row in range(4):
        galaxies = [light_of(some, row, k, float(flux[row, k])) for k in range(3)]
        expected = LightModel(["SERSIC_ELLIPSE"] * 3).surface_brightness(x, y, galaxies)
        away = np.all([np.maximum(abs(x - g["center_x"]), abs(y - g["center_y"])) > 0.25 for g in galaxies], axis=0)
        np.testing.assert_allclose(light[row].ravel()[away], expected[away], rtol=1e-10)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.float64, 1e-8)])
def test_renderers_agree(dtype: torch.dtype, tolerance: float) -> None:
    """Compare neighbours alone, and the whole image with noise, slope and holes."""
    options = FEW | {"noise": "instrument", "background_gradient": "uniform(-3, 3)", "masked_pixels": 0.03}
    fast, reference = HST(**options), HST(**options, renderer="lenstronomy")
    scene = fast.scene(4, "train", torch.arange(8), dtype=dtype)
    exact = {name: values.double() if values.is_floating_point() else values for name, values in scene.items()}
    assert scene["neighbours"].max() == 3
    flux = 10 ** exact["neighbour_log_flux"][:, None]
    ours = neighbour_light(scene, fast.renderer, flux.to(dtype))[:, 0]
    theirs = neighbour_light(exact, reference.renderer, flux)[:, 0]
    assert (normalised(ours.double()) - normalised(theirs)).abs().max() <= tolerance
    assert (fast.render(scene).double() - reference.render(exact)).abs().max() <= tolerance


@pytest.mark.slow
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
