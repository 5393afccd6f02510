"""Lenses of the probe, held out from training if there is a simulator."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lenskit.data.lens_set import LensSet, join_values
from lenskit.data.simulated import SimulatedLenses
from lenskit.data.training_set import VIEWS, TrainingSet, simulator_of
from lenskit.generator import KeyedGenerator
from lenskit.kinds.parameter import Parameter
from lenskit.kinds.simulator import Simulator
from lenskit.training.shortcut import SOURCE

SPLIT, SEED = "probe", 0
"""Split and seed of the probe's lenses. They do not depend on the run's seed, so probes of runs can be compared."""

COMPARED = 256
"""Number of lenses whose views are compared. Alignment and uniformity need no more."""

CHUNK = 128
"""Number of lenses rendered or read at a time."""


@dataclass(frozen=True)
class ProbeLenses:
    """Images and parameters of a probe, on the CPU.

    Attributes:
        images: One preprocessed image of each lens, (n, C, H, W).
        views: The first two views of the first lenses, as the pairs make them, (m, C, H, W) each. Empty if there is
            only one view, or the views differ in shape from the images.
        values: Values (n,) of each recorded parameter, NaN where unknown.
        parameters: Parameters that can be probed.
        seen: Whether training uses these lenses too.
    """

    images: Tensor
    views: tuple[Tensor, ...]
    values: dict[str, Tensor]
    parameters: tuple[Parameter, ...]
    seen: bool


def held_out(training_set: TrainingSet, lenses: int, device: torch.device | str = "cpu") -> ProbeLenses:
    """Return lenses for the probe of a run.

    The simulator of the run or of its store makes the lenses, in a split that training never uses. Without a simulator,
    the lenses are the first stored lenses, which training uses too.

    Args:
        training_set: Training set of the run.
        lenses: Maximum number of lenses.
        device: Device that renders the images and makes the views.
    """
    simulator, pairs = simulator_of(training_set), training_set.pairs
    if simulator is None:
        lens_set: LensSet = training_set.lenses.select(range(min(lenses, len(training_set.lenses))))
    else:
        lens_set = _simulated(simulator, training_set, lenses, device)
    images: list[Tensor] = []
    views: list[tuple[Tensor, ...]] = []
    values: list[dict[str, NDArray[np.float64]]] = []
    for rows in lens_set.parts(CHUNK):
        count = pairs.draws if rows.start < COMPARED else 1
        read = lens_set.read(rows, count).to(device)
        first = read.first_views(count)
        prepared = training_set.preprocess(read.images)
        images.append(prepared[::count].cpu())
        values.append(first.arrays())
        if count == pairs.draws and rows.start < COMPARED:
            rng = KeyedGenerator(SEED, SPLIT, VIEWS, first.lens, first.view)
            views.append(tuple(view.cpu() for view in training_set.pair_up(prepared, read.values, rng).views[:2]))
    two = tuple(torch.cat(parts) for parts in zip(*views, strict=True))
    # The encoder expects the size of the images. Views of a different size, such as small crops, are not compared.
    alike = len(two) == 2 and all(view.shape[1:] == images[0].shape[1:] for view in two)
    return ProbeLenses(
        torch.cat(images), two if alike else (), _tensors(values), tuple(lens_set.parameters), simulator is None
    )


def omit_source(
    simulator: Simulator, training_set: TrainingSet, lenses: int, device: torch.device | str = "cpu"
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the images of `held_out` without the light of the sources.

    Args:
        simulator: Simulator of the training set, which can leave sources out.
        training_set: Training set of the run.
        lenses: Number of lenses.
        device: Device that renders the images.

    Returns:
        Images (n, C, H, W) and parameters (n,) by name, on the CPU.
    """
    images: list[Tensor] = []
    values: list[dict[str, NDArray[np.float64]]] = []
    for read in _simulated(simulator, training_set, lenses, device).chunks(CHUNK, omit=(SOURCE,)):
        images.append(training_set.preprocess(read.images).cpu())
        values.append(read.arrays())
    return torch.cat(images), _tensors(values)


def _simulated(
    simulator: Simulator, training_set: TrainingSet, lenses: int, device: torch.device | str
) -> SimulatedLenses:
    shared = training_set.pairs.shared_groups
    return SimulatedLenses(simulator, seed=SEED, split=SPLIT, index=lenses, shared_groups=shared).to(device)


def _tensors(values: list[dict[str, NDArray[np.float64]]]) -> dict[str, Tensor]:
    return {name: torch.from_numpy(value) for name, value in join_values(values).items()}
