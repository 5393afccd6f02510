"""`lenskit invariance`: test which parameters features keep, and which not."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from lenskit.evaluation import (
    RESULT_FILES,
    Embedder,
    Embeddings,
    LensSplit,
    OnLenses,
    Run,
    Split,
    Subject,
    check_units,
    labelled,
    split_embeddings,
    to_best_device,
    write_results,
)
from lenskit.plugin import Parameter, UsageError
from lenskit_evaluation.baselines import BASELINES, PIXELS, RANDOM, Pixels, find_components, in_components, untrained
from lenskit_evaluation.bootstrap import Estimate
from lenskit_evaluation.invariance.plot import invariance_bars
from lenskit_evaluation.invariance.reading import Reading, read_off
from lenskit_evaluation.invariance.selectivity import Item, Selectivity, difference, selectivity
from lenskit_evaluation.invariance.sides import headline, sides, truths
from lenskit_evaluation.statistics import Statistics, statistics_of, statistics_of_rows

log = logging.getLogger("lenskit")

COMPONENTS = 256
"""Maximum number of principal components of the pixels."""

CONTROL = "source"
"""Group of the scene that the control omits."""

TITLE = (
    "Parameters kept and forgotten (95 % intervals); R2 or kappa of each"
    " [part that lens light or other parameters give away]"
)


@dataclass(frozen=True)
class Finding:
    """Results of one representation.

    Attributes:
        selectivity: Scores of kept and forgotten parameters.
        over_random: Score minus the score of the untrained encoder; None without this baseline.
        statistics: Statistics of the features.
    """

    selectivity: Selectivity
    over_random: Estimate | None
    statistics: Statistics


class Invariance(OnLenses):
    """Score whether features keep the shared parameters of a pair and forget the rest.

    The images of a LenSiam pair share the lens; source, lens light, noise and PSF are random for each image. Features
    learned from such pairs should predict the parameters of the lens and nothing else. Every recorded parameter is
    predicted from frozen features by a ridge regression, a nearest-neighbour regression and a small network, and the
    best is used. This also finds information that a linear probe misses.

    The score is kept - left. "Kept" is the predicted share of the shared parameters, "left" is the predicted share of
    the remaining parameters. The score is 1 for features of the lens alone, 0 for features of everything or nothing,
    and -1 for features of everything except the lens. There are two corrections. First, the lens light reveals a part
    of the lens parameters ("given away"): a control predicts the lens parameters from the same scenes without the
    source, and this part does not count as kept. Second, the lens determines a part of the remaining parameters
    ("implied"): the part that is predicted from the true lens parameters does not count as left. The baselines are an
    untrained encoder and the principal components of the pixels.

    The parameters to keep are the groups that the first run's pairs share. If the pairs are two crops of one image,
    they share all parameters. For such pairs, and for embeddings, the groups of the headline parameters are used, as
    for lens-fixed pairs.

    Args:
        shared: Group of parameters to keep, instead of the groups that pairs share; may be repeated.
        baselines: Whether to also evaluate the two baselines.
        options: Options of every evaluation on lenses.
    """

    files = (*RESULT_FILES, "invariance.png")

    data_option: ClassVar[str | None] = None

    def __init__(self, *, shared: list[str] | None = None, baselines: bool = True, **options: Any) -> None:
        super().__init__(**options)
        self.shared, self.baselines = shared or [], baselines

    def __call__(self, subjects: Sequence[Subject], inputs: Sequence[str] = ()) -> dict[str, Finding]:
        """Evaluate runs and embeddings, write the results, and return them by label."""
        named = labelled(subjects, BASELINES)
        runs = {label: subject for label, subject in named.items() if isinstance(subject, Run)}
        self.check_options(runs)
        lenses = self.judged_on(next(iter(runs.values()))) if runs else None
        embeddings = {label: subject for label, subject in named.items() if isinstance(subject, Embeddings)}
        # The groups are checked before images are simulated or read.
        parameters = [lenses.parameters] if lenses else []
        groups = self._groups(runs, [*parameters, *(each.parameters for each in embeddings.values())])

        embedders = self._embedders(runs, lenses) if lenses else {}
        splits, control = self._of_runs(embedders, lenses, groups) if lenses else ({}, {})
        splits |= {k: split_embeddings(e, self.lenses, self.test_lenses, self.seed) for k, e in embeddings.items()}
        check_units(splits)
        selectivities: dict[str, Selectivity] = {}
        # All runs and baselines have the same lenses and share the results under "".
        implied: dict[str, dict[str, Reading]] = {}
        pixels = [self._given(control[PIXELS], groups)] if control else []
        for label, split in splits.items():
            log.info("predicting %d parameters from %s", sum(map(len, sides(split.parameters, groups))), label)
            whose = label if label in embeddings else ""
            if whose not in implied:
                implied[whose] = self._implied(split, groups)
            own = [self._given(control[label], groups)] if label in control and label != PIXELS else []
            given = [] if label in embeddings else pixels + own
            selectivities[label] = self._judge(split, given, implied[whose], groups)
        random = selectivities.get(RANDOM)
        findings = {}
        for label, outcome in selectivities.items():
            over = difference(outcome, random) if random and label in runs else None
            if label == PIXELS:
                figures = statistics_of_rows(splits[label].test.features, splits[label].test.lens)
            elif label == RANDOM:
                # The statistics of pairs need a run: the first one.
                figures = statistics_of(next(iter(runs.values())), lenses=self.test_lenses, encoder=embedders[RANDOM])
            else:
                figures = statistics_of(named[label], lenses=self.test_lenses)
            findings[label] = Finding(outcome, over, figures)
        self._write(findings, named, splits, groups, bool(control))
        return findings

    def _groups(self, runs: Mapping[str, Run], known: Sequence[Sequence[Parameter]]) -> list[str]:
        """Return the groups of parameters to keep.

        Args:
            runs: Runs by label.
            known: Recorded parameters of the lenses of the runs and of each file of embeddings.

        Raises:
            UsageError: No recorded parameter is in these groups, or all parameters are.
        """
        pairs = {label: run.config.build("pairs") for label, run in runs.items()}
        own = {label: each.shared_groups if each.draws > 1 else frozenset[str]() for label, each in pairs.items()}
        first = next(iter(own.values()), frozenset())
        groups = set(self.shared) or set(first) or {p.group for p in known[0] if p.headline}
        why = "--shared" if self.shared else "shared by the first run's pairs" if first else "headline parameters"
        for parameters in known:
            there = {p.group for p in parameters if not p.identity}
            if not groups or not groups & there or not there - groups:
                names = ", ".join(sorted(there)) or "none"
                raise UsageError(
                    "parameters to keep and parameters to forget are both needed, but the groups of parameters are "
                    f"{names} and the groups to keep are {', '.join(sorted(groups)) or 'none'}: pass --shared GROUP"
                )
        rest = {p.group for p in known[0] if not p.identity} - groups
        log.info("to keep: %s (%s); to forget: %s", ", ".join(sorted(groups)), why, ", ".join(sorted(rest)))
        for label, shared in own.items():
            if shared != first and shared and not self.shared:
                log.warning(
                    "the pairs of %s share %s, but it is evaluated with the groups of the first run",
                    label, ", ".join(shared),
                )  # fmt: skip
        return sorted(groups)

    def _embedders(self, runs: Mapping[str, Run], lenses: LensSplit) -> dict[str, Any]:
        """Return the runs' encoders and the baselines by label."""
        embedders: dict[str, Any] = {label: to_best_device(run.encoder()) for label, run in runs.items()}
        first = next(iter(embedders.values()))
        if self.baselines:
            embedders[RANDOM] = untrained(first, lenses.train, self.seed)
        return embedders | {PIXELS: Pixels(first)}  # also without baselines: all encoders need the pixels as a control

    def _of_runs(
        self, embedders: Mapping[str, Embedder], lenses: LensSplit, groups: Sequence[str]
    ) -> tuple[dict[str, Split], dict[str, Split]]:
        """Return the features of the scenes, and of the same scenes without the source.

        The features without the source are empty if the images cannot omit the source, or if the parameters to keep
        include no headline parameter.
        """
        log.info("embedding with %s", ", ".join(embedders))
        splits = lenses.embed(embedders)
        control: dict[str, Split] = {}
        if CONTROL not in lenses.removable:
            log.warning("no control: these images cannot omit the source; the lens light's part counts as kept")
        elif headline(lenses.parameters) & set(groups):
            control = lenses.embed(embedders, omit=[CONTROL])
        for embedded in (splits, control):
            if embedded:
                embedded[PIXELS] = _principal(embedded[PIXELS], self.seed)
        if not self.baselines:
            del splits[PIXELS]
        return splits, control

    def _implied(self, split: Split, groups: Sequence[str]) -> dict[str, Reading]:
        """Predict the parameters to forget from the true values of the parameters to keep."""
        kept, rest = sides(split.parameters, groups)
        train, test = truths(split.train, split.test, kept)
        return read_off(train, test, rest, self.seed) if len(train) and len(test) else {}

    def _judge(
        self,
        split: Split,
        controls: Sequence[Mapping[str, Reading]],
        implied: Mapping[str, Reading],
        groups: Sequence[str],
    ) -> Selectivity:
        kept, rest = (read_off(split.train, split.test, side, self.seed) for side in sides(split.parameters, groups))
        return selectivity(kept, rest, controls=controls, implied=implied, lens=split.test.lens, seed=self.seed)

    def _given(self, split: Split, groups: Sequence[str]) -> dict[str, Reading]:
        """Predict the parameters to keep from images of the control.

        Only the groups of the headline parameters are predicted, because the lens light reveals parameters of the lens,
        but not of the source or the instrument.
        """
        kept, _ = sides(split.parameters, groups)
        given = [p for p in kept if p.group in headline(split.parameters)]
        return read_off(split.train, split.test, given, self.seed)

    def _write(
        self,
        findings: Mapping[str, Finding],
        named: Mapping[str, Subject],
        splits: Mapping[str, Split],
        groups: Sequence[str],
        controlled: bool,
    ) -> None:
        parameters = {p.name: p for split in splits.values() for p in split.parameters}
        shown = [*dict.fromkeys(name for finding in findings.values() for name in finding.selectivity.items)]
        first = next(iter(splits.values()))
        cells = {label: _column(finding, shown) for label, finding in findings.items()}
        rows = [
            {"figure": figure} | {label: column[figure] for label, column in cells.items()}
            for figure in next(iter(cells.values()))
        ]
        write_results(
            [subject.folder("invariance") for subject in named.values()],
            title=TITLE,
            settings=self.options()
            | {"kept": list(groups), "control": f"no {CONTROL}" if controlled else None}
            | {"fitted_to": len(first.train), "judged_on": len(first.test)},
            subjects=named,
            origin=self.lens_origin,
            results={"encoders": {label: _plain(finding) for label, finding in findings.items()}},
            table=rows,
            long=[line for label, finding in findings.items() for line in _long(label, finding, parameters)],
            summary={
                label: {
                    "invariance score": finding.selectivity.score.value,
                    "kept": finding.selectivity.kept.value,
                    "left": finding.selectivity.left.value,
                    "effective rank": finding.statistics.effective_rank,
                }
                for label, finding in findings.items()
            },
            pictures={
                "invariance": invariance_bars(
                    {label: finding.selectivity for label, finding in findings.items()},
                    {name: parameters[name].label for name in shown},
                    ", ".join(groups),
                )
            },
        )


def _principal(split: Split, seed: int) -> Split:
    """Return the principal components of pixels."""
    # At most one component for two images, because the last components would be rounding errors.
    components = find_components(split.train, min(COMPONENTS, len(split.train) // 2), seed)
    return Split(in_components(split.train, components), in_components(split.test, components), split.parameters)


def _column(finding: Finding, shown: Sequence[str]) -> dict[str, str]:
    """Return a column of the printed table."""
    chosen = finding.selectivity
    over = {"over random": "-" if finding.over_random is None else str(finding.over_random)}
    figures = {"score": str(chosen.score), **over, "kept": str(chosen.kept), "left": str(chosen.left)}
    return figures | dict(finding.statistics.row()) | {name: _cell(chosen.items.get(name)) for name in shown}


def _cell(item: Item | None) -> str:
    if item is None:
        return "-"
    given = "" if item.given != item.given else f" [{max(item.given, 0):.2f}]"
    return f"{item.skill.value:.2f}{given}"


def _plain(finding: Finding) -> dict[str, Any]:
    chosen = finding.selectivity
    return {
        "score": asdict(chosen.score),
        "over_random": finding.over_random and asdict(finding.over_random),
        "kept": asdict(chosen.kept),
        "left": asdict(chosen.left),
        "parameters": {name: asdict(item) for name, item in chosen.items.items()},
        "statistics": asdict(finding.statistics),
    }


def _long(label: str, finding: Finding, known: Mapping[str, Parameter]) -> list[dict[str, Any]]:
    """Return machine-readable rows, one for each parameter."""
    return [
        {
            "encoder": label,
            "parameter": name,
            "group": known[name].group,
            "side": "kept" if item.kept else "rest",
            "figure": "kappa" if known[name].classes else "R2",
            "skill": item.skill.value,
            "skill_low": item.skill.low,
            "skill_high": item.skill.high,
            "given": item.given,
            "probe": item.probe,
        }
        for name, item in finding.selectivity.items.items()
    ]
