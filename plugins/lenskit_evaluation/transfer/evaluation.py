"""`lenskit transfer`: test probes that were fitted to simulations on real images."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge

from lenskit.evaluation import (
    RESULT_FILES,
    Array,
    Rows,
    Run,
    Seed,
    Split,
    StoredLenses,
    check_free,
    embed_rows,
    labelled,
    simulated_origin,
    simulated_split,
    simulator_of,
    stored_origin,
    to_best_device,
    write_results,
)
from lenskit.plugin import Evaluation, Parameter, at_most
from lenskit_evaluation.baselines import BASELINES, BEST_CONSTANT, RANDOM, untrained
from lenskit_evaluation.bootstrap import Estimate
from lenskit_evaluation.intervals import Intervals
from lenskit_evaluation.metrics import Score, score, with_units
from lenskit_evaluation.plots import truth_against_prediction
from lenskit_evaluation.regression import fit_linear_probe
from lenskit_evaluation.transfer.domain_gap import FEWEST, Gap, find_gap
from lenskit_evaluation.transfer.labels import common, of_known_values
from lenskit_evaluation.transfer.plots import coverage_curves, distance_histograms

log = logging.getLogger("lenskit")

LEVELS = (0.5, 0.68, 0.95)
"""Probabilities of the intervals whose coverage is measured."""

DRAWN = 0.68
"""Probability of the intervals in plots and in the table of predictions."""


@dataclass(frozen=True)
class Finding:
    """Results of one encoder for one label.

    Attributes:
        score: Score on the images.
        simulated: Score on held-out simulated lenses; None for a constant.
        coverage: Share of the labels inside the confidence intervals, by the probability of these intervals, with
            Wilson's 95 % interval of the share.
        prediction: Predictions (n,) for the images.
        half_width: Half the width of a confidence interval, by the probability of the interval.
    """

    score: Score
    simulated: Score | None
    coverage: dict[float, Estimate]
    prediction: Array
    half_width: dict[float, float]


@dataclass(frozen=True)
class Transferred:
    """Results of `lenskit transfer`.

    Attributes:
        names: Names of the images.
        truth: Labels (n,) by parameter.
        findings: Results by parameter and label of the encoder; one label is the best constant.
        gaps: Domain gap between the images and simulated lenses by label of the encoder.
    """

    names: list[str]
    truth: dict[str, Array]
    findings: dict[str, dict[str, Finding]]
    gaps: dict[str, Gap]


class Transfer(Evaluation):
    """Test probes that were fitted to simulated lenses on real images.

    A ridge regression is fitted to the features of simulated lenses. It predicts the labels of stored images, for
    example of real lenses, without any adaptation to these images. The baselines are an untrained encoder and the best
    constant, which is the median of the true labels. Confidence intervals are computed from the residuals of held-out
    simulated lenses. The results include the share of labels inside these intervals, and the domain gap between the
    images and simulated lenses in the features of each encoder.

    Args:
        data: Stored images with labels, `[READER:]PATH`.
        labels: Label to predict; by default all labels that the simulator records in the same unit.
        lenses: Number of simulated lenses to fit the regression to.
        test_lenses: Number of held-out simulated lenses, for intervals and distances.
        seed: Random seed of the lenses, the untrained encoder, the folds and the bootstrap.
        simulator: Simulator of the lenses for the fit, instead of the first run's.
        set: Option of the simulator to change, `OPTION=VALUE`.
    """

    files = (*RESULT_FILES, "distance.png")

    def __init__(
        self,
        *,
        data: str,
        labels: list[str] | None = None,
        lenses: Annotated[int, Ge(50), at_most(10**9)] = 3000,
        test_lenses: Annotated[int, Ge(50), at_most(10**9)] = 1000,
        seed: Seed = 0,
        simulator: str | None = None,
        set: list[str] | None = None,
    ) -> None:
        self.data, self.labels, self.lenses, self.test_lenses = data, labels or [], lenses, test_lenses
        self.seed, self.simulator, self.set = seed, simulator, set or []

    def __call__(self, runs: Sequence[Run], inputs: Sequence[str] = ()) -> Transferred:
        """Evaluate the runs, write the results into each run, and return them."""
        named = labelled(runs, BASELINES)
        embedders: dict[str, Any] = {label: to_best_device(run.encoder()) for label, run in named.items()}
        first = next(iter(embedders.values()))
        dataset = first.open(self.data, measures=True)
        real = StoredLenses(dataset).select(range(len(dataset)))
        simulator = simulator_of(next(iter(named.values())), self.simulator, self.set)
        parameters = common(self.data, dataset.parameters, simulator.parameters, self.labels)
        parameters = of_known_values(self.data, dataset, parameters)
        drawn = [_calibration(p) for p in parameters] + [_title(p, label, named) for p in parameters for label in named]
        for run in named.values():
            check_free(run.place("transfer"), [f"{name}.png" for name in drawn])

        lenses = simulated_split(simulator, self.lenses, self.test_lenses, self.seed)
        embedders[RANDOM] = untrained(first, lenses.train, self.seed)
        log.info(
            "%d images of %s, and %d + %d simulated lenses", len(dataset), self.data, self.lenses, self.test_lenses
        )
        if len(dataset) < FEWEST:
            log.info(
                "%d images are too few for a classifier between images and simulations: it needs %d",
                len(dataset),
                FEWEST,
            )
        images = embed_rows(embedders, real)
        splits = lenses.embed(embedders)
        truth = {p.name: next(iter(images.values())).values[p.name] for p in parameters}
        findings = {
            p.name: {name: self._judge(p, split, images[name]) for name, split in splits.items()}
            | {BEST_CONSTANT: self._constant(truth[p.name])}
            for p in parameters
        }
        gaps = {
            name: find_gap(split.train.features, split.test.features, images[name].features, self.seed)
            for name, split in splits.items()
        }
        transferred = Transferred(list(dataset.names), truth, findings, gaps)
        fitted_to = simulated_origin(next(iter(named.values())), self.simulator, self.set, self.seed)
        self._write(transferred, named, parameters, {**stored_origin(self.data, dataset), "fitted_to": fitted_to})
        return transferred

    def _judge(self, parameter: Parameter, split: Split, images: Rows) -> Finding:
        name = parameter.name
        probe = fit_linear_probe(split.train.features, split.train.columns([name]), [name], [parameter.unit])
        held_out, prediction = (probe.predict(rows.features)[:, 0] for rows in (split.test, images))
        expected = split.test.values[name]
        intervals = Intervals.fit(expected[:, None], held_out[:, None])
        half = {level: float(np.asarray(intervals.half_width(level))[0]) for level in LEVELS}
        truth = images.values[name]
        error = np.abs(truth - prediction)[np.isfinite(truth)]
        return Finding(
            score(truth, prediction, seed=self.seed),
            score(expected, held_out, seed=self.seed),
            {level: share_within(error, half[level]) for level in LEVELS},
            prediction,
            half,
        )

    def _constant(self, truth: Array) -> Finding:
        # The median of the labels is the constant with the smallest mean absolute error.
        constant = np.full_like(truth, np.median(truth[np.isfinite(truth)]))
        return Finding(score(truth, constant, seed=self.seed), None, {}, constant, {})

    def _write(
        self,
        found: Transferred,
        named: Mapping[str, Run],
        parameters: Sequence[Parameter],
        origin: Mapping[str, Any],
    ) -> None:
        pictures = {}
        for p in parameters:
            for label in named:
                one = found.findings[p.name][label]
                constant = float(found.findings[p.name][BEST_CONSTANT].prediction[0])
                pictures[_title(p, label, named)] = truth_against_prediction(
                    found.truth[p.name], one.prediction, one.score, symbol=p.label, unit=p.unit,
                    constant=constant, half_width=one.half_width[DRAWN], names=found.names,
                )  # fmt: skip
            curves = {label: one.coverage for label, one in found.findings[p.name].items() if one.coverage}
            count = found.findings[p.name][BEST_CONSTANT].score.n
            pictures[_calibration(p)] = coverage_curves(curves, p.label, count)
        names, unit = with_units(parameters)
        pictures["distance"] = distance_histograms(found.gaps)
        write_results(
            [run.folder("transfer") for run in named.values()],
            title=f"Labels of {self.data}, predicted by a ridge regression fitted to {self.lenses} simulated lenses"
            " (95 % intervals)",
            settings={**vars(self), "images": len(found.names)},
            subjects=named,
            origin=origin,
            results={
                "parameters": {
                    name: {label: _plain(one) for label, one in encoders.items()}
                    for name, encoders in found.findings.items()
                },
                "gaps": {
                    label: {"auc": asdict(gap.auc), "energy": gap.energy, "p": gap.p}
                    for label, gap in found.gaps.items()
                },
            },
            table=[
                _row(names[p.name], unit, label, one, found.gaps.get(label))
                for p in parameters
                for label, one in found.findings[p.name].items()
            ],
            long=_long(found, parameters),
            summary={
                label: {f"{p.name} MAE, transferred": found.findings[p.name][label].score.mae.value for p in parameters}
                | {
                    f"{p.name} rank, transferred": found.findings[p.name][label].score.spearman.value
                    for p in parameters
                }
                for label in found.gaps
            },
            pictures=pictures,
        )


def _title(parameter: Parameter, label: str, named: Mapping[str, Run]) -> str:
    """Return the name of the plot of a run's predictions of a parameter."""
    return parameter.name if len(named) == 1 else f"{parameter.name}-{label.replace('/', '-')}"


def _calibration(parameter: Parameter) -> str:
    """Return the name of the plot of the coverage of a parameter's intervals."""
    return f"calibration-{parameter.name}"


def share_within(error: Array, half_width: float) -> Estimate:
    """Return the share of absolute errors (n,) of at most `half_width`; NaN for n = 0.

    The 95 % interval of the share is Wilson's (https://doi.org/10.1080/01621459.1927.10502953).
    """
    from scipy.stats import binomtest

    if not len(error):
        return Estimate(np.nan)
    inside = int((error <= half_width).sum())
    interval = binomtest(inside, len(error)).proportion_ci(0.95, method="wilson")
    return Estimate(inside / len(error), float(interval.low), float(interval.high))


def _row(name: str, unit: str, label: str, one: Finding, gap: Gap | None) -> dict[str, str]:
    """Return a row of the printed table."""
    judged = one.score
    row = {
        "label": name,
        "encoder": label,
        "rank correlation": str(judged.spearman),
        f"mean absolute error{unit}": str(judged.mae),
        f"bias{unit}": str(judged.bias),
        "R2": str(judged.r2),
        "images": f"{judged.n}" + (f" ({judged.dropped} without)" if judged.dropped else ""),
        f"error on simulations{unit}": "-" if one.simulated is None else f"{one.simulated.mae.value:.3f}",
    }
    for level in LEVELS:
        row[f"in {level:.0%}"] = f"{one.coverage[level].value:.0%}" if one.coverage else "-"
    if gap is None:
        return row | dict.fromkeys(("told from simulations", "energy distance", "beyond 99 %"), "-")
    beyond = [int((distance.percentile > 99).sum()) for distance in (gap.mahalanobis, gap.neighbors)]
    return row | {
        "told from simulations": str(gap.auc),
        "energy distance": f"{gap.energy:.3f} (p {gap.p:.3f})",
        "beyond 99 %": f"{beyond[0]} Mahalanobis, {beyond[1]} kNN",
    }


def _plain(one: Finding) -> dict[str, Any]:
    return {
        "score": asdict(one.score),
        "simulated": one.simulated and asdict(one.simulated),
        "coverage": {f"{level:g}": asdict(share) for level, share in one.coverage.items()},
        "half_width": {f"{level:g}": width for level, width in one.half_width.items()},
    }


def _long(found: Transferred, parameters: Sequence[Parameter]) -> list[dict[str, Any]]:
    """Return machine-readable rows, one for each encoder and image."""
    lines = []
    for label, gap in found.gaps.items():
        for number, name in enumerate(found.names):
            line: dict[str, Any] = {"name": name, "encoder": label}
            for p in parameters:
                one = found.findings[p.name][label]
                line |= {p.name: found.truth[p.name][number], f"{p.name}_predicted": one.prediction[number]}
                line |= {f"{p.name}_half_width": one.half_width[DRAWN]}
            line["mahalanobis_percentile"] = gap.mahalanobis.percentile[number]
            lines.append(line | {"neighbors_percentile": gap.neighbors.percentile[number]})
    return lines
