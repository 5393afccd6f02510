"""Tests of the search for nearest neighbours: exact, in parts, and approximate."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from lenskit.errors import LenskitError, UsageError
from lenskit_evaluation.neighbours import search as module
from lenskit_evaluation.neighbours.search import Space, check_index, search


def features(n: int, seed: int = 0, d: int = 6) -> np.ndarray:
    return np.random.default_rng(seed).normal(3, 2, size=(n, d)).astype(np.float32)


@pytest.mark.slow
@given(n=st.integers(5, 60), part=st.integers(3, 70), seed=st.integers(0, 99), cosine=st.booleans())
@settings(deadline=None, max_examples=25)
def test_exact_is_what_scipy_finds_however_many_parts(n: int, part: int, seed: int, cosine: bool) -> None:
    archive, queries = features(n, seed), features(4, seed + 100)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "PART", part)
        rows, distances = search(archive, queries, 5, metric="cosine" if cosine else "euclidean")
    scale = 1 if cosine else archive.std(0, dtype=np.float64)
    expected = cdist(queries / scale, archive / scale, "cosine" if cosine else "euclidean")
    np.testing.assert_allclose(distances, np.sort(expected, 1)[:, :5], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(np.take_along_axis(expected, rows, 1), distances, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("index", ["exact", "faiss"])
def test_what_is_in_the_archive_finds_itself(metric: str, index: str) -> None:
    archive = features(200)
    rows, distances = search(archive, archive[[7, 3]], 3, metric=metric, index=index)  # type: ignore[arg-type]
    assert rows[:, 0].tolist() == [7, 3]
    assert distances[:, 0].tolist() == [0, 0]
    assert (np.diff(distances) >= 0).all()


@pytest.mark.slow
def test_approximate_finds_nearly_all_that_exact_does() -> None:
    """Recall of faiss.

    pynndescent compiles for more than a minute; `tests/benchmarks/neighbours.py` measures its recall.
    """
    archive, queries = features(2000, d=16), features(100, seed=1, d=16)
    exact, _ = search(archive, queries, 8)
    rows, _ = search(archive, queries, 8, index="faiss")
    recall = np.mean([len(set(a) & set(b)) / 8 for a, b in zip(exact, rows, strict=True)])
    assert recall > 0.95
    again, _ = search(archive, queries, 8, index="faiss")
    np.testing.assert_array_equal(rows, again)


def test_pynndescent_is_asked_for_what_it_can_find(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use valid arguments for pynndescent; a stand-in saves its compilation."""

    class NNDescent:
        def __init__(self, held: np.ndarray, *, metric: str, n_neighbors: int, random_state: int) -> None:
            assert (metric, random_state) == ("euclidean", 3)
            assert 8 <= n_neighbors < len(held)
            self.held = held

        def query(self, points: np.ndarray, *, k: int, epsilon: float) -> tuple[np.ndarray, np.ndarray]:
            distances = cdist(points, self.held)
            return np.argsort(distances, 1)[:, :k], np.sort(distances, 1)[:, :k]

    monkeypatch.setitem(sys.modules, "pynndescent", SimpleNamespace(NNDescent=NNDescent))
    for n in (20, 200):
        exact, _ = search(features(n), features(9, seed=1), 8)
        rows, _ = search(features(n), features(9, seed=1), 8, index="pynndescent", seed=3)
        np.testing.assert_array_equal(rows, exact)


def test_a_feature_that_does_not_vary_counts_nothing() -> None:
    archive = features(30)
    archive[:, 2] = 1e4
    space = Space.of(archive, "euclidean")
    assert space.scale[2] == 1
    np.testing.assert_allclose(space(archive).std(0), [1, 1, 0, 1, 1, 1], atol=1e-3)


def test_what_cannot_be_searched_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="--k 9 is more than the 5 images of the archive"):
        search(features(5), features(1), 9)
    with pytest.raises(LenskitError, match="collapsed"):
        search(np.ones((9, 3)), np.ones((1, 3)), 2, metric="euclidean")
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(UsageError, match=r"--index faiss needs faiss.*pip install 'lenskit-ssl\[faiss\]'"):
        check_index("faiss")
