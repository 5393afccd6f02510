"""Detectors of anomalies, against scikit-learn and closed forms."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.svm import OneClassSVM

from lenskit.evaluation import Encoder
from lenskit.plugin import Method, Predictor, UsageError
from lenskit.run import Run
from lenskit_evaluation.anomaly.detectors import (
    Components,
    Neighbours,
    NotNormal,
    OneClass,
    OwnScore,
    embedding,
    own_detector,
    pixels,
)


@pytest.fixture
def blobs(linear: Run) -> tuple[torch.Tensor, torch.Tensor]:
    """Return normal blobs, and a mixture of normal and strange blobs."""
    normal, mixed = linear.simulator(), linear.simulator(marks=("none", "row"))
    return normal.render(normal.scene(1, "a", torch.arange(40))), mixed.render(mixed.scene(2, "b", torch.arange(30)))


def test_a_score_is_the_distance_to_the_kth_neighbour_of_unit_features():
    rng = np.random.default_rng(0)
    known, asked = (torch.from_numpy(rng.normal(size=(n, 1, 3, 3)).astype(np.float32)) for n in (20, 7))

    def flat(images: torch.Tensor) -> np.ndarray:
        return images.flatten(1).numpy()

    found = Neighbours(flat, [known[:8], known[8:]], 3, "pixels").score(asked)
    a, b = (flat(x) / np.linalg.norm(flat(x), axis=1, keepdims=True) for x in (asked, known))
    expected = np.sort(np.linalg.norm(a[:, None] - b, axis=2), 1)[:, 2]
    assert found == pytest.approx(expected, rel=1e-5)
    # Brighter images get the same scores, because features are scaled to unit length.
    assert Neighbours(flat, [known], 3, "pixels").score(5 * asked) == pytest.approx(expected, rel=1e-5)


def test_more_neighbours_than_lenses_are_refused():
    with pytest.raises(UsageError, match="--neighbours 9 is more than the 4 training lenses: use"):
        Neighbours(lambda images: images.flatten(1).numpy(), [torch.rand(4, 1, 2, 2)], 9, "pixels")


def test_what_components_leave_is_scikit_learns_residual(linear: Run, blobs):
    encoder, (normal, mixed) = linear.encoder(), blobs
    detector = Components(encoder, [normal], seed=0)
    x, y = (encoder.prepare(images).flatten(1).numpy().astype(np.float64) for images in blobs)
    exact = PCA(0.99, svd_solver="full").fit(x)
    residual = y - exact.inverse_transform(exact.transform(y))
    assert detector.pca.n_components_ == exact.n_components_
    assert detector.score(mixed) == pytest.approx((residual**2).mean(1), rel=2e-3)
    seen, made = detector.reconstruct(mixed)
    assert (seen - made).square().flatten(1).mean(1).numpy() == pytest.approx(detector.score(mixed), rel=1e-4)


def test_the_one_class_svm_is_scikit_learns_on_those_components(linear: Run, blobs):
    encoder, (normal, mixed) = linear.encoder(), blobs
    components = Components(encoder, [normal], seed=0)
    found = OneClass(components).score(mixed)
    x, y = (encoder.prepare(images).flatten(1).numpy().astype(np.float64) for images in blobs)
    exact = PCA(0.99, svd_solver="full").fit(x)
    svm = OneClassSVM(nu=0.1).fit(exact.transform(x))
    assert found == pytest.approx(-svm.decision_function(exact.transform(y)), abs=1e-3)


def test_large_images_are_averaged_before_they_are_compared(linear: Run):
    encoder, images = (
        Encoder.untrained(linear.encoder().card | {"image_shape": [1, 128, 128]}),
        torch.rand(2, 1, 128, 128),
    )
    expected = encoder.prepare(images).unflatten(-1, (64, 2)).mean(-1).unflatten(-2, (64, 2)).mean(-2)
    assert pixels(encoder)(images) == pytest.approx(expected.flatten(1).numpy(), abs=1e-5)
    assert pixels(encoder, 128)(images).shape == (2, 128**2)


def test_a_method_speaks_for_itself_where_it_can(linear: Run, restless: Run, blobs):
    encoder, method = linear.encoder(), linear.method()
    detector = own_detector(method, encoder, None, "none")
    assert isinstance(detector, OwnScore)
    assert detector.kind == "reconstruction error"
    seen, made = detector.reconstruct(blobs[1])
    assert detector.score(blobs[1]) == pytest.approx((seen - made).square().flatten(1).mean(1).numpy(), rel=1e-5)
    assert own_detector(restless.method(), restless.encoder(), None, "none") is None
    assert embedding(encoder)(blobs[0]).shape == (40, 16)


def test_a_classifier_says_how_likely_another_class_is_also_of_those_it_is_sure_of(linear: Run):
    logits = torch.tensor([[0.0, 1.0, 2.0], [90.0, 1.0, 2.0], [90.0, 1.0, 3.0]]).double()

    class Classifier(Method, Predictor):
        classes = {"mark": 3}  # noqa: RUF012

        def probabilities(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"mark": logits.softmax(1)}

        def predict(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"mark": logits.argmax(1)}

    encoder = linear.encoder()
    label = next(p for p in linear.simulator().parameters if p.classes)
    method = Classifier(encoder.backbone)
    detector = own_detector(method, encoder, label, "none")
    assert isinstance(detector, NotNormal)
    scores = detector.score(torch.rand(3, 1, 16, 16))
    assert scores[0] == pytest.approx(1 - float(logits[0].softmax(0)[0]))
    assert 0 < scores[1] < scores[2] < 1e-37  # 1 - p would be 0 for both
    assert own_detector(method, encoder, SimpleNamespace(name="other", classes=("none", "a")), "none") is None  # type: ignore[arg-type]
    assert own_detector(method, encoder, label, "usual") is None
