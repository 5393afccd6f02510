"""Maps of features: UMAP fitted to some images and applied to others, and how far such a map is to be trusted."""

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
"""Numbers of images between which their neighbours are found by trying all: it takes less time than to compile what
finds them approximately, which each process does anew. Below UMAP tries all by itself."""

FEWEST = 4
"""Images that a map is fitted to, at least: UMAP starts from the eigenvectors of a matrix of them."""

JUDGED = 4000
"""Images at most that a map is judged on: trustworthiness takes the distances of all pairs of them."""


@dataclass(frozen=True)
class FeatureMap:
    """A UMAP of features (McInnes, Healy & Melville 2018, https://arxiv.org/abs/1802.03426) in two dimensions.

    Attributes:
        coordinates: (n, 2), of the images that it was fitted to.
        variance: Share of the features' variance that the principal components hold that it was fitted to; for cosine,
            of features of length 1.
        components: Their number; 0 if it was fitted to the features themselves.
        reduce: What makes them of features.
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
    ) -> FeatureMap:
        """Fits one.

        The seed fixes the map, for which UMAP arranges the points on one thread. Distances are those between principal
        components: nearly those between features, of which few directions vary much, in a tenth of the time. Components
        of which cosines are taken are those about zero, of features of length 1: about the mean all angles are others.

        Args:
            features: (n, d), finite.
            n_neighbors: How many neighbours of each image are to stay near.
            min_dist: How close points may be in the map.
            components: Principal components that features are reduced to first, if they have more; 0 for none.
            metric: Distance between features, `euclidean` or `cosine`.
            seed: Seed of all that is random.

        Raises:
            UsageError: if there are too few images for so many neighbours, or UMAP is not installed.
            LenskitError: if features are not finite, or all the same.
        """
        x = np.asarray(features, np.float32)
        if not np.isfinite(x).all():
            raise LenskitError("some features are not finite: the encoder is broken, or was given such images")
        if len(x) < FEWEST:
            raise UsageError(f"a map is fitted to {FEWEST} images or more, and here are {len(x)}: use more images")
        if len(x) <= n_neighbors:
            raise UsageError(
                f"a map of {n_neighbors} neighbours is fitted to more than {n_neighbors} images, and here are {len(x)}:"
                f" use more, or --n-neighbors {len(x) - 1}"
            )
        if not (x.std(0) > 1e-6 * np.abs(x).mean(0)).any():
            raise LenskitError("all images have the same features, of which there is no map: the encoder has collapsed")
        umap = load_umap()
        x, reduce, variance, kept = _reduced(x, components, metric, seed)
        with warnings.catch_warnings():
            # Of eigenvectors that are not found to the last digit, and graphs in several parts: UMAP goes on with both.
            warnings.simplefilter("ignore", UserWarning)
            fitted = umap.UMAP(
                n_neighbors=n_neighbors, min_dist=min_dist, metric=metric, low_memory=True,
                random_state=seed, transform_seed=seed, n_jobs=1,
                precomputed_knn=_exact(x, n_neighbors, metric),
            ).fit(x)  # fmt: skip
        return cls(np.asarray(fitted.embedding_, np.float64), variance, kept, reduce, fitted)

    def transform(self, features: ArrayLike) -> Array:
        """Features (n, d) of other images to places (n, 2) in the map."""
        x = np.asarray(features, np.float32)
        if not np.isfinite(x).all():
            raise LenskitError("some features are not finite: the encoder is broken, or was given such images")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            return np.asarray(self._umap.transform(self.reduce(x)), np.float64)


def check_umap() -> None:
    """Raises if UMAP is not installed, without the wait for its import.

    Raises:
        UsageError: saying what to install.
    """
    if find_spec("umap") is None:
        raise UsageError("a map needs umap-learn, which is not installed: pip install umap-learn")


def load_umap() -> ModuleType:
    """UMAP's module, whose import takes a while: it compiles.

    Raises:
        UsageError: if it is not installed, or cannot be imported.
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
    """Principal components of features, what makes them of others, the share of variance they hold, and their number.

    Without a reduction they are the features themselves, and their number is 0.
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
    """The exact neighbours of each image, and what finds those of others, as UMAP takes them; nothing where it had
    better look for them itself."""
    if not EXACT[0] <= len(x) <= EXACT[1]:
        return None, None, None
    from pynndescent import NNDescent
    from sklearn.neighbors import NearestNeighbors

    search = NearestNeighbors(n_neighbors=k, algorithm="brute", metric=metric).fit(x)

    class Exact(NNDescent):
        """All that UMAP uses of the index that it would build."""

        _angular_trees = False

        def __init__(self) -> None:
            pass

        def query(self, queries: Array, k: int, epsilon: float) -> tuple[Array, Array]:
            distances, rows = search.kneighbors(queries, k)
            return rows.astype(np.int32), distances.astype(np.float32)

    return *Exact().query(x, k, 0.0), Exact()


@dataclass(frozen=True)
class Trust:
    """Trustworthiness of a map (Venna & Kaski 2001, https://doi.org/10.1007/3-540-44668-0_68): 1 if all neighbours in
    it are neighbours in the features, about 0.5 if they are any.

    Attributes:
        value: It, NaN if there are too few images.
        n: Images that it was computed on.
        k: Neighbours that were looked at.
    """

    value: float
    n: int
    k: int


def trustworthiness(features: ArrayLike, places: ArrayLike, k: int, metric: str = "euclidean") -> Trust:
    """Judges a map by all features, as scikit-learn does. Memory grows with the square of n.

    Args:
        features: (n, d).
        places: (n, 2), of the same images.
        k: Neighbours that are looked at.
        metric: Distance between features.
    """
    from sklearn.manifold import trustworthiness as judge

    x, y = np.asarray(features, np.float32), np.asarray(places, np.float32)
    if k >= len(x) / 2:
        return Trust(np.nan, len(x), k)
    return Trust(float(judge(x, y, n_neighbors=k, metric=metric)), len(x), k)


@dataclass(frozen=True)
class Local:
    """How well a parameter of an image is told by its neighbours.

    Attributes:
        measure: `R2`, or `accuracy` of a class.
        value: It, with its 95 % interval; NaN where it is not defined.
        chance: What it is if nothing is told: 0, or the share of the commonest class.
        n: Images judged.
        dropped: Images left out, because their value is not known or those of all their neighbours.
        note: Why it is not defined.
    """

    measure: str
    value: Estimate
    chance: float
    n: int
    dropped: int
    note: str = ""


def nearest(among: ArrayLike, places: ArrayLike, k: int, metric: str = "euclidean") -> NDArray[np.int64]:
    """The numbers (n, k) of the nearest of `among` (m, d) to each of `places` (n, d)."""
    from sklearn.neighbors import NearestNeighbors

    search = NearestNeighbors(n_neighbors=k, metric=metric).fit(np.asarray(among, np.float32))
    return search.kneighbors(np.asarray(places, np.float32), return_distance=False)


def local_predictability(neighbours: ArrayLike, values: ArrayLike, parameter: Parameter) -> Local:
    """How well a parameter of images is the mean of their neighbours', or for a class the commonest of theirs.

    Args:
        neighbours: (n, k), values of the neighbours of each image, NaN where not known.
        values: (n,), their own.
        parameter: What the values are.
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
    low, high = binom.interval(LEVEL, n, right)  # the bootstrap of a share, in closed form
    return Local(measure, Estimate(right, float(low / n), float(high / n)), float(counts.max() / n), n, dropped)
