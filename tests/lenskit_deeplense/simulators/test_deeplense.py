"""Models A and B: noise and strength of substructure, as published."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lenskit_deeplense.simulators.deeplense import DeepLenseA, DeepLenseB
from lenskit_deeplense.simulators.recorded import CLASSES
from lenskit_deeplense.simulators.substructure import Substructure

torch.set_num_threads(1)


FEW = torch.arange(4)


PUBLISHED = {"a": (DeepLenseA, 1.28e-4, 0.09), "b": (DeepLenseB, 1.06e-4, 0.16)}
"""Mean of the published AAE's errors without substructure, and their standard deviation divided by the mean."""


@pytest.mark.slow
@pytest.mark.parametrize("model", PUBLISHED)
def test_noise_has_the_level_and_the_scatter_of_the_published_errors(model: str) -> None:
    """An autoencoder's error is at least the noise, which it cannot predict."""
    simulator, mean, scatter = PUBLISHED[model]
    error = noise_errors(simulator())
    assert 0.75 * mean < error.mean() < mean
    assert error.std() / error.mean() < 1.3 * scatter


@pytest.mark.slow
def test_clipped_noise_has_half_the_error_of_the_sky() -> None:
    """A clipped normal number has a mean square of 1/2 about the sky's level."""
    plain, clipped = (noise_errors(DeepLenseA(clip=clip, light_amplitude="0")) for clip in (False, True))
    assert 0.5 < clipped.mean() / plain.mean() < 0.7


def noise_errors(simulator: Substructure) -> np.ndarray:
    """Return the mean square of the noise of 60 images, after scaling."""
    scene = simulator.scene(0, "train", torch.arange(60))
    clean, seen = simulator.clean(scene), simulator.render(scene)[:, 0]
    n = len(clean)
    errors = []
    for row in range(n):
        # The scaling is linear in the light, so least squares finds it.
        model = np.stack([clean[row].numpy().ravel(), np.ones(clean[row].numel())], axis=1)
        errors.append(np.linalg.lstsq(model, seen[row].numpy().ravel(), rcond=None)[1][0] / len(model))
    return np.array(errors)


@pytest.mark.slow
def test_substructure_is_as_strong_as_in_the_published_images() -> None:
    """Compare the change of an image with an independent calculation.

    Substructure of the authors' package changes an image by a mean square of 8.0e-5 and 9.1e-5. The paper's nominal
    substructure is weaker, for subhalos by more than a factor of 30.
    """
    change = {}
    for strength in ("effective", "nominal"):
        images = {}
        for name in CLASSES:
            simulator = DeepLenseA(classes=name, strength=strength)  # type: ignore[arg-type]
            clean = simulator.clean(simulator.scene(0, "test", torch.arange(200)))
            images[name] = clean / clean.amax((1, 2), keepdim=True)
        for name in CLASSES[1:]:
            change[strength, name] = float((images[name] - images["none"]).square().mean())
    assert change["effective", "spherical"] == pytest.approx(8.0e-5, rel=0.5)
    assert change["effective", "vortex"] == pytest.approx(9.1e-5, rel=0.5)
    assert change["nominal", "spherical"] < change["effective", "spherical"] / 30
    assert change["nominal", "vortex"] < change["effective", "vortex"] / 2


def test_an_option_that_is_given_beats_the_strength() -> None:
    scene = DeepLenseA(classes="spherical", subhalo_mass_fraction="0.05").scene(0, "train", FEW)
    torch.testing.assert_close(scene["substructure_fraction"], torch.full((4,), 0.05))
    assert scene["subhalo_theta_E"].unique().numel() == 1
