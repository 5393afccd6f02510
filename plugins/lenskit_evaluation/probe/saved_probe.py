"""Fitted probe on disk, for `lenskit predict`."""

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
"""File that records the data that a probe was fitted to."""

PARTS = ("linear", "intervals", "outliers")
FILES = (*(f"{name}.npz" for name in PARTS), ABOUT)
"""Names of the files of a fitted probe."""


@dataclass(frozen=True)
class FittedProbe:
    """Linear probe with confidence intervals and an outlier detector.

    Attributes:
        linear: Linear map from features to parameters.
        intervals: Intervals from the residuals of held-out lenses.
        outliers: Detector of images that differ from the lenses of the fit.
        about: Record of the fit: `data`, `lenses` and `seed`; empty if the file lacks this record.
    """

    linear: LinearProbe
    intervals: Intervals
    outliers: OutlierDetector
    about: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def fit(
        cls, train: Rows, held_out: Rows, parameters: Sequence[Parameter], about: Mapping[str, Any] | None = None
    ) -> Self:
        """Fit a probe of some parameters to an encoder's features of labelled lenses.

        Args:
            train: Features and values of all labelled lenses.
            held_out: Features and values of test lenses, for intervals and the threshold of outliers.
            parameters: Parameters to predict.
            about: Record of the fit.
        """
        names = [parameter.name for parameter in parameters]
        units = [parameter.unit for parameter in parameters]
        linear = fit_linear_probe(train.features, train.columns(names), names, units)
        intervals = Intervals.fit(held_out.columns(names), linear.predict(held_out.features))
        outliers = fit_outlier_detector(train.features, held_out.features)
        return cls(linear, intervals, outliers, dict(about or {}))

    def predict(self, features: Array) -> dict[str, Array]:
        """Return predictions (n,) by parameter."""
        return dict(zip(self.linear.names, self.linear.predict(features).T, strict=True))

    def half_width(self, level: float) -> dict[str, float]:
        """Return half the width of the confidence interval by parameter.

        Args:
            level: Probability that an interval contains the true value, for lenses like the held-out lenses.
        """
        return dict(zip(self.linear.names, np.asarray(self.intervals.half_width(level)).tolist(), strict=True))

    def files(self) -> dict[str, Content]:
        """Return the files of the probe by name."""
        parts: dict[str, Content] = {f"{name}.npz": part.save for name, part in self._parts().items()}
        return parts | {ABOUT: json.dumps(dict(self.about)) + "\n"}

    def save(self, folder: Path) -> None:
        """Write `files` into a folder."""
        for name, content in self.files().items():
            write_atomically(folder / name, content)

    @classmethod
    def load(cls, folder: Path, title: str = "") -> Self:
        """Read a probe that `lenskit probe` or `save` wrote.

        Args:
            folder: The folder.
            title: Name of the run for messages; by default, the path of the run.

        Raises:
            LenskitError: The folder has no complete probe.
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
