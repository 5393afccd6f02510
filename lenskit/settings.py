"""Options of a run that belong to no component."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Lt
from pydantic import AfterValidator

from lenskit.options import at_most
from lenskit.words import quoted

BILLION = 10**9
"""Upper limit for numbers of lenses, epochs and batches. The product of two such numbers fits into 64 bits."""


SMALLEST, LARGEST = 8, 4096
"""Smallest and largest height and width of resized images, in pixels."""


def _devices(value: int | str) -> int | str:
    if (isinstance(value, int) and value > 9999) or re.search(r"\d{5}", str(value)):
        raise ValueError("at most 9999")
    return value


STRETCHES = ("asinh", "zscale", "linear", "imagenet", "unsharp", "multipole")


def stretches(stretch: str) -> tuple[str, ...]:
    """Return the parts of a stretch such as `unsharp+multipole`.

    Raises:
        ValueError: A part is not one of `STRETCHES`, occurs twice, or is `imagenet` and not the only part.
    """
    parts = tuple(part.strip() for part in stretch.split("+"))
    if unknown := [part for part in parts if part not in STRETCHES]:
        raise ValueError(
            f"{', '.join(map(quoted, unknown))} is none of {', '.join(STRETCHES)}; join several stretches with +"
        )
    if len(set(parts)) < len(parts):
        raise ValueError("a stretch is named twice")
    if "imagenet" in parts and len(parts) > 1:
        raise ValueError("imagenet takes the three channels of a photograph, and cannot be combined")
    return parts


def _stretch(stretch: str) -> str:
    return "+".join(stretches(stretch))


def _scales(scales: tuple[float, ...]) -> tuple[float, ...]:
    if not 1 <= len(scales) <= 16 or len(set(scales)) < len(scales):
        raise ValueError("it must be 1 to 16 different numbers")
    return scales


@dataclass(kw_only=True)
class TrainSettings:
    """Options for the length and the hardware of the training.

    Args:
        lenses: Lenses per epoch. Simulated lenses are new in every epoch; for stored lenses the default is all.
        epochs: Number of epochs.
        batch_size: Lenses per batch, over all processes together.
        seed: Seed of all random numbers.
        precision: Precision of the network, as Lightning names it.
        accelerator: `cpu`, `gpu`, ... as Lightning names it; `auto` selects the best one.
        devices: Number of devices per node, or `auto` for all (one process on a CPU). torchrun and SLURM set it
            themselves.
        num_nodes: Number of nodes.
        strategy: Strategy of several devices, as Lightning names it: `ddp`, or `ddp_find_unused_parameters_true` if
            some weights get no gradient; `auto` selects the one that the method needs.
        accumulate: Number of parts of a batch, processed one after another to save memory. Gradients are summed, and
            the weights change once per batch. Losses that compare lenses, and batch norms, see the lenses of one part.
        channels_last: Use the channels-last memory layout, which is faster for convolutions on GPUs.
        compile: Compile the backbone (torch.compile): a minute or more at the start, faster afterwards.
        ema: Decay per optimiser step of the moving average of the weights; 0 for no average, 0.999 averages over about
            a thousand batches. The averaged weights are saved as the encoder, and give scores and reconstructions.
        checkpoint_every: Batches between checkpoints; the end of an epoch saves one as well.
    """

    lenses: Annotated[int, Ge(1), at_most(BILLION)] | None = None
    epochs: Annotated[int, Ge(1), at_most(BILLION)] = 100
    batch_size: Annotated[int, Ge(2), at_most(BILLION)] = 128
    seed: int = 0
    precision: Literal["32-true", "16-mixed", "bf16-mixed", "64-true"] = "32-true"
    accelerator: str = "auto"
    devices: Annotated[int | str, AfterValidator(_devices)] = "auto"
    num_nodes: Annotated[int, Ge(1), at_most(10000)] = 1
    strategy: str = "auto"
    accumulate: Annotated[int, Ge(1), at_most(BILLION)] = 1
    channels_last: bool = False
    compile: bool = False
    ema: Annotated[float, Ge(0), Lt(1)] = 0.0
    checkpoint_every: Annotated[int, Ge(1), at_most(BILLION)] = 500


@dataclass(kw_only=True)
class OptimizerSettings:
    """Options of the optimizer. The defaults are those of the method's paper.

    A method that constructs its own optimizers has its own options instead.

    Args:
        name: `sgd`, `lars` (https://arxiv.org/abs/1708.03888) or `adamw` (https://arxiv.org/abs/1711.05101).
        lr: Peak learning rate for a batch of `lr_batch` lenses; it is scaled in proportion to the batch size.
        lr_batch: Reference batch size of `lr`; 0 disables the scaling.
        warmup_epochs: Epochs of linear warm-up, at most half of the run; a cosine to zero follows.
        weight_decay: Weight decay; with 0, LARS does not adapt learning rates, and equals SGD.
        decay_all: Apply weight decay (and the rates of LARS) also to biases, to scales and offsets of norms, and to
            tokens and position embeddings of transformers.
        momentum: Momentum of `sgd` and `lars`.
        betas: Decay rates of the averages of `adamw`.
        clip: Maximum norm of the gradient over all weights; larger gradients are scaled down. 0 for no limit.
    """

    name: Literal["sgd", "lars", "adamw"] = "sgd"
    lr: Annotated[float, Gt(0), at_most(1e3)] = 0.03
    lr_batch: Annotated[int, Ge(0), at_most(BILLION)] = 256
    warmup_epochs: Annotated[float, Ge(0), at_most(BILLION)] = 10
    weight_decay: Annotated[float, Ge(0), at_most(1e3)] = 1e-4
    decay_all: bool = False
    momentum: Annotated[float, Ge(0), Lt(1)] = 0.9
    betas: tuple[Annotated[float, Ge(0), Lt(1)], Annotated[float, Ge(0), Lt(1)]] = (0.9, 0.999)
    clip: Annotated[float, Ge(0)] = 0.0


USUAL: dict[str, dict[str, Any]] = {
    "sgd": {},
    "lars": {"lr": 0.2, "weight_decay": 1.5e-6},
    "adamw": {"lr": 1e-3, "weight_decay": 0.05},
}
"""Default options of an optimiser that differs from the optimiser of the method's paper."""


@dataclass(kw_only=True)
class MonitorSettings:
    """Options of monitoring during training.

    Args:
        log_every: Batches between lines of metrics.
        probe_every: Batches between small probes during training; 0 for no probes. A probe also follows the last batch.
            By default, ten times `probe_lenses` lenses are trained on between two probes, which costs about 2 % of the
            run, and a run has at most 20 probes. A run that is shorter than this interval has no probes.
        probe_lenses: Held-out lenses of the probe: three quarters fit it, one quarter tests it.
        stop_on_collapse: Stop a run if its representation collapses, instead of only a warning.
        loggers: Loggers in addition to metrics.jsonl: `tensorboard`, `wandb`, `mlflow`, if they are installed.
    """

    log_every: Annotated[int, Ge(1), at_most(BILLION)] = 10
    probe_every: Annotated[int, Ge(0), at_most(BILLION)] | None = None
    probe_lenses: Annotated[int, Ge(64), at_most(10**6)] = 1024
    stop_on_collapse: bool = False
    loggers: tuple[Literal["tensorboard", "wandb", "mlflow"], ...] = ()


@dataclass(kw_only=True)
class InputSettings:
    """Options of preprocessing and of reading stored images.

    Args:
        stretch: `asinh` is asinh(x / 3 sigma), with sigma from the noise of the border. `zscale` scales the range of
            IRAF's zscale to 0 to 1: it shows faint structure and clips bright pixels. `linear` keeps the values.
            `imagenet` is for networks of photographs, with three channels: an image is divided by its maximum, then
            each channel is standardised like ImageNet. `unsharp` and `multipole` remove the smooth light of the central
            galaxy: they give asinh(x / 3 sigma) of the image minus a blurred copy, or minus a model of elliptical
            isophotes, where sigma is the noise of each pixel. A plus combines several stretches as channels of one
            image, such as `unsharp+multipole`.
        unsharp_scale: Standard deviations in arcsec of the blurs of `unsharp`; each gives a channel.
        size: Height and width in pixels to which images are resized. By default images keep their size, or get the
            nearest size that the backbone accepts.
        channels: Number of channels to which a single channel is repeated; by default it is not repeated.
        normalise: Last step for each image, over all channels: `peak` divides by the maximum, `standard` gives mean
            zero and standard deviation one.
        keep: Where stored images are kept during training. `disk` reads ahead, with constant memory; `memory` keeps
            images once they are read; `device` loads all onto the training device; `auto` is memory if they need less
            than a GiB, else disk. The batches are the same.
        workers: Threads that read stored images ahead; 0 reads them when they are needed.
    """

    stretch: Annotated[str, AfterValidator(_stretch)] = "asinh"
    unsharp_scale: Annotated[tuple[Annotated[float, Gt(0), at_most(1000)], ...], AfterValidator(_scales)] = (0.15, 0.25)
    size: Annotated[int, Ge(SMALLEST), at_most(LARGEST)] | None = None
    channels: Annotated[int, Ge(1), at_most(64)] | None = None
    normalise: Literal["none", "peak", "standard"] = "none"
    keep: Literal["auto", "disk", "memory", "device"] = "auto"
    workers: Annotated[int, Ge(0), at_most(1024)] = 2

    def shown(self) -> dict[str, Any]:
        """Return the preprocessing options for the card of an encoder."""
        names = ["stretch", "size", "channels", "normalise"]
        if "unsharp" in stretches(self.stretch):
            names.append("unsharp_scale")
        return {name: getattr(self, name) for name in names}
