"""Valid priors, and messages about invalid ones."""

from __future__ import annotations

from inspect import signature

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lenskit.plugin import Distribution, UsageError
from lenskit_lensing.priors import DOMAINS, JOINTLY, largest_norm, parse_priors, width
from lenskit_lensing.simulators.hst import HST

torch.set_num_threads(1)


@pytest.mark.parametrize(
    ("name", "prior", "right"),
    [
        ("theta_E", "uniform(0, 1.8)", "between 0.001 and 100 arcsec"),
        ("theta_E", -1.0, "between 0.001 and 100 arcsec"),
        ("gamma", "uniform(0.9, 2)", "between 1 and 3"),
        ("gamma", 3, "between 1 and 3"),
        ("gamma", "normal(2, 0.5)", "between 1 and 3"),
        ("e1", "uniform(-1, 0.5)", "between -1 and 1"),
        ("gamma2", 1.5, "between -1 and 1"),
        ("source_half_light_radius", "uniform(-0.1, 0.4)", "between 0.001 and 100 arcsec"),
        ("source_n", 0.1, "between 0.2 and 16"),
        ("source_core_slope", "uniform(0, 1)", "at least 0 and below 1"),
        ("merger_distance", "uniform(-1, 2)", "at least 0"),
        ("light_n", "choice(4, 20)", "between 0.2 and 16"),
        ("light_radius", 0, "between 0.01 and 100"),
        ("log_noise", 38, "between -10 and 1"),
        ("log_light_to_arc", 60, "between -6 and 6"),
        ("neighbour_log_flux", 60, "between -6 and 6"),
        ("light_magnitude", -100, "between 0 and 40"),
        ("background_gradient", 1e40, "between -1000 and 1000"),
        ("source_half_light_radius", 1e30, "between 0.001 and 100 arcsec"),
        ("center_x", "normal(0, 20)", "between -100 and 100 arcsec"),
        ("theta_E", "gauss(1, 2)", "unknown distribution"),
        ("theta_E", "uniform(2, 1)", "low > high"),
    ],
)
def test_impossible_priors_are_refused_by_name(name: str, prior: str | float, right: str) -> None:
    with pytest.raises(UsageError, match=right) as error:
        HST(**{name: prior})
    assert name in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("pair", [("e1", "e2"), ("source_e1", "source_e2")])
def test_ellipticities_have_to_stay_below_one_together(pair: tuple[str, str]) -> None:
    with pytest.raises(UsageError, match="reach an ellipticity"):
        HST(**dict.fromkeys(pair, "uniform(-0.8, 0.8)"))


def test_shear_has_to_stay_below_one_together() -> None:
    with pytest.raises(UsageError, match="gamma1 and gamma2: .* reach a shear .gamma. of 1.13; it must be below 1$"):
        HST(gamma1="uniform(-0.8, 0.8)", gamma2="uniform(-0.8, 0.8)")


OPTIONS = {
    "pixels": 16, "pixel_scale": 0.3, "neighbours": 2, "merger_fraction": 1.0, "background_gradient": 1,
    "masked_pixels": 0.1,
}  # fmt: skip
PARTNERS = {one: other for first, second in JOINTLY for one, other in ((first, second), (second, first))}
OF_HST = sorted(DOMAINS.keys() & signature(HST).parameters)


def ends(name: str) -> tuple[float, float]:
    """Values just within a domain.

    For a component of an ellipticity or shear, the limit is the maximum length of the vector.
    """
    low, high, _ = DOMAINS[name]
    if name in PARTNERS:
        high = next(bound for pair, (_, bound) in JOINTLY.items() if name in pair)
        low = -high
    margin = 1e-6 * (high - low)
    return max(low + margin, low * (1 + 1e-6)) if low >= 0 else (low + margin if low <= -1 else 0.0), high - margin


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(OF_HST), st.sampled_from(OF_HST), st.tuples(st.booleans(), st.booleans()),
    st.sampled_from(["white", "instrument"]),
)  # fmt: skip
def test_images_at_the_ends_of_the_domains_are_finite(
    first: str, second: str, upper: tuple[bool, bool], noise: str
) -> None:
    options: dict[str, float | str] = {"noise": noise} | OPTIONS
    for name, end in zip((first, second), upper, strict=True):
        options[name] = ends(name)[end]
        if name in PARTNERS:
            options[PARTNERS[name]] = 0.0
    if options.keys() & {"velocity_dispersion", "z_lens", "z_source"}:
        options = {"velocity_dispersion": 200.0, "z_lens": 1e-5, "z_source": 2.0} | options
        assume(options["z_lens"] < options["z_source"] and "theta_E" not in options)
    assume(noise == "instrument" or "exposure_time" not in options)
    simulator = HST(**options)
    assert simulator.render(simulator.scene(0, "train", torch.arange(2))).isfinite().all()


def test_bounds_of_the_lensiam_prior() -> None:
    priors = parse_priors({"e1": "uniform(-0.5, 0.5)", "e2": "uniform(-0.5, 0.5)"} | ELLIPTICITY)
    assert largest_norm(priors, "e1", "e2") == pytest.approx(0.5**0.5)
    assert width(priors["e1"]) == 1


ELLIPTICITY = {"source_e1": "0", "source_e2": "0"}


def test_unbounded_priors_lose_only_their_far_tails() -> None:
    priors = parse_priors({"e1": "normal(0, 0.1)", "e2": 0} | ELLIPTICITY)
    low, high = priors["e1"].bounds
    assert low == pytest.approx(-0.6, rel=1e-3)
    assert high == pytest.approx(0.6, rel=1e-3)
    u = torch.tensor([1e-15, 0.01, 0.5, 1 - 1e-15], dtype=torch.float64)
    drawn = priors["e1"].quantile(u)
    assert drawn[0] == low
    assert drawn[3] == high
    assert drawn[1] == Distribution.parse("normal(0, 0.1)").quantile(u)[1]
    assert str(priors["e1"]) == "normal(0, 0.1)"
