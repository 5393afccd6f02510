"""Features of images, from one or several encoders at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from lenskit.plugin import Chunk, Dataset, Encoder, LenskitError, Run, Simulator, UsageError, open_dataset, simulated

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


def open_images(data: str, encoder: Encoder) -> Dataset:
    """Opens stored images, cropped to the size that the encoder takes."""
    return open_dataset(data, size=encoder.image_shape[-1])


def to_best_device(encoder: Encoder) -> Encoder:
    """Puts an encoder on a GPU, if there is one."""
    return encoder.to("cuda" if torch.cuda.is_available() else "cpu")
