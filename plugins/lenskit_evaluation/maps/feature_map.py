"""UMAPs of features, and measures of their quality."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binom

from lenskit.plugin import LenskitError, Parameter, UsageError
from lenskit_evaluation.bootstrap import LEVEL, Estimate
from lenskit_evaluation.metrics import score

Array = NDArray[Any]

EXACT = 4096, 100_000
"""Smallest and largest number of images for an exact search of neighbours.

In this range, a brute-force search is faster than the approximate search of UMAP, which every process has to compile
first. For fewer images, UMAP itself uses brute force.
"""

FEWEST = 4
"""Minimum number of images for a fit, because UMAP starts from eigenvectors of a matrix of this size."""

JUDGED = 4000
"""Maximum number of images for the quality measures; trustworthiness needs the distances of all pairs."""


@dataclass(frozen=True)
class FeatureMap:
    """UMAP of features in two dimensions.

    Source: McInnes, Healy & Melville 2018, https://arxiv.org/abs/1802.03426.

    Attributes:
        coordinates: (n, 2), coordinates of the images of the fit.
        variance: Share of the variance of the features in the principal components; for the cosine distance, of the
            L2-normalised features.
        components: Number of principal components; 0 if the map was fitted to the features themselves.
        reduce: Function from features to principal components.
    """

    coordinates: Array
    variance: float
    components: int
    reduce: Callable[[Array], Array]
    _umap: Any

    @classmethod
    def fit(
        cls,
        features: ArrayLike,
        *,
        n_neighbors: int = 15,
        min_dist: float = 0.1,
        components: int = 50,
        metric: str = "euclidean",
        seed: int = 0,
        exact: tuple[int, int] = EXACT,
    ) -> FeatureMap:
        """Fit a map to features.

        The same seed gives the same map, because UMAP uses a single thread.

        Distances are measured between principal components. They are close to the distances between features, because
        features vary in few directions, and take a tenth of the time. For the cosine distance, features are
        L2-normalised and the mean is not subtracted, because subtraction would change all angles.

        Args:
            features: (n, d), finite.
            n_neighbors: Number of neighbours of each image that the map keeps close.
            min_dist: Minimum distance between points on the map.
            components: Number of principal components that features are reduced to, if there are more features; 0 for
                no reduction.
            metric: Distance between features, `euclidean` or `cosine`.
            seed: Random seed.
            exact: Smallest and largest number of images for an exact search of neighbours.

        Raises:
            UsageError: There are too few images for this number of neighbours, or UMAP is not installed.
            LenskitError: A feature is not finite, or all images have the same features.
        """
        x = np.asarray(features, np.float32)
        if not np.isfinite(x).all():
            raise LenskitError("some features are not finite: the encoder is broken, or some pixels are not finite")
        if len(x) < FEWEST:
            raise UsageError(f"a map needs at least {FEWEST} images, got {len(x)}: use more images")
        if len(x) <= n_neighbors:
            raise UsageError(
                f"a map with {n_neighbors} neighbours needs more than {n_neighbors} images, got {len(x)}: use more "
                f"images, or --n-neighbors {len(x) - 1}"
            )
        if not (x.std(0) > 1e-6 * np.abs(x).mean(0)).any():
            raise LenskitError("all images have the same features, so there is no map: the encoder has collapsed")
        umap = load_umap()
        x, reduce, variance, kept = _reduced(x, components, metric, seed)
        with warnings.catch_warnings():
            # UMAP warns of inaccurate eigenvectors and of disconnected graphs, but handles both.
            warnings.simplefilter("ignore", UserWarning)
            fitted = umap.UMAP(
                n_neighbors=n_neighbors, min_dist=min_dist, metric=metric, low_memory=True,
                random_state=seed, transform_seed=seed, n_jobs=1,
                precomputed_knn=_exact(x, n_neighbors, metric) if exact[0] <= len(x) <= exact[1] else (None,) * 3,
            ).fit(x)  # fmt: skip
        return cls(np.asarray(fitted.embedding_, np.float64), variance, kept, reduce, fitted)

    def transform(self, features: ArrayLike) -> Array:
        """Return the coordinates (n, 2) on the map of features (n, d) of new images."""
        x = np.asarray(features, np.float32)
        if not np.isfinite(x).all():
            raise LenskitError("some features are not finite: the encoder is broken, or some pixels are not finite")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            return np.asarray(self._umap.transform(self.reduce(x)), np.float64)


def check_umap() -> None:
    """Check that UMAP is installed, without its slow import.

    Raises:
        UsageError: UMAP is not installed.
    """
    if find_spec("umap") is None:
        raise UsageError("a map needs umap-learn, which is not installed: pip install umap-learn")


def load_umap() -> ModuleType:
    """Import UMAP, which takes some seconds because it compiles functions.

    Raises:
        UsageError: UMAP is not installed, or cannot be imported.
    """
    check_umap()
    try:
        import umap
    except ImportError as error:
        raise UsageError(
            f"a map needs umap-learn, which cannot be imported ({error}): pip install umap-learn"
        ) from None
    return umap


def _reduced(x: Array, components: int, metric: str, seed: int) -> tuple[Array, Callable[[Array], Array], float, int]:
    """Reduce features to principal components.

    Returns:
        The components, the function that computes the components from features, the share of the variance in the
        components, and the number of components. Without a reduction, the features themselves are returned, and the
        number is 0.
    """
    from sklearn.decomposition import PCA, TruncatedSVD
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import Normalizer

    if not components or components >= min(x.shape):
        return x, lambda other: other, 1.0, 0
    cosine = metric == "cosine"
    decomposition = (TruncatedSVD if cosine else PCA)(components, random_state=seed)
    reduce = make_pipeline(Normalizer() if cosine else "passthrough", decomposition).fit(x).transform
    return reduce(x), reduce, float(decomposition.explained_variance_ratio_.sum()), components


def _exact(x: Array, k: int, metric: str) -> tuple[Any, Any, Any]:
    """Return the exact neighbours of each image, in the form that UMAP takes.

    The result consists of rows, distances and a search index.
    """
    from pynndescent import NNDescent
    from sklearn.neighbors import NearestNeighbors

    search = NearestNeighbors(n_neighbors=k, algorithm="brute", metric=metric).fit(x)

    class Exact(NNDescent):
        """Search index with the attributes and methods that UMAP needs."""

        _angular_trees = False

        def __init__(self) -> None:
            pass

        def query(self, queries: Array, k: int, epsilon: float) -> tuple[Array, Array]:
            distances, rows = search.kneighbors(queries, k)
            return rows.astype(np.int32), distances.astype(np.float32)

    return *Exact().query(x, k, 0.0), Exact()


@dataclass(frozen=True)
class Trust:
    """Trustworthiness of a map.

    Source: Venna & Kaski 2001, https://doi.org/10.1007/3-540-44668-0_68.

    It is 1 if all neighbours on the map are neighbours in the features, and about 0.5 for a random map.

    Attributes:
        value: Trustworthiness; NaN if there are too few images.
        n: Number of images that the trustworthiness was computed from.
        k: Number of neighbours of each image.
    """

    value: float
    n: int
    k: int


def trustworthiness(features: ArrayLike, places: ArrayLike, k: int, metric: str = "euclidean") -> Trust:
    """Compute the trustworthiness of a map with scikit-learn.

    Memory grows with the square of n.

    Args:
        features: (n, d).
        places: (n, 2), coordinates of the same images on the map.
        k: Number of neighbours of each image.
        metric: Distance between features.
    """
    from sklearn.manifold import trustworthiness as judge

    x, y = np.asarray(features, np.float32), np.asarray(places, np.float32)
    if k >= len(x) / 2:
        return Trust(np.nan, len(x), k)
    return Trust(float(judge(x, y, n_neighbors=k, metric=metric)), len(x), k)


@dataclass(frozen=True)
class Local:
    """Score of the prediction of a parameter of an image from its neighbours.

    Attributes:
        measure: `R2`, or `accuracy` for a class label.
        value: Score with its 95 % interval; NaN if it is not defined.
        chance: Score without any information: 0, or the share of the most frequent class.
        n: Number of images in the score.
        dropped: Number of images left out, because the value of the image or of all its neighbours is not known.
        note: Reason why the score is not defined; empty if it is defined.
    """

    measure: str
    value: Estimate
    chance: float
    n: int
    dropped: int
    note: str = ""


def nearest(among: ArrayLike, places: ArrayLike, k: int, metric: str = "euclidean") -> NDArray[np.int64]:
    """Return the rows (n, k) of `among` (m, d) that are nearest to `places` (n, d)."""
    from sklearn.neighbors import NearestNeighbors

    search = NearestNeighbors(n_neighbors=k, metric=metric).fit(np.asarray(among, np.float32))
    return search.kneighbors(np.asarray(places, np.float32), return_distance=False)


def local_predictability(neighbours: ArrayLike, values: ArrayLike, parameter: Parameter) -> Local:
    """Score the prediction of a parameter from the neighbours of each image.

    The prediction is the mean value of the neighbours, or the most frequent class of the neighbours.

    Args:
        neighbours: (n, k), values of the neighbours of each image, NaN if not known.
        values: (n,), values of the images themselves.
        parameter: The parameter.
    """
    theirs, own = np.asarray(neighbours, np.float64), np.asarray(values, np.float64)
    usable = np.isfinite(own) & np.isfinite(theirs).any(1)
    theirs, truth = theirs[usable], own[usable]
    n, dropped = len(truth), int((~usable).sum())
    measure = "accuracy" if parameter.classes else "R2"
    if n == 0 or np.ptp(truth) == 0:
        note = f"all values are {truth[0]:g}: no {measure}" if n else "no value is known"
        return Local(measure, Estimate(np.nan), np.nan, n, dropped, note)
    if not parameter.classes:
        judgement = score(truth, np.nanmean(theirs, axis=1))
        return Local(measure, judgement.r2, 0.0, n, dropped)
    _, counts = np.unique(truth, return_counts=True)
    among = np.unique(theirs[np.isfinite(theirs)])
    commonest = among[np.stack([(theirs == each).sum(1) for each in among]).argmax(0)]
    right = float((commonest == truth).mean())
    low, high = binom.interval(LEVEL, n, right)  # a bootstrap of a share has this closed form
    return Local(measure, Estimate(right, float(low / n), float(high / n)), float(counts.max() / n), n, dropped)
