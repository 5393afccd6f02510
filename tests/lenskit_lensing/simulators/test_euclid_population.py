"""Scenes of `euclid-challenge`: truncated priors, source positions, colours."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from lenskit.plugin import Distribution, KeyedGenerator, Scene, UsageError
from lenskit_lensing.instruments.instrument import load_instrument
from lenskit_lensing.priors import parse_priors
from lenskit_lensing.simulators.euclid_population import (
    ChallengeSources,
    Cut,
    rates,
    theta_E_prior,
)

torch.set_num_threads(1)

MANY = 4000


def generator(group: str = "source", n: int = MANY) -> KeyedGenerator:
    return KeyedGenerator(3, "train", group, torch.arange(n), torch.zeros(n, dtype=torch.int64), torch.float64)


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("lognormal(0.7419, 0.38)", stats.lognorm(0.38, scale=math.exp(0.7419))),
        ("loguniform(0.15, 5)", stats.loguniform(0.15, 5)),
        ("normal(2, 3)", stats.norm(2, 3)),
    ],
)
def test_a_cut_prior_keeps_its_proportions(text: str, reference) -> None:
    low, high = 0.5, 4.5
    cut = Cut(Distribution.parse(text), low, high)
    assert cut.bounds == (low, high)
    first, last = reference.cdf([low, high])
    u = np.linspace(0.001, 0.999, 999)
    values = cut.quantile(torch.from_numpy(u)).numpy()
    assert (reference.cdf(values) - first) / (last - first) == pytest.approx(u, abs=1e-9)
    assert parse_priors({"theta_E": cut})["theta_E"] is cut
    assert str(cut) == text


def test_a_prior_of_which_nothing_is_left_is_one_line() -> None:
    with pytest.raises(UsageError, match="option theta_E: uniform\\(6, 7\\) has no values between 0.5 and 5"):
        theta_E_prior("uniform(6, 7)", "uniform(1, 2)", 0.5, 5.0)
    with pytest.raises(UsageError, match="option theta_E: 'wide' is no distribution"):
        theta_E_prior("wide", "uniform(1, 2)", 0.5, 5.0)


@pytest.fixture(scope="module")
def sources() -> tuple[Scene, Scene]:
    """Lenses, and sources: 70 % of the sources are meant to be lensed."""
    priors = {
        "source_offset_x": "uniform(-0.7, 0.7)", "source_offset_y": "uniform(-0.7, 0.7)",
        "source_half_light_radius": 0.2, "source_n": 1, "source_e1": 0, "source_e2": 0, "source_core_radius": 0,
        "source_core_slope": 0, "merger_distance": 1, "merger_flux_ratio": 0.5,
    }  # fmt: skip
    lens = generator("lens").samples(
        parse_priors(
            {
                "theta_E": "loguniform(0.15, 5)", "center_x": "normal(0, 0.1)", "center_y": "normal(0, 0.1)",
                "gamma1": "normal(0, 0.05)", "gamma2": "normal(0, 0.05)", "e1": 0, "e2": 0, "gamma": 2,
            }
        )
    )  # fmt: skip
    population = ChallengeSources(
        priors=parse_priors(priors | {"e1": 0, "e2": 0}), merger_fraction=0.2, stamp_fraction=0, stamps=None,
        min_magnification=0, frame=20, ellipticity=0, lens_fraction=0.7, absent_fraction=0.4,
    )  # fmt: skip
    lens |= population.intend(generator("lens"))
    return lens, lens | population.draw(generator(), lens)


@pytest.mark.slow
def test_as_many_are_candidates_and_absent_as_asked(sources: tuple[Scene, Scene]) -> None:
    scene = sources[1]
    candidate = scene["source_candidate"] == 1
    assert stats.binomtest(int(candidate.sum()), MANY, 0.7).pvalue > 1e-3
    absent = scene["source_flux"] == 0
    assert not absent[candidate].any()
    assert stats.binomtest(int(absent.sum()), int((~candidate).sum()), 0.4).pvalue > 1e-3
    assert (scene["companion_flux"][absent] == 0).all()
    assert 0.15 < float((scene["companion_flux"] > 0)[candidate].double().mean()) < 0.25


def test_candidates_lie_in_reach_of_their_lens_and_others_do_not(sources: tuple[Scene, Scene]) -> None:
    lens, scene = sources
    candidate = scene["source_candidate"] == 1
    offset = torch.stack([scene["source_dx"], scene["source_dy"]]) / lens["theta_E"]
    assert offset[:, candidate].abs().max() <= 0.7
    assert stats.kstest(offset[0, candidate].numpy(), stats.uniform(-0.7, 1.4).cdf).pvalue > 1e-3
    distance = offset.norm(dim=0)[~candidate].numpy()
    assert stats.kstest(distance, stats.uniform(2, 2).cdf).pvalue > 1e-3


def test_positions_are_relative_to_the_point_behind_the_centre(sources: tuple[Scene, Scene]) -> None:
    """Only shear moves this point: the lens does not deflect at its centre."""
    lens, scene = sources
    x, y = lens["center_x"], lens["center_y"]
    behind_x = x - (lens["gamma1"] * x + lens["gamma2"] * y)
    behind_y = y - (lens["gamma2"] * x - lens["gamma1"] * y)
    assert torch.allclose(scene["source_x"], behind_x + scene["source_dx"], atol=1e-12)
    assert torch.allclose(scene["source_y"], behind_y + scene["source_dy"], atol=1e-12)


def test_rates_have_the_magnitudes_and_colours() -> None:
    scene = {
        "lens_magnitude": torch.tensor([20.0, 21.5], dtype=torch.float64),
        "lens_I_Y": torch.tensor([1.0, 0.8], dtype=torch.float64),
        "lens_Y_J": torch.tensor([0.4, 0.3], dtype=torch.float64),
        "lens_J_H": torch.tensor([0.3, 0.2], dtype=torch.float64),
    }
    nisp = load_instrument("euclid-nisp")
    bands = [nisp.band(name) for name in ("H", "J", "Y")]
    found = rates(scene, "lens", bands)
    assert found.shape == (2, 3)
    zero_points = torch.tensor([band.zero_point for band in bands], dtype=torch.float64)
    H, J, Y = (zero_points - 2.5 * found.log10()).T
    assert Y.numpy() == pytest.approx([19.0, 20.7])
    assert (Y - J).numpy() == pytest.approx([0.4, 0.3])
    assert (J - H).numpy() == pytest.approx([0.3, 0.2])
    vis = load_instrument("euclid-vis").bands[0]
    assert rates(scene, "lens", [vis])[:, 0].numpy() == pytest.approx(
        10 ** (-0.4 * (np.array([20.0, 21.5]) - vis.zero_point))
    )
