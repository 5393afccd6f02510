"""`lenskit probe`: how well parameters are read off frozen features."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge

from lenskit.evaluation import (
    RESULT_FILES,
    Content,
    Embedder,
    Embeddings,
    Encoder,
    LensSplit,
    OnLenses,
    Reading,
    Rows,
    Run,
    SimulatedLenses,
    Split,
    Subject,
    check_same_units,
    embed_rows,
    encoders_of,
    labelled,
    shortcuts,
    simulated_split,
    simulator_of,
    split_embeddings,
)
from lenskit.plugin import LenskitError, Parameter, UsageError, at_most
from lenskit_evaluation.baselines import (
    BASELINES,
    CONSTANT,
    CONTROLS,
    PIXELS,
    RANDOM,
    SOURCE,
    Pixels,
    find_components,
    in_components,
    untrained,
)
from lenskit_evaluation.metrics import Score
from lenskit_evaluation.probe.label_curves import Point, label_curve
from lenskit_evaluation.probe.probe_suite import Bench
from lenskit_evaluation.probe.probing import (
    NETWORK,
    NONE,
    PROBES,
    RIDGE,
    Row,
    Targets,
    targets_of,
)
from lenskit_evaluation.probe.report import Findings, write_report
from lenskit_evaluation.probe.residuals import Binned, binned, covariates
from lenskit_evaluation.probe.saved_probe import FILES, FittedProbe
from lenskit_evaluation.statistics import statistics_of_rows

log = logging.getLogger("lenskit")

SUPERVISED = "supervised"
"""Name of the method whose runs were told the parameters."""


class Probe(OnLenses):
    """How well each parameter is read off frozen features of lenses that were never trained on.

    A ridge regression, one on nearest neighbours and a small network are fitted to some labelled lenses and judged
    on others: R2 and mean absolute error of every recorded parameter (of class labels, balanced accuracy), with
    bootstrap intervals. Each is fitted several times, to other labelled lenses and with another start of the network;
    the table has the mean and the standard deviation over these. Beside the runs stand an encoder of the same kind that
    was never trained, the principal components of the pixels, a constant, and two controls: the first run's encoder,
    given the same scenes without their source, or without the lens's light. What is read off without a source is given
    away by the lens light, which follows the mass (e1, e2 and the centre); theta_E, gamma and the shear are the
    parameters that count, and come first. If one of these is read off without a source, the simulator has a shortcut,
    and a warning says so. A supervised run among the runs is the upper line.

    Further rows are judged on nearly round lenses (|e| < 0.3), and on lenses of another prior (--shift). Pictures show
    R2, R2 with fewer labels, and how errors depend on the arc's signal-to-noise ratio, on |e| and on magnification.

    Args:
        lenses: Labelled lenses that each probe is fitted to. Of stored images and of embeddings, which may be too few
            for each probe to have its own, no more than 80 % of those that are not judged on.
        seeds: How often each probe is fitted: each time to other labelled lenses, and the network from another start.
        mlp: Whether to fit the small network.
        curves: Whether to fit the ridge regression with fewer labels, too.
        controls: Whether to run the two controls.
        shift: Prior of other lenses to judge the same probes on, `OPTION=VALUE`, such as `theta_E=uniform(0.5, 2.2)`.
        options: Those of every evaluation on lenses.
    """

    files = (*RESULT_FILES, *FILES, "r2.png", "curves.png", "residuals.png")

    def __init__(
        self,
        *,
        lenses: Annotated[int, Ge(10), at_most(10**9)] = 1000,
        seeds: Annotated[int, Ge(1), at_most(1000)] = 3,
        mlp: bool = True,
        curves: bool = True,
        controls: bool = True,
        shift: list[str] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(lenses=lenses, **options)
        self.seeds, self.mlp, self.curves, self.controls, self.shift = seeds, mlp, curves, controls, shift or []
        if self.shift and self.data:
            raise UsageError("--shift draws lenses from a simulator, and --data are stored: leave one of them out")

    @property
    def pool(self) -> int:
        return self.lenses * self.seeds

    def __call__(self, runs: Sequence[Subject], inputs: Sequence[str] = ()) -> Findings:
        """Probes the runs, and writes what it found into each."""
        subjects = _told_apart(runs)
        main = next(iter(subjects))
        groups, lenses, shifted = self._groups(subjects)

        rows: list[Row] = []
        curves: list[Point] = []
        residuals: list[Binned] = []
        parameters: dict[str, Parameter] = {}
        given_away: list[str] = []
        for group in groups:
            first, split = next(iter(group.items()))
            targets, notes = targets_of(split, self.data or first)
            for note in notes:
                log.warning("%s", note)
            parameters |= {parameter.name: parameter for parameter in targets.parameters}
            bench = Bench(targets, split, self.lenses, self.seeds, self.seed)
            others = shifted if isinstance(subjects[first], Run) else {}
            for label, split in group.items():
                log.info("fitting probes to %s", label)
                for probe in PROBES if self.mlp else [p for p in PROBES if p != NETWORK]:
                    rows.append(bench.row(label, probe, split))
            rows.append(bench.row(_constant(group, subjects), NONE, split))
            if lenses is not None and self.controls and isinstance(subjects[first], Run):
                controls = self._control_rows(first, subjects[first], lenses, targets)
                rows += list(controls.values())
                given_away = _given_away(lenses, controls.get(SOURCE))
            rows += bench.elsewhere(group, others, _constant(group, subjects))
            if self.curves:
                for label, split in group.items():
                    curves += label_curve(label, split, targets, self.lenses, self.seeds, self.seed)
            if main in group:
                residuals = self._residuals(group[main], targets, bench)

        features = {label: split.test for group in groups for label, split in group.items()}
        statistics = {label: statistics_of_rows(test.features, test.lens) for label, test in features.items()}
        ranks = ", ".join(f"{label} {each.effective_rank:.1f} of {each.features}" for label, each in statistics.items())
        log.info("effective rank of %d lenses: %s", next(iter(statistics.values())).n, ranks)
        ordered = Split(features[main], features[main], list(parameters.values()))
        names = [*(p.name for p in ordered.continuous), *(p.name for p in ordered.classes)]
        findings = Findings(
            rows,
            [parameters[name] for name in names],
            curves,
            residuals,
            statistics,
            main,
            list(subjects),
            given_away,
        )
        first_run = next((each for each in subjects.values() if isinstance(each, Run)), None)
        splits = {label: next(group[label] for group in groups if label in group) for label in subjects}
        write_report(
            findings,
            [subject.folder("probe") for subject in subjects.values()],
            [self._fitted(subject, splits[label], first_run) for label, subject in subjects.items()],
            self.options(),
            subjects,
            self.lens_origin,
            judged=len(np.unique(features[main].lens)),
        )
        return findings

    def _groups(
        self, subjects: Mapping[str, Subject]
    ) -> tuple[list[dict[str, Split]], LensSplit | None, dict[str, dict[str, Rows]]]:
        """Features of what is judged on the same lenses: of all runs and what they are held against, and of each
        embeddings. Then the lenses of the runs, and features of lenses of other priors."""
        runs = {label: subject for label, subject in subjects.items() if isinstance(subject, Run)}
        recorded = {label: each.parameters for label, each in subjects.items() if isinstance(each, Embeddings)}
        groups: dict[str, dict[str, Split]] = {}
        lenses, shifted = None, {}
        self.check_options(runs)
        if runs:
            first, run = next(iter(runs.items()))
            others = self._shifted(run)
            lenses = self.judged_on(run)
            if not any(parameter.continuous or parameter.classes for parameter in lenses.parameters):
                raise LenskitError(f"{self.data or first} has no labels: there is nothing to probe")
            check_same_units({first: lenses.parameters, **recorded})
            encoders = encoders_of(runs)
            log.info("making images of lenses, and features of %s", ", ".join([*runs, RANDOM, PIXELS]))
            baselines: dict[str, Embedder] = {
                RANDOM: untrained(encoders[first], lenses.train, self.seed),
                PIXELS: Pixels(encoders[first]),
            }
            embedders = {**encoders, **baselines}
            group = lenses.embed(embedders)
            shifted = {shift: embed_rows(embedders, each.test) for shift, each in others.items()}
            self._find_components(group, shifted, encoders[first])
            groups[first] = group
        elif self.shift:
            raise UsageError("--shift draws lenses from a run's simulator, and embeddings have none")
        else:
            check_same_units(recorded)
            log.info("embeddings are held against a constant: all other baselines and controls need images")
        for label, subject in subjects.items():
            if isinstance(subject, Embeddings):
                groups[label] = {label: split_embeddings(subject, self.pool, self.test_lenses, self.seed)}
        # The first to be judged first, whatever it is.
        return [groups[label] for label in subjects if label in groups], lenses, shifted

    def _shifted(self, run: Run) -> dict[str, LensSplit]:
        """Return lenses of each other prior."""
        lenses: dict[str, LensSplit] = {}
        for shift in self.shift:
            simulator = simulator_of(run, self.simulator, [*self.set, shift])
            lenses[shift] = simulated_split(simulator, self.pool, self.test_lenses, self.seed)
        return lenses

    def _find_components(
        self, group: dict[str, Split], shifted: Mapping[str, dict[str, Rows]], encoder: Encoder
    ) -> None:
        """Puts principal components in the place of pixels, as many as the encoder has features."""
        pixels = group[PIXELS]
        components = find_components(pixels.train, encoder.features, self.seed)
        share = 100 * components.explained_variance_ratio_.sum()
        log.info("%s: %d principal components, with %.1f %% of the variance", PIXELS, components.n_components_, share)
        train, test = (in_components(rows, components) for rows in (pixels.train, pixels.test))
        group[PIXELS] = Split(train, test, pixels.parameters)
        for moved in shifted.values():
            moved[PIXELS] = in_components(moved[PIXELS], components)

    def _control_rows(self, label: str, subject: Subject, lenses: LensSplit, targets: Targets) -> dict[str, Row]:
        """One probe for each group that is left out: making images once more is most of what probing costs."""
        rows = {}
        if isinstance(lenses.train, SimulatedLenses):
            lenses = LensSplit(lenses.train.select(range(self.lenses)), lenses.test)
        encoder = encoders_of({label: subject})
        for group, words in CONTROLS.items():
            if group not in lenses.removable:
                log.warning("no control %r: %s cannot be left out of these images", words, group)
                continue
            log.info("control: %s", words)
            split = lenses.embed(encoder, [group])[label]
            rows[group] = Bench(targets, split, self.lenses, 1, self.seed).row(f"{label}, {words}", RIDGE, split)
        return rows

    def _residuals(self, split: Split, targets: Targets, bench: Bench) -> list[Binned]:
        """Errors of the first run's ridge regression in bins."""
        for name, why in covariates(split.test.values)[1].items():
            log.info("no errors against %s: %s", name, why)
        numbers = [parameter for parameter in targets.parameters if not parameter.classes]
        counted = [p for p in numbers if p.headline] or [p for p in numbers if p.group == "lens"][:4] or numbers[:4]
        predicted = targets.read(bench.predict(RIDGE, split, [split.test.features])[0])
        return binned(split.test, predicted, [parameter.name for parameter in counted])

    def _fitted(self, subject: Subject, split: Split, first: Run | None) -> Mapping[str, Content]:
        """The files of a probe that is fitted to all labelled lenses, those of the first run, for `lenskit predict`."""
        numbers = [p for p in split.continuous if np.isfinite(split.train.values[p.name]).sum() >= 2]
        lens = [parameter for parameter in numbers if parameter.group == "lens"] or numbers
        if lens and first and isinstance(subject, Run):
            where = self.data or f"simulator {self.simulator or first.config.name('simulator')}"
            about = {
                "data": " ".join([where, *self.set]),
                "lenses": len(np.unique(split.train.lens)),
                "seed": self.seed,
            }
            return FittedProbe.fit(split.train, split.test, lens, about).files()
        return {}


def _given_away(lenses: LensSplit, control: Row | None) -> list[str]:
    """Lines on headline parameters that images without a source tell; warns of those that nature does not explain.

    Args:
        lenses: What was judged on.
        control: The row of the control without a source, if there is one.
    """
    if control is None or not isinstance(lenses.test, SimulatedLenses):
        return []
    scores = {p.name: control.scores.get(p.name) for p in lenses.parameters if p.headline and p.continuous}
    readings = {
        name: Reading(score.r2.value, score.r2.low) for name, score in scores.items() if isinstance(score, Score)
    }
    lines = shortcuts(lenses.test.simulator, readings)
    for line, is_warning in lines:
        log.log(logging.WARNING if is_warning else logging.INFO, "%s", line)
    return [line for line, _ in lines]


def _constant(group: Mapping[str, Split], subjects: Mapping[str, Subject]) -> str:
    """What the row of the mean label is called: embeddings have one each."""
    first = next(iter(group))
    return f"{first}, {CONSTANT}" if isinstance(subjects[first], Embeddings) else CONSTANT


def _told_apart(runs: Sequence[Subject]) -> dict[str, Subject]:
    """Subjects by names that no baseline has; what was told the parameters says so."""
    named: dict[str, Subject] = {}
    for name, subject in labelled(runs, BASELINES).items():
        if isinstance(subject, Run):
            method = str(subject.config.sections.get("method", {}).get("name", ""))
            name += f", {SUPERVISED}" if method.partition("@")[0] == SUPERVISED else ""
        named[name] = subject
    return named
