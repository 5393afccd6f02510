"""Exact and approximate search for nearest neighbours among features.

The exact search reads a large archive in parts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lenskit.plugin import LenskitError, UsageError

Array = NDArray[Any]
Metric = Literal["cosine", "euclidean"]
Index = Literal["exact", "pynndescent", "faiss"]

PART = 50_000
"""Number of rows of an archive that are searched at a time."""


class Matrix(Protocol):
    """Features (n, d) in memory or on disk, indexed by rows."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Any) -> Array: ...


@dataclass(frozen=True)
class Space:
    """Transformation of features to points that are compared by Euclidean distance.

    The Euclidean distances between the points have the same order as the distances in the metric.

    Attributes:
        metric: `cosine` of the features, or `euclidean` of the features standardised on the archive.
        mean: (d,), mean features of the archive.
        scale: (d,), standard deviations of the archive; 1 for a constant feature.
    """

    metric: Metric
    mean: Array
    scale: Array

    @classmethod
    def of(cls, archive: Matrix, metric: Metric) -> Space:
        """Return the space of an archive.

        For the Euclidean distance, this reads the entire archive once.

        Raises:
            LenskitError: All images have the same features.
        """
        if metric == "cosine":
            return cls(metric, np.zeros(1), np.ones(1))
        total, squares = np.zeros(1), np.zeros(1)
        first = np.asarray(archive[:1], np.float64)  # subtracted, so that the sum of squares loses no precision
        for _, part in _parts(archive):
            x = part.astype(np.float64) - first
            total, squares = total + x.sum(0), squares + (x**2).sum(0)
        mean = total / len(archive)
        scale = np.sqrt((squares / len(archive) - mean**2).clip(0))
        varies = scale > 1e-6 * np.abs(mean + first[0])
        if not varies.any():
            raise LenskitError("all images of the archive have the same features: the encoder has collapsed")
        return cls(metric, mean + first[0], np.where(varies, scale, 1.0))

    def __call__(self, features: ArrayLike) -> Array:
        """Return the points (n, d), float32, of features (n, d)."""
        x = np.asarray(features, np.float64)
        if self.metric == "cosine":
            x = x / np.linalg.norm(x, axis=1, keepdims=True).clip(1e-30)
        else:
            x = (x - self.mean) / self.scale
        return x.astype(np.float32)

    def distance(self, a: Array, b: Array) -> Array:
        """Return the distances (n,) between points (n, d).

        The distance is 1 - cosine of the angle, or the Euclidean distance. For equal points it is exactly 0.
        """
        squared = ((a.astype(np.float64) - b) ** 2).sum(-1)
        return squared / 2 if self.metric == "cosine" else np.sqrt(squared)


def search(
    archive: Matrix, queries: ArrayLike, k: int, *, metric: Metric = "cosine", index: Index = "exact", seed: int = 0
) -> tuple[NDArray[np.int64], Array]:
    """Return the rows of an archive that are nearest to each query.

    Args:
        archive: (n, d).
        queries: (m, d).
        k: Number of neighbours of each query.
        metric: Distance between features; see `Space`.
        index: `exact`, or the approximate `pynndescent` or `faiss` (HNSW graph). An approximate search first builds an
            index, which saves time only for many queries.
        seed: Random seed of `pynndescent`.

    Returns:
        Row numbers (m, k), nearest first, and distances (m, k). The distances are always computed from the features,
        not taken from the index.

    Raises:
        UsageError: The archive has fewer than k rows, or the package of the index is not installed.
        LenskitError: All images have the same features, or an approximate search found too few neighbours.
    """
    if len(archive) < k:
        raise UsageError(
            f"--k {k} is more than the {len(archive)} images of the archive: use --k {len(archive)} or less"
        )
    space = Space.of(archive, metric)
    points = space(queries)
    if index == "exact":
        rows = _exact(archive, space, points, k)
    else:
        held = np.concatenate([space(part) for _, part in _parts(archive)])
        rows = _pynndescent(held, points, k, seed) if index == "pynndescent" else _faiss(held, points, k)
    if (rows < 0).any():
        raise LenskitError(f"{index} found fewer than {k} neighbours of some images: use --index exact")
    neighbours = [space(archive[row]) for row in rows]
    distances = np.stack([space.distance(point[None], near) for point, near in zip(points, neighbours, strict=True)])
    order = np.argsort(distances, axis=1, kind="stable")
    return np.take_along_axis(rows, order, 1), np.take_along_axis(distances, order, 1)


def check_index(index: Index) -> None:
    """Check that the package of an index is installed.

    Raises:
        UsageError: The package cannot be imported.
    """
    if index != "exact":
        _load(index)


def _load(index: str) -> Any:
    from importlib import import_module

    extra = "'lenskit-ssl[faiss]'" if index == "faiss" else index
    try:
        return import_module(index)
    except ImportError as error:
        raise UsageError(
            f"--index {index} needs {index}, which cannot be imported ({error}): pip install {extra}, or --index exact"
        ) from None


def _parts(archive: Matrix) -> Iterator[tuple[int, Array]]:
    for start in range(0, len(archive), PART):
        yield start, np.asarray(archive[start : start + PART])


def _exact(archive: Matrix, space: Space, points: Array, k: int) -> NDArray[np.int64]:
    from sklearn.neighbors import NearestNeighbors

    rows, distances = np.empty((len(points), 0), np.int64), np.empty((len(points), 0))
    for start, part in _parts(archive):
        near = NearestNeighbors(n_neighbors=min(k, len(part)), algorithm="brute").fit(space(part))
        d, i = near.kneighbors(points)
        rows, distances = np.concatenate([rows, i + start], 1), np.concatenate([distances, d], 1)
        best = np.argsort(distances, axis=1, kind="stable")[:, :k]
        rows, distances = np.take_along_axis(rows, best, 1), np.take_along_axis(distances, best, 1)
    return rows


def _pynndescent(held: Array, points: Array, k: int, seed: int) -> NDArray[np.int64]:
    graph = _load("pynndescent").NNDescent(
        held, metric="euclidean", n_neighbors=min(max(30, k), len(held) - 1), random_state=seed
    )
    return np.asarray(graph.query(points, k=k, epsilon=0.3)[0], np.int64)


def _faiss(held: Array, points: Array, k: int) -> NDArray[np.int64]:
    faiss = _load("faiss")
    graph = faiss.IndexHNSWFlat(held.shape[1], 32)
    graph.hnsw.efConstruction, graph.hnsw.efSearch = 200, max(128, 4 * k)
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)  # with several threads, the graph is different each time
    graph.add(held)
    faiss.omp_set_num_threads(threads)
    return np.asarray(graph.search(points, k)[1], np.int64)
