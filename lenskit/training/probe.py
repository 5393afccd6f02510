"""Probe during training: regression of lens parameters on features."""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from math import ceil, isfinite
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import normalize

from lenskit.data.training_set import TrainingSet, simulator_of
from lenskit.encoder import Encoder
from lenskit.encoder_card import read_card
from lenskit.errors import LenskitError
from lenskit.kinds.method import Budget
from lenskit.kinds.pairs import PairStrategy
from lenskit.kinds.parameter import Parameter
from lenskit.run import BEST, Run
from lenskit.settings import MonitorSettings
from lenskit.training.callbacks import Monitor
from lenskit.training.collapse import effective_rank
from lenskit.training.probe_lenses import ProbeLenses, held_out, omit_source
from lenskit.training.ridge import PENALTIES, predicted, r2
from lenskit.training.shortcut import SOURCE, read_without_source, shortcuts
from lenskit.training.stream import Stream

log = logging.getLogger("lenskit")

Array = NDArray[np.float64]

FEWEST = 32
"""A parameter must be known for at least this many lenses to be probed."""

LENSES_BETWEEN = 10
"""Default interval of probes: training uses this many times the number of the probe's lenses between two probes."""

PROBES = 20
"""Largest number of probes in a run with the default interval."""

CONTROLLED = 1024
"""Maximum number of lenses rendered without their source, for the shortcut control when training begins."""


def alignment(a: Tensor, b: Tensor) -> Tensor:
    """Return the mean squared distance of the unit features of two views.

    It is 0 if the views agree (Wang & Isola 2020, section 4.1, https://arxiv.org/abs/2005.10242, with alpha = 2).

    Args:
        a: Features of one view of each lens, (n, d).
        b: Features of a second view of the same lenses, (n, d).

    Returns:
        A scalar from 0 to 4.
    """
    return (normalize(a.float()) - normalize(b.float())).square().sum(1).mean()


def uniformity(features: Tensor) -> Tensor:
    """Return the logarithm of the mean Gaussian potential of pairs of unit features.

    It is 0 if all features are the same. It is lower if they are spread more evenly (Wang & Isola 2020, section 4.1,
    https://arxiv.org/abs/2005.10242, with t = 2).

    Args:
        features: (n, d).

    Returns:
        A scalar from -8 to 0.
    """
    return torch.pdist(normalize(features.float())).square().mul(-2).exp().mean().log()


def judged(parameters: tuple[Parameter, ...], pairs: PairStrategy) -> list[Parameter]:
    """Return the parameters that the probe predicts.

    These are the headline parameters, and all parameters of the groups that the views of a lens share. Views that come
    from one image share every group; then the groups of the headline parameters are used instead. Identities count only
    if they are headline parameters.
    """
    groups = pairs.shared_groups if pairs.draws > 1 else {p.group for p in parameters if p.headline}
    return [p for p in parameters if p.headline or (p.group in groups and not p.identity)]


def read_off(features: Array, values: Mapping[str, Array], parameters: list[Parameter]) -> dict[str, float]:
    """Measure how well features predict parameters.

    A ridge regression (for classes, a ridge classifier) on standardised features is fitted to three quarters of the
    lenses and scored on the last quarter. The penalty is the value in `ridge.PENALTIES` with the smallest leave-one-out
    error.

    Args:
        features: (n, d).
        values: Values (n,) of each parameter, NaN where unknown; for a class, its number.
        parameters: Parameters to predict. A parameter is left out if it is known for fewer than `FEWEST` lenses or
            does not vary.

    Returns:
        `r2/NAME` for each continuous parameter, `accuracy/NAME` for each class.
    """
    from sklearn.linear_model import RidgeClassifierCV
    from sklearn.preprocessing import StandardScaler

    figures: dict[str, float] = {}
    order = np.random.default_rng(0).permutation(len(features))
    together: dict[bytes, list[Parameter]] = {}
    for parameter in parameters:
        finite = np.isfinite(values[parameter.name])
        if finite.sum() >= FEWEST and np.ptp(values[parameter.name][finite]) > 0:
            together.setdefault(finite.tobytes() + bool(parameter.classes).to_bytes(), []).append(parameter)
    for group in together.values():
        rows = order[np.isfinite(values[group[0].name])[order]]
        fit, judge = np.split(rows, [3 * len(rows) // 4])
        if group[0].classes:
            scaler = StandardScaler().fit(features[fit])
            x, x_judge = scaler.transform(features[fit]), scaler.transform(features[judge])
            for parameter in group:
                y = values[parameter.name]
                if np.ptp(y[fit]) > 0:
                    right = RidgeClassifierCV(PENALTIES * len(fit)).fit(x, y[fit]).score(x_judge, y[judge])
                    figures[f"accuracy/{parameter.name}"] = float(right)
            continue
        y = np.stack([values[parameter.name] for parameter in group], axis=1)
        scores = r2(y[judge], predicted(features[fit], y[fit], features[judge]))
        figures |= {f"r2/{p.name}": float(score) for p, score in zip(group, scores, strict=True) if np.isfinite(score)}
    return figures


def score(figures: Mapping[str, float], parameters: list[Parameter]) -> float | None:
    """Return the score of a probe: the mean R2 of its headline parameters.

    Without headline parameters, the score is the mean R2 of all parameters. Without any R2, it is None.
    """
    r2 = {p: figures[f"r2/{p.name}"] for p in parameters if f"r2/{p.name}" in figures}
    chosen = [value for p, value in r2.items() if p.headline] or list(r2.values())
    return sum(chosen) / len(chosen) if chosen else None


def probe(backbone: nn.Module, lenses: ProbeLenses, parameters: list[Parameter]) -> dict[str, float]:
    """Probe a backbone without changing it or the global random generators.

    Args:
        backbone: Network from images to features.
        lenses: Lenses of the probe.
        parameters: Parameters to predict.

    Returns:
        `probe` (see `score`), the metrics of `read_off`, `probe_rank` (the effective rank of the features of all
        lenses), and `alignment` and `uniformity` if the lenses have two views. Empty if a feature is not finite.
    """
    with undisturbed(backbone):
        features = embed(backbone, lenses.images)
        # If the pairs do not change images, the first views are the images: reuse their features.
        same = bool(lenses.views) and torch.equal(lenses.views[0], lenses.images[: len(lenses.views[0])])
        computed = [features[: len(lenses.views[0])]] if same else []
        views = computed + [embed(backbone, view) for view in lenses.views[len(computed) :]]
    if not all(each.isfinite().all() for each in (features, *views)):
        return {}
    figures = read_off(
        features.double().numpy(), {name: value.numpy() for name, value in lenses.values.items()}, parameters
    )
    if (value := score(figures, parameters)) is not None:
        figures = {"probe": value} | figures
    figures["probe_rank"] = float(effective_rank(features))
    if views:
        figures["alignment"] = float(alignment(*views))
        figures["uniformity"] = float(uniformity(views[0]))
    return {name: value for name, value in figures.items() if isfinite(value)}


def embed(backbone: nn.Module, images: Tensor, chunk: int = 256) -> Tensor:
    """Return the features (n, d) of images (n, C, H, W), both on the CPU."""
    first = next(backbone.parameters())
    kind = first.dtype if first.dtype == torch.float64 else torch.float32
    return torch.cat([backbone(part.to(first.device, kind)).float().cpu() for part in images.split(chunk)])


@contextmanager
def undisturbed(module: nn.Module) -> Iterator[None]:
    """Switch a module to eval mode without gradients inside the context.

    Afterwards the modes and the states of the global random generators are restored.
    """
    modes = [(part, part.training) for part in module.modules()]
    device = next(module.parameters()).device
    module.eval()
    try:
        with (
            torch.no_grad(),
            torch.random.fork_rng([device] if device.type == "cuda" else []),
            # Otherwise a compiled backbone would be compiled again for eval mode and this batch size.
            torch.compiler.set_stance("force_eager"),
        ):
            yield
    finally:
        for part, mode in modes:
            part.training = mode


def batches_between(settings: MonitorSettings, budget: Budget) -> int:
    """Return the number of batches between two probes; 0 means no probes.

    It is `settings.probe_every` if that is set. By default, training uses ten times the number of the probe's
    lenses between two probes, and the interval is at least a twentieth of the run. A run shorter than the interval has
    no probes.
    """
    if settings.probe_every is not None:
        return settings.probe_every
    every = max(ceil(LENSES_BETWEEN * settings.probe_lenses / budget.batch_size), ceil(budget.batches / PROBES))
    return every if every <= budget.batches else 0


class Probing(pl.Callback):
    """Callback that probes the encoder and saves the best encoder in `best/`.

    It probes every `every` batches and at the end of the run. Only the first process probes; other processes wait. The
    best score is stored in the card of `best/`. A run that is killed and resumed repeats the probes since its
    checkpoint, with the same results.

    Args:
        run: Run whose directory holds the best encoder.
        stream: Training stream, with the number of batches done.
        monitor: Monitor that records the metrics.
        encoder: Encoder to probe and to save.
        training_set: Training set of the run, which determines the held-out lenses.
        every: Batches between two probes.
        lenses: Number of lenses to probe.
    """

    def __init__(
        self,
        run: Run,
        stream: Stream,
        monitor: Monitor,
        encoder: Encoder,
        training_set: TrainingSet,
        every: int,
        lenses: int,
    ) -> None:
        self.run, self.stream, self.monitor, self.encoder = run, stream, monitor, encoder
        self.training_set, self.every, self.count = training_set, every, lenses

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not trainer.is_global_zero:
            return
        self.lenses = held_out(self.training_set, self.count, trainer.strategy.root_device)
        self.parameters = judged(self.lenses.parameters, self.training_set.pairs)
        names = ", ".join(p.name for p in self.parameters) or "only rank and spread, because no parameters are recorded"
        origin = "stored lenses, which training uses too" if self.lenses.seen else "held-out lenses"
        log.info("probe every %d batches, of %d %s: %s", self.every, len(self.lenses.images), origin, names)
        self.best = _best(self.run) if self.stream.batches else float("-inf")
        if not self.stream.batches:
            self._control(trainer.strategy.root_device)

    def _control(self, device: torch.device) -> None:
        """Log the headline parameters that can be predicted from images without a source."""
        simulator = simulator_of(self.training_set)
        wanted = [p.name for p in self.parameters if p.headline and p.continuous]
        if simulator is None or SOURCE not in simulator.removable or not wanted:
            return
        images, values = omit_source(simulator, self.training_set, min(self.count, CONTROLLED), device)
        readings = read_without_source(images, {name: values[name].numpy() for name in wanted})
        for line, is_warning in shortcuts(simulator, readings):
            log.log(logging.WARNING if is_warning else logging.INFO, "%s", line)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        done = self.stream.batches
        if done % self.every and done != self.stream.budget.batches:
            return
        self.monitor.check(pl_module)
        self.monitor.check_weights(pl_module)
        if not trainer.is_global_zero:
            return
        start = time.monotonic()
        double = trainer.precision.startswith("64")
        with nullcontext() if double else trainer.precision_plugin.forward_context():
            figures = probe(self.encoder.backbone, self.lenses, self.parameters)
        if not figures:
            log.warning("no probe at batch %d: features overflow; try --precision bf16-mixed or 32-true", done)
            return
        self.monitor.record(figures)
        better = figures.get("probe", float("-inf")) > self.best
        log.info("probe at batch %d: %s%s", done, describe(figures, self.parameters), ", the best yet" * better)
        if better:
            self.best = figures["probe"]
            self._keep(figures)
        self.monitor.leave_out(time.monotonic() - start)

    def _keep(self, figures: dict[str, float]) -> None:
        best = copy.copy(self.encoder)
        done = {"batches": self.stream.batches, "of": self.stream.budget.batches}
        best.card = self.encoder.card | {"trained": done, "probe": {"score": self.best, **figures}}
        try:
            best.save(self.run.path / BEST)
        except OSError as error:
            raise LenskitError(f"{self.run.path / BEST} cannot be written: {error.strerror}") from error


def describe(figures: Mapping[str, float], parameters: list[Parameter]) -> str:
    """Return one line about a probe, for the log.

    The line has the R2 of the headline parameters (or else of all parameters), accuracies, mean R2 and effective rank.
    """
    headline = [p.name for p in parameters if p.headline] or [p.name for p in parameters]
    parts = [f"{name} {figures[f'r2/{name}']:.3f}" for name in headline if f"r2/{name}" in figures]
    parts += [f"{key.partition('/')[2]} {value:.3f}" for key, value in figures.items() if key.startswith("accuracy/")]
    mean = [f"mean R2 {figures['probe']:.3f}"] if "probe" in figures else []
    return ", ".join([*parts, *mean, f"effective rank {figures['probe_rank']:.1f}"])


def _best(run: Run) -> float:
    """Return the score of the best encoder so far; minus infinity if none can be read."""
    if not (run.path / BEST / "encoder.json").exists():
        return float("-inf")
    try:
        return float(read_card(run.path / BEST)["probe"]["score"])
    except (LenskitError, KeyError, TypeError) as error:
        log.warning("the best encoder so far cannot be read; the next probe replaces it: %s", error)
        return float("-inf")
