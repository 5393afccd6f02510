"""Result files of `lenskit anomaly`: tables, metrics, scores and plots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lenskit.evaluation import RESULT_FILES, to_csv, write_results
from lenskit_evaluation.anomaly.metrics import MANY, TOGETHER, Figures, Judged, Judgement, resolved
from lenskit_evaluation.anomaly.plots import reconstructions, roc_curves, score_histograms
from lenskit_evaluation.bootstrap import Estimate
from lenskit_evaluation.rank import LEVELS

SCORES = "scores.csv"
"""File of the scores of all images, which `--scores` can read."""

FILES = (*RESULT_FILES, SCORES, "roc.png", "scores.png", "reconstructions.png")


def write(
    folders: Sequence[Path], judged: Judged, subject: str, settings: Mapping[str, Any], runs: Sequence[str] = ()
) -> None:
    """Write the results with `write_results`, and the scores of all images.

    Args:
        folders: Folders to write into.
        judged: The results.
        subject: Description of the images or scores, for the title of the table.
        settings: Settings to record with the results.
        runs: Names of the runs or embeddings; empty for a table of scores.
    """
    truth = judged.truth
    counts = {name: int(truth.is_class(name).sum()) for name in (truth.normal, *truth.anomalies)}
    summary = {name: _summary(name, judged) for name in runs} if runs else _all(judged)
    pictures = {"roc": roc_curves(judged), "scores": score_histograms(judged)}
    if judged.shown is not None:
        pictures["reconstructions"] = reconstructions(judged.shown)
    more = {}
    if judged.differences:
        more[f"AUC of all anomalies, each minus that of {next(iter(judged.detectors))}"] = _differences(judged)
    write_results(
        folders,
        title=f"{subject}: {_listed(counts, truth.normal)} (95 % intervals{_unresolved(counts[truth.normal])})",
        settings={**settings, "images": counts},
        results={
            "detectors": {name: _plain(one) for name, one in judged.detectors.items()},
            "differences": [
                {"detector": one, "minus": other, **asdict(difference), "significant": difference.significant}
                for (one, other), difference in judged.differences.items()
            ],
        },
        table=[_row(name, one, truth.normal) for name, one in judged.detectors.items()],
        long=[line for name, one in judged.detectors.items() for line in _lines(name, one)],
        more=more,
        summary=summary,
        pictures=pictures,
        origin=truth.origin,
        files=[{SCORES: scores_csv(judged)} for _ in folders],
    )


def _listed(counts: Mapping[str, int], normal: str) -> str:
    classes = {name: count for name, count in counts.items() if name != normal}
    anomalies = ", ".join(f"{count} {name}" for name, count in classes.items())
    if len(classes) > MANY:
        anomalies = f"{sum(classes.values())} anomalies of {len(classes)} classes"
    return f"{counts[normal]} {normal} against {anomalies}"


def _unresolved(normal: int) -> str:
    """Return the reason why some true-positive rates are NaN; empty if none is NaN."""
    coarse = " and ".join(f"{level:.0%}" for level in LEVELS if level and not resolved(level, normal))
    return f"; {coarse} FPR is less than one of {normal} normal images" if coarse else ""


def _row(name: str, one: Judgement, normal: str) -> dict[str, Any]:
    """Return a detector's row of the printed table."""
    row: dict[str, Any] = {"detector": name}
    together = {f"AUC {TOGETHER}": str(one.together.auc)}
    if len(one.figures) - 1 > MANY:
        row["AUC mean of classes"] = str(one.mean)
        row["AUC worst class"] = f"{one.worst}: {one.figures[one.worst].auc}"
        row |= together
    else:
        row |= together
        row |= {f"AUC {group}": str(figures.auc) for group, figures in one.figures.items()}
    row["score"] = one.scored.kind
    row["average precision"] = str(one.together.average_precision)
    row |= {f"TPR at {level:.0%} FPR": str(rate) for level, rate in one.together.true_positive.items()}
    row |= {f"{figure} {normal}": _digits(means[normal]) for figure, means in one.errors.items()}
    speed = one.scored.images_per_second
    return row | ({"images/s": f"{speed:.3g}" if speed < 100 else f"{speed:.0f}"} if speed is not None else {})


def _digits(estimate: Estimate) -> str:
    """Format an error with three significant digits: it may be far below 0.001."""
    return f"{estimate.value:.3g} ({estimate.low:.3g} to {estimate.high:.3g})"


def _differences(judged: Judged) -> list[dict[str, Any]]:
    """Return rows with the difference of each detector from the first."""
    first = next(iter(judged.detectors))
    return [
        {"detector": one, "difference": str(difference), "p": f"{difference.p:.3f}"}
        for (one, other), difference in judged.differences.items()
        if other == first
    ]


def _lines(name: str, one: Judgement) -> list[dict[str, Any]]:
    """Return machine-readable rows of a detector, one for each metric."""
    lines = []
    for group, figures in one.figures.items():
        estimates = {"AUC": figures.auc, "average precision": figures.average_precision}
        estimates |= {f"TPR at FPR {level:g}": rate for level, rate in figures.true_positive.items()}
        lines += [_line(name, group, figure, estimate) for figure, estimate in estimates.items()]
    for figure, means in one.errors.items():
        lines += [_line(name, group, figure, estimate) for group, estimate in means.items()]
    return lines


def _line(name: str, group: str, figure: str, estimate: Estimate) -> dict[str, Any]:
    plain = {"value": estimate.value, "low": estimate.low, "high": estimate.high}
    return {"detector": name, "class": group, "figure": figure, **plain}


def _plain(one: Judgement) -> dict[str, Any]:
    return {
        "score": one.scored.kind,
        "training_lenses": one.scored.training_lenses,
        "images_per_second": one.scored.images_per_second,
        "mean_auc_of_classes": _interval(one.mean),
        "figures": {group: _plain_figures(figures) for group, figures in one.figures.items()},
        "errors": {
            figure: {name: _interval(each) for name, each in means.items()} for figure, means in one.errors.items()
        },
    }


def _plain_figures(figures: Figures) -> dict[str, Any]:
    return {
        "auc": _interval(figures.auc),
        "average_precision": _interval(figures.average_precision),
        "true_positive_rate": {f"{level:g}": _interval(rate) for level, rate in figures.true_positive.items()},
    }


def _interval(estimate: Estimate) -> dict[str, float]:
    return {"value": estimate.value, "low": estimate.low, "high": estimate.high}


def _summary(run: str, judged: Judged) -> dict[str, float]:
    """Return the AUC of a run's detectors, for `lenskit report`."""
    own = {name: one for name, one in judged.detectors.items() if one.scored.run == run}
    return {"AUC" if name == run else "AUC (neighbours)": one.together.auc.value for name, one in own.items()}


def _all(judged: Judged) -> dict[str, dict[str, float]]:
    return {name: {"AUC": one.together.auc.value} for name, one in judged.detectors.items()}


def scores_csv(judged: Judged) -> str:
    """Return the table of scores and reconstruction errors, which `--scores` can read."""
    truth = judged.truth
    names = truth.names or [str(number) for number in range(len(truth.label))]
    columns = {f"score_{name}": one.scored.scores.tolist() for name, one in judged.detectors.items()}
    for name, one in judged.detectors.items():
        columns |= {f"{figure}_{name}": values.tolist() for figure, values in one.scored.errors.items()}
    return to_csv(
        [
            {"name": name, "class": truth.classes[label], **{key: values[row] for key, values in columns.items()}}
            for row, (name, label) in enumerate(zip(names, truth.label, strict=True))
        ]
    )
