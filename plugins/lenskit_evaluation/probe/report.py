"""Results of `lenskit probe`, and files of results: tables, metrics and plots."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from lenskit.evaluation import Content, Subject, write_results
from lenskit.plugin import Parameter
from lenskit_evaluation.bootstrap import Estimate
from lenskit_evaluation.metrics import BalancedAccuracy, Score
from lenskit_evaluation.plots import r2_panels
from lenskit_evaluation.probe.label_curves import Point
from lenskit_evaluation.probe.plots import LINEAR, label_curves, residual_panels
from lenskit_evaluation.probe.probing import NONE, PROBES, RIDGE, Row, main_figure
from lenskit_evaluation.probe.residuals import Binned
from lenskit_evaluation.statistics import Statistics

FIGURES = ("r2", "mae", "rmse", "bias", "spearman")

PANELS = 4
"""Maximum number of parameters in the plots of curves and errors."""

TINY = 1e-6
"""Smaller errors, such as those of an axion mass in eV, are printed with a power of ten."""


@dataclass(frozen=True)
class Findings:
    """Results of `lenskit probe`.

    Attributes:
        rows: Rows of the table, for each probe of each encoder, baseline and control.
        parameters: Probed parameters, headline parameters first.
        curves: Scores against the number of labels.
        residuals: Errors of the first run's ridge regression, in bins of image properties.
        statistics: Statistics of the features of the test lenses by encoder.
        main: Label of the first run or embeddings.
        subjects: Labels of all runs and embeddings, in the order of the command.
        given_away: Messages about headline parameters that can be predicted from images without a source.
    """

    rows: list[Row]
    parameters: list[Parameter]
    curves: list[Point]
    residuals: list[Binned]
    statistics: dict[str, Statistics]
    main: str
    subjects: list[str] = field(default_factory=list)
    given_away: list[str] = field(default_factory=list)

    @property
    def shown(self) -> list[Parameter]:
        """Parameters of the group `lens`; all parameters if there is no such group."""
        return [parameter for parameter in self.parameters if parameter.group == "lens"] or self.parameters

    @property
    def headline(self) -> list[Parameter]:
        """Continuous headline parameters, or else the first few continuous parameters."""
        numbers = [parameter for parameter in self.shown if not parameter.classes]
        return [parameter for parameter in numbers if parameter.headline] or numbers[:PANELS]


def write_report(
    findings: Findings,
    folders: Sequence[Path],
    files: Sequence[Mapping[str, Content]],
    settings: Mapping[str, Any],
    subjects: Mapping[str, Subject],
    origin: Mapping[str, Any],
    judged: int,
) -> None:
    """Write the results into each folder and print the tables.

    Args:
        findings: The results.
        folders: Folders to write into.
        files: Additional files of each folder.
        settings: Settings to record with the results.
        subjects: Runs and embeddings by label.
        origin: Description of the source of the lenses.
        judged: Number of test lenses.
    """
    first = findings.rows[0]
    probes = f"mean of {first.draws} probes, each fitted to {first.labels} other labelled lenses"
    interval = "± half of the 95 % bootstrap interval over the lenses judged on"
    spread = ", in brackets the standard deviation over the probes"
    if first.draws == 1:
        probes, spread = f"one probe, fitted to {first.labels} labelled lenses", ""
    how = f"{probes}, judged on {judged} lenses; {interval}{spread}"
    shown = findings.shown
    numbers = [parameter for parameter in shown if not parameter.classes]
    accuracy = " (of a class label, balanced accuracy)" if len(numbers) < len(shown) else ""
    here = [row for row in findings.rows if not row.judged]
    elsewhere = len(here) < len(findings.rows)
    unit = {p.name: f"{p.name} [{p.unit}]" if p.unit else p.name for p in numbers}
    write_results(
        folders,
        title=f"R2{accuracy}: {how}",
        settings=settings,
        results={
            "rows": [{**asdict(row), "scores": {n: asdict(s) for n, s in row.scores.items()}} for row in findings.rows],
            "curves": [asdict(point) for point in findings.curves],
            "residuals": [asdict(each) for each in findings.residuals],
            "statistics": {name: asdict(each) for name, each in findings.statistics.items()},
        },
        table=[_wide(row, {p.name: p.name for p in shown}, main_figure) for row in here],
        more={
            **({"Mean absolute error of the same": [_wide(row, unit, _mae) for row in here]} if numbers else {}),
            **({"R2 of the same ridge regressions on other lenses": _elsewhere(findings)} if elsewhere else {}),
            **({"Shortcut control": [{"found": x} for x in findings.given_away]} if findings.given_away else {}),
            **({"Parameters without a figure": unjudged} if (unjudged := _unjudged(findings)) else {}),
        },
        long=[*_long(findings), *_curve_lines(findings.curves), *_residual_lines(findings)],
        summary={
            row.label: {
                f"{p.name} R2": score.r2.value
                for p in findings.headline
                if isinstance(score := row.scores.get(p.name), Score)
            }
            for row in findings.rows
            if row.probe == RIDGE and not row.judged and row.label in findings.subjects
        },
        pictures=_pictures(findings),
        subjects=subjects,
        origin=origin,
        files=files,
    )


def _pictures(findings: Findings) -> dict[str, Figure]:
    symbols = {p.name: p.symbol for p in findings.shown}
    panels = {}
    for probe in PROBES:
        rows = [row for row in findings.rows if not row.judged and row.probe in (probe, NONE)]
        if any(row.probe == probe for row in rows):
            panels[f"{probe}, {rows[0].labels} labels"] = _estimates(rows, symbols)
    for judged in dict.fromkeys(row.judged for row in findings.rows if row.judged):
        rows = [row for row in findings.rows if row.judged == judged]
        panels[f"{RIDGE}, judged on {judged}"] = _estimates(rows, symbols)
    # R2 of labels that are all equal is NaN and is not plotted. If all R2 are NaN, there is no plot.
    pictures = {}
    if any(np.isfinite(e.value) for rows in panels.values() for row in rows.values() for e in row.values()):
        pictures["r2"] = r2_panels(panels, symbols)
    parameters = {parameter.name: parameter for parameter in findings.parameters}
    curves = [point for point in findings.curves if np.isfinite(point.r2).all()]
    of_curves = [p for p in findings.headline if any(point.parameter == p.name for point in curves)]
    if of_curves:
        pictures["curves"] = label_curves(curves, of_curves[:PANELS])
    residuals = [each for each in findings.residuals if each.against in LINEAR or min(each.low) > 0]
    if residuals:
        pictures["residuals"] = residual_panels(residuals, parameters, f"Errors of {findings.main}, ridge")
    return pictures


def _estimates(rows: Sequence[Row], names: Mapping[str, str]) -> dict[str, dict[str, Estimate]]:
    return {row.label: {name: main_figure(row.scores, name) for name in names} for row in rows}


def _mae(scores: Mapping[str, Any], name: str) -> Estimate:
    return scores[name].mae if name in scores else Estimate(np.nan)


def _wide(row: Row, columns: Mapping[str, str], figure: Any) -> dict[str, str]:
    """Return a row of the printed table, with a metric of each parameter."""
    cells = {"encoder": row.label, "probe": row.probe}
    for name, column in columns.items():
        cells[column] = _text(figure(row.scores, name), has_unit=figure is _mae)
    return cells


def _elsewhere(findings: Findings) -> list[dict[str, str]]:
    """Return the rows for a subset of the lenses or a shifted prior."""
    columns = {p.name: p.name for p in findings.shown}
    lines = []
    for row in findings.rows:
        if row.judged:
            n = max((score.n for score in row.scores.values()), default=0)
            lines.append({"judged on": f"{row.judged} ({n})", **_wide(row, columns, main_figure)})
    return lines


def _unjudged(findings: Findings) -> list[dict[str, str]]:
    """Return rows with the reason why a parameter has no metric, from the first probe."""
    why: dict[str, str] = {}
    for row in findings.rows:
        for name, score in row.scores.items():
            if not row.judged and score.note and math.isnan(main_figure(row.scores, name).value):
                why.setdefault(name, score.note)
    return [{"parameter": name, "why": note} for name, note in why.items()]


def _text(estimate: Estimate, has_unit: bool = False) -> str:
    if math.isnan(estimate.value):
        return "-"
    form = ".1e" if has_unit and 0 < abs(estimate.value) < TINY else ".3f"
    interval = "" if math.isnan(estimate.low) else f" ±{(estimate.high - estimate.low) / 2:{form}}"
    spread = "" if math.isnan(estimate.spread) else f" ({estimate.spread:{form}})"
    return f"{estimate.value:{form}}{interval}{spread}"


def _long(findings: Findings) -> list[dict[str, Any]]:
    """Return machine-readable rows with all metrics, one row for each parameter."""
    lines = []
    for row in findings.rows:
        for parameter in findings.parameters:
            score = row.scores.get(parameter.name)
            if score is None:
                continue
            line = {
                "what": "probe", "encoder": row.label, "probe": row.probe, "judged on": row.judged,
                "parameter": parameter.name, "unit": parameter.unit, "labels": row.labels, "draws": row.draws,
                "n": score.n, "dropped": score.dropped,
            }  # fmt: skip
            classes = isinstance(score, BalancedAccuracy)
            for figure in ("accuracy",) if classes else FIGURES:
                estimate = getattr(score, figure)
                key = "balanced_accuracy" if classes else figure
                line |= {key: estimate.value, f"{key}_low": estimate.low, f"{key}_high": estimate.high}
                line |= {f"{key}_spread": estimate.spread}
            lines.append(line)
    return lines


def _curve_lines(points: Sequence[Point]) -> list[dict[str, Any]]:
    lines = []
    for point in points:
        line: dict[str, Any] = {"what": "curve", "encoder": point.label, "probe": RIDGE, "parameter": point.parameter}
        line |= {"labels": point.labels, "draws": len(point.r2)}
        for name, values in (("r2", point.r2), ("mae", point.mae)):
            spread = float(np.std(values, ddof=1)) if len(values) > 1 else math.nan
            line |= {name: float(np.mean(values)), f"{name}_spread": spread, f"{name}_median": float(np.median(values))}
            line |= {f"{name}_lowest": min(values), f"{name}_highest": max(values)}
        lines.append(line)
    return lines


def _residual_lines(findings: Findings) -> list[dict[str, Any]]:
    return [
        {
            "what": "residuals", "encoder": findings.main, "probe": RIDGE, "parameter": binned.parameter,
            "against": binned.against, "from": low, "to": high, "n": n,
            "mae": mae, "mae_low": mae - mae_error, "mae_high": mae + mae_error,
            "bias": bias, "bias_low": bias - bias_error, "bias_high": bias + bias_error,
        }
        for binned in findings.residuals
        for low, high, n, mae, mae_error, bias, bias_error in zip(
            binned.low, binned.high, binned.n, binned.mae, binned.mae_error, binned.bias, binned.bias_error, strict=True
        )
    ]  # fmt: skip
