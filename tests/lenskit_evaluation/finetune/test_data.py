"""Orientations of images and their labels."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lenskit.errors import UsageError
from lenskit.plugin import Parameter
from lenskit.toolbox import orient_values
from lenskit_evaluation.finetune.data import ORIENTATIONS, orient, oriented_labels


def test_labels_turn_with_their_images() -> None:
    rng = np.random.default_rng(0)
    parameters = [Parameter(name) for name in ("theta_E", "e1", "center_x", "center_y")]
    values = {parameter.name: rng.normal(size=5) for parameter in parameters}
    labels = oriented_labels(values, parameters, parameters, True).numpy()
    assert labels.shape == (8, 5, 4)
    for number, (quarters, mirrored) in enumerate(ORIENTATIONS):
        np.testing.assert_allclose(labels[number, :, 0], values["theta_E"], rtol=1e-6)
        # e1 has spin 2: a quarter turn changes its sign, a mirror does not.
        np.testing.assert_allclose(labels[number, :, 1], (-1) ** quarters * values["e1"], rtol=1e-6)
        x, y = (-values["center_x"] if mirrored else values["center_x"]), values["center_y"]
        place = (x + 1j * y) * 1j**quarters
        np.testing.assert_allclose(labels[number, :, 2:], np.stack([place.real, place.imag], 1), rtol=1e-5, atol=1e-6)
    # A spot at the centre moves to the rotated centre.
    image = torch.zeros(8, 1, 5, 5)
    image[:, 0, 2 + 2, 2 + 1] = 1  # x 1, y 2
    turned = orient(image, torch.arange(8))
    spot = {"x": torch.ones(1, dtype=torch.float64), "y": torch.full((1,), 2.0, dtype=torch.float64)}
    for number, (quarters, mirrored) in enumerate(ORIENTATIONS):
        row, column = (int(each) for each in turned[number, 0].nonzero()[0])
        new = orient_values(spot, torch.tensor([quarters]), torch.tensor([bool(mirrored)]))
        assert (column - 2, row - 2) == (int(new["x"]), int(new["y"]))
    with pytest.raises(UsageError, match="center_x changes when its image is rotated, and center_y, which the"):
        oriented_labels({"center_x": np.ones(2)}, [parameters[2]], [parameters[2]], True)
