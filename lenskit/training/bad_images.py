"""Search for the images that cause a loss that is not finite."""

from __future__ import annotations

import torch
from torch import Tensor

from lenskit.data.simulated import SimulatedLenses
from lenskit.data.training_set import TrainingSet
from lenskit.origin import origin_of
from lenskit.words import listed

TOGETHER = 64
"""Number of lenses made at a time."""


@torch.no_grad()
def bad_images(training_set: TrainingSet, batch_size: int, batch: int, device: torch.device) -> str | None:
    """Make a batch again and name the lenses whose views are not finite.

    Args:
        training_set: The training set.
        batch_size: Lenses per batch, over all processes.
        batch: Number of the batch.
        device: Device that makes the images.

    Returns:
        One line that names the component at fault and the lenses; None if all views are finite.
    """
    bad: list[int] = []
    rendered = False  # whether the rendered images are not finite, before pairs and stretch
    for places in (torch.arange(batch_size) + batch * batch_size).split(TOGETHER):
        fetched = {name: value.to(device) for name, value in training_set.fetch(places).items()}
        views = training_set.batch(fetched)
        finite = torch.stack([view.isfinite().flatten(1).all(1) for view in views.views]).all(0)
        if not finite.all():
            bad += views.index[~finite].tolist()
            rendered = rendered or not _raw_are_finite(training_set, views.index[~finite])
    if not bad:
        return None
    source = (
        origin_of(training_set.lenses.simulator) if isinstance(training_set.lenses, SimulatedLenses) else "the data"
    )
    culprit = source if rendered else f"{origin_of(training_set.pairs)}, or the input's stretch,"
    lenses = f"lens{'es' * (len(bad) > 1)} {listed([str(lens) for lens in bad], 6)}"
    return f"{culprit} gives NaN or infinite pixels for {lenses}, batch {batch}"


def _raw_are_finite(training_set: TrainingSet, index: Tensor) -> bool:
    """Whether the rendered images are finite; always True for stored images."""
    if not isinstance(training_set.lenses, SimulatedLenses):
        return True
    return bool(training_set.lenses.render(index, training_set.pairs.draws).images.isfinite().all())
