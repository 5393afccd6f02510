"""Tests of UMAPs of features and of their quality measures."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from sklearn.metrics import r2_score
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

from lenskit.errors import LenskitError, UsageError
from lenskit.kinds.parameter import Parameter
from lenskit_evaluation.maps.feature_map import FeatureMap, local_predictability, nearest, trustworthiness

WIDTH = Parameter("width", "arcsec")
KIND = Parameter("kind", classes=("a", "b", "c"))


def made(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return 30 noisy features on a curve, and the position along the curve."""
    rng = np.random.default_rng(seed)
    place = rng.uniform(0, 1, n)
    curve = np.stack([np.sin((number + 1) * place / 5) for number in range(30)], axis=1)
    return curve + 0.01 * rng.normal(size=curve.shape), place


@pytest.fixture(scope="module")
def fitted() -> FeatureMap:
    return FeatureMap.fit(made(120)[0], components=5, seed=3)


@pytest.mark.slow
def test_a_map_is_the_same_each_time(fitted: FeatureMap) -> None:
    again = FeatureMap.fit(made(120)[0], components=5, seed=3)
    np.testing.assert_array_equal(again.coordinates, fitted.coordinates)
    others, _ = made(30, seed=1)
    np.testing.assert_array_equal(again.transform(others), fitted.transform(others))


@pytest.mark.slow
def test_others_are_placed_beside_those_like_them(fitted: FeatureMap) -> None:
    (_, place), (others, where) = made(120), made(40, seed=1)
    near = nearest(fitted.coordinates, fitted.transform(others), 5)
    assert r2_score(where, place[near].mean(1)) > 0.95
    assert trustworthiness(others, fitted.transform(others), 5).value > 0.9
    assert fitted.components == 5
    assert 0.99 < fitted.variance < 1


@pytest.mark.slow
def test_components_keep_the_angles_between_positive_features() -> None:
    rng = np.random.default_rng(0)
    # Five hidden directions, and a brightness that does not change angles.
    x = rng.gamma(1, 1, (300, 5)) @ rng.gamma(1, 1, (5, 40)) * rng.uniform(0.3, 3, (300, 1))
    x = (x + 0.02 * rng.random(x.shape)).astype(np.float32)
    found = FeatureMap.fit(x[:200], n_neighbors=5, components=8, metric="cosine")
    near = nearest(x[:200], x[200:], 15, "cosine")
    kept = nearest(found.reduce(x[:200]), found.reduce(x[200:]), 15, "cosine")
    overlap = np.mean([np.isin(a, b).mean() for a, b in zip(near, kept, strict=True)])
    assert overlap > 0.98  # 0.3 for components after subtraction of the mean
    assert (found.components, found.variance) == (8, pytest.approx(1, abs=1e-3))


@pytest.mark.slow
def test_an_exact_search_of_neighbours_makes_as_good_a_map() -> None:
    found = FeatureMap.fit(made(120)[0], components=5, seed=3, exact=(50, 1000))
    others, _ = made(40, seed=1)
    assert trustworthiness(others, found.transform(others), 5).value > 0.9


def test_what_cannot_be_mapped_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    features, _ = made(20)
    with pytest.raises(UsageError, match="more than 25 images, got 20"):
        FeatureMap.fit(features, n_neighbors=25)
    with pytest.raises(LenskitError, match="collapsed"):
        FeatureMap.fit(np.ones((40, 3)))
    with pytest.raises(LenskitError, match="not finite"):
        FeatureMap.fit(np.where(features > 0.5, np.nan, features))
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(UsageError, match="pip install umap-learn"):
        FeatureMap.fit(features)


def test_what_neighbours_tell_is_what_scikit_learn_predicts() -> None:
    (x, place), (other, where) = made(80), made(30, seed=1)
    rows = nearest(x, other, 7)
    expected = r2_score(where, KNeighborsRegressor(7).fit(x.astype(np.float32), place).predict(other))
    found = local_predictability(place[rows], where, WIDTH)
    assert found.value.value == pytest.approx(expected, abs=1e-6)
    assert (found.n, found.dropped, found.chance) == (30, 0, 0)
    assert found.value.low < found.value.value < found.value.high

    kinds, truth = np.floor(3 * place), np.floor(3 * where)
    right = (KNeighborsClassifier(7).fit(x.astype(np.float32), kinds).predict(other) == truth).mean()
    found = local_predictability(kinds[rows], truth, KIND)
    assert (found.measure, found.value.value) == ("accuracy", pytest.approx(right))
    assert found.chance == pytest.approx(np.bincount(truth.astype(int)).max() / 30)


def test_images_without_a_value_are_left_out_and_counted() -> None:
    (x, place), (other, where) = made(80), made(30, seed=1)
    where[:4] = np.nan
    place[:10] = np.nan
    found = local_predictability(place[nearest(x, other, 7)], where, WIDTH)
    assert (found.n, found.dropped) == (26, 4)
    assert found.value.value > 0.9


@pytest.mark.parametrize(("values", "note"), [(2.0, "all values are 2"), (np.nan, "no value is known")])
def test_a_constant_is_told_by_nothing(values: float, note: str) -> None:
    found = local_predictability(np.full((9, 3), values), np.full(9, values), WIDTH)
    assert np.isnan(found.value.value)
    assert note in found.note


def test_trustworthiness_is_not_defined_for_few() -> None:
    features, _ = made(20)
    assert trustworthiness(features, features, 9).value == pytest.approx(1)
    few = trustworthiness(features, features[:, :2], 10)
    assert np.isnan(few.value)
    assert (few.n, few.k) == (20, 10)


@pytest.mark.slow
def test_few_images_are_refused_or_mapped_as_is_advised() -> None:
    """Maps of 3 or 5 images; see lmcinnes/umap#201."""
    for count in (1, 2, 3):
        with pytest.raises(UsageError, match=f"a map needs at least 4 images, got {count}: use more images"):
            FeatureMap.fit(made(count)[0], n_neighbors=2)
    for count in (4, 5):
        with pytest.raises(UsageError, match=f"use more images, or --n-neighbors {count - 1}$"):
            FeatureMap.fit(made(count)[0])
        fitted = FeatureMap.fit(made(count)[0], n_neighbors=count - 1)
        assert np.isfinite(fitted.coordinates).all()
    with pytest.raises(LenskitError, match="all images have the same features"):
        FeatureMap.fit(np.ones((5, 8)), n_neighbors=4)
