"""The small probe while training: what can be read off the features of lenses that training never sees."""

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
"""Lenses of which a parameter must be known to be probed."""

LENSES_BETWEEN = 10
"""Unless something else is said, training learns from so many times the probe's lenses between two probes, and a run
has at most `PROBES` of them."""

PROBES = 20

CONTROLLED = 1024
"""Lenses that are rendered without their source, at most: they are looked at once, when training begins."""


def alignment(a: Tensor, b: Tensor) -> Tensor:
    """Mean squared distance of two views' unit features: 0 where they agree (Wang & Isola 2020, section 4.1,
    https://arxiv.org/abs/2005.10242, with alpha = 2).

    Args:
        a: (n, d).
        b: (n, d), row i of the lens of row i.

    Returns:
        A scalar from 0 to 4.
    """
    return (normalize(a.float()) - normalize(b.float())).square().sum(1).mean()


def uniformity(features: Tensor) -> Tensor:
    """Logarithm of the mean Gaussian potential of pairs of unit features: 0 where all are the same, the lower the more
    evenly they are spread (Wang & Isola 2020, section 4.1, with t = 2).

    Args:
        features: (n, d).

    Returns:
        A scalar from -8 to 0.
    """
    return torch.pdist(normalize(features.float())).square().mul(-2).exp().mean().log()


def judged(parameters: tuple[Parameter, ...], pairs: PairStrategy) -> list[Parameter]:
    """The parameters that a probe judges: the headline ones, and all of the groups that the pair shares.

    What makes its views of one image shares everything; there it is the groups of the headline ones.
    """
    groups = pairs.shared_groups if pairs.draws > 1 else {p.group for p in parameters if p.headline}
    return [p for p in parameters if p.headline or (p.group in groups and not p.identity)]


def read_off(features: Array, values: Mapping[str, Array], parameters: list[Parameter]) -> dict[str, float]:
    """How well parameters are read off features: three quarters of the lenses fit, one judges.

    A ridge regression (for a class, a ridge classifier) on standardised features; its penalty is the one of
    `ridge.PENALTIES` with the least leave-one-out error.

    Args:
        features: (n, d).
        values: For each parameter (n,), NaN where not known; for a class, its number.
        parameters: Those to judge. One that is known of too few lenses, or does not vary, is left out.

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
    """The one figure of a probe: the mean R2 of the headline parameters, or of all where there are none."""
    r2 = {p: figures[f"r2/{p.name}"] for p in parameters if f"r2/{p.name}" in figures}
    chosen = [value for p, value in r2.items() if p.headline] or list(r2.values())
    return sum(chosen) / len(chosen) if chosen else None


def probe(backbone: nn.Module, lenses: ProbeLenses, parameters: list[Parameter]) -> dict[str, float]:
    """Probes a backbone as it is now, and leaves it and the global random numbers as they were.

    Args:
        backbone: Images to features.
        lenses: What it is probed on.
        parameters: Which parameters are read off.

    Returns:
        `probe` (see `score`), what `read_off` returns, `probe_rank` (the effective rank of the features of all
        lenses), and `alignment` and `uniformity`, where there are two views.
    """
    with undisturbed(backbone):
        features = embed(backbone, lenses.images)
        # The first view of pairs that do nothing to an image is that image.
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
    """Features (n, d) of images (n, C, H, W), both on the CPU."""
    first = next(backbone.parameters())
    kind = first.dtype if first.dtype == torch.float64 else torch.float32
    return torch.cat([backbone(part.to(first.device, kind)).float().cpu() for part in images.split(chunk)])


@contextmanager
def undisturbed(module: nn.Module) -> Iterator[None]:
    """In eval mode and without gradients; afterwards everything is as it was, the global random numbers too."""
    modes = [(part, part.training) for part in module.modules()]
    device = next(module.parameters()).device
    module.eval()
    try:
        with (
            torch.no_grad(),
            torch.random.fork_rng([device] if device.type == "cuda" else []),
            # A compiled backbone would be compiled again for this mode and these batches.
            torch.compiler.set_stance("force_eager"),
        ):
            yield
    finally:
        for part, mode in modes:
            part.training = mode


def batches_between(settings: MonitorSettings, budget: Budget) -> int:
    """Batches from one probe to the next, 0 for none: what is said, or else as many as learn from ten times the
    probe's lenses, and at least a twentieth of the run; none in a run that is shorter."""
    if settings.probe_every is not None:
        return settings.probe_every
    every = max(ceil(LENSES_BETWEEN * settings.probe_lenses / budget.batch_size), ceil(budget.batches / PROBES))
    return every if every <= budget.batches else 0


class Probing(pl.Callback):
    """Probes every few batches and at the end of the run, and keeps the encoder that did best.

    The first process of several does it, the others wait. What is best so far stands in the card of `best/`: a run
    that is killed and resumed probes what it does again, with the same outcome.

    Args:
        run: Where the best encoder is kept.
        stream: Says how far the run is.
        monitor: Takes the figures.
        encoder: What is probed, as it is saved.
        training_set: Says which lenses there are.
        every: Batches from one probe to the next.
        lenses: How many lenses it takes.
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
        names = ", ".join(p.name for p in self.parameters) or "nothing, for no parameters are recorded: rank and spread"
        origin = "stored lenses, which training sees too" if self.lenses.seen else "held-out lenses"
        log.info("a probe every %d batches, of %d %s: %s", self.every, len(self.lenses.images), origin, names)
        self.best = _best(self.run) if self.stream.batches else float("-inf")
        if not self.stream.batches:
            self._control(trainer.strategy.root_device)

    def _control(self, device: torch.device) -> None:
        """Say which headline parameters the simulator gives away without a source."""
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
    """A probe in a line: the R2 of the headline parameters, or of all."""
    headline = [p.name for p in parameters if p.headline] or [p.name for p in parameters]
    parts = [f"{name} {figures[f'r2/{name}']:.3f}" for name in headline if f"r2/{name}" in figures]
    parts += [f"{key.partition('/')[2]} {value:.3f}" for key, value in figures.items() if key.startswith("accuracy/")]
    mean = [f"mean R2 {figures['probe']:.3f}"] if "probe" in figures else []
    return ", ".join([*parts, *mean, f"effective rank {figures['probe_rank']:.1f}"])


def _best(run: Run) -> float:
    """The score of the best encoder so far; if there is none that can be read, any is better."""
    if not (run.path / BEST / "encoder.json").exists():
        return float("-inf")
    try:
        return float(read_card(run.path / BEST)["probe"]["score"])
    except (LenskitError, KeyError, TypeError) as error:
        log.warning("the best encoder so far cannot be read, and the next one replaces it: %s", error)
        return float("-inf")
