"""Length of a run: lenses per epoch, and batches."""

from __future__ import annotations

from lenskit.data.training_set import TrainingSet
from lenskit.errors import UsageError
from lenskit.kinds.method import Budget
from lenskit.settings import TrainSettings

LIVE_LENSES = 10_000
"""Default number of lenses per epoch of live simulation."""


def lenses_of(settings: TrainSettings, training_set: TrainingSet) -> int:
    """Return the number of lenses per epoch."""
    return settings.lenses or training_set.lenses.size or LIVE_LENSES


def budget_of(settings: TrainSettings, training_set: TrainingSet) -> Budget:
    """Return the budget of a run.

    Raises:
        UsageError: if an epoch has fewer lenses than a batch.
    """
    lenses, batch_size = lenses_of(settings, training_set), settings.batch_size
    if lenses < batch_size:
        fitting = lenses - lenses % settings.accumulate
        advice = f"use --batch-size {fitting} or less" if fitting >= 2 else "use more lenses; a batch has at least 2"
        raise UsageError(f"{lenses} lenses per epoch are fewer than a batch of {batch_size}: {advice}")
    return Budget(batch_size, lenses // batch_size, settings.epochs)
