"""COOLEST templates: round trips, lenstronomy's reader, COOLEST's own classes."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from coolest.api.profiles import light as coolest_light
from coolest.api.profiles import mass as coolest_mass
from coolest.template.json import JSONSerializer
from coolest.template.lazy import (
    CoordinatesOrigin,
    Galaxy,
    Instrument,
    LensingEntityList,
    LightModel,
    MassField,
    MassModel,
    Observation,
    PixelatedRegularGrid,
)
from coolest.template.standard import COOLEST
from hypothesis import given, settings
from hypothesis import strategies as st
from lenstronomy.LensModel.lens_model import LensModel
from lenstronomy.LightModel.light_model import LightModel as LenstronomyLight
from lenstronomy.Util.coolest_interface import create_lenstronomy_from_coolest

from lenskit.plugin import LenskitError, UsageError
from lenskit_lensing.coolest import LensSystem, from_coolest, from_scene, to_coolest
from lenskit_lensing.light import surface_brightness
from lenskit_lensing.mass import deflection
from lenskit_lensing.simulators.hst import HST

torch.set_num_threads(1)

SYSTEM = LensSystem(
    lens=[
        ("EPL", {"theta_E": 1.3, "gamma": 2.1, "e1": 0.2, "e2": -0.3, "center_x": 0.1, "center_y": -0.05}),
        ("SIE", {"theta_E": 0.2, "e1": -0.1, "e2": 0.05, "center_x": 1.1, "center_y": 0.5}),
        ("SHEAR", {"gamma1": 0.05, "gamma2": -0.08}),
        ("CONVERGENCE", {"kappa": -0.03}),
    ],
    source=[
        ("SERSIC_ELLIPSE", {"amp": 3.0, "R_sersic": 0.2, "n_sersic": 1.5, "e1": 0.1, "e2": 0.2, "center_x": 0.1}),
        ("SERSIC", {"amp": 1.0, "R_sersic": 0.1, "n_sersic": 1.0, "center_x": 0.3, "center_y": 0.2}),
    ],
    lens_light=[("SERSIC_ELLIPSE", {"amp": 10.0, "R_sersic": 0.9, "n_sersic": 4.0, "e1": 0.15, "e2": -0.2})],
    shape=(30, 40),
    pixel_scale=0.1,
    lens_redshift=0.4,
    source_redshift=1.7,
)
X, Y = torch.meshgrid(
    torch.linspace(-2, 2, 17, dtype=torch.float64), torch.linspace(-1.5, 1.5, 13, dtype=torch.float64), indexing="xy"
)


def assert_same(first: LensSystem, second: LensSystem, tolerance: float = 1e-12) -> None:
    """Assert that two systems have the same deflections and light."""
    for ours, theirs in zip(deflection(X, Y, first.lens), deflection(X, Y, second.lens), strict=True):
        assert (ours - theirs).abs().max() <= tolerance
    for part in ("source", "lens_light"):
        ours, theirs = (surface_brightness(X, Y, getattr(system, part)) for system in (first, second))
        assert (ours - theirs).abs().max() <= tolerance * ours.max()


def through_lenstronomy(path: Path) -> dict[str, Any]:
    return create_lenstronomy_from_coolest(str(path.with_suffix("")), check_external_files=False)


def test_there_and_back(tmp_path: Path) -> None:
    to_coolest(SYSTEM, tmp_path / "lens.json")
    found = from_coolest(tmp_path / "lens.json")
    assert_same(found, SYSTEM)
    assert (found.shape, found.lens_redshift, found.source_redshift) == ((30, 40), 0.4, 1.7)
    assert found.pixel_scale == 0.1
    assert [path.name for path in tmp_path.iterdir()] == ["lens.json"]


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(q=st.floats(0.15, 1), phi=st.floats(-4, 4), gamma=st.floats(0, 0.5), psi=st.floats(-4, 4))
def test_all_angles_come_back(tmp_path_factory, q: float, phi: float, gamma: float, psi: float) -> None:
    path = tmp_path_factory.mktemp("angles") / "lens.json"
    e = (1 - q) / (1 + q)
    lens = {"theta_E": 1.0, "e1": e * math.cos(2 * phi), "e2": e * math.sin(2 * phi)}
    shear = {"gamma1": gamma * math.cos(2 * psi), "gamma2": gamma * math.sin(2 * psi)}
    to_coolest(LensSystem([("SIE", lens), ("SHEAR", shear)]), path)
    (_, found_lens), (_, found_shear) = from_coolest(path).lens
    for found, expected in ((found_lens, lens), (found_shear, shear)):
        assert all(abs(found[name] - value) < 1e-14 for name, value in expected.items())


def test_lenstronomys_reader_finds_the_same_system(tmp_path: Path) -> None:
    """lenstronomy's +x and columns of the grid point left, so images are the same."""
    to_coolest(SYSTEM, tmp_path / "lens.json")
    theirs = through_lenstronomy(tmp_path / "lens.json")
    model, values = theirs["kwargs_model"], theirs["kwargs_result"]
    assert model["lens_model_list"] == ["EPL", "SIE", "SHEAR", "CONVERGENCE"]
    flat = -X.numpy().ravel(), Y.numpy().ravel()
    alpha = LensModel(model["lens_model_list"]).alpha(*flat, values["kwargs_lens"])
    for ours, their, sign in zip(deflection(X, Y, SYSTEM.lens), alpha, (-1, 1), strict=True):
        np.testing.assert_allclose(ours.numpy().ravel(), sign * their, atol=1e-8)
    for names, kwargs, components in (
        ("source_light_model_list", "kwargs_source", SYSTEM.source),
        ("lens_light_model_list", "kwargs_lens_light", SYSTEM.lens_light),
    ):
        light = LenstronomyLight(model[names]).surface_brightness(*flat, values[kwargs])
        ours = surface_brightness(X, Y, components).numpy().ravel()
        np.testing.assert_allclose(ours, light, atol=1e-10 * ours.max())


def test_images_are_written_beside_the_template(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """lenstronomy finds the images, which it expects in the working directory.

    Its x axis is reversed.
    """
    image, psf = np.arange(400.0).reshape(20, 20), np.eye(5) / 5
    system = LensSystem(SYSTEM.lens, SYSTEM.source, shape=(20, 20), pixel_scale=0.1)
    to_coolest(system, tmp_path / "lens.json", image=image, noise_map=np.ones_like(image), psf=psf)
    monkeypatch.chdir(tmp_path)
    found = create_lenstronomy_from_coolest(str(tmp_path / "lens"))
    data = found["kwargs_data"]
    assert (data["image_data"] == image).all()
    assert (data["noise_map"] == 1).all()
    assert np.allclose(found["kwargs_psf"]["kernel_point_source"], psf)
    assert np.allclose([data["ra_at_xy_0"], data["dec_at_xy_0"]], [0.95, -0.95])
    assert np.allclose(data["transform_pix2angle"], [[-0.1, 0], [0, 0.1]])


def coolest_template() -> tuple[COOLEST, dict[str, float], dict[str, float], dict[str, float]]:
    """Build a template with COOLEST's own classes."""
    mass = {"theta_E": 1.2, "gamma": 1.9, "q": 0.7, "phi": 35.0, "center_x": 0.1, "center_y": -0.2}
    light = {"I_eff": 2.0, "theta_eff": 0.3, "n": 1.2, "q": 0.6, "phi": -70.0, "center_x": 0.0, "center_y": 0.1}
    shear = {"gamma_ext": 0.07, "phi_ext": 20.0}
    lens = Galaxy("a lens", 0.3, mass_model=MassModel("PEMD"))
    source = Galaxy("a source", 1.5, light_model=LightModel("Sersic"))
    field = MassField("a field", 0.3, mass_model=MassModel("ExternalShear"))
    for profile, values in (
        (lens.mass_model[0], mass),
        (source.light_model[0], light),
        (field.mass_model[0], shear),
    ):
        for name, value in values.items():
            profile.parameters[name].set_point_estimate(value)
    frame = {"field_of_view_x": (-2, 2), "field_of_view_y": (-1, 1), "num_pix_x": 40, "num_pix_y": 20}
    observation = Observation(PixelatedRegularGrid(**frame))
    entities = LensingEntityList(lens, source, field)
    return COOLEST("MAP", CoordinatesOrigin(), entities, observation, Instrument(0.1)), mass, light, shear


def test_templates_of_coolests_own_classes_are_read(tmp_path: Path) -> None:
    """Deflections and light agree with COOLEST's own profiles."""
    template, mass, light, shear = coolest_template()
    JSONSerializer(str(tmp_path / "lens"), template).dump_simple()
    found = from_coolest(tmp_path / "lens.json")
    assert (found.shape, found.pixel_scale) == ((20, 40), 0.1)
    x, y = X.numpy(), Y.numpy()
    main, field = coolest_mass.PEMD().deflection(x, y, **mass), coolest_mass.ExternalShear().deflection(x, y, **shear)
    for ours, a, b in zip(deflection(X, Y, found.lens), main, field, strict=True):
        np.testing.assert_allclose(ours[0], a + b, atol=1e-9)
    exact = coolest_light.Sersic().evaluate_surface_brightness(x, y, **light)
    np.testing.assert_allclose(surface_brightness(X, Y, found.source)[0], exact, rtol=1e-9)
    assert found.lens_light == []


def test_scenes_of_the_simulator_are_written(tmp_path: Path) -> None:
    scene = HST(pixels=32, merger_fraction=1.0).scene(1, "train", torch.arange(2), dtype=torch.float64)
    system = from_scene(scene, 1, pixels=32, pixel_scale=0.05)
    assert [name for name, _ in system.source] == ["CORE_SERSIC", "CORE_SERSIC"]
    lens = {name: scene[name][1].item() for name in ("theta_E", "gamma", "e1", "e2", "center_x", "center_y")}
    shear = {name: scene[name][1].item() for name in ("gamma1", "gamma2")}
    exact = LensModel(["EPL", "SHEAR"]).alpha(X.numpy().ravel(), Y.numpy().ravel(), [lens, shear])
    for ours, theirs in zip(deflection(X, Y, system.lens), exact, strict=True):
        np.testing.assert_allclose(ours.numpy().ravel(), theirs, atol=1e-9)

    with pytest.raises(UsageError, match="no core-Sersic profile; drop_cores=True"):
        to_coolest(system, tmp_path / "lens.json")
    assert not (tmp_path / "lens.json").exists()
    to_coolest(system, tmp_path / "lens.json", drop_cores=True)
    found = from_coolest(tmp_path / "lens.json")
    # The effect of a core falls with the cube of the radius over the break radius.
    radius = torch.hypot(X - scene["source_x"][1], Y - scene["source_y"][1])
    outside = radius > 10 * scene["source_Rb"][1]
    alone = [surface_brightness(X, Y, system.source[:1])[0], surface_brightness(X, Y, found.source[:1])[0]]
    assert outside.any()
    assert torch.allclose(alone[0][outside], alone[1][outside], rtol=2e-2)


def test_scenes_with_redshifts_and_neighbours(tmp_path: Path) -> None:
    """Neighbours have the simulator's light and units, and survive a round trip."""
    physical = {"velocity_dispersion": "250", "z_lens": "uniform(0.2, 0.5)", "z_source": "uniform(1, 2)"}
    simulator = HST(pixels=32, pixel_scale=0.1, neighbours="choice(0, 2, 3)", **physical)
    scene = simulator.scene(1, "train", torch.arange(8), dtype=torch.float64)
    band = simulator.band
    axis = (torch.arange(32, dtype=torch.float64) - 15.5) * band.pixel_scale
    light = simulator._field(scene)[:, 0]
    assert len(set(scene["neighbours"].tolist())) > 1
    for row, number in enumerate(scene["neighbours"].tolist()):
        system = from_scene(scene, row, pixels=band.pixels, pixel_scale=band.pixel_scale)
        assert len(system.lens_light) == 1 + number
        assert (system.lens_redshift, system.source_redshift) == (scene["z_lens"][row], scene["z_source"][row])
        assert (system.shape, system.pixel_scale) == ((32, 32), 0.1)
        found = surface_brightness(axis[None, :], axis[:, None], system.lens_light[1:]) if number else torch.zeros(1)
        # A few pixels about a centre differ, because the simulator averages over these.
        same = (found - light[row]).abs() <= 1e-9 * light[row].abs()
        assert same.double().mean() > 0.6
        to_coolest(system, tmp_path / "lens.json", drop_cores=True)
        again = from_coolest(tmp_path / "lens.json")
        assert len(again.lens_light) == 1 + number
        assert again.lens_redshift == scene["z_lens"][row]


def test_scenes_with_stamps() -> None:
    scene = HST(pixels=32).scene(1, "train", torch.arange(1), dtype=torch.float64)
    stamp = {"stamp": 1, "stamp_scale": 0.02, "angle": 0.5, "mirror": -1.0}
    scene |= {f"source_{name}": torch.tensor([value]) for name, value in stamp.items()}
    with pytest.raises(UsageError, match="pass the images as stamps="):
        from_scene(scene, pixels=32, pixel_scale=0.05)
    system = from_scene(scene, pixels=32, pixel_scale=0.05, stamps=torch.rand(2, 9, 9))
    assert system.source[0][0] == "INTERPOL"
    assert surface_brightness(X, Y, system.source).isfinite().all()
    with pytest.raises(UsageError, match="rotate or scale"):
        to_coolest(system, "lens.json")


@pytest.mark.parametrize(
    ("system", "complaint"),
    [
        (
            LensSystem([("NFW", {"Rs": 1, "alpha_Rs": 1})]),
            "NFW cannot be written: COOLEST defines a halo by its density",
        ),
        (LensSystem([("POINT_MASS", {"theta_E": 1})]), "COOLEST has no POINT_MASS; it has EPL"),
        (LensSystem([("SIS", {"theta_E": torch.ones(2)})]), "theta_E of SIS has 2 values"),
        (LensSystem([("SHEAR", {"gamma1": 0, "gamma2": 0, "ra_0": 1})]), "SHEAR about ra_0 = 1 cannot be written"),
        (LensSystem([("SIS", {"theta_E": -1})]), "theta_E = -1: Value cannot be smaller than 0.0"),
        (LensSystem(lens_redshift=2, source_redshift=1), "redshifts 2 of the lens and 1 of the source"),
    ],
)
def test_what_cannot_be_written(system: LensSystem, complaint: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=complaint):
        to_coolest(system, tmp_path / "lens.json")
    assert not list(tmp_path.iterdir())


def test_an_image_of_another_shape_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="image has the shape"):
        to_coolest(SYSTEM, tmp_path / "lens.json", image=np.ones((4, 4)))
    assert not list(tmp_path.iterdir())


def broken(change: str) -> str:
    template = coolest_template()[0]
    content = json.loads(template.to_JSON(exclude_keys=template.exclude_keys))
    lens, source, field = content["lensing_entities"]
    if change == "profile":
        field["mass_model"][0] = {"type": "NFW", "parameters": {}}
    elif change == "plane":
        content["lensing_entities"].append(source | {"redshift": 5.0})
    elif change == "value":
        lens["mass_model"][0]["parameters"]["gamma"]["point_estimate"]["value"] = None
    elif change == "key":
        del content["lensing_entities"]
    return "{" if change == "text" else json.dumps(content)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ("profile", "has a profile NFW; lenskit reads PEMD, SIE"),
        ("plane", "galaxies at the redshifts"),
        ("value", "gamma of PEMD has no value"),
        ("key", "is not a COOLEST template: KeyError: 'lensing_entities'"),
        ("text", "is not a COOLEST template: JSONDecodeError"),
    ],
)
def test_what_cannot_be_read(change: str, complaint: str, tmp_path: Path) -> None:
    path = tmp_path / "lens.json"
    path.write_text(broken(change))
    with pytest.raises(UsageError, match=complaint):
        from_coolest(path)


def test_paths_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no template"):
        from_coolest(tmp_path / "lens.json")
    for name in ("lens", "lens_pyAPI.json"):
        with pytest.raises(UsageError, match="it must end in .json, but not in _pyAPI.json"):
            from_coolest(tmp_path / name)


def test_without_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "coolest"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "coolest", None)
    with pytest.raises(LenskitError, match="need the package coolest"):
        to_coolest(SYSTEM, tmp_path / "lens.json")
