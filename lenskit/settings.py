"""The options of a run that belong to no component."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Lt
from pydantic import AfterValidator

from lenskit.options import at_most
from lenskit.words import quoted

BILLION = 10**9
"""More lenses in a batch, epochs or batches than any run has: products of two of these still are 64-bit integers."""


SMALLEST, LARGEST = 8, 4096
"""Heights and widths in pixels that images can be resized to."""


def _devices(value: int | str) -> int | str:
    if (isinstance(value, int) and value > 9999) or re.search(r"\d{5}", str(value)):
        raise ValueError("at most 9999")
    return value


STRETCHES = ("asinh", "zscale", "linear", "imagenet", "unsharp", "multipole")


def stretches(stretch: str) -> tuple[str, ...]:
    """Return the parts of a stretch such as `unsharp+multipole`.

    Raises:
        ValueError: One is none of `STRETCHES`, comes twice, or is `imagenet` beside others.
    """
    parts = tuple(part.strip() for part in stretch.split("+"))
    if unknown := [part for part in parts if part not in STRETCHES]:
        raise ValueError(f"{', '.join(map(quoted, unknown))} is none of {', '.join(STRETCHES)}, joined by + if several")
    if len(set(parts)) < len(parts):
        raise ValueError("each stretch may be named once")
    if "imagenet" in parts and len(parts) > 1:
        raise ValueError("imagenet takes the three channels of a photograph, and goes with no other")
    return parts


def _stretch(stretch: str) -> str:
    return "+".join(stretches(stretch))


def _scales(scales: tuple[float, ...]) -> tuple[float, ...]:
    if not 1 <= len(scales) <= 16 or len(set(scales)) < len(scales):
        raise ValueError("1 to 16 different numbers")
    return scales


@dataclass(kw_only=True)
class TrainSettings:
    """How long and on what a run trains.

    Args:
        lenses: Lenses an epoch. Live lenses are new in every epoch; of stored ones, nothing means all.
        epochs: Epochs of the run.
        batch_size: Lenses a batch, over all processes together.
        seed: Seed of everything that is drawn.
        precision: Arithmetic of the network, as Lightning names it.
        accelerator: `cpu`, `gpu`, ... as Lightning names it; `auto` takes the best there is.
        devices: How many devices a node: a number, or `auto` for all (for one process on a CPU); torchrun and SLURM say
            it themselves.
        num_nodes: Nodes.
        strategy: How several devices work together, as Lightning names it: `ddp`, or
            `ddp_find_unused_parameters_true` where weights get no gradient; `auto` is the one that the method needs.
        accumulate: Parts that a batch is taken in, one after the other, to need less memory: gradients are summed, and
            the weights change once a batch. What a loss or a batch norm compares is the lenses of one part.
        channels_last: Whether images lie in memory with their channels last, which convolutions on GPUs prefer.
        compile: Whether the backbone is compiled (torch.compile): a minute or more at the start, faster from there.
        ema: Decay an optimiser step of an average of the method's weights, which is then what is saved as the encoder,
            and what scores and reconstructs: 0 for none; 0.999 averages over some thousand batches.
        checkpoint_every: Batches from one checkpoint to the next; the end of an epoch saves one too.
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
    """How a method's weights are changed. What is not said is as the method's paper has it.

    A method that makes its optimisers itself has options of its own instead of these.

    Args:
        name: `sgd`, `lars` (https://arxiv.org/abs/1708.03888) or `adamw` (https://arxiv.org/abs/1711.05101).
        lr: Peak learning rate for a batch of `lr_batch` lenses; it is scaled in proportion to the batch.
        lr_batch: That batch; 0 takes `lr` as it is.
        warmup_epochs: Epochs of linear warm-up, at most half of the run; a cosine to zero follows.
        weight_decay: Weight decay; where it is 0, LARS adapts no rates either, and is SGD.
        decay_all: Whether weight decay also acts on biases, on the scales and offsets of norms and on the tokens and
            position embeddings of transformers (and LARS adapts the rates of these).
        momentum: Momentum of `sgd` and `lars`.
        betas: Decay of the averages of `adamw`.
        clip: Largest norm of the gradient, over all weights; a larger one is scaled down to it. 0 for any.
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
"""What is usual for an optimiser, where it is not the method's own."""


@dataclass(kw_only=True)
class MonitorSettings:
    """What is watched while a run trains.

    Args:
        log_every: Batches from one line of metrics to the next.
        probe_every: Batches from one small probe of what was learned to the next, 0 for none; the last batch is
            followed by one, too. Nothing takes as many as learn from ten times the probe's lenses, so that probes cost
            about 2 % of the run, and at most 20 probes a run; a shorter run has none.
        probe_lenses: Lenses of that probe, which training never sees; three quarters fit it, one judges.
        stop_on_collapse: Whether a run whose representation has collapsed stops, instead of a warning.
        loggers: Where figures go beside metrics.jsonl: `tensorboard`, `wandb`, `mlflow`, where these are installed.
    """

    log_every: Annotated[int, Ge(1), at_most(BILLION)] = 10
    probe_every: Annotated[int, Ge(0), at_most(BILLION)] | None = None
    probe_lenses: Annotated[int, Ge(64), at_most(10**6)] = 1024
    stop_on_collapse: bool = False
    loggers: tuple[Literal["tensorboard", "wandb", "mlflow"], ...] = ()


@dataclass(kw_only=True)
class InputSettings:
    """What is done to an image, simulated or real, before a network sees it, and where stored ones are held.

    Args:
        stretch: `asinh` is asinh(x / 3 sigma), sigma being the noise of the image's border; `zscale` is the range that
            IRAF's zscale shows, as 0 to 1: what is faint, with all that is bright cut off; `linear` leaves the
            values as they are; `imagenet` is for three channels that a network of photographs shall see: an image
            is divided by its maximum, then each channel is standardised as ImageNet's are. `unsharp` and `multipole`
            take the smooth light of the galaxy in the middle off, so that faint arcs show: asinh(x / 3 sigma) of the
            image less a blurred copy, or less a model of elliptical isophotes, sigma being the noise of the pixel.
            Several joined by +, such as `unsharp+multipole`, are channels of one image.
        unsharp_scale: Standard deviations in arcsec of the blurs of `unsharp`; each gives a channel.
        size: Height and width in pixels that images are resized to; nothing leaves them as they are, or makes them the
            nearest size that the backbone takes.
        channels: Number of channels that the one of an image is repeated to; nothing leaves it as it is.
        normalise: What is done last to each image, all channels together: `peak` makes its maximum one, `standard` its
            mean zero and its standard deviation one.
        keep: Where stored images are held while they are learned from: `disk` reads them ahead, in as much memory
            whatever their number; `memory` keeps them once they are read; `device` loads all onto the one that
            trains; `auto` is memory if they need less than a GiB there, and else disk. The batches are the same.
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
        """What is done to an image, as the card of an encoder has it."""
        names = ["stretch", "size", "channels", "normalise"]
        if "unsharp" in stretches(self.stretch):
            names.append("unsharp_scale")
        return {name: getattr(self, name) for name in names}
