"""`lenskit embed`: features of images, to a file."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from annotated_types import Ge

from lenskit.plugin import Evaluation, Run, UsageError, stored, write_atomically
from lenskit_evaluation.features import (
    Features,
    embed_all,
    open_images,
    simulated_features,
    simulator_of,
    to_best_device,
)

log = logging.getLogger("lenskit")


class Embed(Evaluation):
    """Features of stored images, or of simulated ones that were never trained on, to a numpy file.

    The file holds `features` (n, d), `names` (n,) and an array (n,) for each recorded parameter.

    Args:
        data: Images to embed, `[READER:]PATH`; without it, lenses of the run's simulator.
        lenses: Number of simulated lenses.
        seed: Seed of the simulated lenses.
        set: Option of the simulator to change, `OPTION=VALUE`.
        output: File to write, instead of one in the run.
    """

    short: ClassVar[dict[str, str]] = {"output": "-o"}

    def __init__(
        self,
        *,
        data: str | None = None,
        lenses: Annotated[int, Ge(1)] = 1000,
        seed: int = 0,
        set: list[str] | None = None,
        output: str | None = None,
    ) -> None:
        self.data, self.lenses, self.seed, self.set, self.output = data, lenses, seed, set or [], output

    def __call__(self, runs: Sequence[Run], inputs: Sequence[str] = ()) -> dict[str, Features]:
        """Returns each run's features by its name, and writes them."""
        if self.output and len(runs) > 1:
            raise UsageError(f"--output names one file, but {len(runs)} runs are given: leave it out, or give one run")
        found = {}
        for run in runs:
            encoder = to_best_device(run.encoder())
            if self.data:
                dataset = open_images(self.data, encoder)
                names = list(dataset.names)
                features = embed_all({run.name: encoder}, stored(dataset))
            else:
                simulator = simulator_of(run, None, self.set)
                names = [str(index) for index in range(self.lenses)]
                features = simulated_features(
                    {run.name: encoder}, simulator, seed=self.seed, split="embed", lenses=self.lenses
                )
            path = Path(self.output) if self.output else run.folder("embed") / "features.npz"
            arrays: dict[str, Any] = {
                "features": features.features[run.name].astype(np.float32),
                "names": np.array(names),
            }
            write_atomically(path, partial(np.savez, **features.parameters | arrays))
            log.info("%d x %d features are in %s", *arrays["features"].shape, path)
            found[run.name] = features
        return found
