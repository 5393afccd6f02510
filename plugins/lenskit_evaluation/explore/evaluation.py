"""`lenskit explore`: an interactive UMAP of the features as one HTML page."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from annotated_types import Ge, Le
from numpy.typing import NDArray

from lenskit.evaluation import (
    RESULT_FILES,
    Embeddings,
    LensSet,
    Run,
    Seed,
    SimulatedLenses,
    StoredLenses,
    best_device,
    check_free,
    check_one_source,
    check_output,
    in_folder,
    is_stamped,
    join_values,
    labelled,
    open_dataset,
    simulated_origin,
    simulator_of,
    stamp,
    stored_origin,
    to_best_device,
    write_results,
)
from lenskit.plugin import Evaluation, Parameter, UsageError, at_most
from lenskit.toolbox import write_atomically
from lenskit_evaluation.explore.page import Shown, page
from lenskit_evaluation.explore.sprites import Sprites, Thumbnails, thumbnails
from lenskit_evaluation.maps.feature_map import FEWEST, FeatureMap, Trust, trustworthiness

log = logging.getLogger("lenskit")

PAGE = "explore.html"
"""Name of the page, if `--output` is a folder or is omitted."""

TRUSTED = 4000
"""Maximum number of lenses for the trustworthiness, because memory grows with the square of this number."""


def _is_page(path: Path) -> bool:
    """Whether a file is a page that the same settings wrote."""
    return is_stamped(path) and stamp().encode() in path.read_bytes()


@dataclass(frozen=True)
class Explored:
    """Page and its content.

    Attributes:
        page: Path of the page.
        places: (n, 2), coordinates of each lens on the map.
        names: n names of the lenses.
        trustworthiness: Trustworthiness of the map. It is 1 if all neighbours on the map are neighbours in the
            features, and NaN if there are too few lenses.
        judged_on: Number of lenses that the trustworthiness was computed from.
        megabytes: Size of the page.
    """

    page: Path
    places: NDArray[np.float64]
    names: list[str]
    trustworthiness: float
    judged_on: int
    megabytes: float


@dataclass(frozen=True)
class _Lenses:
    """Lenses of a page: features, parameters, names and thumbnails.

    `source` describes the origin of the lenses as text, and `origin` as a record.
    """

    features: NDArray[np.float32]
    values: dict[str, NDArray[np.float64]]
    parameters: Sequence[Parameter]
    names: list[str]
    pictures: Thumbnails | None
    source: str
    origin: Mapping[str, Any] = field(default_factory=dict)


class Explore(Evaluation):
    """Write an interactive map (UMAP) of the features as one self-contained HTML page.

    The page opens in a browser without a network. The reader can zoom the map and colour it by any parameter. The page
    shows the image and the parameters of the lens under the pointer. Select lenses with a box or a lasso to see a
    gallery of images, and histograms that compare the selected lenses with all lenses. A file of embeddings contains no
    images: pass --data to show images; it must have an image for each name in the file.

    Args:
        data: Stored images to show, `[READER:]PATH`; by default those of the run's training, stored or
            simulated.
        lenses: Number of simulated lenses, or maximum number of stored lenses or embeddings, chosen at random.
        seed: Random seed of the simulated lenses, of the random choice and of the map.
        simulator: Simulator to use instead of the run's.
        set: Option of the simulator to override, `OPTION=VALUE`.
        n_neighbors: Number of neighbours of each lens that the map keeps close: low for details, high for the overall
            structure.
        min_dist: Minimum distance between points on the map.
        metric: Distance between features.
        thumbnail: Height and width of the images on the page, in pixels.
        output: File to write, or folder for the page and the other results; by default a folder in the run.
    """

    embeddings: ClassVar[bool] = True
    files: ClassVar[tuple[str, ...]] = RESULT_FILES
    short: ClassVar[dict[str, str]] = {"output": "-o"}
    data_option: ClassVar[str | None] = "data"

    def __init__(
        self,
        *,
        data: str | None = None,
        lenses: Annotated[int, Ge(3), at_most(10**9)] = 3000,
        seed: Seed = 0,
        simulator: str | None = None,
        set: list[str] | None = None,
        n_neighbors: Annotated[int, Ge(2), at_most(10**6)] = 15,
        min_dist: Annotated[float, Ge(0), Le(1)] = 0.1,
        metric: Literal["euclidean", "cosine"] = "euclidean",
        thumbnail: Annotated[int, Ge(8), Le(256)] = 48,
        output: str | None = None,
    ) -> None:
        check_one_source(data, simulator, set)
        if output and in_folder(output, PAGE) == Path(output) and not Path(output).parent.is_dir():
            raise UsageError(f"there is no folder {Path(output).parent} to write {output} to")
        self.data, self.lenses, self.seed, self.output = data, lenses, seed, output
        self.simulator, self.set, self.thumbnail = simulator, set or [], thumbnail
        self.n_neighbors, self.min_dist, self.metric = n_neighbors, min_dist, metric

    def __call__(self, runs: Sequence[Run | Embeddings], inputs: Sequence[str] = ()) -> list[Explored]:
        """Write a page for each run or file of embeddings, and return the pages."""
        if self.output and len(runs) > 1 and in_folder(self.output, PAGE) == Path(self.output):
            raise UsageError(
                f"--output names one file, but there are {len(runs)} runs: omit --output, or pass a folder or one run"
            )
        places = {label: self._place(label, each, len(runs) > 1) for label, each in labelled(runs).items()}
        for path, folder in places.values():
            check_free(folder, [*RESULT_FILES, *([PAGE] if path.parent == folder else [])])
            if path.parent != folder:
                check_output(path, ours=_is_page)
        return [self._explore(each, *place) for each, place in zip(runs, places.values(), strict=True)]

    def _place(self, label: str, subject: Run | Embeddings, several: bool) -> tuple[Path, Path]:
        """Return the path of a subject's page, and the folder of the subject's results."""
        if not self.output or (path := in_folder(self.output, PAGE)) == Path(self.output):
            folder = subject.place("explore")
            return Path(self.output) if self.output else folder / PAGE, folder
        folder = path.parent / label.replace("/", "-") if several else path.parent
        return folder / PAGE, folder

    def _explore(self, subject: Run | Embeddings, path: Path, folder: Path) -> Explored:
        lenses = self._embedded(subject) if isinstance(subject, Embeddings) else self._embed(subject)
        log.info("fit a map to %d lenses with %d features", *lenses.features.shape)
        fitted = FeatureMap.fit(
            lenses.features, n_neighbors=self.n_neighbors, min_dist=self.min_dist, metric=self.metric, seed=self.seed
        )
        trust = self._trust(lenses.features, fitted.coordinates)
        n, d = lenses.features.shape
        facts = [
            f"{n:,} {lenses.source}.",
            f"UMAP of {d} features ({self.n_neighbors} neighbours, seed {self.seed}); trustworthiness "
            + (f"{trust.value:.3f} of {trust.n:,} lenses." if np.isfinite(trust.value) else "not defined for so few."),
        ]
        parameters = sorted(lenses.parameters, key=lambda p: (p.identity, p.group != "lens", not p.headline))
        sprites = None if lenses.pictures is None else Sprites.of(lenses.pictures)
        heading = f"{subject.name}: a map of its features"
        html = page(Shown(heading, facts, fitted.coordinates, lenses.names, parameters, lenses.values, sprites))
        if path.parent != folder:
            write_atomically(path, html)
        size = len(html.encode(errors="backslashreplace")) / 1e6
        figures = {"lenses": n, "seed": self.seed, "trustworthiness": trust.value, "of lenses": trust.n, "MB": size}
        write_results(
            [folder],
            title=f"{subject.name}: page with a map of its features",
            settings={key: value for key, value in vars(self).items() if key != "output"},
            results={"page": path.resolve(), "features": d, "with pictures": sprites is not None, **figures},
            table=[figures],
            subjects={subject.name: subject},
            origin=lenses.origin,
            files=[{PAGE: html}] if path.parent == folder else [],
        )
        log.info("page: %s", path)
        return Explored(path, fitted.coordinates, lenses.names, trust.value, trust.n, size)

    def _trust(self, features: NDArray[Any], places: NDArray[Any]) -> Trust:
        """Return the trustworthiness of the map, from at most `TRUSTED` lenses.

        More lenses are reduced to a random subset.
        """
        judged = np.arange(len(features))
        if len(features) > TRUSTED:
            judged = np.sort(np.random.default_rng(self.seed).choice(len(features), TRUSTED, replace=False))
        return trustworthiness(features[judged], places[judged], self.n_neighbors, self.metric)

    def _embed(self, run: Run) -> _Lenses:
        """Return stored or simulated lenses with their features from the encoder of a run."""
        encoder = to_best_device(run.encoder())
        if self.data:
            dataset = encoder.open(self.data)
            lenses: LensSet = StoredLenses(dataset)
            rows = self._some(len(dataset))
            lenses, names = lenses.select(rows), [dataset.names[row] for row in rows]
            source = f"lenses of {self.data}" + self._chosen(rows, len(dataset))
            origin = stored_origin(self.data, dataset)
        else:
            simulator = simulator_of(run, self.simulator, self.set)
            lenses = SimulatedLenses(simulator, seed=self.seed, split="embed", index=self.lenses)
            lenses, names = lenses.to(best_device()), [f"lens {number}" for number in range(self.lenses)]
            kind = self.simulator or run.config.sections["simulator"]["name"]
            changed = f" with {', '.join(self.set)}" if self.set else ""
            source = f"simulated lenses ({kind}{changed}, seed {self.seed}), never trained on"
            origin = simulated_origin(run, self.simulator, self.set, self.seed)
        self._check_number(len(names))
        features, pictures, values = [], [], []
        for read in lenses.chunks():
            features.append(encoder.embed(read.images))
            pictures.append(thumbnails(read.images, self.thumbnail))
            values.append(read.arrays())
        return _Lenses(
            np.concatenate(features), join_values(values), lenses.parameters, names, np.concatenate(pictures), source,
            origin,
        )  # fmt: skip

    def _embedded(self, embeddings: Embeddings) -> _Lenses:
        """Return the lenses of a file of embeddings, with images from `--data`, if set."""
        if self.simulator or self.set:
            raise UsageError(f"{embeddings.path} is a file of embeddings: omit --simulator and --set")
        rows = self._some(len(embeddings))
        self._check_number(len(rows))
        names = [embeddings.names[row] for row in rows]
        pictures = None if self.data is None else self._pictures(names, self.data)
        values = {name: value[rows] for name, value in embeddings.values.items()}
        source = f"lenses of {embeddings.path.name}" + self._chosen(rows, len(embeddings))
        return _Lenses(embeddings.features[rows], values, embeddings.parameters, names, pictures, source)

    def _pictures(self, names: Sequence[str], data: str) -> Thumbnails:
        """Return the thumbnails of the images with these names.

        Raises:
            UsageError: The data have no image, or several images, with one of the names.
        """
        lenses = StoredLenses(open_dataset(data))
        number = {name: row for row, name in enumerate(lenses.names)}
        missing = [name for name in names if name not in number]
        if missing:
            raise UsageError(
                f"{data} has no image named {missing[0]}; images of {len(missing)} of {len(names)} embeddings are "
                "missing: use --data with the images that were embedded, or omit --data"
            )
        if len(number) < len(lenses) or len(set(names)) < len(names):
            raise UsageError(f"names of embeddings or of images in {data} are not unique: omit --data")
        shown = lenses.select([number[name] for name in names])
        return np.concatenate([thumbnails(read.images, self.thumbnail) for read in shown.chunks()])

    def _check_number(self, n: int) -> None:
        """Check that there are enough lenses for a map and for the number of neighbours.

        Raises:
            UsageError: There are too few lenses.
        """
        if n <= max(self.n_neighbors, FEWEST - 1):
            fewer = f", or --n-neighbors {n - 1}" if n >= FEWEST else f"; a map needs at least {FEWEST}"
            raise UsageError(f"{n} lenses are too few for --n-neighbors {self.n_neighbors}: use more lenses{fewer}")

    def _some(self, n: int) -> list[int]:
        """Return at most `self.lenses` random numbers from 0 to n - 1, ascending."""
        if n <= self.lenses:
            return list(range(n))
        chosen = np.random.default_rng(self.seed).choice(n, self.lenses, replace=False)
        return [int(row) for row in np.sort(chosen)]

    def _chosen(self, rows: Sequence[int], n: int) -> str:
        return "" if len(rows) == n else f", chosen at random (seed {self.seed}) from {n:,}"
