"""Mean distance of features from their mean."""

from typing import Annotated, Any

import numpy as np
from annotated_types import Gt
from lenskit.evaluation import OnLenses, write_results


class PinnedEvaluation(OnLenses):
    """Measure the mean distance of features of held-out lenses from the training mean.

    Args:
        scale: Divisor of the distance.
    """

    files = ("results.json", "table.csv", "table.md")

    def __init__(self, *, scale: Annotated[float, Gt(0)] = 1.0, **options: Any) -> None:
        super().__init__(**options)                     # options of the base class, such as --data and --lenses
        self.scale = scale

    def __call__(self, runs, inputs=()):
        found = {}
        for label, split in self.splits(runs).items():  # renders or reads images once for all runs
            centre = split.train.features.mean(0)
            distance = np.linalg.norm(split.test.features - centre, axis=1).mean() / self.scale
            found[label] = {"distance": float(distance), "n": len(split.test)}
        write_results(                                  # results.json, table.md, table.csv, pictures
            [run.folder("pinned-evaluation") for run in runs],
            title="Mean distance from the mean of the features",
            settings=self.options(),
            origin=self.lens_origin,
            results={"runs": found},
            table=[{"run": label, **figures} for label, figures in found.items()],
        )
        return {label: figures["distance"] for label, figures in found.items()}
