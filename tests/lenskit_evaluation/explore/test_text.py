"""Tests of symbols as plain text."""

from __future__ import annotations

import pytest

from lenskit.kinds.parameter import Parameter
from lenskit_evaluation.explore.text import label, plain


@pytest.mark.parametrize(
    ("symbol", "text"),
    [
        (r"$\theta_E$", "θ_E"),
        (r"$\gamma_1$", "γ₁"),
        (r"$\Delta x_s$", "Δx_s"),
        (r"$\sigma_v$", "σ_v"),
        (r"$R_l / \theta_E$", "R_l / θ_E"),
        (r"$\log_{10}$ light/arc", "log₁₀ light/arc"),
        (r"$\mu_\mathrm{eff}$", "μ_eff"),
        (r"$\varepsilon^{-2}$", "ε⁻²"),
        (r"$10^{12}\,M_\odot$", "10¹² M_⊙"),
        ("plain words", "plain words"),
        ("$$x$$", "x"),
    ],
)
def test_symbols_read_as_they_are_set(symbol: str, text: str) -> None:
    assert plain(symbol) == text


def test_a_label_has_the_unit_and_falls_back_on_the_name() -> None:
    assert label(Parameter("theta_E", "arcsec", r"$\theta_E$")) == "θ_E (arcsec)"
    assert label(Parameter("mass", r"$M_\odot$")) == "mass (M_⊙)"
    assert label(Parameter("z_lens")) == "z_lens"
