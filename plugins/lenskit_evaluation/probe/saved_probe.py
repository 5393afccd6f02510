"""A fitted probe with all that `lenskit predict` needs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np

from lenskit.evaluation import Array, Content, Rows
from lenskit.plugin import LenskitError, Parameter
from lenskit.toolbox import load_json, write_atomically
from lenskit_evaluation.intervals import Intervals
from lenskit_evaluation.outliers import OutlierDetector, fit_outlier_detector
from lenskit_evaluation.regression import LinearProbe, fit_linear_probe

ABOUT = "fitted.json"
"""File that says what a probe was fitted to."""

PARTS = ("linear", "intervals", "outliers")
FILES = (*(f"{name}.npz" for name in PARTS), ABOUT)
"""The files of a fitted probe."""


@dataclass(frozen=True)
class FittedProbe:
    """A linear probe, how far off its predictions are, and what it should not be trusted with.

    Attributes:
        linear: Features to parameters.
        intervals: Residuals of held-out lenses.
        outliers: Distance from the lenses it was fitted to.
        about: What it was fitted to, as plain values: `data`, `lenses`, `seed`; empty where that was not stored.
    """

    linear: LinearProbe
    intervals: Intervals
    outliers: OutlierDetector
    about: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def fit(
        cls, train: Rows, held_out: Rows, parameters: Sequence[Parameter], about: Mapping[str, Any] | None = None
    ) -> Self:
        """Fits a probe of some parameters to an encoder's features of all lenses that may be fitted to."""
        names = [parameter.name for parameter in parameters]
        units = [parameter.unit for parameter in parameters]
        linear = fit_linear_probe(train.features, train.columns(names), names, units)
        intervals = Intervals.fit(held_out.columns(names), linear.predict(held_out.features))
        outliers = fit_outlier_detector(train.features, held_out.features)
        return cls(linear, intervals, outliers, dict(about or {}))

    def predict(self, features: Array) -> dict[str, Array]:
        """Each parameter's predictions (n,) by its name."""
        return dict(zip(self.linear.names, self.linear.predict(features).T, strict=True))

    def half_width(self, level: float) -> dict[str, float]:
        """Half the width of the intervals that hold the truth of simulated lenses with this probability."""
        return dict(zip(self.linear.names, np.asarray(self.intervals.half_width(level)).tolist(), strict=True))

    def files(self) -> dict[str, Content]:
        """A file for each part, by their names."""
        parts: dict[str, Content] = {f"{name}.npz": part.save for name, part in self._parts().items()}
        return parts | {ABOUT: json.dumps(dict(self.about)) + "\n"}

    def save(self, folder: Path) -> None:
        """Writes a file for each part."""
        for name, content in self.files().items():
            write_atomically(folder / name, content)

    @classmethod
    def load(cls, folder: Path, title: str = "") -> Self:
        """Reads what `files` are.

        Args:
            folder: The folder.
            title: What the run is called, by default its path.

        Raises:
            LenskitError: if there is none.
        """
        missing = [name for name in PARTS if not (folder / f"{name}.npz").is_file()]
        if missing:
            run = title or folder.parent.parent
            raise LenskitError(f"{run} has no fitted probe yet: run `lenskit probe {run}` first")
        about = load_json(folder / ABOUT) if (folder / ABOUT).exists() else {}
        return cls(
            LinearProbe.load(folder / "linear.npz"),
            Intervals.load(folder / "intervals.npz"),
            OutlierDetector.load(folder / "outliers.npz"),
            about,
        )

    def _parts(self) -> dict[str, LinearProbe | Intervals | OutlierDetector]:
        return {"linear": self.linear, "intervals": self.intervals, "outliers": self.outliers}
