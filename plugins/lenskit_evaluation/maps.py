"""Maps of features: UMAP fitted to some images and applied to others, and how far such a map is to be trusted."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lenskit.plugin import LenskitError, Parameter, UsageError
from lenskit_evaluation.metrics import Estimate, score

log = logging.getLogger("lenskit")

Array = NDArray[Any]

TRUSTED = 4000
"""Images at most that trustworthiness is computed on: it takes the distances of all pairs of them."""


@dataclass(frozen=True)
class FeatureMap:
    """A UMAP of features (McInnes, Healy & Melville 2018, https://arxiv.org/abs/1802.03426) in two dimensions.

    Attributes:
        coordinates: (n, 2), of the images that it was fitted to.
        variance: Share of the features' variance that the principal components hold that it was fitted to.
        components: Their number.
    """

    coordinates: Array
    variance: float
    components: int
    _reduce: Any
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

        The seed fixes the map, for which UMAP works on one thread. Distances are between principal components: nearly
        those between the features where these are many and few directions vary, in a tenth of the time.

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
        umap = load_umap()
        x = np.asarray(features, np.float32)
        if not np.isfinite(x).all():
            raise LenskitError("some features are not finite: the encoder is broken, or was given such images")
        if len(x) <= n_neighbors:
            raise UsageError(
                f"a map of {n_neighbors} neighbours is fitted to more than {n_neighbors} images, and here are {len(x)}:"
                f" use more, or --n-neighbors {max(len(x) - 1, 2)}"
            )
        if not (x.std(0) > 1e-6 * np.abs(x).mean(0)).any():
            raise LenskitError("all images have the same features, of which there is no map: the encoder has collapsed")
        x, reduce, variance, kept = _reduced(x, components, seed)
        with warnings.catch_warnings():
            # Of eigenvectors that are not found to the last digit, and graphs in several parts: UMAP goes on with both.
            warnings.simplefilter("ignore", UserWarning)
            fitted = umap.UMAP(
                n_neighbors=n_neighbors, min_dist=min_dist, metric=metric, low_memory=True,
                random_state=seed, transform_seed=seed, n_jobs=1,
            ).fit(x)  # fmt: skip
        return cls(np.asarray(fitted.embedding_, np.float64), variance, kept, reduce, fitted)

    def transform(self, features: ArrayLike) -> Array:
        """Features (n, d) of other images to places (n, 2) in the map."""
        x = np.asarray(features, np.float32)
        if not np.isfinite(x).all():
            raise LenskitError("some features are not finite: the encoder is broken, or was given such images")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            return np.asarray(self._umap.transform(self._reduce(x)), np.float64)


def load_umap() -> ModuleType:
    """UMAP's module, whose import takes a while: it compiles.

    Raises:
        UsageError: if it is not installed.
    """
    try:
        import umap
    except ImportError as error:
        raise UsageError(f"a map needs umap-learn, which cannot be imported ({error}): pip install umap-learn") from None
    return umap


def _reduced(x: Array, components: int, seed: int) -> tuple[Array, Any, float, int]:
    """Principal components of features, what makes them of others, the share of variance they hold, and their number.

    Without a reduction they are the features themselves.
    """
    from sklearn.decomposition import PCA

    if not components or components >= min(x.shape):
        return x, lambda other: other, 1.0, x.shape[1]
    pca = PCA(components, random_state=seed).fit(x)
    variance = float(pca.explained_variance_ratio_.sum())
    return pca.transform(x), pca.transform, variance, components


@dataclass(frozen=True)
class Trust:
    """Trustworthiness of a map (Venna & Kaski 2001): 1 if all neighbours in it are neighbours in the features, about
    0.5 if they are drawn at random.

    Attributes:
        value: It, NaN if there are too few images.
        n: Images that it was computed on.
        k: Neighbours that were looked at.
    """

    value: float
    n: int
    k: int


def trustworthiness(features: ArrayLike, places: ArrayLike, k: int, seed: int = 0, most: int = TRUSTED) -> Trust:
    """Judges a map by all features, as scikit-learn does.

    Args:
        features: (n, d).
        places: (n, 2), of the same images.
        k: Neighbours that are looked at.
        seed: Seed of the choice of images, where there are more than `most`.
        most: Images at most that are looked at: memory and time grow with their square.
    """
    from sklearn.manifold import trustworthiness as judge

    x, y = np.asarray(features, np.float32), np.asarray(places, np.float32)
    if len(x) > most:
        chosen = np.sort(np.random.default_rng(seed).choice(len(x), most, replace=False))
        x, y = x[chosen], y[chosen]
    if k >= len(x) / 2:
        return Trust(np.nan, len(x), k)
    return Trust(float(judge(x, y, n_neighbors=k)), len(x), k)


@dataclass(frozen=True)
class Local:
    """How well a parameter is told by an image's neighbours.

    Attributes:
        measure: `R2`, or `accuracy` of a class.
        value: It, with its 95 % interval.
        chance: What it is if nothing is told: 0, or the share of the commonest class.
        n: Images judged.
        dropped: Images of either side whose value is not known.
        note: Why it is not defined, if it is not.
    """

    measure: str
    value: Estimate
    chance: float
    n: int
    dropped: int
    note: str = ""


def local_predictability(
    near: ArrayLike, near_values: ArrayLike, places: ArrayLike, values: ArrayLike, parameter: Parameter, k: int
) -> Local:
    """How well a parameter of images is the mean of their neighbours', or for a class the commonest of theirs.

    Args:
        near: (m, d), places of images among which neighbours are looked for.
        near_values: (m,) their values, NaN where not known.
        places: (n, d), places of the images that are judged.
        values: (n,) their values, NaN where not known.
        parameter: What the values are.
        k: Neighbours that are looked at.
    """
    from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

    known, judged = np.isfinite(np.asarray(near_values)), np.isfinite(np.asarray(values))
    x, y = np.asarray(near)[known], np.asarray(near_values)[known]
    places, truth = np.asarray(places)[judged], np.asarray(values)[judged]
    n, dropped = len(truth), int((~known).sum() + (~judged).sum())
    measure = "accuracy" if parameter.classes else "R2"
    nothing = Local(measure, Estimate(np.nan), np.nan, n, dropped, "")
    if len(x) < k or n == 0:
        return _because(nothing, f"{len(x)} and {n} images with a value: too few for {k} neighbours")
    if np.ptp(truth) == 0:
        return _because(nothing, f"all values are {truth[0]:g}: no {measure}")
    if not parameter.classes:
        judgement = score(truth, KNeighborsRegressor(k).fit(x, y).predict(places))
        return Local(measure, judgement.r2, 0.0, n, dropped, judgement.note if np.isnan(judgement.r2.value) else "")
    right = KNeighborsClassifier(k).fit(x, y.astype(int)).predict(places) == truth
    resampled = np.random.default_rng(0).binomial(n, right.mean(), 1000) / n  # what a bootstrap of 0 and 1 comes to
    low, high = np.quantile(resampled, (0.025, 0.975))
    chance = np.unique(truth, return_counts=True)[1].max() / n
    return Local(measure, Estimate(float(right.mean()), float(low), float(high)), float(chance), n, dropped)


def _because(nothing: Local, note: str) -> Local:
    return Local(nothing.measure, nothing.value, nothing.chance, nothing.n, nothing.dropped, note)


def as_row(local: Mapping[str, Local]) -> dict[str, Any]:
    """Plain values of several, by their names, as JSON has them."""
    return {
        name: {
            "measure": each.measure, "value": each.value.value, "low": each.value.low, "high": each.value.high,
            "chance": each.chance, "n": each.n, "dropped": each.dropped, "note": each.note,
        }
        for name, each in local.items()
    }  # fmt: skip
