"""`lenskit finetune`: train encoders on labelled images, and test them."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from annotated_types import Ge, Gt, Lt
from torch import Tensor

from lenskit.evaluation import (
    Array,
    OnLenses,
    Run,
    Seed,
    asked,
    check_free,
    free_place,
    labelled,
    simulated_origin,
    simulated_split,
    simulator_of,
    stored_origin,
    to_best_device,
    without_folders,
)
from lenskit.plugin import Dataset, LenskitError, Parameter, Simulator, UsageError, at_most
from lenskit_evaluation.baselines import BASELINES, CONSTANT
from lenskit_evaluation.classification import ClassScore, score_classes
from lenskit_evaluation.finetune.checks import check_images, folder_name
from lenskit_evaluation.finetune.data import (
    Labelled,
    check_labels,
    choose_targets,
    gather,
    known_split,
    oriented_labels,
)
from lenskit_evaluation.finetune.model import MODEL, FineTuned, Predicted
from lenskit_evaluation.finetune.report import FILES, Findings, Trained, write_report
from lenskit_evaluation.finetune.starts import Starts
from lenskit_evaluation.finetune.training import Freeze, Recipe, fit
from lenskit_evaluation.intervals import Intervals
from lenskit_evaluation.metrics import Score, score
from lenskit_evaluation.outliers import fit_outlier_detector

log = logging.getLogger("lenskit")

FEWEST = 5
"""Minimum number of labelled lenses."""


class Finetune(OnLenses):
    """Fine-tune encoders on a few labelled images, and test them on held-out images.

    All runs are trained and tested on the same lenses with the same seeds. The baselines are a random start with the
    same architecture, a constant and, with --imagenet, a network that was pre-trained on photographs. R2 is defined as
    in scikit-learn, over all test lenses, in eval mode. It depends on the spread of the labels, so compare RMSE as
    well.

    A linear layer on the features predicts the targets. The loss of a continuous target is the mean squared error in
    units of the standard deviation. The loss of a class label is the cross-entropy. The settings of the fine-tuning in
    the LenSiam paper were never released. By default, all starts use these settings: AdamW with weight decay 0.05,
    learning rates of 1e-3 for the head and 1e-4 for the backbone, a cosine schedule that ends at zero, batches of 32
    images and at most 60 epochs. A fifth of the labelled lenses is the validation set for early stopping. The weights
    of the epoch with the lowest validation loss are kept.

    The model of the first seed is saved for each run in a folder of RUN/evaluations/finetune. `lenskit predict RUN
    IMAGES --model NAME` uses this model.

    Args:
        data: Stored images with labels, `[READER:]PATH`, cropped to the size that the encoder takes; by default,
            the lenses of the first run's training, stored or simulated.
        target: Name of the parameter or class label to predict; may be repeated. By default theta_E, or else the
            headline parameters.
        labels: Number of labelled lenses for training and validation together.
        seed: Random seed of the lenses, splits, training and bootstrap.
        seeds: Number of trainings of each start, with seeds SEED, SEED + 1, ... Each training uses different labelled
            lenses. If there are too few, each training uses a different random part of all labelled lenses.
        freeze: Part of the network that is trained. `frozen`: only the head; the backbone is frozen, with batch norm in
            eval mode. `partial`: the head and the last stages of the backbone, with at least a quarter of the weights
            (layer4 of a ResNet, the last third of a ViT). `full`: the head and the entire backbone.
        validation: Share of the labelled lenses in the validation set for early stopping.
        augment: Whether training images are rotated by quarter turns and mirrored at random, with their labels.
        epochs: Maximum number of epochs.
        patience: Training ends after this number of epochs without a lower validation loss.
        batch_size: Images per batch.
        lr: Learning rate of the head.
        backbone_lr: Learning rate of the backbone.
        random: Whether to also train the first run's architecture from random weights.
        imagenet: Whether to also train the first run's architecture from ImageNet weights.
        imagenet_weights: File of ImageNet weights, for machines without a network.
        name: Name of the folder of the results. By default, the name consists of targets, data, frozen part and number
            of labels. With --output, there is no such folder.
    """

    embeddings: ClassVar[bool] = False
    files: ClassVar[tuple[str, ...]] = FILES

    def __init__(
        self,
        *,
        data: str | None = None,
        target: list[str] | None = None,
        labels: Annotated[int, Ge(FEWEST), at_most(10**9)] = 1000,
        test_lenses: Annotated[int, Ge(10), at_most(10**9)] = 1000,
        seed: Seed = 0,
        seeds: Annotated[int, Ge(1), at_most(1000)] = 1,
        freeze: Freeze = "full",
        validation: Annotated[float, Gt(0), Lt(1)] = 0.2,
        augment: bool = True,
        epochs: Annotated[int, Ge(1), at_most(10**6)] = Recipe.epochs,
        patience: Annotated[int, Ge(1), at_most(10**6)] = Recipe.patience,
        batch_size: Annotated[int, Ge(2), at_most(10**6)] = Recipe.batch_size,
        lr: Annotated[float, Gt(0), at_most(1e3)] = Recipe.lr,
        backbone_lr: Annotated[float, Gt(0), at_most(1e3)] = Recipe.backbone_lr,
        random: bool = True,
        imagenet: bool = False,
        imagenet_weights: str | None = None,
        simulator: str | None = None,
        set: list[str] | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(
            data=data, lenses=labels * seeds, test_lenses=test_lenses, seed=seed, simulator=simulator, set=set
        )
        if name is not None and not re.fullmatch(r"\w[\w.+-]*", name):
            raise UsageError(f"--name takes the name of a folder without a path, got {name!r}")
        self.target, self.labels, self.seeds, self.validation = target or [], labels, seeds, validation
        self.random, self.imagenet, self.imagenet_weights, self.name = random, imagenet, imagenet_weights, name
        self.recipe = Recipe(freeze, epochs, patience, batch_size, lr, backbone_lr, augment=augment)

    def __call__(self, runs: Sequence[Run], inputs: Sequence[str] = ()) -> Findings:
        """Fine-tune the runs, write models and results, and return the results."""
        with torch.random.fork_rng(range(torch.cuda.device_count())):
            return self._finetune(runs)

    def _finetune(self, runs: Sequence[Run]) -> Findings:
        named = labelled(runs, BASELINES)
        encoders = {label: run.encoder() for label, run in named.items()}
        origin, where = self.origin(runs[0])
        parameters = list(origin.parameters)
        targets = choose_targets(self.target, parameters, where)
        check_images(origin, encoders, where, self.recipe.augment)
        title = self.name or ("" if asked().output else folder_name(targets, where, self.recipe.freeze, self.labels))
        folders = {label: run.place("finetune") / title for label, run in named.items()}
        if not (self.name or asked().output):
            folders = {label: free_place(folder) for label, folder in folders.items()}
        for folder in folders.values():
            check_free(folder, [*FILES, *(f"{target.name}.png" for target in targets)])

        starts = Starts(encoders, random=self.random, imagenet=self.imagenet, weights=self.imagenet_weights)
        pool, test = self._lenses(origin, targets, where)
        parts = self.parts(len(pool))
        for train, _ in parts:
            check_labels(pool.labels(targets)[train], targets, where)
        turned = oriented_labels(pool.values, parameters, targets, self.recipe.augment)
        log.info(
            "fine-tuning (%s) %s on %d labelled lenses of %s, %d of them for validation; testing on %d",
            self.recipe.freeze, ", ".join(starts.labels), self.labels, where, len(parts[0][1]), len(test),
        )  # fmt: skip

        trained: list[Trained] = []
        models: dict[str, FineTuned] = {}
        for number, (train, validation) in enumerate(parts):
            seed = self.seed + number
            trained.append(self._constant(pool.labels(targets)[train], targets, test, seed))
            for label in starts.labels:
                model = to_device(FineTuned(starts.encoder(label, seed, pool.images[train]), targets))
                each, predicted = self._train(label, model, pool, turned, train, validation, test, seed)
                trained.append(each)
                if number == 0 and label in named:
                    about = self._about(where, named[label], pool, train, validation, test, each)
                    models[label] = _complete(model, about, pool.images[train], test, predicted)
                    model.encoder.card |= {"pixel_scale": origin.pixel_scale}
        order = [*starts.labels, CONSTANT]
        trained.sort(key=lambda each: (order.index(each.label), each.seed))
        models = {label: models[label] for label in folders}
        findings = Findings(trained, targets, test, models, list(folders.values()))
        how = f"{self.recipe.freeze}, {len(parts[0][0])} training and {len(parts[0][1])} validation lenses of {where}"
        write_report(
            findings,
            self._settings(where),
            f"Fine-tuned ({how}), results on {len(test)} test lenses, {self.seeds} seed(s) from {self.seed}, with 95 % "
            "bootstrap intervals",
            {"to learn from": pool.dropped, "to judge on": test.dropped},
            named,
            self.lens_origin,
        )
        for label, folder in folders.items():
            where = str(folder) if asked().output else folder.name
            log.info(
                "model: %s; use it as lenskit predict %s IMAGES --model %s", folder / MODEL, named[label].path, where
            )
        return findings

    def origin(self, run: Run) -> tuple[Dataset | Simulator, str]:
        """Return the source of the lenses, and its name."""
        if self.data:
            dataset = run.encoder().open(self.data)
            self._origin = stored_origin(self.data, dataset)
            return dataset, self.data
        self._origin = simulated_origin(run, self.simulator, self.set, self.seed)
        simulator = simulator_of(run, self.simulator, self.set)
        name = self.simulator or run.config.name("simulator")
        return simulator, " ".join([f"simulator {name}", *self.set])

    def _lenses(self, origin: Dataset | Simulator, targets: list[Parameter], where: str) -> tuple[Labelled, Labelled]:
        """Return the labelled lenses of all seeds, and the test lenses."""
        if isinstance(origin, Dataset):
            lenses, dropped = known_split(origin, targets, self.lenses, self.test_lenses, self.seed)
        else:
            lenses, dropped = simulated_split(origin, self.lenses, self.test_lenses, self.seed), (0, 0)
        pool = gather(lenses.train, targets, dropped[0], "train on")
        test = gather(lenses.test, targets, dropped[1], "test on")
        wanted = " and ".join(target.name for target in targets)
        for side, use in ((pool, "train on"), (test, "test on")):
            if side.dropped:
                log.warning("%d lenses to %s are left out: %s is not known", side.dropped, use, wanted)
        if len(pool) < self.labels:
            hint = f"use --labels {len(pool)} or fewer" if len(pool) >= FEWEST else f"at least {FEWEST} are needed"
            raise UsageError(
                f"{where} has only {len(pool)} lenses to train on with a known {wanted}, in addition to {len(test)} "
                f"test lenses, but --labels is {self.labels}: {hint}"
            )
        return pool, test

    def parts(self, pool: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return the numbers of the training and validation lenses of each seed.

        Seeds have no lens in common if there are enough lenses; otherwise each seed uses a random part of all lenses.

        Args:
            pool: Number of labelled lenses.
        """
        size = self.labels
        if size * self.seeds <= pool:
            order = np.random.default_rng(self.seed).permutation(pool)
            chosen = [order[start : start + size] for start in range(0, size * self.seeds, size)]
        else:
            log.info("%d lenses are too few for %d seeds of %d: seeds have lenses in common", pool, self.seeds, size)
            seeds = range(self.seed, self.seed + self.seeds)
            chosen = [np.random.default_rng(seed).permutation(pool)[:size] for seed in seeds]
        held = min(max(round(self.validation * size), 1), size - 2)
        return [(np.sort(each[held:]), np.sort(each[:held])) for each in chosen]

    def _train(
        self, label: str, model: FineTuned, pool: Labelled, labels: Tensor, train: np.ndarray, validation: np.ndarray,
        test: Labelled, seed: int,
    ) -> tuple[Trained, Predicted]:  # fmt: skip
        """Train one model and evaluate it."""

        def report(epoch: int, train_loss: float, check: float) -> None:
            if epoch % 10 == 0:
                log.info("%s, seed %d: epoch %d, loss %.3f, validation %.3f", label, seed, epoch, train_loss, check)

        history = fit(model, pool.images, labels, train, validation, self.recipe, seed, report)
        predicted = model.predict([test.images])
        scores = self._judge(model.targets, test, predicted.values)
        ended = "all epochs" if len(history.train) == self.recipe.epochs else f"{len(history.train)} epochs"
        log.info("%s, seed %d: %s, best after %d", label, seed, ended, history.best)
        return Trained(label, seed, scores, predicted.values, history), predicted

    def _judge(
        self, targets: Sequence[Parameter], test: Labelled, predictions: Mapping[str, Array]
    ) -> dict[str, Score | ClassScore]:
        scores: dict[str, Score | ClassScore] = {}
        for target in targets:
            judge = score_classes if target.classes else score
            figures = judge(test.values[target.name], predictions[target.name], seed=self.seed)
            scores[target.name] = replace(figures, dropped=test.dropped)
        return scores

    def _constant(self, labels: Array, targets: Sequence[Parameter], test: Labelled, seed: int) -> Trained:
        """Return the result of predicting the mean label, or the share of each class."""
        predictions: dict[str, Array] = {}
        for target, column in zip(targets, labels.T, strict=True):
            if target.classes:
                share = np.bincount(column.astype(np.intp), minlength=len(target.classes)) / len(column)
                predictions[target.name] = np.tile(share, (len(test), 1))
            else:
                predictions[target.name] = np.full(len(test), column.mean())
        return Trained(CONSTANT, seed, self._judge(targets, test, predictions), predictions, None)

    def _about(
        self, where: str, run: Run, pool: Labelled, train: np.ndarray, validation: np.ndarray, test: Labelled,
        trained: Trained,
    ) -> dict[str, Any]:  # fmt: skip
        """Return the card of a model.

        The card contains no local paths, because a model may be published.
        """
        assert trained.history is not None
        return {
            "run": run.name,
            "data": without_folders(where),
            "learned_from": len(train),
            "stopped_by": len(validation),
            "judged_on": len(test),
            "seed": trained.seed,
            "recipe": asdict(self.recipe),
            "best_epoch": trained.history.best,
            "range": {
                target: [float(pool.values[target][train].min()), float(pool.values[target][train].max())]
                for target in trained.scores
            },
        }

    def _settings(self, where: str) -> dict[str, Any]:
        own = {key: value for key, value in self.options().items() if key not in ("lenses", "recipe")}
        device = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
        return own | {"data": where, "device": device, **asdict(self.recipe)}


def to_device(model: FineTuned) -> FineTuned:
    """Move a model to a GPU, if available."""
    to_best_device(model.encoder)
    return model.to(next(model.encoder.parameters()).device)


def _complete(
    model: FineTuned, about: dict[str, Any], images: Tensor, test: Labelled, predicted: Predicted
) -> FineTuned:
    """Add the card, confidence intervals and an outlier detector to a model.

    The intervals come from the residuals of the test lenses. The outlier detector measures the distance from the
    training lenses.
    """
    model.card = about
    continuous = [target.name for target in model.continuous]
    if continuous:
        truth, guess = (np.stack([v[name] for name in continuous], 1) for v in (test.values, predicted.values))
        model.intervals = Intervals.fit(truth, guess)
    try:
        model.outliers = fit_outlier_detector(model.predict([images]).features, predicted.features)
    except LenskitError as error:
        log.warning("predictions will have no flag for outliers: %s", error)
    return model
