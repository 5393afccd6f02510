from __future__ import annotations

import io
import logging

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression, RidgeCV
from sklearn.metrics import r2_score
from sklearn.neighbors import KNeighborsRegressor
from sklearn.neural_network import MLPRegressor
from sklearn.preprocessing import StandardScaler

from lenskit.errors import LenskitError
from lenskit_evaluation.regression import (
    PENALTIES,
    LinearProbe,
    fit_linear_probe,
    fit_neighbor_probe,
    fit_network_probe,
    split_lenses,
)

NAMES = ["theta_E", "gamma", "e1"]


def encoded(n: int, features: int, noise: float = 0.5, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return correlated features of unequal scales, and noisy linear parameters."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, features)) @ rng.normal(size=(features, features)) + 3
    x *= np.logspace(-3, 2, features)
    y = x / x.std(0) @ rng.normal(size=(features, 3)) / features**0.5
    return x, y + noise * rng.normal(size=y.shape)


class TestRidge:
    @pytest.mark.parametrize(("n", "features"), [(200, 12), (40, 60)])
    def test_is_scikit_learns(self, n, features):
        x, y = encoded(n, features)
        probe = fit_linear_probe(x, y, NAMES)
        scaler = StandardScaler().fit(x)
        reference = RidgeCV(n * PENALTIES, alpha_per_target=True).fit(scaler.transform(x), y)
        np.testing.assert_allclose(probe.penalty * n, reference.alpha_)
        np.testing.assert_allclose(probe.coef, reference.coef_, rtol=1e-6, atol=1e-9)
        fresh = encoded(50, features, seed=1)[0]
        np.testing.assert_allclose(probe.predict(fresh), reference.predict(scaler.transform(fresh)), rtol=1e-6)

    def test_known_in_different_rows(self):
        x, y = encoded(120, 8)
        y[:70, 1] = np.nan
        probe = fit_linear_probe(x, y, NAMES)
        scaler = StandardScaler().fit(x)
        z = scaler.transform(x)
        for column, rows in ((0, slice(None)), (1, slice(70, None)), (2, slice(None))):
            alphas = PENALTIES * len(y[rows])
            reference = RidgeCV(alphas).fit(z[rows], y[rows, column])
            np.testing.assert_allclose(probe.predict(x)[:, column], reference.predict(z), rtol=1e-6)

    def test_without_noise_it_is_the_least_squares_fit(self):
        x, y = encoded(300, 5, noise=0)
        probe = fit_linear_probe(x, y, NAMES)
        np.testing.assert_allclose(probe.predict(x), LinearRegression().fit(x, y).predict(x), atol=1e-4)

    def test_collapsed_encoder_gives_the_mean(self):
        y = encoded(50, 4)[1]
        features = np.full((50, 6), np.float32(0.1))
        np.testing.assert_allclose(fit_linear_probe(features, y, NAMES).predict(features[:3]), [y.mean(0)] * 3)

    def test_constant_label(self):
        x, y = encoded(50, 4)
        y[:, 2] = 0.7
        np.testing.assert_allclose(fit_linear_probe(x, y, NAMES).predict(x)[:, 2], 0.7)

    @pytest.mark.parametrize("as_path", [True, False])
    def test_saved_and_loaded(self, tmp_path, as_path):
        x, y = encoded(60, 5)
        probe = fit_linear_probe(x.astype(np.float32), y, NAMES, ["arcsec", "", ""])
        file = tmp_path / "probe" if as_path else io.BytesIO()
        probe.save(file)
        if not as_path:
            file.seek(0)
        loaded = LinearProbe.load(file)
        assert (loaded.names, loaded.units) == (tuple(NAMES), ("arcsec", "", ""))
        np.testing.assert_array_equal(loaded.predict(x), probe.predict(x))

    def test_file_that_holds_something_else(self, tmp_path):
        class Evil:
            def __reduce__(self):
                return (pytest.fail, ("a pickle was run",))

        file = tmp_path / "probe.npz"
        fields = {name: np.zeros(1) for name in LinearProbe.__dataclass_fields__}
        np.savez(file, **(fields | {"mean": np.array([Evil()], dtype=object)}))
        for damage in (lambda: None, lambda: np.savez(file, mean=np.zeros(3)), lambda: file.write_text("text")):
            damage()
            with pytest.raises(LenskitError, match=r"probe\.npz does not contain a LinearProbe"):
                LinearProbe.load(file)
        with pytest.raises(LenskitError, match="does not contain a LinearProbe"):
            LinearProbe.load(tmp_path / "missing.npz")


class TestNeighbors:
    def test_is_scikit_learns(self):
        x, y = encoded(100, 6)
        probe = fit_neighbor_probe(x, y, NAMES)
        scaler = StandardScaler().fit(x)
        reference = KNeighborsRegressor(12, weights="distance").fit(scaler.transform(x), y)
        fresh = encoded(30, 6, seed=1)[0]
        np.testing.assert_allclose(probe.predict(fresh), reference.predict(scaler.transform(fresh)))
        np.testing.assert_allclose(probe.predict(x), y, atol=1e-5)  # each image is its own nearest neighbour

    @pytest.mark.slow
    def test_number_of_neighbors(self, caplog):
        caplog.set_level(logging.INFO)

        x, y = encoded(600, 3)

        def neighbors() -> list[int]:
            return sorted(regressor.n_neighbors for _, regressor in fit_neighbor_probe(x, y, NAMES).regressors)

        assert neighbors() == [64]
        assert not caplog.records
        y[509:, 2] = np.nan
        assert neighbors() == neighbors() == [63, 64]
        assert len(caplog.records) == 1  # both fits log the same numbers
        assert "63 neighbours instead of 64, because there are only 509 images" in caplog.text
        # With one more image there is at most one more neighbour.
        found = [fit_neighbor_probe(x[:n], y[:n, :2], NAMES[:2]).regressors[0][1].n_neighbors for n in range(2, 600)]
        assert set(np.diff(found)) <= {0, 1}
        assert (found[0], found[62], found[63], found[509], found[510], found[-1]) == (1, 8, 8, 63, 64, 64)


class TestNetwork:
    @pytest.mark.slow
    def test_learns_what_no_line_fits(self):
        rng = np.random.default_rng(0)
        x = rng.normal(size=(1200, 4)) * [1, 10, 0.1, 1] + 5
        y = np.stack([np.abs(x[:, 0] - 5), (x[:, 1] - 5) ** 2], axis=1)
        y[::3, 1] = np.nan
        train, test = slice(0, 1000), slice(1000, None)
        probe = fit_network_probe(x[train], y[train], NAMES[:2])
        found, linear = probe.predict(x[test]), fit_linear_probe(x[train], y[train], NAMES[:2]).predict(x[test])
        for column in range(2):
            known = np.isfinite(y[test, column])
            assert r2_score(y[test][known, column], found[known, column]) > 0.9
            assert r2_score(y[test][known, column], linear[known, column]) < 0.1

    def test_is_scikit_learns(self):
        x, y = encoded(120, 5)
        scaler, labels = StandardScaler().fit(x), StandardScaler().fit(y)
        reference = MLPRegressor(
            hidden_layer_sizes=(128,), early_stopping=True, validation_fraction=0.15, random_state=3
        ).fit(scaler.transform(x), labels.transform(y))
        expected = labels.inverse_transform(reference.predict(scaler.transform(x)))
        np.testing.assert_allclose(fit_network_probe(x, y, NAMES, seed=3).predict(x), expected, atol=1e-9)
        assert not np.allclose(fit_network_probe(x, y, NAMES, seed=4).predict(x), expected, atol=1e-3)

    def test_few_images(self):
        x, y = encoded(10, 5)
        assert np.isfinite(fit_network_probe(x, y, NAMES).predict(x)).all()


@pytest.mark.parametrize("fit", [fit_linear_probe, fit_neighbor_probe, fit_network_probe])
class TestBadInput:
    def test_features_not_finite(self, fit):
        x, y = encoded(20, 3)
        x[3, 1] = np.nan
        with pytest.raises(LenskitError, match="features are not finite"):
            fit(x, y, NAMES)

    def test_too_few_labels(self, fit):
        x, y = encoded(20, 3)
        y[1:, 1] = np.nan
        with pytest.raises(LenskitError, match="gamma is known for 1 of 20 images"):
            fit(x, y, NAMES)

    def test_features_of_another_encoder(self, fit):
        x, y = encoded(20, 3)
        with pytest.raises(LenskitError, match="takes 3 features"):
            fit(x, y, NAMES).predict(x[:, :2])


@settings(max_examples=50, deadline=None)
@given(
    lenses=st.lists(st.integers(0, 8)).filter(lambda lenses: len(set(lenses)) > 1),
    fraction=st.floats(0, 1),
    seed=st.integers(0, 1000),
)
def test_split_keeps_lenses_together(lenses, fraction, seed):
    first, second = split_lenses(lenses, fraction, seed)
    assert sorted([*first, *second]) == list(range(len(lenses)))
    in_first, in_second = {lenses[i] for i in first}, {lenses[i] for i in second}
    assert not in_first & in_second
    assert abs(len(in_second) - fraction * len(set(lenses))) <= 1


def test_one_lens_cannot_be_split():
    with pytest.raises(LenskitError, match="at least two lenses"):
        split_lenses(["a", "a"])
