"""`lenskit anomaly`: ROC curves of anomaly scores with confidence intervals."""

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
    """ROC curves of anomaly scores with confidence intervals.

    There is a curve for each class of anomalies and one for all anomalies together.

    The method of a run scores the images, for example by the reconstruction error. If the method has no score, the
    score of an image is the distance of its features from the features of training lenses. A higher score means a
    stranger image; scores are ranked without rescaling. Embeddings (`lenskit embed`) are scored by the distance from
    the features of normal images. A table of scores from any program is evaluated in the same way, without a run.

    Args:
        data: Stored images to score, `[READER:]PATH`, with a class label; by default, lenses of the first run's
            simulator.
        scores: Table of scores to evaluate instead of runs: CSV with a column `score`, or several columns
            `score_NAME`, and a column `label` (1 for an anomaly) or `class`.
        reference: Embeddings of training images by the same encoder as the scored embeddings. The score is the
            distance from the reference. By default, half of the normal lenses of the scored embeddings are the
            reference; they are not scored.
        label: Class label that separates anomalies from normal images; by default the only class label or, in a
            table, the column `label` or `class`.
        normal: Class that is not an anomaly; by default the class that the first run was trained on, or `none`.
        lenses: Maximum number of lenses to score.
        train_lenses: Maximum number of training or reference lenses to which baselines and nearest neighbours are
            fitted.
        neighbours: k of the score "distance to the k-th nearest training lens".
        baselines: Whether to add baselines: the residual of principal components, a one-class SVM, nearest neighbours
            in pixels, and nearest neighbours in the features of each run whose method has its own score.
        batch_size: Images scored at a time.
        resamples: Number of bootstrap resamples for the confidence intervals.
        seed: Random seed of simulated lenses, resamples and detectors.
        simulator: Simulator that makes the lenses to score, instead of the first run's.
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
            raise UsageError(f"--scores is a table of scores, and {other} chooses images to score: pass only one")
        if scores and reference:
            raise UsageError("--reference is for embeddings, and --scores is a table of scores: pass only one")
        self.data, self.scores, self.reference, self.label, self.normal = data, scores, reference, label, normal
        self.lenses, self.train_lenses, self.neighbours, self.baselines = lenses, train_lenses, neighbours, baselines
        self.batch_size, self.resamples, self.seed = batch_size, resamples, seed
        self.simulator, self.set = simulator, set or []

    @property
    def options(self) -> Options:
        """Options that choose the images, the class label and the detectors."""
        return Options(**{field.name: getattr(self, field.name) for field in fields(Options)})

    def __call__(self, runs: Sequence[Run | Embeddings], inputs: Sequence[str] = ()) -> Judged:
        """Evaluate runs, embeddings or a table, write the results and return them.

        Results of a run are written into the run. Results of a file are written into a folder `FILE-evaluations` of the
        working directory.
        """
        if self.scores:
            return self._judge_table(runs, Path(self.scores))
        if not runs:
            raise UsageError("anomaly needs a run, embeddings, or --scores with a table of scores")
        trained = [run for run in runs if isinstance(run, Run)]
        embedded = [run for run in runs if isinstance(run, Embeddings)]
        if trained and embedded:
            raise UsageError(
                f"{trained[0].path} is a run and {embedded[0].path} holds embeddings: evaluate them with one command "
                "each"
            )
        if trained and self.reference:
            raise UsageError("--reference is for embeddings: a run is compared with its own training images")
        if trained:
            truth, scored, shown = judge_runs(trained, self.options)
        else:
            truth, scored = judge_embeddings(embedded, self.options)
            shown = None
        judged = judge(truth, scored, shown, resamples=self.resamples, seed=self.seed)
        names = list(labelled(runs))
        what = f"Anomalies of {self.data or self.simulator or ('simulated lenses' if trained else ', '.join(names))}"
        settings = {**vars(self), "label": truth.parameter, "normal": truth.normal}
        # The number actually used, which may be less than the option.
        settings["train_lenses"] = max(each.training_lenses or 0 for each in scored.values())
        write([run.folder("anomaly") for run in runs], judged, what, settings, names)
        return judged

    def _judge_table(self, runs: Sequence[Run | Embeddings], path: Path) -> Judged:
        if runs:
            raise UsageError(f"--scores is a table of scores and needs no run: pass --scores {path} or runs, not both")
        folder = asked().output or free_place(working_folder(path, "anomaly"))
        check_free(folder, self.files)
        truth, scored = read_scores(path, self.label, self.normal)
        judged = judge(truth, scored, resamples=self.resamples, seed=self.seed)
        settings = {name: getattr(self, name) for name in ("scores", "label", "normal", "resamples", "seed")}
        write([folder], judged, f"Anomalies by {path}", settings)
        return judged
