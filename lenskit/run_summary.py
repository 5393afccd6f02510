"""Overview of runs: states, differences and training curves."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from lenskit.encoder_card import read_card
from lenskit.errors import LenskitError, UsageError
from lenskit.figures import Lines, read_figures
from lenskit.layers import read_layer
from lenskit.lock import is_held
from lenskit.records import Record, load_json
from lenskit.run import BEST, MARKS
from lenskit.words import as_label

if TYPE_CHECKING:
    from matplotlib.figure import Figure

State = Literal["running", "finished", "stopped", "failed", "damaged"]

_LOG_LINE = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d+ ([A-Z]+) (.*)$", re.MULTILINE)

CURVES = {
    "loss": "loss",
    "probe": r"probe: mean $R^2$",
    "collapse_std": r"spread: std $\times \sqrt{d}$",
    "effective_rank": "effective rank",
    "probe_rank": "effective rank, probe",
}
"""Metrics to plot, one panel each, and the labels of their axes."""


HUGE = 1e100
"""Larger metrics are not plotted, because no axis can show them."""


@dataclass(frozen=True)
class Summary:
    """State and results of a run.

    Attributes:
        path: Run directory.
        state: `running` in a process; `finished`; `stopped` by a user or killed; `failed` with an error; `damaged` if a
            file cannot be read.
        recipe: Name of the recipe, if any.
        method: Name of the method.
        pairs: Name of the pair strategy.
        backbone: Name of the backbone.
        batches: Number of batches done, from the metrics or the encoder.
        of: Number of batches of the complete run; None until the first encoder is saved.
        probe: Best score of the probes.
        rate: Median number of lenses per second.
        note: Error of a failed run, or the damaged files.
    """

    path: str
    state: State
    recipe: str | None = None
    method: str = ""
    pairs: str = ""
    backbone: str = ""
    batches: int = 0
    of: int | None = None
    probe: float | None = None
    rate: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Comparison:
    """Differences between runs.

    Attributes:
        runs: Summaries of the runs.
        differences: For each `section.option` that differs, the value of each run; None for a run without the option.
        figures: Latest metrics of each run by name; None for a run without the metric.
        lines: All lines of metrics of each run.
    """

    runs: list[Summary]
    differences: dict[str, list[Any]]
    figures: dict[str, list[float | None]]
    lines: list[Lines] = field(repr=False)


class _Origin(Record):
    """Contents of `provenance.json`."""

    recipe: str | None = None


def find(folders: Iterable[Path]) -> list[Summary]:
    """Return summaries of runs.

    Args:
        folders: Run directories, or folders that contain run directories.

    Returns:
        Summaries in the order of `folders`, and by name within a folder.

    Raises:
        UsageError: A folder does not exist.
    """
    summaries = []
    for folder in folders:
        if not folder.is_dir():
            raise UsageError(f"there is no folder {folder}")
        if _is_run(folder):
            summaries.append(summary(folder))
        else:
            summaries += [summary(child) for child in sorted(folder.iterdir()) if child.is_dir() and _is_run(child)]
    return summaries


def _is_run(folder: Path) -> bool:
    # A run without run.toml is listed as damaged.
    return any((folder / name).is_file() for name in (*MARKS, "provenance.json", "metrics.jsonl"))


def summary(folder: Path) -> Summary:
    """Return the summary of a run, which may be damaged."""
    damages: list[str] = []
    config = _read(damages, folder / "run.toml", lambda path: _sections(read_layer(path)), {})
    if config == {} and not damages:
        damages.append("run.toml is missing")
    origin = _read(damages, folder / "provenance.json", lambda path: load_json(path, _Origin), {})
    trained = _read(damages, folder / "encoder" / "encoder.json", lambda path: _part(path, "trained"), {})
    done, of = trained.get("batches", 0), trained.get("of")
    best = _read(damages, folder / BEST / "encoder.json", lambda path: _part(path, "probe")["score"], None)
    lines = _read(damages, folder / "metrics.jsonl", figures, [])
    scores = [line["probe"] for line in lines if "probe" in line] + ([] if best is None else [best])
    rates = [line["rate"] for line in lines if "rate" in line]
    state, note = _state(folder, of is not None and done == of)
    method, pairs, backbone = (
        str(config.get(section, {}).get("name", "")) for section in ("method", "pairs", "backbone")
    )
    return Summary(
        str(folder),
        "damaged" if damages else state,
        origin.get("recipe"),
        method,
        pairs,
        backbone,
        batches=max([done, *(line["batches"] for line in lines)]),
        of=of,
        probe=max(scores, default=None),
        rate=float(np.median(rates)) if rates else None,
        note="; ".join(damages) or note,
    )


def _state(folder: Path, finished: bool) -> tuple[State, str]:
    if is_held(folder):
        return "running", ""
    if finished:
        return "finished", ""
    # An error is the last line of the log. A killed or stopped run logs no error.
    try:
        said = _LOG_LINE.findall((folder / "train.log").read_text(errors="replace"))
    except OSError:
        said = []
    if said and said[-1][0] == "ERROR" and not said[-1][1].startswith("KeyboardInterrupt"):
        return "failed", said[-1][1]
    return "stopped", ""


def _read(damages: list[str], path: Path, read: Any, otherwise: Any) -> Any:
    """Return the contents of a file; if it is missing or damaged, return `otherwise`.

    Damage is added to `damages`.
    """
    if not os.path.lexists(path):
        return otherwise
    try:
        return read(path)
    except (OSError, ValueError, KeyError, TypeError, LenskitError) as error:
        reason = " ".join(str(error).split()).removeprefix(f"{path} ")
        reason = reason.removeprefix(f"the encoder in {path.parent} is damaged: {path.name}: ")[:120]
        damages.append(f"{path.name}: {reason}")
        return otherwise


def _part(path: Path, field: str) -> dict[str, Any]:
    """Return a field of the card of an encoder.

    Raises:
        LenskitError: The card lacks the field, or cannot be read.
    """
    value = read_card(path.parent).get(field)
    if value is None:
        raise LenskitError(f"lacks the field {field}")
    return dict(value)


def _sections(layer: dict[str, Any]) -> dict[str, Any]:
    if not layer or not all(isinstance(section, dict) for section in layer.values()):
        raise ValueError("holds no sections")
    return layer


def figures(path: Path) -> Lines:
    """Return the lines of a `metrics.jsonl`, without an incomplete last line.

    Raises:
        ValueError: A complete line is not an object of numbers with `batches`.
        LenskitError: The file cannot be read, or is too large.
    """
    figures = read_figures(path)
    if figures.faults:
        raise ValueError(figures.faults[0])
    return figures.lines


def unsound(folder: Path) -> str:
    """Return the reason why a folder is not a sound run; empty if it is one."""
    if not (folder / "run.toml").is_file():
        return "no run: it has no run.toml"
    run = summary(folder)
    return f"damaged: {run.note}" if run.state == "damaged" else ""


def compare_runs(folders: Sequence[Path]) -> Comparison:
    """Compare the configurations and metrics of runs.

    Raises:
        UsageError: A folder is not a run.
        LenskitError: A run is damaged.
    """
    for folder in folders:
        if not (folder / "run.toml").is_file():
            raise UsageError(f"{folder} is no run directory: it has no run.toml")
    runs = [summary(folder) for folder in folders]
    for run in runs:
        if run.state == "damaged":
            raise LenskitError(f"{run.path} is damaged: {run.note}")
    options = [dict(_flat(read_layer(folder / "run.toml"))) for folder in folders]
    names = list(dict.fromkeys(name for option in options for name in option))
    rows = {name: [option.get(name) for option in options] for name in names}
    lines = [figures(path) if (path := folder / "metrics.jsonl").is_file() else [] for folder in folders]
    latest: list[dict[str, Any]] = [{} for _ in lines]
    for last, those in zip(latest, lines, strict=True):
        for line in those:
            last |= line
    figure_names = list(dict.fromkeys(name for last in latest for name in last))
    return Comparison(
        runs,
        {name: values for name, values in rows.items() if any(value != values[0] for value in values)},
        {name: [last.get(name) for last in latest] for name in figure_names},
        lines,
    )


def _flat(sections: Mapping[str, Any], before: str = "") -> Iterable[tuple[str, Any]]:
    for name, value in sections.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value


def plot_runs(comparison: Comparison) -> Figure:
    """Plot the curves of runs over batches: loss, probe score, collapse metrics.

    Raises:
        LenskitError: No run has one of these metrics yet.
    """
    from matplotlib.figure import Figure

    panels = [name for name in CURVES if any(name in line for lines in comparison.lines for line in lines)]
    if not panels:
        raise LenskitError("there is nothing to plot: these runs have no metrics yet")
    figure = Figure(figsize=(7, 1.9 * len(panels) + 0.6), layout="constrained")
    axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for axis, name in zip(axes, panels, strict=True):
        for number, (run, lines) in enumerate(zip(comparison.runs, comparison.lines, strict=True)):
            points = [(line["batches"], line[name]) for line in lines if name in line and not abs(line[name]) > HUGE]
            marker = "." if len(points) < 40 else ""
            axis.plot(*zip(*points, strict=True) if points else ((), ()), f"{marker}-", color=f"C{number}", lw=1.2,
                      label=as_label(run.path))  # fmt: skip
        axis.set_ylabel(CURVES[name])
        axis.grid(alpha=0.3, lw=0.5)
        axis.spines[["top", "right"]].set_visible(False)
    axes[-1].set_xlabel("batches")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=2, frameon=False)
    figure.align_ylabels(axes)
    return figure
