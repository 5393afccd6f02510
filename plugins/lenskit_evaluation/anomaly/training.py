"""The lenses that a run learned from: what is normal, and what its detectors without a score are fitted to."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lenskit.evaluation import EncoderRun, Run
from lenskit.plugin import Parameter, UsageError, near
from lenskit_evaluation.anomaly.pools import Origin, Pool, is_numbered
from lenskit_evaluation.anomaly.scored import Truth

log = logging.getLogger("lenskit")

NORMAL = ("none", "no_sub", "no_substructure", "normal")
"""Names of classes that are no anomaly, if nothing else says which is."""


def training_of(run: Run, count: int, seed: int, label: Parameter | None = None) -> Pool:
    """Some of the lenses that a run was trained on: the first ones of a live simulation, or any of those stored.

    Args:
        run: The run.
        count: How many, at most.
        seed: Seed of the choice among stored ones.
        label: The class label judged by: theirs is the one of the same name, or the only one.

    Raises:
        LenskitError: if its data are not there any more.
    """
    sections = run.config.sections
    if "data" in sections:
        path = Path(sections["data"]["path"])
        dataset = run.config.build("data", path)
        index = np.arange(len(dataset))
        if len(index) > count:
            index = np.sort(np.random.default_rng(seed).choice(index, count, replace=False))
        return Pool.stored(dataset, path, index, label_of(dataset.parameters, label))
    simulator, trained_with, seen = run.simulator(), 0, count
    if not isinstance(run, EncoderRun):  # an encoder does not say its seed: lenses of any are like those
        settings = run.config.build("train")
        trained_with = settings.seed
        seen = run.encoder().card.get("trained", {}).get("batches", 0) * settings.batch_size or count
    origin = Origin(run.config.name("simulator"), trained_with, "train")
    return Pool.drawn(simulator, origin, min(count, seen), label_of(simulator.parameters, label))


def label_of(parameters: Sequence[Parameter], like: Parameter | None) -> Parameter | None:
    """The class label of a training: the one of the same name as another, or the only one whose classes have names."""
    labels = [parameter for parameter in parameters if parameter.classes]
    named = [parameter for parameter in labels if like is not None and parameter.name == like.name]
    meant = named or [parameter for parameter in labels if not is_numbered(parameter)]
    return meant[0] if len(meant) == 1 else None


def check_unseen(name: str, training: Pool, judged: Pool) -> None:
    """Raises if a run is to be judged on what it was trained on, or on the same lenses with other options.

    Args:
        name: The run's.
        training: Lenses of its training.
        judged: What it is to be judged on.

    Raises:
        UsageError: saying which.
    """
    if judged.origin is not None and judged.origin == training.origin:
        overlap = f"lenses of {judged.origin}"
    elif judged.is_of(training):
        overlap = str(judged.path)
    else:
        return
    raise UsageError(
        f"{name} was trained on {overlap}, which flatters it: judge it on others, such as "
        "`lenskit simulate --split test`"
    )


def normal_class(asked: str | None, label: Parameter, training: Pool) -> str:
    """Which class is no anomaly: the one that is named; or the one that was trained on; or one called so.

    Args:
        asked: Its name, if one is named.
        label: The class label judged by.
        training: Lenses of the training.

    Raises:
        UsageError: if there is no such class, or none is to be found.
    """
    classes = label.classes
    if asked is not None:
        if asked not in classes:
            raise UsageError(f"there is no class {asked!r}{near(asked, classes)}; there are {', '.join(classes)}")
        return asked
    trained = set(training.classes.tolist()) - {""}
    if len(trained) == 1 and trained <= set(classes):
        return trained.pop()
    usual = [name for name in classes if name.lower() in NORMAL]
    if len(usual) == 1:
        return usual[0]
    raise UsageError(f"which of the classes {', '.join(classes)} is no anomaly? Say so with --normal")


def called(normal: str, classes: Sequence[str]) -> str | None:
    """What a training calls the class that is no anomaly: data from elsewhere may call `no_sub` what it calls `none`.

    Args:
        normal: Name of the class that is no anomaly.
        classes: The training's classes.
    """
    if normal in classes:
        return normal
    alike = [name for name in classes if name.lower() in NORMAL] if normal.lower() in NORMAL else []
    return alike[0] if len(alike) == 1 else None


def normal_ones(training: Pool, normal: str) -> Pool:
    """The lenses of a training that are not known to be anomalies; all, if there are no others."""
    classes = training.classes
    usable = (classes == called(normal, [*np.unique(classes)])) | (classes == "")
    return training.take(usable) if usable.any() else training


def warn_of_anomalies(run: Run, training: Pool, truth: Truth) -> None:
    """Warns if a sample of what a run was trained on holds anomalies, as far as their labels say so.

    Args:
        run: The run.
        training: The sample.
        truth: What is judged on; labels of the training that know none of its classes are about something else.
    """
    counts = Counter(training.classes.tolist())
    usual = called(truth.normal, [*counts])
    strange = {name: count for name, count in sorted(counts.items()) if name not in ("", usual)}
    if strange and (usual is not None or not strange.keys().isdisjoint(truth.classes)):
        log.warning(
            "%s was trained on anomalies, too: of %d of its training lenses %s; what it has seen it finds less strange",
            run.path, len(training), " and ".join(f"{count} are {name}" for name, count in strange.items()),
        )  # fmt: skip
