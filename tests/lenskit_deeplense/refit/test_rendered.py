"""Derivatives of macro models' images by two methods."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from lenskit.chosen import build
from lenskit_deeplense.refit.rendered import Rendered

EVERYTHING = ("theta_E", "center_x", "center_y", "e1", "e2", "source_n", "source_radius", "light_n", "light_radius")


@pytest.mark.slow
def test_finite_differences_agree_with_automatic_differentiation() -> None:
    made = build("simulator", "deeplense-a", {"pixels": 32, "pixel_scale": 0.15})
    model = made.macro_model(EVERYTHING)
    scene = made.scene(0, "test", torch.arange(4), dtype=torch.float64)
    values = torch.stack([scene[name] for name in model.bounds], 1)
    values[:, list(model.bounds).index("e1")] = 0.05  # uses the closed form, not the series about 0
    with torch.no_grad():
        held = torch.ones(4, 2, dtype=torch.float64)
        exact = Rendered(model, "autodiff").derivatives(values, held)
        close = Rendered(model, "differences").derivatives(values, held)
    size = exact.flatten(2).norm(dim=2)
    assert (size > 0).all()
    assert ((close - exact).flatten(2).norm(dim=2) / size).max() < 0.02


def test_only_parts_that_depend_on_a_parameter_are_derived() -> None:
    made = build("simulator", "deeplense-a", {"pixels": 32, "pixel_scale": 0.15})
    model = made.macro_model(("center_x",))
    names, rendered = list(model.bounds), Rendered(model)
    values = torch.tensor([[sum(model.bounds[n]) / 2 + 0.01 for n in names]])
    with torch.no_grad():
        of_part = {
            part: rendered.derivatives(values, torch.eye(2)[[i]])[0].abs().amax((1, 2)) > 0
            for i, part in enumerate(rendered.parts)
        }
    found = {name: {part for part, moves in of_part.items() if moves[i]} for i, name in enumerate(names)}
    assert found["center_x"] == {"source", "lens_light"}
    assert found["light_e1"] == {"lens_light"}
    assert found["gamma1"] == {"source"}


@pytest.mark.slow
@pytest.mark.parametrize("supersampling", [1, 2])
def test_shapelets_are_derived_with_amplitudes_held(supersampling: int) -> None:
    made = build("simulator", "deeplense-b", {"pixels": 32, "pixel_scale": 0.15, "supersampling": supersampling})
    model = made.macro_model()
    scene = made.scene(0, "test", torch.arange(3), dtype=torch.float64)
    rendered = Rendered(model, "autodiff", "both", 4)
    assert rendered.parts == {"source": slice(0, 16), "lens_light": slice(16, 17)}
    assert [penalty > 0 for penalty in rendered.penalty] == [False, *[True] * 15, False]
    assert "source_radius" in rendered.bounds
    assert "source_radius" not in Rendered(model, source="shapelets").bounds
    values = torch.stack([scene.get(name, torch.full((3,), 0.3).double()) for name in rendered.names], 1)
    amplitudes = torch.randn(3, 17, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    def image(moved: Tensor) -> Tensor:
        return (amplitudes[:, :, None, None] * rendered.components(moved)).sum(1)

    with torch.no_grad():
        exact = rendered.derivatives(values, amplitudes)
        close = Rendered(model, "differences", "both", 4).derivatives(values, amplitudes)
        for name in ("theta_E", "source_x", "source_scale"):
            i = rendered.names.index(name)
            step = torch.zeros_like(values)
            step[:, i] = 1e-6
            central = (image(values + step) - image(values - step)) / 2e-6
            torch.testing.assert_close(exact[:, i], central, rtol=1e-5, atol=1e-5 * central.abs().max().item())
    # Near the centre of the lens, a small step turns rays by a large angle.
    assert ((close - exact).flatten(2).norm(dim=2) / exact.flatten(2).norm(dim=2)).max() < 0.1
