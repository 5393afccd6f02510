"""`lenskit umap`: plots of the UMAP of the features, coloured by parameters."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge
from numpy.typing import NDArray

from lenskit.evaluation import RESULT_FILES, OnLenses, Split, Subject, labelled, to_csv, write_results
from lenskit.plugin import Parameter, UsageError, at_most
from lenskit.toolbox import save_figure
from lenskit_evaluation.maps.feature_map import (
    JUDGED,
    FeatureMap,
    Local,
    Trust,
    check_umap,
    local_predictability,
    nearest,
    trustworthiness,
)
from lenskit_evaluation.maps.plots import local_figure, umap_figure

log = logging.getLogger("lenskit")

PAPER = ("theta_E", "e1", "gamma")
"""Parameters in Figure 2 of the LenSiam paper (https://arxiv.org/abs/2311.10100)."""

FEW = 3
"""Number of parameters shown by default if there are no headline parameters."""


@dataclass(frozen=True)
class Mapped:
    """Map of the features of one run.

    Attributes:
        places: (n, 2), coordinates of the held-out images on the map.
        names: n names of the held-out images.
        values: Values (n,) of each parameter by its name.
        fitted: Number of images that the map was fitted to.
        components: Number of principal components that the map was fitted to; 0 if it was fitted to the features.
        variance: Share of the variance of the features in the principal components.
        trust: Trustworthiness of the map for the held-out images.
        local: Predictability of each colouring parameter from the neighbours on the map.
        local_features: Predictability of each colouring parameter from the neighbours in the features.
    """

    places: NDArray[np.float64]
    names: list[str]
    values: dict[str, NDArray[np.float64]]
    fitted: int
    components: int
    variance: float
    trust: Trust
    local: dict[str, Local]
    local_features: dict[str, Local]


class Umap(OnLenses):
    """Plot the features as a map (UMAP), coloured by parameters.

    The plot follows Figure 2 of the LenSiam paper.

    The plot has a row for each run and a column for each parameter. The map is fitted to some lenses and shows held-out
    lenses, so it shows no structure that results from overfitting. The number below each panel measures how well the
    neighbours on the map predict the parameter, because a map can look ordered by chance.

    Args:
        color: Parameter to colour by; may be repeated. By default theta_E, e1 and gamma, as in the paper, or the
            headline parameters if the lenses lack one of these three.
        n_neighbors: Number of neighbours of each image that the map keeps close. The trustworthiness and the numbers
            below the panels use the same number.
        min_dist: Minimum distance between points on the map.
        components: Number of principal components that features are reduced to before the fit, if there are more
            features; 0 for no reduction.
        metric: Distance between features.
        options: Options of every evaluation on lenses.
    """

    files = (*RESULT_FILES, "umap.png", "local.png", "umap.pdf", "coordinates.csv")

    def __init__(
        self,
        *,
        color: list[str] | None = None,
        n_neighbors: Annotated[int, Ge(2), at_most(10**6)] = 15,
        min_dist: Annotated[float, Ge(0)] = 0.1,
        components: Annotated[int, Ge(0), at_most(10**6)] = 50,
        metric: Literal["euclidean", "cosine"] = "euclidean",
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.color, self.n_neighbors, self.min_dist = color or [], n_neighbors, min_dist
        self.components, self.metric = components, metric
        if not min_dist <= 1:
            raise UsageError(f"--min-dist is at most 1, the scale of the map, got {min_dist:g}")
        if self.lenses <= n_neighbors:
            raise UsageError(
                f"--lenses {self.lenses} are too few to fit a map of {n_neighbors} neighbours: use more lenses, or "
                f"--n-neighbors {self.lenses - 1}"
            )

    def __call__(self, subjects: Sequence[Subject], inputs: Sequence[str] = ()) -> dict[str, Mapped]:
        """Write plots, results and coordinates, and return the map of each run."""
        check_umap()
        splits = self.splits(subjects)
        parameters = coloured_by(splits, self.color)
        mapped = {label: self._map(label, split, parameters) for label, split in splits.items()}
        self._write(labelled(subjects), mapped, parameters)
        return mapped

    def _map(self, label: str, split: Split, parameters: Sequence[Parameter]) -> Mapped:
        train, k = split.train, self.n_neighbors
        # Points are plotted in random order, so that the order of the file does not decide which points are on top.
        test = split.test.take(np.random.default_rng(self.seed).permutation(len(split.test)))
        log.info("%s: fit a map to %d images, and show %d others on it", label, len(train), len(test))
        fitted = FeatureMap.fit(
            train.features, n_neighbors=k, min_dist=self.min_dist, components=self.components, metric=self.metric,
            seed=self.seed,
        )  # fmt: skip
        places = fitted.transform(test.features)
        judged = np.sort(np.random.default_rng(self.seed).permutation(len(test))[:JUDGED])
        near = nearest(fitted.coordinates, places[judged], k)
        near_features = nearest(fitted.reduce(train.features), fitted.reduce(test.features[judged]), k, self.metric)
        in_map, in_features = (
            {
                p.name: local_predictability(train.values[p.name][rows], test.values[p.name][judged], p)
                for p in parameters
            }
            for rows in (near, near_features)
        )
        trust = trustworthiness(test.features[judged], places[judged], k, self.metric)
        return Mapped(
            places, test.names, test.values, len(train), fitted.components, fitted.variance, trust, in_map, in_features
        )

    def _write(
        self, subjects: Mapping[str, Subject], found: Mapping[str, Mapped], parameters: Sequence[Parameter]
    ) -> None:
        first = next(iter(found.values()))
        k = self.n_neighbors
        between = f"{first.components} principal components" if first.components else "features"
        title = (
            f"UMAP of features ({k} neighbours, {self.metric} distance between {between},"
            f" seed {self.seed}), fitted to {first.fitted} images; the {len(first.places)} shown are others"
        )
        picture = umap_figure(
            {label: mapped.places for label, mapped in found.items()},
            {label: mapped.values for label, mapped in found.items()},
            parameters,
            trust={label: mapped.trust for label, mapped in found.items()},
            local={label: mapped.local for label, mapped in found.items()},
            title=title,
        )
        bars = local_figure({label: (m.local, m.local_features) for label, m in found.items()}, parameters, k)
        folders = {label: subject.folder("umap") for label, subject in subjects.items()}
        large = partial(save_figure, picture, format="pdf", dpi=300)
        write_results(
            list(folders.values()),
            title=title,
            settings=self.options(),
            subjects=subjects,
            origin=self.lens_origin,
            results={"maps": {label: _plain(mapped) for label, mapped in found.items()}},
            table=[row for label, mapped in found.items() for row in _rows(label, mapped, parameters)],
            summary={label: {"UMAP trustworthiness": mapped.trust.value} for label, mapped in found.items()},
            pictures={"umap": picture, "local": bars},
            files=[{"coordinates.csv": to_csv(coordinates(mapped)), "umap.pdf": large} for mapped in found.values()],
        )
        log.info("coordinates: %s", folders[next(iter(folders))] / "coordinates.csv")


def coloured_by(splits: Mapping[str, Split], names: Sequence[str]) -> list[Parameter]:
    """Return the parameters to colour by.

    These are the parameters `names`. Without names, they are the parameters in the LenSiam paper, or else the headline
    parameters, or else the first `FEW` parameters.

    Raises:
        UsageError: A named parameter is missing in a run, or the runs have no parameter in common.
    """
    named = {
        label: {p.name: p for p in split.parameters if not p.identity and p.name in split.test.values}
        for label, split in splits.items()
    }
    common = {name: p for name, p in next(iter(named.values())).items() if all(name in each for each in named.values())}
    for name in names:
        for label, own in named.items():
            if name not in own:
                there = ", ".join(own) or "none"
                raise UsageError(f"{label} has no parameter {name!r} to colour by; it has {there}")
    if not common:
        raise UsageError("there is no parameter to colour by: no parameter is known in all runs and embeddings")
    if names:
        return [common[name] for name in dict.fromkeys(names)]
    if all(name in common for name in PAPER):
        return [common[name] for name in PAPER]
    return [p for p in common.values() if p.headline] or list(common.values())[:FEW]


def coordinates(mapped: Mapped) -> list[dict[str, Any]]:
    """Return a row for each image on the map: name, coordinates and parameters."""
    columns = {"umap_1": mapped.places[:, 0], "umap_2": mapped.places[:, 1], **mapped.values}
    rows = np.stack(list(columns.values()), axis=1).tolist()
    return [
        {"name": name, **dict(zip(columns, row, strict=True))} for name, row in zip(mapped.names, rows, strict=True)
    ]


def _rows(label: str, mapped: Mapped, parameters: Sequence[Parameter]) -> list[dict[str, Any]]:
    trust = mapped.trust
    rows = []
    for parameter in parameters:
        local, features = mapped.local[parameter.name], mapped.local_features[parameter.name]
        rows.append(
            {
                "run": label,
                "parameter": parameter.name,
                "in the map": str(local.value),
                "in the features": str(features.value),
                "measure": local.measure,
                "trustworthiness": trust.value,
                "trustworthiness of": f"{trust.n} images, k = {trust.k}",
                "by chance": local.chance,
                "n": local.n,
                "dropped": local.dropped,
                "note": local.note,
            }
        )
    return rows


def _plain(mapped: Mapped) -> dict[str, Any]:
    return {
        "fitted": mapped.fitted,
        "shown": len(mapped.places),
        "components": mapped.components,
        "variance": mapped.variance,
        "trustworthiness": asdict(mapped.trust),
        "local": {name: asdict(local) for name, local in mapped.local.items()},
        "local_features": {name: asdict(local) for name, local in mapped.local_features.items()},
    }
