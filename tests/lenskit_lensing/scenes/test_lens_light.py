"""Light of lens galaxies: its total against lenstronomy."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lenstronomy.LightModel.light_model import LightModel

from lenskit_lensing.scenes.lens_light import total_light


@given(n=st.floats(0.3, 12), radius=st.floats(0.01, 30), e1=st.floats(-0.6, 0.6))
@settings(deadline=None, max_examples=40)
def test_total_light_is_lenstronomys_whatever_the_ellipticity(n: float, radius: float, e1: float) -> None:
    profile = {"amp": 1.0, "R_sersic": radius, "n_sersic": n, "e1": e1, "e2": 0.1, "center_x": 0, "center_y": 0}
    expected = LightModel(["SERSIC_ELLIPSE"]).total_flux([profile])[0]
    for dtype, tolerance in ((torch.float64, 1e-10), (torch.float32, 2e-4)):
        found = total_light(torch.tensor([radius], dtype=dtype), torch.tensor([n], dtype=dtype))
        assert float(found) == pytest.approx(expected, rel=tolerance)
