"""Metrics of predicted Einstein radii, as columns of a table."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr
from torch import Tensor

from lenskit.data.lens_set import LensSet
from lenskit.data.stored import StoredLenses
from lenskit.evaluation import to_markdown
from lenskit.files import write_atomically
from lenskit.kinds.dataset import Dataset
from lenskit.provenance import provenance
from lenskit_evaluation.intervals import Intervals
from lenskit_evaluation.metrics import score

RADIUS = "theta_E"
OUTLIER = 0.15
"""Relative error above which a prediction is an outlier."""

LEVELS = (0.68, 0.95)
"""Probabilities of intervals, as in `lenskit transfer`."""

Array = NDArray[np.float64]
Guess = Callable[[Tensor], Array]
"""Function from images (n, C, H, W) to Einstein radii (n,) in arcsec."""


def parser_of(text: str | None, sizes: Iterable[str]) -> argparse.ArgumentParser:
    """Return a parser of the arguments that both scripts share.

    Args:
        text: Docstring of the script; the first line is the description.
        sizes: Names of the sizes of the script.
    """
    parser = argparse.ArgumentParser(description=(text or "").partition("\n")[0])
    parser.add_argument("--data", required=True, help="real images with labels, [READER:]PATH")
    parser.add_argument("--work", type=Path, required=True, help="folder for runs and intermediate results")
    parser.add_argument("--size", choices=sizes, default="small")
    parser.add_argument("--out", type=Path, default=Path("docs/results"), help="folder of the table")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    return parser


def judged(guess: Guess, images: Dataset, held_out: LensSet) -> dict[str, Any]:
    """Evaluate predictions in the same way as `lenskit transfer`, without plots.

    Args:
        guess: Function that predicts Einstein radii.
        images: Real images with labels.
        held_out: Simulated lenses to calibrate the intervals on.

    Returns:
        `truth`, `prediction`, `simulated R2`, `coverage` and `told from simulations` (None), as plain values.
    """
    expected, guessed = _both(guess, held_out)
    truth, prediction = _both(guess, StoredLenses(images))
    intervals = Intervals.fit(expected[:, None], guessed[:, None])
    error = np.abs(truth - prediction)
    coverage = {f"{level:.0%}": float((error <= intervals.half_width(level)[0]).mean()) for level in LEVELS}
    return {
        "truth": truth.tolist(),
        "prediction": prediction.tolist(),
        "simulated R2": score(expected, guessed).r2.value,
        "coverage": coverage,
        "told from simulations": None,
    }


def _both(guess: Guess, lenses: LensSet) -> tuple[Array, Array]:
    """Return labels and predictions (n,)."""
    truth, found = [], []
    for read in lenses.chunks():
        truth.append(read.arrays()[RADIUS])
        found.append(guess(read.images))
    return np.concatenate(truth), np.concatenate(found)


def columns(truth: Sequence[float], one: Mapping[str, Any], constant: bool = False) -> dict[str, float]:
    """Return the metrics of the predictions of an encoder, by column.

    Missing metrics are NaN.

    Args:
        truth: Labels.
        one: `prediction`, `simulated R2`, `coverage` and `told from simulations`.
        constant: Whether all predictions are equal.
    """
    labels, prediction = np.array(truth), np.array(one["prediction"])
    error = prediction - labels
    figures = {
        "R2, simulations": one["simulated R2"],
        "rank correlation": None if constant else spearmanr(labels, prediction)[0],
        "MAE [arcsec]": np.abs(error).mean(),
        "median error [%]": 100 * np.median(np.abs(error) / labels),
        "bias [arcsec]": error.mean(),
        f"outliers above {OUTLIER:.0%} [%]": 100 * (np.abs(error) > OUTLIER * labels).mean(),
        "in 68 % [%]": 100 * one["coverage"]["68%"] if one["coverage"] else None,
        "in 95 % [%]": 100 * one["coverage"]["95%"] if one["coverage"] else None,
        "told from simulations": one["told from simulations"],
    }
    return {name: np.nan if value is None else float(value) for name, value in figures.items()}


def words(seeds: Sequence[Mapping[str, float]]) -> dict[str, str]:
    """Format the metrics of several seeds: the mean, the lowest and the highest value."""
    return {name: _words([each[name] for each in seeds], 0 if "[%]" in name else 3) for name in seeds[0]}


def _words(values: list[float], digits: int) -> str:
    if not np.isfinite(values).all():
        return "-"
    text = f"{np.mean(values):.{digits}f}"
    return text if len(values) == 1 else f"{text} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def write_table(path: Path, head: str, rows: Sequence[Mapping[str, str]], kept: Mapping[str, Any]) -> None:
    """Write a table with its notes as Markdown, and the data of the table as JSON.

    Args:
        path: Path of the files without an ending; the notes are read from `PATH.notes.md`, if it exists.
        head: Text above the table.
        rows: Rows of the table.
        kept: Content of the JSON file; versions, devices and commit are added.
    """
    notes = path.with_suffix(".notes.md")
    here = provenance()
    origin = {name: here[name] for name in ("python", "packages", "devices", "threads", "git")}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path.with_suffix(".json"), json.dumps({**kept, "made with": origin}, indent=1) + "\n")
    text = head + to_markdown(rows) + "\n" + (f"\n{notes.read_text(encoding='utf-8')}" if notes.is_file() else "")
    write_atomically(path.with_suffix(".md"), text)
    print(text)
