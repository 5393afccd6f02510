"""Network outputs that several detectors share."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lenskit.evaluation import Encoder
from lenskit.plugin import Backbone, Method, Reconstructor, Scorer
from lenskit.run import Run
from lenskit_evaluation.anomaly.detectors import Neighbours, OwnScore, embedding
from lenskit_evaluation.anomaly.shared import Shared


class Halves(Method, Scorer, Reconstructor):
    """A method that reconstructs half of the image, with a term from the features."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__(backbone)
        self.made = 0

    def reconstruct(self, images: torch.Tensor) -> torch.Tensor:
        self.made += 1
        return images / 2 + 0 * self.backbone(images).sum()

    def score(self, images: torch.Tensor) -> torch.Tensor:
        return (self.reconstruct(images) - images).square().flatten(1).mean(1) + self.backbone(images).norm(dim=1)


def passes(encoder: Encoder) -> list[int]:
    """Return a list that grows by the size of each batch that goes through a network."""
    found: list[int] = []
    first = next(module for module in encoder.backbone.modules() if not [*module.children()])
    first.register_forward_hook(lambda _, inputs, __: found.append(len(inputs[0])))
    return found


def test_images_are_encoded_and_made_anew_once(linear: Run) -> None:
    apart, encoder = linear.encoder(), linear.encoder()
    simulator = linear.simulator()
    known, asked, others = (
        simulator.render(simulator.scene(seed, "a", torch.arange(n))) for seed, n in ((0, 20), (1, 7), (2, 5))
    )
    method, alone = Halves(linear.encoder().backbone), Halves(apart.backbone)
    shared = Shared(encoder, method)
    assert method.backbone is encoder.backbone
    seen = passes(encoder)
    near, own = Neighbours(embedding(encoder), [known], 2, "features"), OwnScore(method, encoder)
    assert seen == [20]
    for images in (asked, others, asked):
        scores, distances, pair = own.score(images), near.score(images), own.reconstruct(images)
        assert scores == pytest.approx(OwnScore(alone, apart).score(images))
        expected = Neighbours(embedding(apart), [known], 2, "features").score(images)
        np.testing.assert_allclose(distances, expected, rtol=1e-5, atol=1e-6)
        assert pair is not None
        assert torch.equal(pair[0], apart.prepare(images))
        torch.testing.assert_close(pair[1], pair[0] / 2)
    assert seen == [20, 7, 5, 7]
    assert method.made == 3
    assert shared.saved > 0


def test_a_method_with_other_weights_keeps_them(linear: Run) -> None:
    encoder, method = linear.encoder(), Halves(linear.encoder().backbone)
    with torch.no_grad():
        next(method.backbone.parameters()).mul_(2)
    own = method.backbone
    Shared(encoder, method)
    assert method.backbone is own
    images = torch.rand(3, *encoder.image_shape)
    with torch.inference_mode():
        assert not torch.equal(method.backbone(images), encoder.backbone(images))
