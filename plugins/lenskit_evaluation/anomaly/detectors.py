"""What says how strange an image is: the score of a run's method, how far an image lies from those trained on, and what
a critic would put beside them, fitted to the very images that the network was trained on.
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
"""Pixels along a side up to which principal components are those of whole images; larger ones are averaged first."""

COMPONENTS = 256
"""Principal components, at most."""

SAME = 1e-5
"""Distance, of features of unit length, up to which images count as the same: so much comes of rounding."""

OUTSIDE = 0.1
"""Share of the training images that the one-class SVM may leave outside."""


class Detector(ABC):
    """Scores images.

    Attributes:
        kind: What its score is, in words.
        run: Label of the run whose detector it is; empty for one that belongs to none.
        training_lenses: Lenses of the training that it was fitted to; none for one that was not.
        shared: The network that it shares with other detectors, if it does.
    """

    kind: str
    run: str = ""
    training_lenses: int | None = None
    shared: Shared | None = None

    @property
    def saved(self) -> float:
        """Seconds of work, so far, that the network need not do because another detector had asked for it."""
        return self.shared.saved if self.shared else 0.0

    @abstractmethod
    def score(self, images: Tensor) -> NDArray[np.float64]:
        """How strange raw images (n, C, H, W) are: (n,), higher is stranger."""

    def reconstruct(self, images: Tensor) -> tuple[Tensor, Tensor] | None:
        """The images as the detector sees them, and as it makes them anew; None if it makes none."""
        return None

    def figures(self, images: Tensor) -> Mapping[str, Tensor]:
        """Return further figures of raw images, (n,) each by name."""
        return {}


class OwnScore(Detector):
    """What a method says itself.

    Args:
        method: The method, on the encoder's device.
        encoder: What images go through first.
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
            raise LenskitError(f"the method {type(self.method).__name__} gives these images no score")
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
    """The probability that an image is of any class but the normal one, as a classifier of these has it.

    Args:
        method: The classifier; its `probabilities(images)` are (n, classes) by label.
        encoder: What images go through first.
        label: The label.
        normal: Number of the normal class.
    """

    kind = "probability"

    def __init__(self, method: Method, encoder: Encoder, label: str, normal: int) -> None:
        self.method, self.encoder, self.label, self.normal = method, encoder, label, normal

    @torch.inference_mode()
    def score(self, images: Tensor) -> NDArray[np.float64]:
        assert isinstance(self.method, Predictor)
        classes = self.method.probabilities(self._prepared(images))[self.label].double()
        # The sum of the others, not one less the normal one's: small numbers keep their order.
        others = [number for number in range(classes.shape[1]) if number != self.normal]
        return classes[:, others].sum(1).cpu().numpy()


class Neighbours(Detector):
    """The distance to the k-th nearest image of the training, of features of unit length.

    Sun et al. 2022, "Out-of-distribution detection with deep nearest neighbors" (https://arxiv.org/abs/2204.06507).

    Args:
        features: Features (n, d) of raw images.
        training: Raw images, some at a time.
        neighbours: Which of the nearest counts: k.
        kind: What the features are, in words.

    Attributes:
        met: Hashes of the images scored that are among those of the training.

    Raises:
        LenskitError: if there are fewer images, or features are not finite.
    """

    def __init__(
        self, features: Callable[[Tensor], Single], training: Iterable[Tensor], neighbours: int, kind: str
    ) -> None:
        from sklearn.neighbors import NearestNeighbors

        reference = np.concatenate([_unit(features(images)) for images in training])
        if len(reference) < neighbours:
            raise UsageError(
                f"--neighbours {neighbours} are more than the {len(reference)} training lenses there are: use "
                f"--neighbours {len(reference)} or less"
            )
        if not np.isfinite(reference).all():
            raise LenskitError("features of some training lenses are not finite: the encoder is broken")
        self.features, self.kind, self.training_lenses = features, f"distance in {kind}", len(reference)
        self.met: set[int] = set()
        self._search = NearestNeighbors(n_neighbors=neighbours, algorithm="brute").fit(reference)

    @classmethod
    def of_features(cls, training: Iterable[Tensor], neighbours: int) -> Neighbours:
        """The same for features (n, d) in place of images."""
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
    """The features of an encoder."""
    encoder.eval()

    @torch.inference_mode()
    def features(images: Tensor) -> Single:
        return encoder(images.to(next(encoder.parameters()).device)).float().cpu().numpy()

    return features


def pixels(encoder: Encoder, largest: int = LARGEST) -> Callable[[Tensor], Single]:
    """The pixels that an encoder's network is given; those of images larger than `largest` a side averaged to
    `LARGEST`."""

    @torch.inference_mode()
    def features(images: Tensor) -> Single:
        return _seen(encoder, images, largest).flatten(1).float().cpu().numpy()

    return features


def _seen(encoder: Encoder, images: Tensor, largest: int) -> Tensor:
    prepared = encoder.prepare(images.to(next(encoder.parameters()).device))
    if images.shape[1] == 1:  # which is all that its copies say, too
        prepared = prepared[:, :1]
    return F.adaptive_avg_pool2d(prepared, LARGEST) if prepared.shape[-1] > largest else prepared


class Components(Detector):
    """What principal components leave of an image: the mean square of the residual.

    As many components as explain 99 % of the variance of the training images, and no more than 256.

    Args:
        encoder: What images go through first.
        training: Raw images, some at a time.
        seed: Seed of the search for components.
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
    """A one-class SVM (Schoelkopf et al. 2001, https://doi.org/10.1162/089976601750264965) on principal components: a
    Gaussian kernel as wide as they spread, and nu = 0.1.

    Args:
        components: Principal components that were fitted to the images it learns from.
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
    """What a critic would put beside a run's detector, fitted to the images that its network is given.

    Args:
        encoder: The run's.
        training: Gives normal images of its training, raw, some at a time.
        neighbours: Which of the nearest counts.
        seed: Seed of what is random.
    """
    components = Components(encoder, training(), seed)
    return {
        PCA_RESIDUAL: components,
        ONE_CLASS: OneClass(components),
        PIXELS: Neighbours(pixels(encoder), training(), neighbours, PIXELS),
    }


def _unit(features: Single) -> Single:
    """Features (n, d) scaled to unit length; those that are zero stay so."""
    length = np.linalg.norm(features, axis=1, keepdims=True)
    return (features / np.where(length > 0, length, 1)).astype(np.float32)


def own_detector(method: Method, encoder: Encoder, label: Parameter | None, normal: str) -> Detector | None:
    """What a run's method says of images itself; None if it says nothing.

    Args:
        method: The method, on the encoder's device.
        encoder: The run's encoder.
        label: The class label of its training.
        normal: Name of the class that is no anomaly.
    """
    if isinstance(method, Predictor):
        usual = called(normal, label.classes) if label else None
        if label is None or usual is None or label.name not in method.classes:
            return None
        return NotNormal(method, encoder, label.name, label.classes.index(usual))
    return OwnScore(method, encoder) if isinstance(method, Scorer) else None
