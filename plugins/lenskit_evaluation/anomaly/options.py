"""Options of `lenskit anomaly` that say what is scored and how."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Options:
    """What is scored, and by which distances; see `Anomaly`, which has the defaults."""

    data: str | None
    reference: str | None
    label: str | None
    normal: str | None
    lenses: int
    train_lenses: int
    neighbours: int
    baselines: bool
    batch_size: int
    seed: int
    simulator: str | None
    set: list[str]
