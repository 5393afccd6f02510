"""Derivatives of macro models' images, in two ways."""

from __future__ import annotations

import torch

from lenskit.config import build
from lenskit_deeplense.refit.rendered import Rendered

EVERYTHING = ("theta_E", "center_x", "center_y", "e1", "e2", "source_n", "source_radius", "light_n", "light_radius")


def test_finite_differences_agree_with_automatic_differentiation() -> None:
    made = build("simulator", "deeplense-a", {"pixels": 32, "pixel_scale": 0.15})
    model = made.macro_model(EVERYTHING)
    scene = made.scene(0, "test", torch.arange(4), dtype=torch.float64)
    values = torch.stack([scene[name] for name in model.bounds], 1)
    values[:, list(model.bounds).index("e1")] = 0.05  # the closed form, not the series about 0
    with torch.no_grad():
        of, exact = Rendered(model, "autodiff").derivatives(values)
        assert Rendered(model, "differences").derivatives(values)[0] == of
        close = Rendered(model, "differences").derivatives(values)[1]
    size = exact.flatten(2).norm(dim=2)
    assert (size > 0).all()
    assert ((close - exact).flatten(2).norm(dim=2) / size).max() < 0.02


def test_only_parts_that_depend_on_a_parameter_are_derived() -> None:
    made = build("simulator", "deeplense-a", {"pixels": 32, "pixel_scale": 0.15})
    model = made.macro_model(("center_x",))
    names, parts = list(model.bounds), list(model.parts)
    with torch.no_grad():
        of, derivatives = Rendered(model).derivatives(torch.tensor([[sum(model.bounds[n]) / 2 + 0.01 for n in names]]))
    assert derivatives.shape == (1, len(of), 32, 32)
    found = {(names[parameter], parts[part]) for parameter, part in of}
    assert {part for name, part in found if name == "center_x"} == {"source", "lens_light"}
    assert {part for name, part in found if name == "light_e1"} == {"lens_light"}
    assert {part for name, part in found if name == "gamma1"} == {"source"}
