"""The options of a run that belong to no component."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge


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
        devices: How many devices a node: a number, or `auto` for all (for one process on a CPU).
        num_nodes: Nodes.
        log_every: Batches from one line of metrics to the next.
        checkpoint_every: Batches from one checkpoint to the next; the end of an epoch saves one too.
    """

    lenses: Annotated[int, Ge(1)] | None = None
    epochs: Annotated[int, Ge(1)] = 100
    batch_size: Annotated[int, Ge(2)] = 128
    seed: int = 0
    precision: Literal["32-true", "16-mixed", "bf16-mixed", "64-true"] = "32-true"
    accelerator: str = "auto"
    devices: int | str = "auto"
    num_nodes: Annotated[int, Ge(1)] = 1
    log_every: Annotated[int, Ge(1)] = 10
    checkpoint_every: Annotated[int, Ge(1)] = 500


@dataclass(kw_only=True)
class InputSettings:
    """What is done to an image, simulated or real, before a network sees it, and where stored ones are held.

    Args:
        stretch: `asinh` is asinh(x / 3 sigma), sigma being the noise of the image's border; `linear` leaves the
            values as they are.
        size: Height and width in pixels that images are resized to; nothing leaves them as they are.
        keep: Where stored images are held while they are learned from: `disk` reads them ahead, in as much memory
            whatever their number; `memory` keeps them once they are read; `device` loads all onto the one that
            trains; `auto` is memory if they need less than a GiB there, and else disk. The batches are the same.
        workers: Threads that read stored images ahead; 0 reads them when they are needed.
    """

    stretch: Literal["asinh", "linear"] = "asinh"
    size: Annotated[int, Ge(8)] | None = None
    keep: Literal["auto", "disk", "memory", "device"] = "auto"
    workers: Annotated[int, Ge(0)] = 2
