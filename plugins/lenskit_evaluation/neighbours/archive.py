"""An archive of embedded images, whose images can be had again: rendered from their addresses, or read."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

import numpy as np
import torch
from torch import Tensor

from lenskit.evaluation import (
    Embeddings,
    Encoder,
    LensSet,
    Run,
    SimulatedLenses,
    StoredLenses,
    absolute_spec,
    simulator_options,
)
from lenskit.plugin import LenskitError, UsageError
from lenskit_evaluation.embed_worker import EmbedWorker, Task

log = logging.getLogger("lenskit")

CHECKED = 4
"""Images of an archive that are embedded anew, to see whether it is this encoder that made its features."""

TOLERANCE = 0.02
"""Part of a feature vector's length that it may differ by on another device."""

SAME = ("backbone", "input", "image_shape", "method", "pairs", "trained")
"""What two encoders have in common that are one, of what they say of themselves."""


class Images(Protocol):
    """Gives the images (n, C, H, W) of rows of an archive."""

    def __call__(self, rows: Sequence[int]) -> Tensor: ...


def embed_archive(
    run: Run, data: str | None, *, lenses: int, seed: int, simulator: str | None, changes: Sequence[str]
) -> Embeddings:
    """Embeds stored images, or so many of a simulator's lenses, in memory, as `lenskit embed` does to a file."""
    data = absolute_spec(data) if data else None
    task = Task(
        run=run.address, projection="none", data=data, all_views=False,
        lenses=lenses, seed=seed, simulator=simulator, changes=tuple(changes), token=uuid4().hex,
    )  # fmt: skip
    embedder = EmbedWorker(task)
    parts = [embedder(part) for part in embedder.parts()]
    if not parts:
        raise LenskitError(f"there are no images in {data}")
    return Embeddings(
        np.concatenate([np.asarray(part.features) for part in parts]),
        {name: np.concatenate([part.values[name] for part in parts]) for name in parts[0].values},
        parameters=parts[0].parameters,
        lens=np.concatenate([part.lens for part in parts]),
        view=np.concatenate([part.view for part in parts]),
        names=[name for part in parts for name in part.names],
        about=parts[0].about,
    )


def images_of(archive: Embeddings, run: Run, encoder: Encoder, data: str | None = None) -> Images | None:
    """What gives the images of an archive, or None if it does not say where they are, or they are not there.

    Args:
        archive: What `lenskit embed` wrote.
        run: The run whose encoder it was.
        encoder: That encoder.
        data: Where stored images are now, `[READER:]PATH`, instead of where the archive says.

    Raises:
        UsageError: if `data` holds others.
    """
    origin: Mapping[str, Any] = archive.about.get("images") or {}
    if data is None and "path" in origin:
        path = Path(origin["path"])
        if not path.exists():
            log.warning("no pictures of neighbours: their images are no longer at %s; say where, with --data", path)
            return None
        data = f"{origin['reader']}:{path}{origin.get('options', '')}"
    if data is not None:
        return _stored(archive, data, encoder)
    if "simulator" not in origin:
        log.warning("no pictures of neighbours: %s does not say where its images are; say so with --data", archive.path)
        return None
    section = dict(origin["simulator"])
    simulator = run.simulator(section.pop("name"), **section | simulator_options(origin.get("set", ())))
    lenses = SimulatedLenses(simulator, seed=origin["seed"], split=origin["split"])
    return _shown(archive, lenses.to(next(encoder.parameters()).device))


def check_archive(archive: Embeddings, encoder: Encoder, images: Images | None, run: Run) -> None:
    """Raises unless an archive's features are those of an encoder, as far as can be seen.

    Raises:
        UsageError: if they are not.
    """
    again = f"make them again with `lenskit embed {run.path}`"
    if archive.features.shape[1] != encoder.features:
        raise UsageError(
            f"{archive.path} holds {archive.features.shape[1]} features an image, the encoder of {run.path} makes "
            f"{encoder.features}: {again}"
        )
    theirs = archive.about.get("encoder")
    if theirs is None:
        log.warning("%s does not say which encoder made it: that it was that of %s is taken for granted", archive.path,
                    run.path)  # fmt: skip
        return
    for key in SAME:
        ours, other = _plain(encoder.card.get(key)), _plain(theirs.get(key))
        if ours != other:
            raise UsageError(
                f"{archive.path} was made by another encoder, whose {key} is {other}, not {ours} as that of "
                f"{run.path}: {again}"
            )
    if images is None:
        return
    rows = list(range(min(CHECKED, len(archive))))
    made = encoder.embed(images(rows)).astype(np.float64)
    stored = np.asarray(archive.features[: len(rows)], np.float64)
    off = np.linalg.norm(made - stored, axis=1) / np.linalg.norm(stored, axis=1).clip(1e-12)
    if off.max() > TOLERANCE:
        raise UsageError(
            f"{archive.path} does not hold what the encoder of {run.path} makes of its images (features differ by "
            f"{off.max():.0%}): another encoder made it, or the images have changed; {again}"
        )


def _stored(archive: Embeddings, data: str, encoder: Encoder) -> Images:
    """What reads images."""
    dataset = encoder.open(data)
    lenses, views = archive.lens, archive.view
    if len(archive) and (lenses.max() >= len(dataset) or views.max() >= dataset.views):
        raise UsageError(f"{data} holds {len(dataset)} lenses, fewer than the archive: it is not what was embedded")
    for row in range(0, len(archive), max(len(archive) // 100, 1)):
        if dataset.names[lenses[row]] != archive.names[row]:
            raise UsageError(
                f"{data} is not what was embedded: its lens {lenses[row]} is called {dataset.names[lenses[row]]}, that "
                f"of the archive {archive.names[row]}"
            )

    return _shown(archive, StoredLenses(dataset))


def _shown(archive: Embeddings, lenses: LensSet) -> Images:
    """Return the images of rows of an archive, whose numbers of lenses are rows of a lens set."""

    def read(rows: Sequence[int]) -> Tensor:
        lens, view = archive.lens[list(rows)], archive.view[list(rows)]
        images = torch.empty(len(rows), *lenses.image_shape)
        for number in np.unique(view).tolist():
            read = lenses.read(lens[view == number], number + 1).images
            images[torch.from_numpy(view == number)] = read[number :: number + 1].float().cpu()
        return images

    return read


def _plain(value: Any) -> Any:
    """A value as JSON gives it back: lists for tuples."""
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value
