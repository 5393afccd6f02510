"""Principal components of pixels."""

from __future__ import annotations

import numpy as np

from lenskit.evaluation import Rows
from lenskit_evaluation.baselines import find_components, in_components


def test_components_leave_out_what_is_noise_of_these_images():
    rng = np.random.default_rng(0)
    base = rng.normal(size=(3, 400)) * [[10], [5], [2]]
    some = [Rows(rng.normal(size=(n, 3)) @ base + 0.01 * rng.normal(size=(n, 400)), {}, np.arange(n), [""] * n)
            for n in (60, 500)]  # fmt: skip
    components = find_components(some[0], 50, 0)
    assert components.n_components_ == 3
    train, test = (in_components(each, components).features for each in some)
    np.testing.assert_allclose(train.mean(0), 0, atol=1e-3)
    np.testing.assert_allclose(np.cov(train.T), np.diag(train.var(0, ddof=1)), atol=1e-2 * train.var())
    # The components keep the lengths except for the noise, so that only noise was left out.
    centred = some[1].features - some[0].features.mean(0)
    np.testing.assert_allclose((test**2).sum(1), (centred**2).sum(1), rtol=0.01)
