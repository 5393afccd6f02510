"""Median of the predictions for zoomed copies of an image.

Each prediction is divided by its zoom.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from figures import RADIUS, Array, judged
from scipy.ndimage import affine_transform
from torch import Tensor

from lenskit.data.readers import open_dataset
from lenskit.evaluation import simulated_split, simulator_of, to_best_device
from lenskit.run import Run
from lenskit_evaluation.regression import fit_linear_probe


def judge_zoomed(
    run: Run, data: str, zooms: Sequence[float], options: Sequence[str], lenses: int, test_lenses: int
) -> dict[str, Any]:
    """Evaluate the median of the predictions for zoomed copies of the images.

    A ridge regression is fitted to features of simulated lenses without a zoom. The images are larger than the input of
    the encoder, so that copies with a zoom below 1 have no empty border.

    Args:
        run: Run with the encoder.
        data: Real images with labels, `[READER:]PATH`.
        zooms: Magnifications of the copies.
        options: Options of the simulator, `OPTION=VALUE`.
        lenses: Number of simulated lenses to fit the regression to.
        test_lenses: Number of simulated lenses to calibrate the intervals on.

    Raises:
        UsageError: The images are too small.
    """
    encoder = to_best_device(run.encoder())
    pixels = encoder.fixed_shape[-1]
    wide = pixels + 2 * math.ceil((pixels / min(zooms) - pixels) / 2)
    images = open_dataset(data, size=wide)
    encoder.check_pixel_scale(images, measures=True)
    simulated = simulated_split(simulator_of(run, None, [*options, f"pixels={wide}"]), lenses, test_lenses, seed=0)

    def embed(images: Tensor) -> Array:
        return encoder.embed(images).astype(np.float64)

    features, labels = [], []
    for read in simulated.train.chunks():
        features.append(embed(zoomed(read.images, 1, pixels)))
        labels.append(read.arrays()[RADIUS])
    probe = fit_linear_probe(np.concatenate(features), np.concatenate(labels)[:, None], [RADIUS])

    def guess(images: Tensor) -> Array:
        each = [probe.predict(embed(zoomed(images, zoom, pixels)))[:, 0] / zoom for zoom in zooms]
        return np.median(each, axis=0)

    return judged(guess, images, simulated.test)


def zoomed(images: Tensor, zoom: float, pixels: int) -> Tensor:
    """Return the enlarged centre (n, C, pixels, pixels) of images (n, C, H, W).

    The interpolation uses cubic splines. With a zoom of 1, the pixels are not changed.
    """
    planes = images.float().cpu().flatten(0, 1).numpy()
    first = [(side - 1) / 2 - (pixels - 1) / 2 / zoom for side in planes.shape[1:]]
    scaled = [affine_transform(plane, [1 / zoom] * 2, first, (pixels, pixels), mode="nearest") for plane in planes]
    return torch.from_numpy(np.stack(scaled)).unflatten(0, images.shape[:2]).to(images.device)
