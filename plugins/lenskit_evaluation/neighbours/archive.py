"""Archives of embeddings, and access to the embedded images.

The images are read or simulated again.
"""

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
"""Number of images of an archive to embed again, to check that this encoder computed the features."""

TOLERANCE = 0.02
"""Largest relative difference between feature vectors of the same image on different devices."""

SAME = ("backbone", "input", "image_shape", "method", "pairs", "trained")
"""Fields of an encoder's card; two encoders differ if one of these fields differs."""


class Images(Protocol):
    """Function that returns the images (n, C, H, W) of rows of an archive."""

    def __call__(self, rows: Sequence[int]) -> Tensor: ...


def embed_archive(
    run: Run, data: str | None, *, lenses: int, seed: int, simulator: str | None, changes: Sequence[str]
) -> Embeddings:
    """Embed stored images or `lenses` simulated lenses, and return the embeddings.

    This is `lenskit embed` without a file.
    """
    data = absolute_spec(data) if data else None
    task = Task(
        run=run.address, projection="none", data=data, all_views=False,
        lenses=lenses, seed=seed, simulator=simulator, changes=tuple(changes), token=uuid4().hex,
    )  # fmt: skip
    embedder = EmbedWorker(task)
    parts = [embedder(part) for part in embedder.parts()]
    if not parts:
        raise LenskitError(f"{data} holds no images")
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
    """Return a function that reads or simulates the images of an archive.

    The result is None if the archive does not record the path of the images, or if the path no longer exists.

    Args:
        archive: Embeddings from `lenskit embed`.
        run: Run of the encoder that computed the embeddings.
        encoder: Encoder that computed the embeddings.
        data: Stored images, `[READER:]PATH`, instead of the path in the archive.

    Raises:
        UsageError: `data` holds different images.
    """
    origin: Mapping[str, Any] = archive.about.get("images") or {}
    if data is None and "path" in origin:
        path = Path(origin["path"])
        if not path.exists():
            log.warning("no images of neighbours: %s no longer exists; pass the images with --data PATH", path)
            return None
        data = f"{origin['reader']}:{path}{origin.get('options', '')}"
    if data is not None:
        return _stored(archive, data, encoder)
    if "simulator" not in origin:
        log.warning(
            "no images of neighbours: %s does not record the path of its images; pass the images with --data PATH",
            archive.path,
        )
        return None
    section = dict(origin["simulator"])
    simulator = run.simulator(section.pop("name"), **section | simulator_options(origin.get("set", ())))
    lenses = SimulatedLenses(simulator, seed=origin["seed"], split=origin["split"])
    return _shown(archive, lenses.to(next(encoder.parameters()).device))


def check_archive(archive: Embeddings, encoder: Encoder, images: Images | None, run: Run) -> None:
    """Check that an encoder computed the features of an archive.

    The check compares the number of features and the cards of the encoders. If the images are available, it also embeds
    the first `CHECKED` images again.

    Raises:
        UsageError: A different encoder computed the features, or the images have changed.
    """
    again = f"make the archive again with `lenskit embed {run.path}`"
    if archive.features.shape[1] != encoder.features:
        raise UsageError(
            f"{archive.path} has {archive.features.shape[1]} features per image, but the encoder of {run.path} has "
            f"{encoder.features}: {again}"
        )
    theirs = archive.about.get("encoder")
    if theirs is None:
        log.warning("%s does not record its encoder; the encoder of %s is assumed", archive.path, run.path)
        return
    for key in SAME:
        ours, other = _plain(encoder.card.get(key)), _plain(theirs.get(key))
        if ours != other:
            raise UsageError(
                f"{archive.path} was computed by a different encoder: its {key} is {other}, but the encoder of "
                f"{run.path} has {ours}: {again}"
            )
    if images is None:
        return
    rows = list(range(min(CHECKED, len(archive))))
    made = encoder.embed(images(rows)).astype(np.float64)
    stored = np.asarray(archive.features[: len(rows)], np.float64)
    off = np.linalg.norm(made - stored, axis=1) / np.linalg.norm(stored, axis=1).clip(1e-12)
    if off.max() > TOLERANCE:
        raise UsageError(
            f"{archive.path} differs from the features of the same images by the encoder of {run.path} (by "
            f"{off.max():.0%}): the encoder is different, or the images have changed; {again}"
        )


def _stored(archive: Embeddings, data: str, encoder: Encoder) -> Images:
    """Return a function that reads the stored images of an archive.

    About a hundred names of images are first compared with the archive.
    """
    dataset = encoder.open(data)
    lenses, views = archive.lens, archive.view
    if len(archive) and (lenses.max() >= len(dataset) or views.max() >= dataset.views):
        raise UsageError(
            f"{data} holds {len(dataset)} lenses, fewer than the archive: pass the images of the archive with --data"
        )
    for row in range(0, len(archive), max(len(archive) // 100, 1)):
        if dataset.names[lenses[row]] != archive.names[row]:
            raise UsageError(
                f"lens {lenses[row]} is named {dataset.names[lenses[row]]} in {data}, but {archive.names[row]} in the "
                "archive: pass the images of the archive with --data"
            )

    return _shown(archive, StoredLenses(dataset))


def _shown(archive: Embeddings, lenses: LensSet) -> Images:
    """Return a function from rows of an archive to images of a lens set.

    The number of a lens in the archive is its row in the lens set.
    """

    def read(rows: Sequence[int]) -> Tensor:
        lens, view = archive.lens[list(rows)], archive.view[list(rows)]
        images = torch.empty(len(rows), *lenses.image_shape)
        for number in np.unique(view).tolist():
            read = lenses.read(lens[view == number], number + 1).images
            images[torch.from_numpy(view == number)] = read[number :: number + 1].float().cpu()
        return images

    return read


def _plain(value: Any) -> Any:
    """Convert tuples to lists in a value, for comparison with values from JSON."""
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value
