"""The lenses of the probe: held out from training where there is a simulator."""

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
"""Lenses of a split of their own, the same for every seed of a run, so that probes of runs compare."""

COMPARED = 256
"""Lenses whose views are compared with each other: alignment and uniformity need no more."""

CHUNK = 128
"""Lenses rendered or read at a time."""


@dataclass(frozen=True)
class ProbeLenses:
    """Images that a probe looks at, on the CPU.

    Attributes:
        images: (n, C, H, W), stretched and resized: one image of each lens.
        views: The first two views of the first lenses, as the pairs make them, (m, C, H, W) each; empty if there is
            but one.
        values: For each recorded parameter (n,), NaN where not known.
        parameters: What can be probed.
        seen: Whether training learns from these lenses too.
    """

    images: Tensor
    views: tuple[Tensor, ...]
    values: dict[str, Tensor]
    parameters: tuple[Parameter, ...]
    seen: bool


def held_out(training_set: TrainingSet, lenses: int, device: torch.device | str = "cpu") -> ProbeLenses:
    """Return lenses for the probe of a run.

    They are simulated, in a split that training never draws from, by the run's simulator or by the one that made its
    store. Of stored images without a simulator they are the first ones, which training learns from too.

    Args:
        training_set: The run's.
        lenses: How many, at most.
        device: Where they are rendered and made into views.
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
    # Views of another size, such as small crops, are not what the encoder is made for.
    alike = len(two) == 2 and all(view.shape[1:] == images[0].shape[1:] for view in two)
    return ProbeLenses(
        torch.cat(images), two if alike else (), _tensors(values), tuple(lens_set.parameters), simulator is None
    )


def omit_source(
    simulator: Simulator, training_set: TrainingSet, lenses: int, device: torch.device | str = "cpu"
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the images of `held_out` without the light of their sources, and their parameters, on the CPU.

    Args:
        simulator: That of the training set; it can leave sources out.
        training_set: The run's.
        lenses: How many.
        device: Where they are rendered.
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
