"""Evaluation of a third party: the mean distance of features from their centre."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
from annotated_types import Gt

from lenskit.evaluation import Embeddings, OnLenses, Run, write_results


class Crowding(OnLenses):
    """Measure the mean distance of features of held-out lenses from the training mean.

    Args:
        scale: Divisor of the distance.
    """

    def __init__(self, *, scale: Annotated[float, Gt(0)] = 1.0, **options: Any) -> None:
        super().__init__(**options)
        self.scale = scale

    def __call__(self, runs: Sequence[Run | Embeddings], inputs: Sequence[str] = ()) -> dict[str, float]:
        found = {}
        for label, split in self.splits(runs).items():
            centre = split.train.features.mean(0)
            distance = np.linalg.norm(split.test.features - centre, axis=1).mean() / self.scale
            found[label] = {"distance": float(distance), "n": len(split.test)}
        write_results(
            [run.folder("crowding") for run in runs],
            title="Mean distance from the mean of the features",
            settings=self.options(),
            origin=self.lens_origin,
            results={"runs": found},
            table=[{"run": label, **figures} for label, figures in found.items()],
        )
        return {label: figures["distance"] for label, figures in found.items()}
