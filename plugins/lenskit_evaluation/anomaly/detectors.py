"""Anomaly detectors: scores of methods, distances between features, and baselines.

The baselines are fitted to the training images of the run, so that baselines and run use the same data.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from lenskit.evaluation import Encoder, Rows
from lenskit.plugin import LenskitError, Method, Parameter, Predictor, Reconstructor, Scorer, UsageError
from lenskit.toolbox import check_answer
from lenskit_evaluation.anomaly.shared import Shared
from lenskit_evaluation.anomaly.training import called
from lenskit_evaluation.baselines import LARGEST, ONE_CLASS, PCA_RESIDUAL, PIXELS, find_components

Single = NDArray[np.float32]

WHOLE = 160
"""Images with a longer side, in pixels, are averaged to smaller images before principal components are computed."""

COMPONENTS = 256
"""Maximum number of principal components."""

SAME = 1e-5
"""Images count as equal up to this distance between features of unit length, because rounding changes features."""

OUTSIDE = 0.1
"""Parameter nu of the one-class SVM: upper bound of the share of training images that count as outliers."""


class Detector(ABC):
    """Anomaly detector: computes an anomaly score for each image.

    Attributes:
        kind: Description of the score.
        run: Label of the run that the detector belongs to; empty if it belongs to no run.
        training_lenses: Number of training lenses that the detector was fitted to; None if it was not fitted.
        shared: Cache of network outputs that several detectors share; None without a cache.
    """

    kind: str
    run: str = ""
    training_lenses: int | None = None
    shared: Shared | None = None

    @property
    def saved(self) -> float:
        """Seconds of computation that the shared cache has saved so far."""
        return self.shared.saved if self.shared else 0.0

    @abstractmethod
    def score(self, images: Tensor) -> NDArray[np.float64]:
        """Return the anomaly scores (n,) of raw images (n, C, H, W); higher is stranger."""

    def reconstruct(self, images: Tensor) -> tuple[Tensor, Tensor] | None:
        """Return preprocessed images and their reconstructions, or None."""
        return None

    def figures(self, images: Tensor) -> Mapping[str, Tensor]:
        """Return further values for each raw image, (n,) by name."""
        return {}


class OwnScore(Detector):
    """Detector that uses the score of a method.

    Args:
        method: The method, on the encoder's device.
        encoder: Encoder that preprocesses the images.
    """

    kind = "the method's score"

    def __init__(self, method: Method, encoder: Encoder) -> None:
        self.method, self.encoder = method, encoder
        if isinstance(method, Reconstructor):
            self.kind = "reconstruction error"
        if isinstance(method, Scorer):
            self.kind = method.scored_by or self.kind

    @torch.inference_mode()
    def score(self, images: Tensor) -> NDArray[np.float64]:
        assert isinstance(self.method, Scorer)
        scores = self.method.score(self._prepared(images))
        if scores is None:
            raise LenskitError(f"the method {type(self.method).__name__} returns no score for these images")
        check_answer(self.method, "score", scores, images)
        return scores.double().cpu().numpy()

    @torch.inference_mode()
    def reconstruct(self, images: Tensor) -> tuple[Tensor, Tensor] | None:
        if not isinstance(self.method, Reconstructor):
            return None
        prepared = self._prepared(images)
        reconstructions = self.method.reconstruct(prepared)
        check_answer(self.method, "reconstruct", reconstructions, prepared)
        return prepared, reconstructions

    @torch.inference_mode()
    def figures(self, images: Tensor) -> Mapping[str, Tensor]:
        return self.method.figures(self._prepared(images)) if isinstance(self.method, Scorer) else {}

    def _prepared(self, images: Tensor) -> Tensor:
        return self.encoder.prepare(images.to(next(self.encoder.parameters()).device))


class NotNormal(OwnScore):
    """Probability that an image is not normal, according to a classifier.

    Args:
        method: The classifier; `probabilities(images)` returns an array (n, classes) for each class label.
        encoder: Encoder that preprocesses the images.
        label: Name of the class label.
        normal: Index of the normal class.
    """

    kind = "probability"

    def __init__(self, method: Method, encoder: Encoder, label: str, normal: int) -> None:
        self.method, self.encoder, self.label, self.normal = method, encoder, label, normal

    @torch.inference_mode()
    def score(self, images: Tensor) -> NDArray[np.float64]:
        assert isinstance(self.method, Predictor)
        classes = self.method.probabilities(self._prepared(images))[self.label].double()
        # Sum over the other classes: 1 - p(normal) would round small probabilities to the same number.
        others = [number for number in range(classes.shape[1]) if number != self.normal]
        return classes[:, others].sum(1).cpu().numpy()


class Neighbours(Detector):
    """Distance to the k-th nearest training image in features of unit length.

    Sun et al. 2022, "Out-of-distribution detection with deep nearest neighbors" (https://arxiv.org/abs/2204.06507).

    Args:
        features: Function that returns the features (n, d) of raw images.
        training: Batches of raw training images.
        neighbours: k of the k-th nearest training image.
        kind: Description of the features.

    Attributes:
        met: Hashes of the features of scored images that equal a training image.

    Raises:
        UsageError: There are fewer than k training images.
        LenskitError: Features are not finite.
    """

    def __init__(
        self, features: Callable[[Tensor], Single], training: Iterable[Tensor], neighbours: int, kind: str
    ) -> None:
        from sklearn.neighbors import NearestNeighbors

        reference = np.concatenate([_unit(features(images)) for images in training])
        if len(reference) < neighbours:
            raise UsageError(
                f"--neighbours {neighbours} is more than the {len(reference)} training lenses: use --neighbours "
                f"{len(reference)} or less"
            )
        if not np.isfinite(reference).all():
            raise LenskitError("features of some training lenses are not finite: the encoder is broken")
        self.features, self.kind, self.training_lenses = features, f"distance in {kind}", len(reference)
        self.met: set[int] = set()
        self._search = NearestNeighbors(n_neighbors=neighbours, algorithm="brute").fit(reference)

    @classmethod
    def of_features(cls, training: Iterable[Tensor], neighbours: int) -> Neighbours:
        """Return a detector that takes features (n, d) instead of images."""
        return cls(lambda features: features.numpy(), training, neighbours, "features")

    def score(self, images: Tensor) -> NDArray[np.float64]:
        features = _unit(self.features(images))
        scores = np.full(len(features), np.nan)
        if (usable := np.isfinite(features).all(1)).any():
            distances = self._search.kneighbors(features[usable])[0]
            scores[usable] = distances[:, -1]
            self.met |= {hash(row.tobytes()) for row in features[usable][distances[:, 0] <= SAME]}
        return scores


def embedding(encoder: Encoder) -> Callable[[Tensor], Single]:
    """Return a function from raw images (n, C, H, W) to features (n, d)."""
    encoder.eval()

    @torch.inference_mode()
    def features(images: Tensor) -> Single:
        return encoder(images.to(next(encoder.parameters()).device)).float().cpu().numpy()

    return features


def pixels(encoder: Encoder, largest: int = LARGEST) -> Callable[[Tensor], Single]:
    """Return a function from raw images (n, C, H, W) to preprocessed pixels (n, d).

    Images with a side of more than `largest` pixels are averaged to a side of `LARGEST` pixels.
    """

    @torch.inference_mode()
    def features(images: Tensor) -> Single:
        return _seen(encoder, images, largest).flatten(1).float().cpu().numpy()

    return features


def _seen(encoder: Encoder, images: Tensor, largest: int) -> Tensor:
    prepared = encoder.prepare(images.to(next(encoder.parameters()).device))
    if images.shape[1] == 1:  # an encoder of RGB images repeats the single channel
        prepared = prepared[:, :1]
    return F.adaptive_avg_pool2d(prepared, LARGEST) if prepared.shape[-1] > largest else prepared


class Components(Detector):
    """Mean squared residual of an image after projection on principal components.

    The components explain 99 % of the variance of the training images, with at most 256 components.

    Args:
        encoder: Encoder that preprocesses the images.
        training: Batches of raw training images.
        seed: Random seed of the search for components.
    """

    kind = "reconstruction error"

    def __init__(self, encoder: Encoder, training: Iterable[Tensor], seed: int) -> None:
        self.encoder, self.pixels = encoder, pixels(encoder, WHOLE)
        rows = np.concatenate([self.pixels(images) for images in training])
        self.pca = find_components(Rows(rows, {}, np.arange(len(rows)), []), COMPONENTS, seed)
        self.known, self.training_lenses = self.pca.transform(rows), len(rows)

    def score(self, images: Tensor) -> NDArray[np.float64]:
        x = self.pixels(images)
        return np.square(x - self._made(x), dtype=np.float64).mean(1)

    def reconstruct(self, images: Tensor) -> tuple[Tensor, Tensor] | None:
        prepared = _seen(self.encoder, images, WHOLE).cpu()
        return prepared, torch.from_numpy(self._made(prepared.flatten(1).float().numpy())).view_as(prepared)

    def _made(self, x: Single) -> Single:
        return self.pca.inverse_transform(self.pca.transform(x)).astype(np.float32)


class OneClass(Detector):
    """Negative decision function of a one-class SVM on principal components.

    Schoelkopf et al. 2001, https://doi.org/10.1162/089976601750264965. The width of the Gaussian kernel follows from
    the variance of the components (scikit-learn's `gamma="scale"`); nu is 0.1.

    Args:
        components: Principal components of the training images.
    """

    kind = "decision function"

    def __init__(self, components: Components) -> None:
        from sklearn.svm import OneClassSVM

        self.components, self.training_lenses = components, components.training_lenses
        self._svm = OneClassSVM(kernel="rbf", gamma="scale", nu=OUTSIDE).fit(components.known)

    def score(self, images: Tensor) -> NDArray[np.float64]:
        projected = self.components.pca.transform(self.components.pixels(images))
        return -np.asarray(self._svm.decision_function(projected), np.float64)


def baselines(
    encoder: Encoder, training: Callable[[], Iterable[Tensor]], neighbours: int, seed: int
) -> dict[str, Detector]:
    """Return the baseline detectors by name, fitted to preprocessed training images.

    Args:
        encoder: Encoder of the run.
        training: Function that returns batches of raw, normal training images.
        neighbours: k of the distance to the k-th nearest training image.
        seed: Random seed.
    """
    components = Components(encoder, training(), seed)
    return {
        PCA_RESIDUAL: components,
        ONE_CLASS: OneClass(components),
        PIXELS: Neighbours(pixels(encoder), training(), neighbours, PIXELS),
    }


def _unit(features: Single) -> Single:
    """Scale features (n, d) to unit length; rows of zeros stay zero."""
    length = np.linalg.norm(features, axis=1, keepdims=True)
    return (features / np.where(length > 0, length, 1)).astype(np.float32)


def own_detector(method: Method, encoder: Encoder, label: Parameter | None, normal: str) -> Detector | None:
    """Return the detector that uses the score of a run's method.

    Returns None if the method has no score.

    Args:
        method: The method, on the encoder's device.
        encoder: The run's encoder.
        label: Class label of the training images.
        normal: Name of the normal class.
    """
    if isinstance(method, Predictor):
        usual = called(normal, label.classes) if label else None
        if label is None or usual is None or label.name not in method.classes:
            return None
        return NotNormal(method, encoder, label.name, label.classes.index(usual))
    return OwnScore(method, encoder) if isinstance(method, Scorer) else None
