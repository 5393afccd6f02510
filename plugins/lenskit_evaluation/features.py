"""Where images come from that features are made of, and where these are made."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from lenskit.plugin import Dataset, Encoder, Run, Simulator, UsageError

Array = NDArray[np.float64]


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


def to_best_device(encoder: Encoder) -> Encoder:
    """Puts an encoder on a GPU, if there is one."""
    return encoder.to("cuda" if torch.cuda.is_available() else "cpu")
