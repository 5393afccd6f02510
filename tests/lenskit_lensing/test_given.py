"""Tables of parameters for simulators of lenses: same lenses, and errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import lenskit
from lenskit.errors import UsageError
from lenskit.rendering.overrides import givable
from lenskit_lensing.priors import DOMAINS, parse_priors
from lenskit_lensing.simulators.euclid import EuclidChallenge
from lenskit_lensing.simulators.hst import HST

SMALL = {"pixels": 32, "pixel_scale": 0.15}
QUIET = SMALL | {"log_noise": -9.9, "merger_fraction": 0.0, "light_deviation": 0.0, "source_core_slope": 0.1}
COLUMNS = (
    "theta_E", "gamma", "e1", "e2", "center_x", "center_y", "gamma1", "gamma2", "source_dx", "source_dy",
    "source_half_light_radius", "source_n", "source_e1", "source_e2", "light_n", "light_radius", "log_light_to_arc",
    "psf",
)  # fmt: skip


@pytest.mark.slow
def test_recorded_values_give_the_same_image_whatever_else_is_drawn() -> None:
    """The seeds differ, so that only the table can make the images equal."""
    simulator = HST(**QUIET, source_core_radius="0.1")
    index = torch.arange(5)
    scene = simulator.scene(1, "train", index)
    table = {name: scene[name].tolist() for name in COLUMNS}
    images, values = lenskit.render(table, "hst", set=QUIET | {"source_core_radius": 0.1}, seed=2)
    expected = simulator.render(scene).numpy()
    assert np.abs(images - expected).max() < 1e-6 * expected.max()
    np.testing.assert_allclose(values["source_magnification"], scene["source_magnification"], rtol=1e-6)
    without = {name: cells for name, cells in table.items() if name != "e1"}
    other, _ = lenskit.render(without, "hst", set=QUIET | {"source_core_radius": 0.1}, seed=2)
    assert np.abs(other - expected).max((1, 2, 3)).min() > 1e-3


@pytest.mark.slow
def test_what_can_be_given_to_hst() -> None:
    names = givable(HST(**SMALL))
    assert {*COLUMNS, "log_noise", "source_core_radius", "merger_distance"} <= {*names}
    assert not {"source_magnification", "light_e1", "merger", "noise"} & {*names}
    physical = HST(**SMALL, velocity_dispersion="250", z_lens="0.5", z_source="1.5")
    assert {"velocity_dispersion", "z_lens", "z_source"} <= {*givable(physical)}
    assert "theta_E" not in givable(physical)


@pytest.mark.slow
def test_of_a_derived_magnitude_the_euclid_challenge_says_so() -> None:
    names = givable(EuclidChallenge(bands="nisp"))
    assert {"theta_E", "source_magnitude", "light_n"} <= {*names}
    assert not {"lens_magnitude", "source_dx", "n_source_im", "is_lens"} & {*names}


def test_of_no_merger_nothing_can_be_said() -> None:
    with pytest.raises(UsageError, match=r"row 1 \(from 0\), column merger_distance: 1 has no effect: there are no"):
        lenskit.render({"merger_distance": [None, 1]}, "hst", set=QUIET)
    lenskit.render({"merger_distance": [None, 1]}, "hst", set=QUIET | {"merger_fraction": 0.5})


@pytest.mark.parametrize("name", ["theta_E", "gamma", "light_n", "source_half_light_radius", "log_noise"])
def test_what_a_prior_may_not_be_a_cell_may_not_be(name: str) -> None:
    """At both ends of the domain, a cell fails exactly if `--set` fails."""
    simulator = HST(**SMALL)
    low, high, words = DOMAINS[name]
    for value, refused in ((low, True), (high, True), (low + 1e-6 * (high - low), False), (high * 0.999, False)):
        given = {name: torch.tensor([float("nan"), value], dtype=torch.float64)}
        assert list(simulator.refuses(given)) == ([(1, name, f"is not {words}")] if refused else [])
        try:
            parse_priors({name: value})
        except UsageError:
            assert refused
        else:
            assert not refused


@pytest.mark.parametrize(
    ("columns", "options", "complaint"),
    [
        ({"theta_E": [1, 0]}, {}, "row 1 (from 0), column theta_E: 0 is not between 0.001 and 100 arcsec"),
        ({"e1": [0.1, 0.9], "e2": [0, -0.4]}, {}, "row 1 (from 0), column e2: -0.4 makes an ellipticity |e| of 0.985"),
        (
            {"e1": [0.6]},
            {},
            "row 0 (from 0), column e1: 0.6 makes an ellipticity |e| of 0.781, but its priors reach only 0.7",
        ),
        ({"gamma1": [0.999], "gamma2": [0.1]}, {}, "row 0 (from 0), column gamma2: 0.1 makes a shear |gamma| of 1"),
        ({"background_gradient": [1]}, {}, "column background_gradient is not sampled by hst with these options"),
        (
            {"neighbours": [1, 2, 5]},
            {"neighbours": "choice(0, 3)"},
            "row 2 (from 0), column neighbours: 5 is not possible",
        ),
        (
            {"z_lens": [0.3, 1.6]},
            {"velocity_dispersion": 250, "z_lens": 0.5, "z_source": 1.5},
            "row 1 (from 0), column z_lens: 1.6 is wrong: the lens, at 1.6, must be in front of the source, at 1.5",
        ),
    ],
)
def test_what_cannot_be_rendered_is_refused_with_its_place(
    columns: dict[str, Any], options: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(UsageError) as error:
        lenskit.render(columns, "hst", set=SMALL | options)
    assert str(error.value).removeprefix("the table").lstrip(":, ").startswith(complaint)
