"""What priors may be, and what is said of those that may not."""

from __future__ import annotations

import pytest
import torch

from lenskit.plugin import Distribution, UsageError
from lenskit_lensing.priors import largest_norm, parse_priors, width
from lenskit_lensing.simulators.hst import HST


@pytest.mark.parametrize(
    ("name", "prior", "right"),
    [
        ("theta_E", "uniform(0, 1.8)", "above 0"),
        ("theta_E", -1.0, "above 0"),
        ("gamma", "uniform(0.9, 2)", "between 1 and 3"),
        ("gamma", 3, "between 1 and 3"),
        ("gamma", "normal(2, 0.5)", "between 1 and 3"),
        ("e1", "uniform(-1, 0.5)", "between -1 and 1"),
        ("gamma2", 1.5, "between -1 and 1"),
        ("source_half_light_radius", "uniform(-0.1, 0.4)", "above 0"),
        ("source_n", 0.1, "between 0.2 and 16"),
        ("source_core_slope", "uniform(0, 2)", "at least 0 and below 2"),
        ("merger_distance", "uniform(-1, 2)", "at least 0"),
        ("light_n", "choice(4, 20)", "between 0.2 and 16"),
        ("light_radius", 0, "above 0"),
        ("theta_E", "gauss(1, 2)", "no distribution"),
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
