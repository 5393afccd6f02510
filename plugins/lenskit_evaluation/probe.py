"""`lenskit probe`: how well parameters are read off frozen features."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Annotated

import numpy as np
import torch
from annotated_types import Ge
from numpy.typing import ArrayLike

from lenskit.plugin import Encoder, Evaluation, Parameter, Run, Simulator, effective_rank
from lenskit_evaluation.features import (
    Array,
    Features,
    columns,
    simulated_features,
    simulator_of,
    to_best_device,
    untrained,
)
from lenskit_evaluation.fitted import FittedProbe
from lenskit_evaluation.metrics import score
from lenskit_evaluation.probe_report import Row, write_report
from lenskit_evaluation.regression import fit_linear_probe, fit_neighbor_probe
from lenskit_evaluation.transfer import judge_on, open_target

log = logging.getLogger("lenskit")

RANDOM = "random"
"""Name of the encoder that was never trained."""

CONTROLS = {"source": "no source", "lens_light": "no lens light"}
"""What a control leaves out of the images, and how it is called."""


class Probe(Evaluation):
    """How well each parameter is read off frozen features of simulated lenses that were never trained on.

    A ridge regression and one on nearest neighbours are fitted to some lenses and judged on others: R2 of every
    recorded parameter, with bootstrap intervals. Beside the runs stand an encoder of the same kind that was never
    trained, a constant, and two controls: the first run's encoder, given the same scenes without their source, or
    without the lens's light. What is read off without a source is given away by the lens light, which follows the mass
    (e1, e2 and the centre); theta_E, gamma and the shear are the parameters that count, and come first.

    With --target-data the ridge regression is then applied to stored images with labels, such as real lenses.

    Args:
        lenses: Simulated lenses that the probes are fitted to.
        test_lenses: Simulated lenses that they are judged on.
        seed: Seed of these lenses, of the untrained encoder and of the bootstrap.
        controls: Whether to run the two controls.
        simulator: Simulator to judge on, instead of the first run's.
        set: Option of the simulator to change, `OPTION=VALUE`.
        target_data: Stored images with labels, `[READER:]PATH`, to apply the probe to.
    """

    def __init__(
        self,
        *,
        lenses: Annotated[int, Ge(50)] = 3000,
        test_lenses: Annotated[int, Ge(50)] = 1000,
        seed: int = 0,
        controls: bool = True,
        simulator: str | None = None,
        set: list[str] | None = None,
        target_data: str | None = None,
    ) -> None:
        self.lenses, self.test_lenses, self.seed, self.controls = lenses, test_lenses, seed, controls
        self.simulator, self.set, self.target_data = simulator, set or [], target_data

    def __call__(self, runs: Sequence[Run], inputs: Sequence[str] = ()) -> list[Row]:
        """Probes the runs, writes what it found into each, and returns the rows of the table."""
        named = _named(runs)
        encoders = {name: to_best_device(run.encoder()) for name, run in named.items()}
        main = next(iter(encoders))
        simulator = simulator_of(runs[0], self.simulator, self.set)
        parameters = [parameter for parameter in simulator.parameters if not parameter.classes]
        lens = [parameter for parameter in parameters if parameter.group == "lens"]
        target = open_target(self.target_data, encoders[main], lens) if self.target_data else None

        encoders[RANDOM] = untrained(encoders[main], simulator, self.seed)
        log.info("probing %s on %d + %d simulated lenses", ", ".join(encoders), self.lenses, self.test_lenses)
        train, test = self._features(encoders, simulator)
        rows = []
        for name in encoders:
            rows.append(self._row(name, "ridge", fit_linear_probe, name, train, test, parameters))
            rows.append(self._row(name, "kNN", fit_neighbor_probe, name, train, test, parameters))
        rows.append(self._constant(train, test, parameters))
        if self.controls:
            rows += self._control_rows(main, encoders[main], simulator, parameters)

        fitted = {name: FittedProbe.fit(name, train, test, lens) for name in encoders}
        for name, run in named.items():
            fitted[name].save(run.folder("probe"))
        folders = [run.folder("probe") for run in runs]
        ranks = {name: float(effective_rank(torch.from_numpy(test.features[name]))) for name in encoders}
        log.info(
            "effective rank of %d features: %s", self.test_lenses, ", ".join(f"{n} {r:.1f}" for n, r in ranks.items())
        )
        write_report(rows, parameters, folders, settings={"runs": list(named), **vars(self)}, effective_ranks=ranks)
        if target:
            judge_on(target, encoders, fitted, folders, seed=self.seed)
        return rows

    def _features(
        self, encoders: dict[str, Encoder], simulator: Simulator, without: Sequence[str] = ()
    ) -> tuple[Features, Features]:
        """Features of the lenses to fit to and of those to judge on."""
        train, test = (
            simulated_features(encoders, simulator, seed=self.seed, split=split, lenses=lenses, without=without)
            for split, lenses in {"probe-train": self.lenses, "probe-test": self.test_lenses}.items()
        )
        return train, test

    def _row(
        self,
        label: str,
        kind: str,
        fit: Callable,
        encoder: str,
        train: Features,
        test: Features,
        parameters: Sequence[Parameter],
    ) -> Row:
        """Fits one kind of probe to one encoder's features, and judges it."""
        names = [parameter.name for parameter in parameters]
        probe = fit(train.features[encoder], columns(train, names), names)
        return self._judge(label, kind, test, names, probe.predict(test.features[encoder]))

    def _constant(self, train: Features, test: Features, parameters: Sequence[Parameter]) -> Row:
        """What predicting the mean of the lenses fitted to would get."""
        names = [parameter.name for parameter in parameters]
        mean = columns(train, names).mean(0)
        return self._judge("constant", "-", test, names, np.tile(mean, (self.test_lenses, 1)))

    def _control_rows(
        self, name: str, encoder: Encoder, simulator: Simulator, parameters: Sequence[Parameter]
    ) -> list[Row]:
        rows = []
        for group, words in CONTROLS.items():
            if group not in simulator.removable:
                log.warning("no control %r: this simulator cannot leave out %s", words, group)
                continue
            train, test = self._features({name: encoder}, simulator, [group])
            rows.append(self._row(f"{name}, {words}", "ridge", fit_linear_probe, name, train, test, parameters))
        return rows

    def _judge(self, label: str, kind: str, test: Features, names: Sequence[str], prediction: ArrayLike) -> Row:
        predicted: Array = np.asarray(prediction, np.float64)
        scores = {
            name: score(test.parameters[name], predicted[:, column], seed=self.seed)
            for column, name in enumerate(names)
        }
        return Row(label, kind, scores)


def _named(runs: Sequence[Run]) -> dict[str, Run]:
    """Runs by their names, or by their paths where two have the same."""
    names = [run.name for run in runs]
    labels = [
        name if names.count(name) == 1 and name != RANDOM else str(run.path)
        for name, run in zip(names, runs, strict=True)
    ]
    return dict(zip(labels, runs, strict=True))
