"""`lenskit neighbours`: search for the most similar lenses of an archive."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from annotated_types import Ge
from numpy.typing import NDArray
from torch import Tensor

from lenskit.evaluation import (
    RESULT_FILES,
    ArrayLenses,
    Embeddings,
    Encoder,
    LensSet,
    Run,
    Seed,
    StoredLenses,
    is_embeddings,
    join_values,
    to_best_device,
    write_results,
)
from lenskit.plugin import Dataset, Evaluation, LenskitError, Parameter, UsageError, at_most
from lenskit.toolbox import load_array, reason
from lenskit_evaluation.neighbours.archive import check_archive, embed_archive, images_of
from lenskit_evaluation.neighbours.plot import Row, neighbours_figure
from lenskit_evaluation.neighbours.search import Index, Metric, check_index, search

log = logging.getLogger("lenskit")

SHOWN = 20
"""Maximum number of query images that are plotted and printed; the table on disk has all query images."""

TOLD = 4
"""Default number of parameters below an image, if there are no headline parameters."""


@dataclass(frozen=True)
class Queries:
    """Query images of a search for neighbours.

    Attributes:
        names: n names of the images.
        features: (n, d).
        images: (m, C, H, W), the first m images, for the plot.
        values: Values (n,) of the known parameters of the images by name.
        parameters: Known parameters of the images.
    """

    names: list[str]
    features: NDArray[Any]
    images: Tensor
    values: dict[str, NDArray[np.float64]]
    parameters: list[Parameter]


class Neighbours(Evaluation):
    """Find the lenses of an archive that are most similar to an image.

    The results include images and parameters of these lenses.

    The query images are FITS files, numpy arrays (`.npy`) or any files that a reader opens (`[READER:]PATH`). The
    archive is a file of embeddings from `lenskit embed` with the same encoder, or stored images, or lenses of the run's
    simulator.

    Args:
        archive: File of embeddings, or stored images, `[READER:]PATH`, to search for neighbours; by default the
            lenses of the run's training, stored or simulated.
        k: Number of neighbours of each query image.
        metric: Distance between features: `cosine` distance, or `euclidean` distance of features standardised on the
            archive.
        index: Search method: `exact`, or the approximate `pynndescent` or `faiss`, which save time for thousands of
            query images and large archives.
        parameter: Parameter to show below the images; may be repeated. By default the headline parameters.
        data: Images of a file of embeddings, `[READER:]PATH`, if the images are no longer at the path in the file.
        lenses: Number of simulated lenses in the archive.
        seed: Random seed of the simulated lenses and of the approximate search.
        simulator: Simulator of the archive, instead of the run's.
        set: Option of the simulator to override, `OPTION=VALUE`.
    """

    inputs: ClassVar[str | None] = "IMAGES"
    short: ClassVar[dict[str, str]] = {"k": "-k"}
    data_option: ClassVar[str | None] = "archive"
    files: ClassVar[tuple[str, ...]] = (*RESULT_FILES, "neighbours.png")

    def __init__(
        self,
        *,
        archive: str | None = None,
        k: Annotated[int, Ge(1), at_most(10**6)] = 8,
        metric: Metric = "cosine",
        index: Index = "exact",
        parameter: list[str] | None = None,
        data: str | None = None,
        lenses: Annotated[int, Ge(1), at_most(10**9)] = 3000,
        seed: Seed = 0,
        simulator: str | None = None,
        set: list[str] | None = None,
    ) -> None:
        if archive and (simulator or set):
            raise UsageError("--archive and --simulator or --set define two archives: pass only one")
        self.archive, self.k, self.metric, self.index = archive, k, metric, index
        self.parameter, self.data, self.lenses, self.seed = parameter or [], data, lenses, seed
        self.simulator, self.set = simulator, set or []
        self._embedded = bool(archive) and is_embeddings(Path(str(archive)))
        if data and not self._embedded:
            raise UsageError("--data is for a file of embeddings: add this file with --archive PATH, or omit --data")

    def __call__(self, runs: Sequence[Run], inputs: Sequence[str] = ()) -> list[dict[str, Any]]:
        """Write the table and the plot, and return the rows of the table.

        There is a row for each neighbour of each image, the nearest first.
        """
        (run,) = runs
        check_index(self.index)
        encoder = to_best_device(run.encoder())
        queries = joined([read_queries(path, encoder) for path in inputs])
        archive = Embeddings.load(str(self.archive)) if self._embedded else self._embed(run)
        shown = shown_parameters(archive, self.parameter)
        images = images_of(archive, run, encoder, self.data)
        if self._embedded:
            check_archive(archive, encoder, images, run)
        rows, distances = search(
            archive.features, queries.features, self.k, metric=self.metric, index=self.index, seed=self.seed
        )
        neighbours = [
            {
                "query": name,
                "rank": rank + 1,
                "neighbour": archive.names[row],
                "distance": float(distances[query, rank]),
                **{parameter.name: float(archive.values[parameter.name][row]) for parameter in archive.parameters},
            }
            for query, name in enumerate(queries.names)
            for rank, row in enumerate(rows[query])
        ]
        pictures = {}
        if images is not None:
            drawn = [
                Row(
                    name, queries.images[query], {key: float(value[query]) for key, value in queries.values.items()},
                    [archive.names[row] for row in rows[query]], images(rows[query].tolist()), distances[query],
                    {key: value[rows[query]] for key, value in archive.values.items()},
                )
                for query, name in enumerate(queries.names[: len(queries.images)])
            ]  # fmt: skip
            pictures = {"neighbours": neighbours_figure(drawn, shown, queries.parameters, self._title(archive))}
        columns = ["query", "rank", "neighbour", "distance", *(parameter.name for parameter in shown)]
        write_results(
            [run.folder("neighbours")],
            title=self._title(archive),
            settings={key: value for key, value in vars(self).items() if not key.startswith("_")},
            results={"queries": len(queries.names), "archive": len(archive), "inputs": list(inputs)},
            origin=images if isinstance(images := archive.about.get("images"), dict) else None,
            table=[{key: row[key] for key in columns} for row in neighbours[: SHOWN * self.k]],
            long=neighbours,
            pictures=pictures,
        )
        if len(queries.names) > SHOWN:
            log.info("the first %d of %d query images are shown; table.csv has all", SHOWN, len(queries.names))
        return neighbours

    def _embed(self, run: Run) -> Embeddings:
        return embed_archive(
            run, self.archive, lenses=self.lenses, seed=self.seed, simulator=self.simulator, changes=self.set
        )

    def _title(self, archive: Embeddings) -> str:
        where = self.archive or "simulated lenses"
        how = "exact" if self.index == "exact" else f"approximate, {self.index}"
        return f"The {self.k} nearest of {len(archive)} images of {where} ({self.metric} distance, {how})"


def read_queries(path: str, encoder: Encoder) -> Queries:
    """Read and embed the query images.

    Args:
        path: `.npy` file of an array (H, W), (C, H, W) or (n, C, H, W), or `[READER:]PATH`. Images larger than the
            input of the encoder are cropped around the centre.
        encoder: Encoder of the images.

    Raises:
        UsageError: The path has no images, or the encoder cannot take the images.
    """
    if path.endswith(".npy") and Path(path).is_file():
        images: Tensor | Dataset = _from_numpy(Path(path), encoder)
        stem = Path(path).stem
        names = [stem] if len(images) == 1 else [f"{stem}-{number}" for number in range(len(images))]
    else:
        images = encoder.open(path)
        names = list(images.names)
    if not names:
        raise UsageError(f"{path} holds no images")
    lenses: LensSet = StoredLenses(images) if isinstance(images, Dataset) else ArrayLenses(images)
    kept: list[Tensor] = []
    features: list[NDArray[Any]] = []
    values: list[dict[str, NDArray[np.float64]]] = []
    for read in lenses.chunks():
        features.append(encoder.embed(read.images))
        kept.append(read.images[: SHOWN - sum(map(len, kept))])
        values.append(read.arrays())
    return Queries(names, np.concatenate(features), torch.cat(kept), join_values(values), list(lenses.parameters))


def joined(parts: Sequence[Queries]) -> Queries:
    """Join several sets of query images.

    A parameter that is missing in a set is NaN for the images of this set.

    Raises:
        LenskitError: A parameter has different units in two sets.
    """
    parameters: dict[str, Parameter] = {}
    for part in parts:
        for parameter in part.parameters:
            if parameters.setdefault(parameter.name, parameter).unit != parameter.unit:
                raise LenskitError(
                    f"{parameter.name} is in {parameter.unit or 'no unit'} for some images, and in "
                    f"{parameters[parameter.name].unit or 'no unit'} for others: use one unit for all images"
                )
    return Queries(
        [name for part in parts for name in part.names],
        np.concatenate([part.features for part in parts]),
        torch.cat([part.images for part in parts])[:SHOWN],
        {
            name: np.concatenate([part.values.get(name, np.full(len(part.names), np.nan)) for part in parts])
            for name in parameters
        },
        list(parameters.values()),
    )


def _from_numpy(path: Path, encoder: Encoder) -> Tensor:
    """Return the images (n, C, H, W) of a `.npy` file, cropped to the encoder's input."""
    try:
        array = np.array(load_array(path))  # a copy, because torch takes no read-only arrays
    except (OSError, EOFError, ValueError) as error:
        raise LenskitError(f"{path} cannot be read as a numpy array: {reason(error)}") from None
    shape = encoder.image_shape
    if array.ndim == 2:
        array = array[None, None]
    elif array.ndim == 3:
        array = array[None] if len(array) == (shape[0] if shape else 1) else array[:, None]
    if shape and array.ndim == 4 and array.shape[2] >= shape[1] and array.shape[3] >= shape[2]:
        _, height, width = shape
        top, left = (array.shape[2] - height) // 2, (array.shape[3] - width) // 2
        array = array[:, :, top : top + height, left : left + width]
    try:
        return encoder.images(array)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None


def shown_parameters(archive: Embeddings, names: Sequence[str]) -> list[Parameter]:
    """Return the named parameters; by default, the headline parameters.

    If there are no headline parameters, the default is the first `TOLD` parameters.
    """
    parameters = {parameter.name: parameter for parameter in archive.parameters}
    for name in names:
        if name not in parameters:
            raise UsageError(f"the archive has no parameter {name!r}; it has {', '.join(parameters) or 'none'}")
    if names:
        return [parameters[name] for name in dict.fromkeys(names)]
    plain = [parameter for parameter in archive.parameters if not parameter.identity]
    return ([parameter for parameter in plain if parameter.headline] or plain)[:TOLD]
