"""Results of fine-tuning, and files of results: tables, plots and predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lenskit.evaluation import RESULT_FILES, Array, Subject, to_csv, write_results
from lenskit.plugin import Parameter
from lenskit.toolbox import as_label
from lenskit_evaluation.bootstrap import Estimate
from lenskit_evaluation.classification import ClassScore
from lenskit_evaluation.finetune.data import Labelled
from lenskit_evaluation.finetune.model import CARD, MODEL, FineTuned
from lenskit_evaluation.finetune.training import History
from lenskit_evaluation.metrics import Score, with_units
from lenskit_evaluation.plots import COLORS

PREDICTIONS = "predictions.csv"
CURVES = "learning_curves"
FILES = (*RESULT_FILES, PREDICTIONS, f"{CURVES}.png", MODEL, CARD)

NUMBER = {"r2": "R2", "mae": "MAE", "rmse": "RMSE"}
CLASS = {"accuracy": "accuracy", "balanced_accuracy": "balanced accuracy", "roc_auc": "ROC AUC"}
"""Metrics of continuous targets and of class labels, with the names of the table columns."""


@dataclass(frozen=True)
class Trained:
    """Result of one training.

    Attributes:
        label: Label of the start: a run or a baseline.
        seed: Random seed.
        scores: Scores on the test lenses by target.
        predictions: Predictions for the test lenses by target, in the form of `Predicted.values`.
        history: Losses of the training; None for a constant.
    """

    label: str
    seed: int
    scores: dict[str, Score | ClassScore]
    predictions: dict[str, Array]
    history: History | None


@dataclass(frozen=True)
class Findings:
    """Results of `lenskit finetune`.

    Attributes:
        trained: Results of all starts and seeds.
        targets: Predicted parameters.
        test: Test lenses.
        models: Model of the first seed by the label of the run.
        folders: Folder of the results of each run, in the order of `models`.
    """

    trained: list[Trained]
    targets: list[Parameter]
    test: Labelled
    models: dict[str, FineTuned]
    folders: list[Path]

    def r2(self, label: str, target: str | None = None) -> float:
        """Return the mean R2 of a start over the seeds; by default for the first target."""
        name = target or self.targets[0].name
        scores = [each.scores[name] for each in self.trained if each.label == label]
        return float(np.mean([s.r2.value for s in scores if isinstance(s, Score)]))


def write_report(
    findings: Findings,
    settings: Mapping[str, Any],
    title: str,
    dropped: Mapping[str, int],
    subjects: Mapping[str, Subject],
    origin: Mapping[str, Any],
) -> None:
    """Write the results into each folder and print the table.

    Args:
        findings: The results.
        settings: Settings to record with the results.
        title: Title of the table, in one line.
        dropped: Numbers of lenses that were left out because a target is not known, by the use of the lenses.
        subjects: The runs by label.
        origin: Description of the source of the lenses.
    """
    first = {each.label: each for each in reversed(findings.trained)}
    chosen = {label: first[label] for label in dict.fromkeys(each.label for each in findings.trained)}
    starts = [each for each in chosen.values() if each.history]
    pictures = {CURVES: _learning_curves(starts)}
    for target in findings.targets:
        draw = _confusion if target.classes else _truth_against_prediction
        pictures[target.name] = _panels(draw, findings.test, target, starts)
    predictions = to_csv(_predictions(findings, starts))
    # The model is written last, so that a model is never without its scores.
    files = [{PREDICTIONS: predictions, **model.files()} for model in findings.models.values()]
    write_results(
        findings.folders,
        title=title,
        settings=settings,
        results={
            "targets": [asdict(target) for target in findings.targets],
            "dropped": dropped,
            "trained": [_plain(each) for each in findings.trained],
        },
        table=[row for target in findings.targets for row in _rows(findings, target, list(chosen))],
        long=[_line(each, target) for each in findings.trained for target in findings.targets],
        summary={
            label: {f"{t.name} {_main(t)[1]}, fine-tuned": _mean(findings, label, t, _main(t)[0]).value
                    for t in findings.targets}
            for label in chosen
        },
        pictures=pictures,
        subjects=subjects,
        origin=origin,
        files=files,
    )  # fmt: skip


def _main(target: Parameter) -> tuple[str, str]:
    """Return the attribute and the name of the main metric of a target."""
    return next(iter((CLASS if target.classes else NUMBER).items()))


def _scores(findings: Findings, label: str, target: Parameter) -> list[Score | ClassScore]:
    return [each.scores[target.name] for each in findings.trained if each.label == label]


def _mean(findings: Findings, label: str, target: Parameter, figure: str) -> Estimate:
    """Return the mean of a metric over the seeds, and mean ends of the interval."""
    estimates = [getattr(score, figure) for score in _scores(findings, label, target)]
    return Estimate(*(float(np.mean([getattr(each, end) for each in estimates])) for end in ("value", "low", "high")))


def _rows(findings: Findings, target: Parameter, labels: Sequence[str]) -> list[dict[str, str]]:
    """Return the rows of the printed table, one for each start."""
    names, unit = with_units(findings.targets)
    truth = findings.test.values[target.name]
    rows = []
    for label in labels:
        scores = _scores(findings, label, target)
        best = [each.history.best for each in findings.trained if each.label == label and each.history]
        row = {"start": label, "target": names[target.name]}
        for figure, name in (CLASS if target.classes else NUMBER).items():
            row[f"{name}{unit}" if figure in ("mae", "rmse") else name] = str(_mean(findings, label, target, figure))
            if figure == _main(target)[0] and len(scores) > 1:
                between = float(np.std([getattr(score, figure).value for score in scores], ddof=1))
                row["between seeds"] = f"± {between:.3f}"
        if target.classes:
            row["largest class"] = f"{np.unique(truth, return_counts=True)[1].max() / len(truth):.3f}"
        else:
            row["spread of labels"] = f"{truth.std():.3f}"
        row |= {"judged on": str(scores[0].n), "best epoch": ", ".join(map(str, best)) or "-"}
        if np.isnan(getattr(scores[0], _main(target)[0]).value):
            row["note"] = scores[0].note
        rows.append(row)
    return rows


def _line(each: Trained, target: Parameter) -> dict[str, Any]:
    """Return the machine-readable row of one target of one training."""
    score = each.scores[target.name]
    line: dict[str, Any] = {"start": each.label, "seed": each.seed, "target": target.name, "unit": target.unit}
    line |= {"n": score.n, "dropped": score.dropped, "epochs": "", "best_epoch": ""}
    if each.history:
        line |= {"epochs": len(each.history.train), "best_epoch": each.history.best}
    for figure in [*CLASS] if target.classes else [*NUMBER, "bias", "spearman"]:
        estimate = getattr(score, figure)
        line |= {figure: estimate.value, f"{figure}_low": estimate.low, f"{figure}_high": estimate.high}
    return line


def _plain(each: Trained) -> dict[str, Any]:
    scores = {name: asdict(score) for name, score in each.scores.items()}
    history = asdict(each.history) if each.history else None
    return {"start": each.label, "seed": each.seed, "scores": scores, "history": history}


def _predictions(findings: Findings, starts: Sequence[Trained]) -> list[dict[str, Any]]:
    """Return rows with true values and predictions of the first seed for test lenses."""
    rows: list[dict[str, Any]] = []
    for number, name in enumerate(findings.test.names):
        row: dict[str, Any] = {"name": name}
        for target in findings.targets:
            row[target.name] = f"{findings.test.values[target.name][number]:.6g}"
            for start in starts:
                predicted = start.predictions[target.name][number]
                if target.classes:
                    for label, share in zip(target.classes, predicted, strict=True):
                        row[f"{target.name} {label} ({start.label})"] = f"{share:.6g}"
                else:
                    row[f"{target.name} ({start.label})"] = f"{predicted:.6g}"
        rows.append(row)
    return rows


def _panels(draw: Any, test: Labelled, target: Parameter, starts: Sequence[Trained]) -> Figure:
    """Plot a panel for each start with the function `draw`."""
    columns = min(len(starts), 4)
    lines = -(-len(starts) // columns)
    figure = Figure(figsize=(3.4 * columns + 0.4, 3.7 * lines), layout="constrained")
    grid = figure.subplots(lines, columns, squeeze=False, sharex=True, sharey=True).ravel()
    for axes, start in zip(grid, starts, strict=False):
        draw(axes, target, test.values[target.name], start)
    for axes in grid[len(starts) :]:
        axes.set_axis_off()
    return figure


def _truth_against_prediction(axes: Axes, target: Parameter, truth: Array, each: Trained) -> None:
    predicted, score = each.predictions[target.name], each.scores[target.name]
    assert isinstance(score, Score)
    symbol, unit = target.label, f" [{target.unit}]" if target.unit else ""
    low, high = truth.min(), truth.max()
    margin = 0.08 * (high - low) or 0.5
    # The true values define the limits of all panels; predictions outside the limits are plotted at the edge.
    limits = (low - margin, high + margin)
    axes.scatter(truth, predicted.clip(*limits), s=6, color=COLORS[0], alpha=0.5, lw=0)
    axes.plot(limits, limits, color="0.25", lw=1)
    axes.set(
        xlim=limits, ylim=limits, aspect="equal", xlabel=f"true {symbol}{unit}", ylabel=f"predicted {symbol}{unit}"
    )
    axes.set_title(
        f"{as_label(each.label)}\n$R^2$ {score.r2}\nRMSE {score.rmse.value:.3f} {target.unit}", loc="left", fontsize=9
    )
    axes.label_outer()


def _confusion(axes: Axes, target: Parameter, truth: Array, each: Trained) -> None:
    score = each.scores[target.name]
    assert isinstance(score, ClassScore)
    count = len(target.classes)
    table = np.zeros((count, count), int)
    np.add.at(table, (truth.astype(int), each.predictions[target.name].argmax(1)), 1)
    share = table / np.maximum(table.sum(1, keepdims=True), 1)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for (row, column), number in np.ndenumerate(table):
        axes.text(
            column, row, str(number), ha="center", va="center", color="white" if share[row, column] > 0.6 else "0.2"
        )
    axes.set_xticks(range(count), [*map(as_label, target.classes)], rotation=30, ha="right")
    axes.set_yticks(range(count), [*map(as_label, target.classes)])
    axes.set(xlabel=f"predicted {as_label(target.name)}", ylabel=f"true {as_label(target.name)}")
    axes.set_title(f"{as_label(each.label)}\naccuracy {score.accuracy}\nAUC {score.roc_auc}", loc="left", fontsize=9)
    axes.label_outer()


def _learning_curves(starts: Sequence[Trained]) -> Figure:
    """Plot the losses of each start, and mark the epoch with the kept weights."""
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.subplots()
    for number, start in enumerate(starts):
        history, color = start.history, COLORS[number % len(COLORS)]
        assert history is not None
        epochs = range(1, len(history.train) + 1)
        axes.plot(epochs, history.train, color=color, lw=1, ls=":")
        axes.plot(epochs, history.validation, color=color, lw=1.5, label=as_label(start.label))
        axes.plot(history.best, history.validation[history.best - 1], "o", color=color, ms=6)
    axes.plot([], [], color="0.3", lw=1, ls=":", label="training loss")
    axes.plot([], [], "o", color="0.3", ms=6, label="weights kept")
    values = [value for start in starts if start.history for value in (*start.history.train, *start.history.validation)]
    if min(values) > 0 and max(values) > 20 * min(values):
        axes.set_yscale("log")
    axes.set(xlabel="epoch", ylabel="validation loss")
    axes.grid(color="0.9")
    axes.legend(frameon=False, fontsize=9)
    return figure
