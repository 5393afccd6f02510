"""Scoring of images by all detectors of the runs, with one pass over the images."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from time import perf_counter
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lenskit.evaluation import (
    Encoder,
    Run,
    StoredLenses,
    find_reader,
    labelled,
    simulated_origin,
    simulator_options,
    stored_origin,
    to_best_device,
)
from lenskit.plugin import LenskitError, Method, Predictor, UsageError
from lenskit_evaluation.anomaly.detectors import Detector, Neighbours, baselines, embedding, own_detector
from lenskit_evaluation.anomaly.pools import Origin, Pool, class_label
from lenskit_evaluation.anomaly.reconstructions import Gallery, errors
from lenskit_evaluation.anomaly.scored import Options, Scored, Shown, Truth
from lenskit_evaluation.anomaly.shared import Shared
from lenskit_evaluation.anomaly.training import (
    check_unseen,
    normal_class,
    normal_ones,
    training_of,
    warn_of_anomalies,
)

log = logging.getLogger("lenskit")

SPLIT = "anomaly-test"
"""Split of the simulated lenses to score; no run is trained on this split."""


def judge_runs(runs: Sequence[Run], options: Options) -> tuple[Truth, dict[str, Scored], Shown | None]:
    """Score images with the detectors of runs and with baselines.

    Args:
        runs: The runs. The first run defines the images and the normal class if the options do not.
        options: Options of the evaluation.

    Returns:
        The true classes, the scores of each detector by name, and a few images with their reconstructions.

    Raises:
        UsageError: A class, a label or data do not exist, or the runs take different images.
        LenskitError: There are no normal images or no anomalies, or scores are NaN.
    """
    named = labelled(runs)
    first = next(iter(named.values()))
    encoders = {label: to_best_device(run.encoder()) for label, run in named.items()}
    pool = pool_of(first, options, encoders)
    label = pool.parameter
    assert label is not None
    training = {name: training_of(run, options.train_lenses, options.seed, label) for name, run in named.items()}
    for name, seen in training.items():
        check_unseen(name, seen, pool)
    normal = normal_class(options.normal, label, next(iter(training.values())))
    pool, truth = labelled_images(pool, normal, options)
    truth = replace(truth, origin=_origin(first, pool, options))
    detectors: dict[str, Detector] = {}
    beside: dict[str, Detector] = {}
    methods = {name: _method_of(run, encoders[name]) for name, run in named.items()}
    shared = {name: Shared(encoders[name], method) for name, method in methods.items()}
    for name, run in named.items():
        own = _detectors(run, encoders[name], methods[name], training[name], truth, options)
        for part, detector in own.items():
            detector.run, detector.shared = name, shared[name]
            detectors[_free(f"{name} ({part})", {*named, *detectors}) if part else name] = detector
    if options.baselines:
        reference = normal_ones(next(iter(training.values())), normal)
        encoder = next(iter(encoders.values()))
        beside = baselines(encoder, lambda: reference.images(options.batch_size), options.neighbours, options.seed)
        for name, detector in beside.items():
            detector.shared = next(iter(shared.values()))
            detectors[_free(name, detectors)] = detector
    log.info("%d images are scored by %s", len(pool), ", ".join(detectors))
    gallery = Gallery(truth)
    device = next(next(iter(encoders.values())).parameters()).device
    images = (some.to(device) for some in pool.images(options.batch_size))
    scored = score_images(detectors, images, gallery, options.seed)
    if met := sum(len(each.met) for each in beside.values() if isinstance(each, Neighbours)):
        log.warning(
            "at least %d of the %d images are equal to training images of %s, so its metrics are too good",
            met, len(pool), next(iter(named)),
        )  # fmt: skip
    return truth, scored, gallery.shown()


def _origin(run: Run, pool: Pool, options: Options) -> dict[str, Any]:
    """Return the description of the source of the images."""
    if isinstance(pool.lenses, StoredLenses):
        return stored_origin(str(options.data), pool.lenses.dataset)
    return simulated_origin(run, options.simulator, options.set, options.seed)


def _free(name: str, taken: Collection[str]) -> str:
    """Return a name that is not taken, with " (baseline)" appended if necessary."""
    while name in taken:
        name += " (baseline)"
    return name


def pool_of(run: Run, options: Options, encoders: Mapping[str, Encoder]) -> Pool:
    """Return the lenses to score, of all classes.

    Args:
        run: The first run.
        options: Options of the evaluation.
        encoders: Encoders of the runs by label, in the order of the runs.

    Raises:
        UsageError: An encoder does not take these images, or the images have no class label.
    """
    (label, encoder), *others = encoders.items()
    for name, other in others:
        if other.image_shape and encoder.image_shape and other.image_shape != encoder.image_shape:
            one, another = (" x ".join(map(str, shape)) for shape in (other.image_shape, encoder.image_shape))
            raise UsageError(
                f"{name} takes images of {one}, {label} takes images of {another}: evaluate them with one command each"
            )
    pixels = encoder.image_shape[-1] if encoder.image_shape else None
    if options.data:
        dataset = encoder.open(options.data)
        for _, other in others:
            other.check_pixel_scale(dataset)
        shape = dataset.image_shape
        parameter = class_label(dataset.parameters, options.label, options.normal, pixels)
        pool = Pool.stored(dataset, find_reader(options.data)[1], np.arange(len(dataset)), parameter)
    else:
        if options.simulator is None and "data" in run.config.sections:
            raise UsageError(f"{run.path} was trained on stored images: pass different images with --data PATH")
        asked = simulator_options(options.set)
        simulator = run.simulator(options.simulator)
        if missing := {name: value for name, value in simulator.anomaly_options.items() if name not in asked}:
            simulator = run.simulator(options.simulator, **missing, **asked)
        elif asked:
            simulator = run.simulator(options.simulator, **asked)
        for each in encoders.values():
            each.check_pixel_scale(simulator)
        shape = simulator.image_shape
        parameter = class_label(simulator.parameters, options.label, options.normal, pixels)
        name = run.simulator_config(options.simulator).name("simulator")
        origin = Origin(name, options.seed, SPLIT)
        pool = Pool.drawn(simulator, origin, options.lenses, parameter)
    encoder.check_shape((1, *shape))
    return pool


def labelled_images(pool: Pool, normal: str, options: Options) -> tuple[Pool, Truth]:
    """Return up to `options.lenses` images of known class, and their true classes.

    Raises:
        LenskitError: The images include no normal images or no anomalies, so that no ROC curve is defined.
    """
    assert pool.parameter is not None
    labels, classes = pool.labels, pool.parameter.classes
    chosen = np.flatnonzero(np.isfinite(labels))
    if unknown := len(labels) - len(chosen):
        log.warning("the class of %d of %d images is not known: they are left out", unknown, len(labels))
    if len(chosen) > options.lenses:
        chosen = np.sort(np.random.default_rng(options.seed).choice(chosen, options.lenses, replace=False))
    pool, truth = pool.take(chosen), Truth(classes, labels[chosen].astype(np.int64), normal)
    there = [name for name in classes if truth.is_class(name).any()]
    if there == [normal]:
        raise LenskitError(f"all {len(chosen)} images are of the class {normal}: without anomalies AUC is not defined")
    if normal not in there:
        raise LenskitError(
            f"none of the {len(chosen)} images is of the class {normal}: without normal images AUC is not defined"
        )
    assert pool.parameter is not None
    return pool, Truth(classes, truth.label, normal, pool.lenses.names, pool.parameter.name)


def score_images(
    detectors: Mapping[str, Detector], images: Iterator[Tensor], gallery: Gallery, seed: int
) -> dict[str, Scored]:
    """Score batches of images with all detectors, and measure the speed of each.

    The speed is measured with the host's clock from images in memory to scores in memory, without reconstructions.
    For cached network outputs, the time of the original computation is added. Every detector scores the first batch
    once before the measurement, so that one-time costs do not count.

    Args:
        detectors: The detectors by label.
        images: Batches of raw images.
        gallery: Collector of reconstructions for the plot.
        seed: Random seed of the detectors.

    Raises:
        LenskitError: A score is NaN.
    """
    scores: dict[str, list[NDArray[np.float64]]] = defaultdict(list)
    figures: dict[str, dict[str, list[NDArray[np.float64]]]] = defaultdict(lambda: defaultdict(list))
    seconds, start = dict.fromkeys(detectors, 0.0), 0
    for some in images:
        if some.is_cuda:
            torch.cuda.synchronize()  # the kernels that make the images may still run
        if not start:
            for detector in detectors.values():
                _seeded(seed, start, detector.score, some.clone())
        for label, detector in detectors.items():
            began, before = perf_counter(), detector.saved
            scores[label].append(_seeded(seed, start, detector.score, some))
            seconds[label] += perf_counter() - began + detector.saved - before
            pair = _seeded(seed, start, detector.reconstruct, some)
            measured = dict(_seeded(seed, start, detector.figures, some))
            if pair is not None:
                gallery.add(label, start, *pair)
                measured |= errors(*pair)
            for name, values in measured.items():
                figures[label][name].append(values.double().cpu().numpy())
        start += len(some)
    scored = {}
    for label, detector in detectors.items():
        together = np.concatenate(scores[label])
        if lost := int(np.isnan(together).sum()):
            raise LenskitError(f"{label} gives {lost} of {start} images the score NaN")
        own = {name: np.concatenate(parts) for name, parts in figures[label].items()}
        speed = start / seconds[label]
        scored[label] = Scored(together, detector.kind, own, speed, detector.run, detector.training_lenses)
    return scored


def _seeded(seed: int, start: int, function: Callable[[Tensor], Any], images: Tensor) -> Any:
    """Call a function with a random seed derived from `seed` and `start`.

    A detector's scores thus do not depend on the other detectors.
    """
    with torch.random.fork_rng():
        torch.manual_seed(int(np.random.SeedSequence([seed, start]).generate_state(1)[0]))
        return function(images)


def _detectors(
    run: Run, encoder: Encoder, method: Method | None, training: Pool, truth: Truth, options: Options
) -> dict[str, Detector]:
    """Return the detectors of a run by name.

    The main detector has the name "". It uses the score of the method; with `options.baselines`, there is a second
    detector `neighbours`. If the method has no score, the nearest neighbours are the main detector.
    """
    supervised = isinstance(method, Predictor)
    if not supervised:
        warn_of_anomalies(run, training, truth)
    # A supervised method was trained with labels, so its nearest neighbours may use the labels as well.
    reference = normal_ones(training, truth.normal) if supervised else training

    def images() -> Iterator[Tensor]:
        return reference.images(options.batch_size)

    detector = None if method is None else own_detector(method, encoder, training.parameter, truth.normal)
    if detector is None:
        return {"": Neighbours(embedding(encoder), images(), options.neighbours, "features")}
    detectors = {"": detector}
    if options.baselines:
        detectors["neighbours"] = Neighbours(embedding(encoder), images(), options.neighbours, "features")
    return detectors


def _method_of(run: Run, encoder: Encoder) -> Method | None:
    """Return a run's method on the encoder's device; None without a full checkpoint."""
    if run.best or not run.checkpoint.is_file():
        return None
    return run.method().to(next(encoder.parameters()).device)
