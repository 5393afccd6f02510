"""Features of images, from one or several encoders at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from lenskit.plugin import Chunk, Dataset, Encoder, LenskitError, Run, Simulator, UsageError, simulated

Array = NDArray[np.float64]


@dataclass
class Features:
    """What encoders make of the same images.

    Attributes:
        features: For each encoder by name, (n, its number of features).
        parameters: For each recorded parameter, its values (n,).
    """

    features: dict[str, Array]
    parameters: dict[str, Array]


def embed_all(encoders: Mapping[str, Encoder], chunks: Iterable[Chunk]) -> Features:
    """Embeds images with several encoders in one pass, so that images are made or read once."""
    features: dict[str, list[Array]] = {name: [] for name in encoders}
    parameters: dict[str, list[Array]] = {}
    for chunk in chunks:
        for name, encoder in encoders.items():
            values, known = encoder.embed([chunk])
            features[name].append(values.astype(np.float64))
        for name, value in known.items():
            parameters.setdefault(name, []).append(value)
    if not parameters and not any(features.values()):
        raise LenskitError("there are no images to embed")
    return Features(
        {name: np.concatenate(parts) for name, parts in features.items()},
        {name: np.concatenate(parts) for name, parts in parameters.items()},
    )


def columns(features: Features, names: Sequence[str]) -> Array:
    """Some parameters' values as columns (n, names)."""
    return np.stack([features.parameters[name] for name in names], axis=1)


def simulated_features(
    encoders: Mapping[str, Encoder],
    simulator: Simulator,
    *,
    seed: int,
    split: str,
    lenses: int,
    without: Iterable[str] = (),
) -> Features:
    """Embeds simulated lenses of a split that no run was trained on."""
    device = next(next(iter(encoders.values())).parameters()).device
    chunks = simulated(simulator, seed=seed, split=split, lenses=lenses, without=without, device=device)
    return embed_all(encoders, chunks)


def simulator_of(run: Run, name: str | None, assignments: Sequence[str]) -> Simulator:
    """The simulator that a run is judged on: its own, or the one named, with some options changed.

    Args:
        run: The run.
        name: Name of a simulator, for runs trained on stored images.
        assignments: `option=value` or `simulator.option=value`.
    """
    options: dict[str, str] = {}
    for text in assignments:
        key, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"--set takes OPTION=VALUE, such as theta_E='uniform(0.5, 2.2)', got {text!r}")
        options[key.strip().removeprefix("simulator.")] = value.strip()
    return run.simulator(name, **options)


def open_images(data: str, encoder: Encoder, *, measures: bool = False) -> Dataset:
    """Opens stored images, cropped to the size that the encoder takes; see `Encoder.open`.

    Args:
        data: `[READER:]PATH`.
        encoder: What they are for.
        measures: Whether lengths will be told of them by what was learned of the images trained on: pixels of another
            size are an error then, and else a warning.
    """
    return encoder.open(data, measures=measures)


def untrained(like: Encoder, simulator: Simulator, seed: int, lenses: int = 512) -> Encoder:
    """An encoder of the same kind with random weights.

    Its batch norms are given the statistics of some simulated lenses, which training would give them too: without
    them its features are of any size, and the baseline is weaker than it need be.

    Args:
        like: The encoder whose kind it is.
        simulator: Where the lenses come from.
        seed: Seed of the weights and of the lenses.
        lenses: How many.
    """
    encoder = to_best_device(Encoder.untrained(like.card, seed))
    norms = [module for module in encoder.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the average over all batches
        norm.train()
    device = next(encoder.parameters()).device
    with torch.no_grad():
        for images, _ in simulated(simulator, seed=seed, split="statistics", lenses=lenses, device=device):
            encoder(images)
    return encoder.eval()


def to_best_device(encoder: Encoder) -> Encoder:
    """Puts an encoder on a GPU, if there is one."""
    return encoder.to("cuda" if torch.cuda.is_available() else "cpu")
