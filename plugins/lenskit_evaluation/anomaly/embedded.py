"""Scoring of embeddings by their distance from the features of normal images."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lenskit.evaluation import Embeddings, labelled, sides_of
from lenskit.plugin import LenskitError, Parameter, UsageError
from lenskit_evaluation.anomaly.detectors import Neighbours
from lenskit_evaluation.anomaly.pools import Pool, class_label
from lenskit_evaluation.anomaly.reconstructions import Gallery
from lenskit_evaluation.anomaly.scored import Options, Scored, Truth
from lenskit_evaluation.anomaly.scoring import labelled_images, score_images
from lenskit_evaluation.anomaly.training import label_of, normal_class, normal_ones

log = logging.getLogger("lenskit")


def judge_embeddings(subjects: Sequence[Embeddings], options: Options) -> tuple[Truth, dict[str, Scored]]:
    """Score images by the distance from the features of normal images.

    The normal images are taken from `options.reference`. Without a reference, half of the normal lenses of each file
    are used, and these are not scored.

    Args:
        subjects: Embeddings of the same images, by any encoders.
        options: Options of the evaluation.

    Returns:
        The true classes of the scored images, and the scores by the label of the embeddings.

    Raises:
        UsageError: An option is for runs only, there is no class label, the files hold different images, or the
            reference is by a different encoder or holds the scored images.
        LenskitError: There are no normal images, or no anomalies.
    """
    _check_options(options)
    named = labelled(subjects)
    first, others = next(iter(named)), list(named)[1:]
    label = class_label(named[first].parameters, options.label, options.normal)
    pools = {name: Pool.embedded(each, label) for name, each in named.items()}
    for name in others:
        _check_same_images(first, name, named, label)
    normal = options.normal
    if options.reference:
        if others:
            raise UsageError(
                f"--reference holds features of one encoder: evaluate {first} and {others[0]} with one command each"
            )
        reference = _reference(Path(options.reference), first, named[first], label)
        normal = normal_class(normal, label, reference)
        reference, judged = normal_ones(reference, normal), np.arange(len(pools[first]))
        fitted = {first: reference.take(_some(len(reference), options))}
    else:
        normal = normal_class(normal, label, pools[first])
        rows, judged = _halves(named[first], pools[first], normal, options.seed)
        rows = rows[_some(len(rows), options)]
        fitted = {name: pool.take(rows) for name, pool in pools.items()}
    scored = {}
    for name, pool in pools.items():
        detector = Neighbours.of_features(fitted[name].images(options.batch_size), options.neighbours)
        detector.run = name
        those, truth = labelled_images(pool.take(judged), normal, options)
        scores = score_images({name: detector}, those.images(options.batch_size), Gallery(truth), options.seed)[name]
        scored[name] = replace(scores, images_per_second=None)
        if detector.met:
            log.warning(
                "%s: at least %d of the %d images have the same features as an image of the reference, so the metrics "
                "are too good", name, len(detector.met), len(those),
            )  # fmt: skip
    return truth, scored


def _check_options(options: Options) -> None:
    for flag, value in {"--data": options.data, "--simulator": options.simulator, "--set": options.set}.items():
        if value:
            raise UsageError(f"{flag} is for runs: embeddings have their own images")


def _check_same_images(first: str, other: str, named: Mapping[str, Embeddings], label: Parameter) -> None:
    one, another = named[first], named[other]
    same = one.names == another.names and np.array_equal(one.lens, another.lens) and label.name in another.values
    if not same or not np.array_equal(one.values[label.name], another.values[label.name], equal_nan=True):
        raise UsageError(f"{first} and {other} hold features of different images: evaluate them with one command each")


def _reference(path: Path, name: str, judged: Embeddings, label: Parameter) -> Pool:
    """Load the embeddings at a path as a reference for the embeddings `judged`.

    Raises:
        UsageError: The reference is by a different encoder or holds the same images.
    """
    reference = Embeddings.load(path)
    widths = reference.features.shape[1], judged.features.shape[1]
    cards: list[Any] = [each.about.get("encoder") for each in (reference, judged)]
    if widths[0] != widths[1]:
        raise UsageError(
            f"{path} has {widths[0]} features per image, {name} has {widths[1]}: make both with one encoder"
        )
    if None not in cards and cards[0] != cards[1]:
        raise UsageError(f"{path} and {name} are by different encoders: make both with one encoder")
    if "images" in reference.about and reference.about["images"] == judged.about.get("images"):
        raise UsageError(
            f"{path} and {name} have the same images, so the metrics would be too good: use normal training images"
        )
    return Pool.embedded(reference, label_of(reference.parameters, label))


def _some(count: int, options: Options) -> NDArray[np.int64]:
    """Return up to `options.train_lenses` random numbers below `count`, ascending."""
    chosen = np.random.default_rng(options.seed).permutation(count)[: options.train_lenses]
    return np.sort(chosen)


def _halves(source: Embeddings, pool: Pool, normal: str, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split rows into reference and scored rows.

    Reference and scored rows share no lens, and no identity such as a source galaxy.

    Returns:
        Rows of up to half of the normal lenses, as the reference, and the rows to score.

    Raises:
        LenskitError: There are too few normal lenses.
    """
    things = {p.name: source.values[p.name] for p in source.parameters if p.identity}
    unique, number = np.unique(source.lens, return_inverse=True)
    shuffled = np.random.default_rng(seed).permutation(len(unique))
    place = np.argsort(shuffled)[number]
    fitted, judged = sides_of(things, place)
    fitted &= pool.classes == normal
    lenses = np.unique(place[pool.classes == normal])
    chosen = np.unique(place[fitted])[: len(lenses) // 2]
    if not len(chosen):
        raise LenskitError(
            f"{source.path} holds {len(lenses)} lenses of the class {normal}, too few to use half of them as the "
            "reference: use embeddings of more lenses, or pass embeddings of training images with --reference"
        )
    shared = np.isin(place, chosen)
    return np.flatnonzero(fitted & shared), np.flatnonzero(judged & ~shared)
