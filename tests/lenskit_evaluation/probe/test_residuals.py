"""Errors in bins of properties of the image."""

from __future__ import annotations

import numpy as np

from lenskit.evaluation import Rows
from lenskit_evaluation.probe.residuals import binned, covariates, is_round


def scenes(n: int = 600) -> Rows:
    rng = np.random.default_rng(2)
    values = {
        "e1": rng.uniform(-0.5, 0.5, n), "e2": rng.uniform(-0.5, 0.5, n), "theta_E": rng.uniform(0.8, 1.8, n),
        "source_magnification": rng.uniform(3, 20, n),
        "log_light_to_arc": np.where(np.arange(n) % 2, 1.0, -1.0), "log_noise": np.full(n, -2.0),
    }  # fmt: skip
    return Rows(np.zeros((n, 1)), values, np.arange(n), [""] * n)


def test_what_errors_may_depend_on():
    found, missing = covariates(scenes().values)
    assert not missing
    # The noise is a hundredth of the maximum, which is either the arc or ten times the arc.
    np.testing.assert_allclose(found["arc S/N"][:2], [100, 10])
    np.testing.assert_allclose(is_round(scenes()), found["|e|"] < 0.3)
    assert covariates({"e1": np.zeros(3)})[1] == {
        "|e|": "e2 is not recorded",
        "magnification": "source_magnification is not recorded",
        "arc S/N": "log_light_to_arc and log_noise are not recorded",
    }


def test_errors_in_bins():
    test = scenes()
    magnification = test.values["source_magnification"]
    predicted = np.stack([test.values["theta_E"] + magnification / 100] * 2)
    predicted[1] += 0.02
    found = {each.against: each for each in binned(test, {"theta_E": predicted}, ["theta_E"])}
    each = found["magnification"]
    assert each.n == (100,) * 6
    assert each.low[0] == magnification.min()
    assert each.high[-1] == magnification.max()
    order = np.sort(magnification).reshape(6, 100)
    np.testing.assert_allclose(each.bias, order.mean(1) / 100 + 0.01)
    np.testing.assert_allclose(each.mae, each.bias)
    np.testing.assert_allclose(each.bias_error, 1.96 * order.std(1, ddof=1) / 100 / 10)
    assert max(found["|e|"].bias) - min(found["|e|"].bias) < 0.03
