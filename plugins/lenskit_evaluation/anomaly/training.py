"""Training lenses of a run: the normal class and the reference of detectors."""

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
"""Names, in lower case, that mark a class as normal if neither an option nor the training defines the normal class."""


def training_of(run: Run, count: int, seed: int, label: Parameter | None = None) -> Pool:
    """Return some of the training lenses of a run.

    These are the first simulated lenses, or a random choice of stored lenses.

    Args:
        run: The run.
        count: Maximum number of lenses.
        seed: Random seed of the choice of stored lenses.
        label: Class label of the scored images. The training lenses get the label of the same name, or their only
            class label.

    Raises:
        LenskitError: The training data are missing.
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
    if not isinstance(run, EncoderRun):  # an encoder file has no seed; lenses of any seed have the same distribution
        settings = run.config.build("train")
        trained_with = settings.seed
        seen = run.encoder().card.get("trained", {}).get("batches", 0) * settings.batch_size or count
    origin = Origin(run.config.name("simulator"), trained_with, "train")
    return Pool.drawn(simulator, origin, min(count, seen), label_of(simulator.parameters, label))


def label_of(parameters: Sequence[Parameter], like: Parameter | None) -> Parameter | None:
    """Return the class label of the training lenses that matches the label `like`.

    This is the label with the same name, or else the only label whose classes are not plain numbers. If there is no
    such label, the result is None.
    """
    labels = [parameter for parameter in parameters if parameter.classes]
    named = [parameter for parameter in labels if like is not None and parameter.name == like.name]
    meant = named or [parameter for parameter in labels if not is_numbered(parameter)]
    return meant[0] if len(meant) == 1 else None


def check_unseen(name: str, training: Pool, judged: Pool) -> None:
    """Check that a run was not trained on the lenses to score.

    Simulated lenses with other options count as the same lenses.

    Args:
        name: Name of the run.
        training: Training lenses of the run.
        judged: Lenses to score.

    Raises:
        UsageError: The run was trained on these lenses.
    """
    if judged.origin is not None and judged.origin == training.origin:
        overlap = f"lenses of {judged.origin}"
    elif judged.is_of(training):
        overlap = str(judged.path)
    else:
        return
    raise UsageError(
        f"{name} was trained on {overlap}, so its scores would be too good: use different lenses, for example from "
        "`lenskit simulate --split test`"
    )


def normal_class(asked: str | None, label: Parameter, training: Pool) -> str:
    """Return the name of the normal class.

    This is the class `asked`. Without it, this is the only class of the training lenses, or else the only class with a
    name in `NORMAL`.

    Args:
        asked: Name of the normal class; None if the user did not choose it.
        label: Class label of the images to score.
        training: Training lenses.

    Raises:
        UsageError: There is no class with the name `asked`, or the normal class is unclear.
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
    raise UsageError(f"the normal class of {', '.join(classes)} is not known: pass --normal NAME")


def called(normal: str, classes: Sequence[str]) -> str | None:
    """Return the name of the normal class in the training data; None if missing.

    Data sets may use different names: `no_sub` in one data set means the same as `none` in a second, see `NORMAL`.

    Args:
        normal: Name of the normal class in the images to score.
        classes: Classes of the training data.
    """
    if normal in classes:
        return normal
    alike = [name for name in classes if name.lower() in NORMAL] if normal.lower() in NORMAL else []
    return alike[0] if len(alike) == 1 else None


def normal_ones(training: Pool, normal: str) -> Pool:
    """Return the training lenses of normal or unknown class; all, if there are none."""
    classes = training.classes
    usable = (classes == called(normal, [*np.unique(classes)])) | (classes == "")
    return training.take(usable) if usable.any() else training


def warn_of_anomalies(run: Run, training: Pool, truth: Truth) -> None:
    """Warn if the labels of a sample of training lenses contain anomalies.

    Args:
        run: The run.
        training: Sample of the training lenses.
        truth: True classes of the images to score. If no training lens has one of these classes, the label of the
            training lenses has a different meaning and there is no warning.
    """
    counts = Counter(training.classes.tolist())
    usual = called(truth.normal, [*counts])
    strange = {name: count for name, count in sorted(counts.items()) if name not in ("", usual)}
    if strange and (usual is not None or not strange.keys().isdisjoint(truth.classes)):
        log.warning(
            "%s was also trained on anomalies: of %d training lenses, %s; anomalies in the training get lower scores",
            run.path, len(training), " and ".join(f"{count} are {name}" for name, count in strange.items()),
        )  # fmt: skip
