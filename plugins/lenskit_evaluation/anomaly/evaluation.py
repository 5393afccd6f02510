"""`lenskit anomaly`: how well scores tell anomalies from what is normal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Annotated, ClassVar

from annotated_types import Ge

from lenskit.evaluation import (
    Embeddings,
    Run,
    Seed,
    asked,
    check_free,
    check_one_source,
    free_place,
    labelled,
    working_folder,
)
from lenskit.plugin import Evaluation, UsageError, at_most
from lenskit_evaluation.anomaly.embedded import judge_embeddings
from lenskit_evaluation.anomaly.metrics import Judged, judge
from lenskit_evaluation.anomaly.report import FILES, write
from lenskit_evaluation.anomaly.score_table import read_scores
from lenskit_evaluation.anomaly.scored import Options
from lenskit_evaluation.anomaly.scoring import judge_runs


class Anomaly(Evaluation):
    """How well scores tell anomalies from normal images: ROC curves with bootstrap intervals, by class and together.

    A run scores images by what its method reconstructs of them, or by how far they lie from lenses of its training in
    its features; raw scores are ranked as they are, higher is stranger. Embeddings (`lenskit embed`) are judged by the
    distance to the features of normal images. A table of anybody's scores is judged in the same way, without any run.

    Args:
        data: Stored images to judge on, `[READER:]PATH`, with a class label; without it, lenses of the first run's
            simulator.
        scores: A table of scores to judge in place of runs: CSV with a column `score`, or several `score_NAME`, and
            `label` (1 for an anomaly) or `class`.
        reference: Embeddings of images of the training, by the encoder of the embeddings that are judged, which their
            features are compared with; without it, half of the normal lenses of these.
        label: Class label to judge by; by default the one there is, in a table its column `label` or `class`.
        normal: Class that is no anomaly; by default that of the runs' training, or `none`.
        lenses: Lenses to judge on, at most.
        train_lenses: Lenses of the training, or of the reference, that baselines and distances to neighbours are fitted
            to, at most.
        neighbours: Which of the nearest lenses of the training a distance is to: k, of the k-th.
        baselines: Whether principal components, a one-class SVM, neighbours among pixels, and neighbours in the
            features of runs that have a score of their own stand beside the runs.
        batch_size: Images scored at a time.
        resamples: Bootstrap resamples that the intervals are from.
        seed: Seed of simulated lenses, of resamples, and of all else that is random.
        simulator: Simulator to judge on, instead of the first run's.
        set: Option of the simulator to change, `OPTION=VALUE`.
    """

    embeddings: ClassVar[bool] = True
    without_runs: ClassVar[bool] = True
    files: ClassVar[tuple[str, ...]] = FILES

    def __init__(
        self,
        *,
        data: str | None = None,
        scores: str | None = None,
        reference: str | None = None,
        label: str | None = None,
        normal: str | None = None,
        lenses: Annotated[int, Ge(10), at_most(10**9)] = 3000,
        train_lenses: Annotated[int, Ge(10), at_most(10**9)] = 2000,
        neighbours: Annotated[int, Ge(1), at_most(10**6)] = 5,
        baselines: bool = True,
        batch_size: Annotated[int, Ge(1), at_most(10**6)] = 100,
        resamples: Annotated[int, Ge(100), at_most(10**6)] = 1000,
        seed: Seed = 0,
        simulator: str | None = None,
        set: list[str] | None = None,
    ) -> None:
        check_one_source(data, simulator, set)
        if scores and (data or simulator or set):
            other = "--data" if data else "--simulator" if simulator else "--set"
            raise UsageError(f"--scores holds scores already, and {other} says what to score: give one of them")
        if scores and reference:
            raise UsageError("--reference is for embeddings, and --scores holds scores already: give one of them")
        self.data, self.scores, self.reference, self.label, self.normal = data, scores, reference, label, normal
        self.lenses, self.train_lenses, self.neighbours, self.baselines = lenses, train_lenses, neighbours, baselines
        self.batch_size, self.resamples, self.seed = batch_size, resamples, seed
        self.simulator, self.set = simulator, set or []

    @property
    def options(self) -> Options:
        """Options of what is scored, and how."""
        return Options(**{field.name: getattr(self, field.name) for field in fields(Options)})

    def __call__(self, runs: Sequence[Run | Embeddings], inputs: Sequence[str] = ()) -> Judged:
        """Judges runs, embeddings or a table, writes what it found into each run, or for a file into a folder
        `FILE-evaluations` of the working folder, and returns it."""
        if self.scores:
            return self._judge_table(runs, Path(self.scores))
        if not runs:
            raise UsageError("anomaly needs a run, embeddings, or --scores with a table of scores")
        trained = [run for run in runs if isinstance(run, Run)]
        embedded = [run for run in runs if isinstance(run, Embeddings)]
        if trained and embedded:
            raise UsageError(
                f"{trained[0].path} is a run and {embedded[0].path} holds embeddings: judge them apart, a command each"
            )
        if trained and self.reference:
            raise UsageError("--reference is for embeddings: a run is compared with the images that it was trained on")
        if trained:
            truth, scored, shown = judge_runs(trained, self.options)
        else:
            truth, scored = judge_embeddings(embedded, self.options)
            shown = None
        judged = judge(truth, scored, shown, resamples=self.resamples, seed=self.seed)
        names = list(labelled(runs))
        what = f"Anomalies of {self.data or self.simulator or ('simulated lenses' if trained else ', '.join(names))}"
        settings = {**vars(self), "label": truth.parameter, "normal": truth.normal}
        # What there was, which may be less than what was asked for.
        settings["train_lenses"] = max(each.training_lenses or 0 for each in scored.values())
        write([run.folder("anomaly") for run in runs], judged, what, settings, names)
        return judged

    def _judge_table(self, runs: Sequence[Run | Embeddings], path: Path) -> Judged:
        if runs:
            raise UsageError(f"--scores holds scores already: give {path} or runs")
        folder = asked().output or free_place(working_folder(path, "anomaly"))
        check_free(folder, self.files)
        truth, scored = read_scores(path, self.label, self.normal)
        judged = judge(truth, scored, resamples=self.resamples, seed=self.seed)
        settings = {name: getattr(self, name) for name in ("scores", "label", "normal", "resamples", "seed")}
        write([folder], judged, f"Anomalies by {path}", settings)
        return judged
