"""`lenskit invariance`: was what the pair shares kept, and the rest forgotten?"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

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
"""Principal components of the pixels, at most."""

CONTROL = "source"
"""What the control leaves out."""

TITLE = (
    "Parameters kept and forgotten (95 % intervals); of each, R2 or kappa"
    " [part that lens light or other parameters give away]"
)


@dataclass(frozen=True)
class Finding:
    """What is to be said of one representation.

    Attributes:
        selectivity: What it kept, what is left of the rest, and the score.
        over_random: Its score minus that of the encoder that was never trained; None without one.
        statistics: Figures of the features.
    """

    selectivity: Selectivity
    over_random: Estimate | None
    statistics: Statistics


class Invariance(OnLenses):
    """How far a representation kept what the images of a pair share, and forgot the rest.

    A pair of LenSiam shares the lens; source, lens light, noise and PSF are drawn anew for either image. A
    representation that learned from such pairs should tell the one and not the other. Every recorded parameter is read
    off frozen features, by the best of a ridge regression, nearest neighbours and a small network, so that nothing
    hides behind a probe that is too simple.

    What lens light gives away of the lens is taken off: a control reads the same parameters off features of the same
    scenes without their source, and what it reads counts for nothing. What follows from the lens is not held against a
    representation: how well the rest is read off the true parameters of the lens is taken off, too. The score is the
    share of the one that was kept, less the share of the other that is left: 1 for the lens and nothing else, 0 for
    everything or nothing, -1 for all but the lens. Beside the runs stand an encoder that was never trained and the
    principal components of the pixels.

    What is kept are the groups that the first run's pairs share. Pairs of one image, cropped and jittered, share all
    there is: for these, and for embeddings, it is the groups of the headline parameters, as for lens-fixed pairs.

    Args:
        shared: Group that counts as what is to be kept, instead.
        baselines: Whether to judge the two baselines, too.
        options: As of every evaluation on lenses.
    """

    files = (*RESULT_FILES, "invariance.png")

    def __init__(self, *, shared: list[str] | None = None, baselines: bool = True, **options: Any) -> None:
        super().__init__(**options)
        self.shared, self.baselines = shared or [], baselines

    def __call__(self, subjects: Sequence[Subject], inputs: Sequence[str] = ()) -> dict[str, Finding]:
        """Judges the subjects, writes what it found into each, and returns it by their labels."""
        named = labelled(subjects, BASELINES)
        runs = {label: subject for label, subject in named.items() if isinstance(subject, Run)}
        self.check_options(runs)
        lenses = self.judged_on(next(iter(runs.values()))) if runs else None
        embeddings = {label: subject for label, subject in named.items() if isinstance(subject, Embeddings)}
        # Before anything is rendered or read.
        parameters = [lenses.parameters] if lenses else []
        groups = self._groups(runs, [*parameters, *(each.parameters for each in embeddings.values())])

        embedders = self._embedders(runs, lenses) if lenses else {}
        splits, control = self._of_runs(embedders, lenses, groups) if lenses else ({}, {})
        splits |= {k: split_embeddings(e, self.lenses, self.test_lenses, self.seed) for k, e in embeddings.items()}
        check_units(splits)
        selectivities: dict[str, Selectivity] = {}
        # The same for all that are judged on the same lenses.
        implied: dict[str, dict[str, Reading]] = {}
        pixels = [self._given(control[PIXELS], groups)] if control else []
        for label, split in splits.items():
            log.info("reading %d parameters off %s", sum(map(len, sides(split.parameters, groups))), label)
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
                # Of the first run's pairs.
                figures = statistics_of(next(iter(runs.values())), lenses=self.test_lenses, encoder=embedders[RANDOM])
            else:
                figures = statistics_of(named[label], lenses=self.test_lenses)
            findings[label] = Finding(outcome, over, figures)
        self._write(findings, named, splits, groups, bool(control))
        return findings

    def _groups(self, runs: Mapping[str, Run], known: Sequence[Sequence[Parameter]]) -> list[str]:
        """The groups that are to be kept.

        Raises:
            UsageError: if there are none, or nothing but these.
        """
        pairs = {label: run.config.build("pairs") for label, run in runs.items()}
        own = {label: each.shared_groups if each.draws > 1 else frozenset[str]() for label, each in pairs.items()}
        first = next(iter(own.values()), frozenset())
        groups = set(self.shared) or set(first) or {p.group for p in known[0] if p.headline}
        why = "as said" if self.shared else "what the first run's pairs share" if first else "those of what counts"
        for parameters in known:
            there = {p.group for p in parameters if not p.identity}
            if not groups or not groups & there or not there - groups:
                names = ", ".join(sorted(there)) or "none"
                raise UsageError(
                    f"some groups of parameters are to be kept and others forgotten, but the parameters are of {names} "
                    f"and to be kept is {', '.join(sorted(groups)) or 'none'}: say which with --shared"
                )
        rest = {p.group for p in known[0] if not p.identity} - groups
        log.info("to be kept: %s (%s); to be forgotten: %s", ", ".join(sorted(groups)), why, ", ".join(sorted(rest)))
        for label, shared in own.items():
            if shared != first and shared and not self.shared:
                log.warning("the pairs of %s share %s: it is judged by the same as the first", label, ", ".join(shared))
        return sorted(groups)

    def _embedders(self, runs: Mapping[str, Run], lenses: LensSplit) -> dict[str, Any]:
        """What is judged on the lenses: the runs' encoders and the baselines."""
        embedders: dict[str, Any] = {label: to_best_device(run.encoder()) for label, run in runs.items()}
        first = next(iter(embedders.values()))
        if self.baselines:
            embedders[RANDOM] = untrained(first, lenses.train, self.seed)
        return embedders | {PIXELS: Pixels(first)}  # a baseline, and the control of all

    def _of_runs(
        self, embedders: Mapping[str, Embedder], lenses: LensSplit, groups: Sequence[str]
    ) -> tuple[dict[str, Split], dict[str, Split]]:
        """Features of all, and those of the same scenes without their source where these can be had."""
        log.info("embedding with %s", ", ".join(embedders))
        splits = lenses.embed(embedders)
        control: dict[str, Split] = {}
        if CONTROL not in lenses.removable:
            log.warning("no control: from these images the source cannot be left out, so nothing is taken off for it")
        elif headline(lenses.parameters) & set(groups):
            control = lenses.embed(embedders, omit=[CONTROL])
        for embedded in (splits, control):
            if embedded:
                embedded[PIXELS] = _principal(embedded[PIXELS], self.seed)
        if not self.baselines:
            del splits[PIXELS]
        return splits, control

    def _implied(self, split: Split, groups: Sequence[str]) -> dict[str, Reading]:
        """What is read of the rest off the true values of what is to be kept."""
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
        """What is read of what is to be kept off the control.

        It says what is given away of the lens. What is read of the source or the instrument without the source is not
        given away, so of other groups than those of the headline parameters nothing is read."""
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
    """Pixels' principal components; of the last of as many as images nothing is left but rounding."""
    components = find_components(split.train, min(COMPONENTS, len(split.train) // 2), seed)
    return Split(in_components(split.train, components), in_components(split.test, components), split.parameters)


def _column(finding: Finding, shown: Sequence[str]) -> dict[str, str]:
    """A column of the table for people."""
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
    """Rows for programs, one a parameter."""
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
