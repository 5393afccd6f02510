"""Embeddings in, scores out: distances to the features of normal images."""

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
    """Score images by the distance of their features to those of normal images.

    The normal images are those of `options.reference`, or else half of the normal lenses of each file, which are not
    judged then.

    Args:
        subjects: Embeddings of the same images, by any encoders.
        options: The evaluation's.

    Returns:
        What the images are, and what each encoder's features say of them.

    Raises:
        UsageError: if an option is for runs only, no class is recorded, the files are of different images, or the
            reference is no reference for them.
        LenskitError: if there are no normal images, or nothing but these.
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
            raise UsageError(f"--reference holds features of one encoder: judge {first} and {others[0]} apart")
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
                "%s: %d or more of the %d images have the very features of images that they are compared with, which "
                "flatters it", name, len(detector.met), len(those),
            )  # fmt: skip
    return truth, scored


def _check_options(options: Options) -> None:
    for flag, value in {"--data": options.data, "--simulator": options.simulator, "--set": options.set}.items():
        if value:
            raise UsageError(f"{flag} is for runs: embeddings are judged on the images that they are of")


def _check_same_images(first: str, other: str, named: Mapping[str, Embeddings], label: Parameter) -> None:
    one, another = named[first], named[other]
    same = one.names == another.names and np.array_equal(one.lens, another.lens) and label.name in another.values
    if not same or not np.array_equal(one.values[label.name], another.values[label.name], equal_nan=True):
        raise UsageError(f"{first} and {other} hold features of different images: judge them apart, a command each")


def _reference(path: Path, name: str, judged: Embeddings, label: Parameter) -> Pool:
    """The embeddings at a path, as a reference for others.

    Raises:
        UsageError: if another encoder made them, or they are of the same images.
    """
    reference = Embeddings.load(path)
    widths = reference.features.shape[1], judged.features.shape[1]
    cards: list[Any] = [each.about.get("encoder") for each in (reference, judged)]
    if widths[0] != widths[1]:
        raise UsageError(
            f"{path} holds {widths[0]} features an image, {name} {widths[1]}: one encoder has to make both"
        )
    if None not in cards and cards[0] != cards[1]:
        raise UsageError(f"{path} and {name} are by two encoders: one has to make both")
    if "images" in reference.about and reference.about["images"] == judged.about.get("images"):
        raise UsageError(f"{path} and {name} are of the same images, which flatters: take normal images of a training")
    return Pool.embedded(reference, label_of(reference.parameters, label))


def _some(count: int, options: Options) -> NDArray[np.int64]:
    """The numbers of those to fit to, ascending."""
    chosen = np.random.default_rng(options.seed).permutation(count)[: options.train_lenses]
    return np.sort(chosen)


def _halves(source: Embeddings, pool: Pool, normal: str, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The rows of half of the normal lenses, and all rows that share neither a lens nor a thing with them.

    Raises:
        LenskitError: if there are fewer than two normal lenses.
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
            f"{source.path} holds {len(lenses)} lenses of the class {normal}, and half of these are what others are "
            "compared with: give embeddings of more, or of the training with --reference"
        )
    shared = np.isin(place, chosen)
    return np.flatnonzero(fitted & shared), np.flatnonzero(judged & ~shared)
