"""Features of images, from wherever they come, with what is known of the images."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lenskit.asked import asked
from lenskit.checksums import card_checksum
from lenskit.destinations import working_folder
from lenskit.embeddings import files, table
from lenskit.embeddings.stored import Matrix, StoredMatrix
from lenskit.embeddings.table import BACKBONE, PROJECTION, FeatureTable
from lenskit.errors import UsageError
from lenskit.identity import digest
from lenskit.kinds.parameter import Parameter
from lenskit.reading.whole import first_inexact
from lenskit.version import __version__

Array = NDArray[np.float64]

__all__ = ["BACKBONE", "PROJECTION", "Embeddings"]

SAMPLED = 1000
"""Rows of features that tell two files apart."""


class Embeddings:
    """Features of images, and what is known of each: what `lenskit embed` wrote, or anybody's array.

    Evaluations take them in place of a run: `lenskit probe features.zarr`, or `lenskit.evaluate("probe", embeddings)`.

    Args:
        features: (n, d) for each representation by its name; an array alone is that of the backbone.
        values: Values (n,) of each parameter by name, NaN where not known; for a class, its number.
        parameters: What is known of the parameters. One that is not listed is a number without a unit.
        lens: (n,) whole numbers that say which lens an image shows. Images of one lens are never on both sides of a
            split; by default each shows its own.
        view: (n,) whole numbers of the images among those of their lens; by default 0.
        names: n names of the images; by default their numbers.
        path: The file they are in. What evaluations find goes into a folder `NAME-evaluations` of the working folder.
        about: What else is known of them, as plain values: what was embedded, and by what.

    Raises:
        UsageError: if the lengths do not agree, features are no finite numbers, or `lens` or `view` no whole ones.
    """

    def __init__(
        self,
        features: ArrayLike | StoredMatrix | Mapping[str, ArrayLike | StoredMatrix],
        values: Mapping[str, ArrayLike] | None = None,
        *,
        parameters: Sequence[Parameter] = (),
        lens: ArrayLike | None = None,
        view: ArrayLike | None = None,
        names: Sequence[str] | None = None,
        path: Path | str = "embeddings.zarr",
        about: Mapping[str, Any] | None = None,
    ) -> None:
        given = features if isinstance(features, Mapping) else {BACKBONE: features}
        self.representations: dict[str, Matrix] = {name: _matrix(name, value) for name, value in given.items()}
        if not self.representations:
            raise UsageError("embeddings need features (n, d)")
        n = len(self)
        self.values = {name: _column(name, value, n) for name, value in (values or {}).items()}
        by_name = {parameter.name: parameter for parameter in parameters}
        self.parameters = [by_name.get(name, Parameter(name)) for name in self.values]
        self.lens = np.arange(n) if lens is None else _whole("lens", lens, n)
        self.view = np.zeros(n, np.int64) if view is None else _whole("view", view, n)
        self.names = [str(number) for number in range(n)] if names is None else [str(name) for name in names]
        if len(self.names) != n or any(len(array) != n for array in self.representations.values()):
            raise UsageError(f"embeddings: {n} rows of features need as many of each other array, and as many names")
        self.path, self.about = Path(path), dict(about or {})

    def __len__(self) -> int:
        return len(next(iter(self.representations.values())))

    @property
    def features(self) -> Matrix:
        """(n, d), of the backbone, or else of the first representation. Of large files they stay on disk: take rows,
        `features[rows]`, or all with `np.asarray(features)`."""
        return self.representations.get(BACKBONE, next(iter(self.representations.values())))

    @property
    def id(self) -> str:
        """Digest of their origin (`about`), their shapes and parameters, and the first `SAMPLED` rows of features."""
        shapes = {name: list(array.shape) for name, array in self.representations.items()}
        contents = [value.tobytes() for value in (self.lens, self.view, *self.values.values())]
        sample = np.ascontiguousarray(self.features[:SAMPLED], np.float64)
        return digest(self.about, shapes, list(self.values), *contents, sample.tobytes())

    @property
    def key(self) -> Path:
        """Path that identifies the embeddings."""
        return self.path.resolve()

    @property
    def name(self) -> str:
        """What tables call them."""
        return self.path.stem

    def place(self, evaluation: str) -> Path:
        """The folder that an evaluation writes to, which need not be there: `NAME-evaluations/EVALUATION` in the
        working folder, or where `--output` says."""
        return asked().place(self.key, evaluation) or working_folder(self.path, evaluation)

    def folder(self, evaluation: str) -> Path:
        """The folder that an evaluation writes to, made if need be."""
        folder = self.place(evaluation)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def save(self, path: Path | str, *, overwrite: bool = False) -> None:
        """Writes them to a file, in the format that its ending means, such as `.zarr` or `.npz`; see `write`."""
        self.write(path, [self], len(self), overwrite=overwrite)

    @staticmethod
    def check_path(path: Path | str, *, overwrite: bool = False) -> None:
        """Raises if no embeddings can be written there.

        Raises:
            UsageError: if the ending says no format, or there is something that lenskit did not write, which may not
                be overwritten or is a folder.
            LenskitError: if what the format needs is not installed.
        """
        files.check(Path(path), overwrite)

    @staticmethod
    def about_in(path: Path | str) -> dict[str, Any]:
        """Return `about` of a file that lenskit wrote, without opening its features; nothing of any other."""
        about = files.card_in(Path(path)).get("about")
        return about if isinstance(about, dict) else {}

    @staticmethod
    def write(path: Path | str, parts: Iterable[Embeddings], rows: int, *, overwrite: bool = False) -> None:
        """Writes embeddings that come part by part, of which memory holds few at a time: the file is there whole, in
        place of the one that was, or not at all.

        Args:
            path: The file; its ending says the format.
            parts: Some rows each, at least one, of the same representations and values; the first says what they are.
            rows: How many rows there will be.
            overwrite: Whether a file that lenskit did not write is replaced.

        Raises:
            UsageError, LenskitError: as `check_path` does, or if other rows come than were announced.
        """
        files.write(Path(path), (table_of(part) for part in parts), rows, overwrite)

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Opens what `lenskit embed` or `save` wrote, or anybody's file.

        That is an array (n, d) as `.npy`, or as `.npz`, Zarr or Parquet a column `features` and further ones (n,),
        which are parameters, but for `names`, `lens` and `view`. The features of `.npy` and Zarr stay on disk.

        Raises:
            UsageError: if there is nothing there.
            LenskitError: if it is damaged, or holds no features.
        """
        path = Path(path)
        try:
            return cls(**files.read(path), path=path)
        except UsageError as error:
            raise UsageError(str(error) if str(path) in str(error) else f"{path}: {error}") from None


def table_of(embeddings: Embeddings) -> FeatureTable:
    """Embeddings as columns and a card."""
    card = {
        "format": table.FORMAT,
        "format_version": table.VERSION,
        "written_by": f"lenskit {__version__}",
        "representations": list(embeddings.representations),
        "parameters": [asdict(parameter) | {"classes": list(parameter.classes)} for parameter in embeddings.parameters],
        "about": embeddings.about,
    }
    card["checksum"] = card_checksum(card)
    columns: dict[str, Any] = {table.feature_column(name): value for name, value in embeddings.representations.items()}
    columns |= {
        table.NAMES: np.array(embeddings.names, dtype=object),
        table.LENS: embeddings.lens,
        table.VIEW: embeddings.view,
    }
    columns |= {table.column_name(name): value for name, value in embeddings.values.items()}
    return FeatureTable(card, columns)


def _matrix(name: str, value: Any) -> Matrix:
    array = value if isinstance(value, StoredMatrix) else np.asarray(value)
    if array.ndim != 2 or not array.shape[1] or array.dtype.kind not in "fiu":
        raise UsageError(f"features are numbers of shape (n, d), but {name} is {array.dtype} of shape {array.shape}")
    if isinstance(array, np.ndarray) and not (finite := np.isfinite(array).all(axis=1)).all():
        raise UsageError(f"features must be finite, but row {int(np.argmin(finite))} of {name} is not")
    return array


def _column(name: str, value: ArrayLike, n: int) -> Array:
    array = _numbers(name, value, n)
    if array.dtype.kind in "iu" and (long := first_inexact(array, np.float64)) is not None:
        raise UsageError(f"{name} holds {long}, which float64 does not: leave it out, or number the things from 0")
    return array.astype(np.float64)


def _whole(name: str, value: ArrayLike, n: int) -> NDArray[np.int64]:
    """Whole numbers, never by way of floats, which lose digits above 2^53: two lenses would become one."""
    array = _numbers(name, value, n)
    with np.errstate(invalid="ignore"):
        whole = array.astype(np.int64)
    if not (same := whole == array).all():
        row = int(np.argmin(same))
        raise UsageError(f"{name} must be whole numbers of 64 bits, but row {row} is {array[row]}")
    return whole


def _numbers(name: str, value: ArrayLike, n: int) -> NDArray[Any]:
    array = np.asarray(value)
    if array.shape != (n,) or array.dtype.kind not in "fiub":
        raise UsageError(f"{name} must be {n} numbers, one a row of features, but is {array.dtype} {array.shape}")
    return array
