"""`lenskit probe`: predict parameters from frozen features."""

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
"""Name of the training method that uses the true parameters."""


class Probe(OnLenses):
    """R2 of parameters that are predicted from frozen features of held-out lenses.

    A ridge regression, a nearest-neighbour regression and a small network are fitted to labelled lenses and tested on
    held-out lenses. The table has R2 and the mean absolute error of every recorded parameter (for a class label, the
    balanced accuracy) with bootstrap intervals. Each probe is fitted several times, to different labelled lenses and
    with different initial weights of the network. The table shows the mean and the standard deviation of these fits.

    The baselines are an untrained encoder with the same architecture, the principal components of the pixels, and a
    constant. There are two controls: the first run's encoder gets the same scenes without the source, or without the
    lens light. If a parameter can be predicted without the source, the lens light reveals it, because the lens light
    follows the mass. This is expected for e1, e2 and the centre. If a headline parameter (theta_E, gamma, the shear)
    can be predicted without the source, the simulator has a shortcut, and a warning is logged. Headline parameters are
    first in the table. A supervised run shows an upper limit.

    Additional rows are for nearly round lenses (|e| < 0.3) and for lenses with a shifted prior (--shift). Plots show
    R2, R2 with fewer labels, and errors against the arc's signal-to-noise ratio, |e| and magnification.

    Args:
        lenses: Number of labelled lenses for each fit of a probe. If there are too few stored lenses or embeddings for
            separate fits, each fit uses at most 80 % of the lenses that are not test lenses.
        seeds: Number of fits of each probe, with different labelled lenses and different initial weights.
        mlp: Whether to fit the small network.
        curves: Whether to also fit the ridge regression with fewer labels.
        controls: Whether to run the two controls.
        shift: Shifted prior of additional test lenses, `OPTION=VALUE`, such as `theta_E=uniform(0.5, 2.2)`.
        options: Options of every evaluation on lenses.
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
            raise UsageError(
                "--shift needs lenses of a simulator, but --data has stored images: omit --shift or --data"
            )

    @property
    def pool(self) -> int:
        return self.lenses * self.seeds

    def __call__(self, runs: Sequence[Subject], inputs: Sequence[str] = ()) -> Findings:
        """Probe the runs or embeddings, write the results, and return them."""
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
                given_away = shortcut_lines(lenses, controls.get(SOURCE))
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
        """Return the features of all subjects, in groups with the same lenses.

        All runs and their baselines are one group. Each file of embeddings is a separate group.

        Returns:
            Splits by label for each group, the lenses of the runs, and test features by shifted prior and label.
        """
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
            log.info("computing images of lenses and features of %s", ", ".join([*runs, RANDOM, PIXELS]))
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
            raise UsageError("--shift needs the simulator of a run, and embeddings have no simulator: omit --shift")
        else:
            check_same_units(recorded)
            log.info("the only baseline of embeddings is a constant: all other baselines and controls need images")
        for label, subject in subjects.items():
            if isinstance(subject, Embeddings):
                groups[label] = {label: split_embeddings(subject, self.pool, self.test_lenses, self.seed)}
        # In the order of the subjects, which may mix runs and embeddings.
        return [groups[label] for label in subjects if label in groups], lenses, shifted

    def _shifted(self, run: Run) -> dict[str, LensSplit]:
        """Return simulated lenses by shifted prior."""
        lenses: dict[str, LensSplit] = {}
        for shift in self.shift:
            simulator = simulator_of(run, self.simulator, [*self.set, shift])
            lenses[shift] = simulated_split(simulator, self.pool, self.test_lenses, self.seed)
        return lenses

    def _find_components(
        self, group: dict[str, Split], shifted: Mapping[str, dict[str, Rows]], encoder: Encoder
    ) -> None:
        """Replace the pixels by principal components.

        There are at most as many components as features of the encoder.
        """
        pixels = group[PIXELS]
        components = find_components(pixels.train, encoder.features, self.seed)
        share = 100 * components.explained_variance_ratio_.sum()
        log.info("%s: %d principal components, with %.1f %% of the variance", PIXELS, components.n_components_, share)
        train, test = (in_components(rows, components) for rows in (pixels.train, pixels.test))
        group[PIXELS] = Split(train, test, pixels.parameters)
        for moved in shifted.values():
            moved[PIXELS] = in_components(moved[PIXELS], components)

    def _control_rows(self, label: str, subject: Subject, lenses: LensSplit, targets: Targets) -> dict[str, Row]:
        """Return a row for each control, with a single fit of the ridge regression."""
        # A single fit is enough: most of the time of a control is spent on simulating the images again.
        rows = {}
        if isinstance(lenses.train, SimulatedLenses):
            lenses = LensSplit(lenses.train.select(range(self.lenses)), lenses.test)
        encoder = encoders_of({label: subject})
        for group, words in CONTROLS.items():
            if group not in lenses.removable:
                log.warning("no control %r: the simulator or data cannot omit %s", words, group)
                continue
            log.info("control: %s", words)
            split = lenses.embed(encoder, [group])[label]
            rows[group] = Bench(targets, split, self.lenses, 1, self.seed).row(f"{label}, {words}", RIDGE, split)
        return rows

    def _residuals(self, split: Split, targets: Targets, bench: Bench) -> list[Binned]:
        """Return the errors of the first run's ridge regression in bins."""
        for name, why in covariates(split.test.values)[1].items():
            log.info("no plot of errors against %s: %s", name, why)
        numbers = [parameter for parameter in targets.parameters if not parameter.classes]
        counted = [p for p in numbers if p.headline] or [p for p in numbers if p.group == "lens"][:4] or numbers[:4]
        predicted = targets.read(bench.predict(RIDGE, split, [split.test.features])[0])
        return binned(split.test, predicted, [parameter.name for parameter in counted])

    def _fitted(self, subject: Subject, split: Split, first: Run | None) -> Mapping[str, Content]:
        """Return the files of a run's probe for `lenskit predict`.

        The probe is fitted to all labelled lenses. Embeddings have no such files.
        """
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


def shortcut_lines(lenses: LensSplit, control: Row | None) -> list[str]:
    """Return and log a message for each headline parameter predicted without a source.

    The message is a warning unless the simulator states that the correlation exists in nature.

    Args:
        lenses: The lenses; there are no messages for stored images.
        control: Row of the control without a source; None without this control.
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
    """Return the label of a group's constant; each embeddings file has its own."""
    first = next(iter(group))
    return f"{first}, {CONSTANT}" if isinstance(subjects[first], Embeddings) else CONSTANT


def _told_apart(runs: Sequence[Subject]) -> dict[str, Subject]:
    """Return the subjects by label; labels of supervised runs end in `supervised`."""
    named: dict[str, Subject] = {}
    for name, subject in labelled(runs, BASELINES).items():
        if isinstance(subject, Run):
            method = str(subject.config.sections.get("method", {}).get("name", ""))
            name += f", {SUPERVISED}" if method.partition("@")[0] == SUPERVISED else ""
        named[name] = subject
    return named
