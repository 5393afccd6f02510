"""Metrics of predicted class probabilities, with bootstrap intervals."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lenskit.plugin import LenskitError
from lenskit_evaluation.bootstrap import Estimate, estimate, resample
from lenskit_evaluation.rank import Ranking

Array = NDArray[np.float64]


@dataclass(frozen=True)
class ClassScore:
    """Metrics of the predictions of one class label.

    Attributes:
        n: Number of images with a known label.
        dropped: Number of images left out because their label is not known.
        accuracy: Share of images whose most probable class is the true class.
        balanced_accuracy: Mean, over the classes that occur, of the accuracy for images of each class.
        roc_auc: Area under the receiver operating characteristic (ROC) curve. It is the probability that an image of
            the class gets a higher predicted probability of the class than an image of a different class. For more than
            two classes, it is the mean over the classes, each against the rest. Not defined if a class does not occur.
        note: Reason why a metric is not defined; empty if all metrics are defined.
    """

    n: int
    dropped: int
    accuracy: Estimate
    balanced_accuracy: Estimate
    roc_auc: Estimate
    note: str = field(default="", kw_only=True)


def score_classes(
    truth: ArrayLike, probabilities: ArrayLike, *, resamples: int = 1000, level: float = 0.95, seed: int = 0
) -> ClassScore:
    """Compute the metrics of the predictions of one class label.

    The values equal `accuracy_score`, `balanced_accuracy_score` and `roc_auc_score` (`multi_class="ovr"` for more than
    two classes) of scikit-learn. Intervals are percentiles over bootstrap resamples of the images (Efron 1979,
    https://doi.org/10.1214/aos/1176344552).

    Args:
        truth: (n,) numbers of the true classes. Images with any other value, for example NaN or -1, have no known
            label; they are left out and counted.
        probabilities: (n, classes), finite.
        resamples: Number of bootstrap resamples.
        level: Confidence level of the intervals.
        seed: Random seed of the bootstrap.

    Raises:
        LenskitError: A probability is not finite.
    """
    true, predicted = np.asarray(truth, np.float64), np.asarray(probabilities, np.float64)
    if not np.isfinite(predicted).all():
        raise LenskitError("some predicted probabilities are not finite")
    has_label = np.isin(true, np.arange(predicted.shape[1]))
    n, dropped = int(has_label.sum()), int((~has_label).sum())
    if n == 0:
        nothing = Estimate(np.nan)
        return ClassScore(0, dropped, nothing, nothing, nothing, note="no label is known")
    label, predicted = true[has_label].astype(np.intp), predicted[has_label]
    values = resampled_figures(label, predicted, np.ones((n, 1)))[:, 0]
    drawn = [resampled_figures(label, predicted, counts) for counts in resample(np.arange(n), resamples, seed)]
    estimates = [estimate(*each, level) for each in zip(values, np.concatenate(drawn, axis=1), strict=True)]
    absent = sorted(set(range(predicted.shape[1])) - set(label.tolist()))
    note = f"no image is of class {', '.join(map(str, absent))}: no AUC" if absent else ""
    return ClassScore(n, dropped, *estimates, note=note)


def resampled_figures(label: NDArray[np.intp], probabilities: Array, counts: Array) -> Array:
    """Return accuracy, balanced accuracy and area under the ROC curve per resample.

    Args:
        label: (n,) numbers of the true classes.
        probabilities: (n, classes).
        counts: (n, resamples) count of each image in each resample.

    Returns:
        (3, resamples); NaN if not defined.
    """
    classes = probabilities.shape[1]
    right = (probabilities.argmax(1) == label).astype(np.float64)
    members = [label == number for number in range(classes)]
    with np.errstate(invalid="ignore", divide="ignore"):
        accuracy = right @ counts / counts.sum(0)
        recalls = np.stack([(member * right) @ counts / (member @ counts) for member in members])
        occurs = np.isfinite(recalls)
        balanced = np.where(occurs, recalls, 0).sum(0) / occurs.sum(0)
        # With two classes, both classes have the same area.
        judged = [1] if classes == 2 else range(classes)
        areas = [_area(members[number], probabilities[:, number], counts) for number in judged]
    return np.stack([accuracy, balanced, np.mean(areas, axis=0)])


def _area(member: NDArray[np.bool_], score: Array, counts: Array) -> Array:
    """Return the area under the ROC curve of a class (resamples,).

    The area is NaN if all images belong to the class, or if none does.
    """
    if member.all() or not member.any():
        return np.full(counts.shape[1], np.nan)
    return Ranking(score[~member], score[member]).figures(counts[~member], counts[member], levels=())[0]
