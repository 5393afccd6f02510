"""`lenskit predict`: parameters of images, to a table."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, ClassVar

from annotated_types import Gt, Lt

from lenskit.plugin import Encoder, Evaluation, Run, stored, write_atomically
from lenskit_evaluation.features import embed_all, open_images, to_best_device
from lenskit_evaluation.fitted import FittedProbe
from lenskit_evaluation.tables import to_csv

log = logging.getLogger("lenskit")


class Predict(Evaluation):
    """Lens parameters of images, with intervals and a warning flag, as a CSV table.

    The run has to be probed first (`lenskit probe RUN`): the linear probe fitted then is applied to the images. For
    each parameter there are `NAME`, `NAME_low` and `NAME_high`; the interval holds the truth of the stated share of
    simulated lenses, and promises nothing of images unlike them. `unlike_simulations` is 1 for an image whose features
    are farther from those of the simulated lenses than 99 % of these are: do not trust its row. `distance` is that
    distance, over the one at which the flag is raised.

    Args:
        output: File to write; without it the table is printed.
        level: Share of simulated lenses whose truth lies in its interval.
    """

    inputs: ClassVar[str | None] = "IMAGES"
    short: ClassVar[dict[str, str]] = {"output": "-o"}

    def __init__(self, *, output: str | None = None, level: Annotated[float, Gt(0), Lt(1)] = 0.68) -> None:
        self.output, self.level = output, level

    def __call__(self, runs: Sequence[Run], inputs: Sequence[str] = ()) -> list[dict[str, str]]:
        """Returns the table's rows, and writes or prints it."""
        (run,) = runs
        probe = FittedProbe.load(run.folder("probe"))
        encoder = to_best_device(run.encoder())
        rows = [row for data in inputs for row in self._rows(data, encoder, probe)]
        if self.output is None:
            sys.stdout.write(to_csv(rows))
            return rows
        path = Path(self.output)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, to_csv(rows))
        flagged = sum(row["unlike_simulations"] == "1" for row in rows)
        log.info("%d images are in %s; %d of them are unlike the simulations", len(rows), path, flagged)
        return rows

    def _rows(self, data: str, encoder: Encoder, probe: FittedProbe) -> list[dict[str, str]]:
        dataset = open_images(data, encoder)
        features = embed_all({"": encoder}, stored(dataset)).features[""]
        predictions, widths = probe.predict(features), probe.half_width(self.level)
        distance = probe.outliers.distance(features) / probe.outliers.threshold
        rows = []
        for number, name in enumerate(dataset.names):
            row = {"name": name}
            for parameter, values in predictions.items():
                value, width = values[number], widths[parameter]
                row |= {
                    parameter: f"{value:.5g}",
                    f"{parameter}_low": f"{value - width:.5g}",
                    f"{parameter}_high": f"{value + width:.5g}",
                }
            row |= {"distance": f"{distance[number]:.3g}", "unlike_simulations": str(int(distance[number] > 1))}
            rows.append(row)
        return rows
