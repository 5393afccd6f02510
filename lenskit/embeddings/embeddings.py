"""Features of images with the metadata of the images."""

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
"""Number of feature rows that enter the digest."""


class Embeddings:
    """Features of images with their parameters.

    They come from `lenskit embed`, from a file or from any array. Evaluations take embeddings in place of a run:
    `lenskit probe features.zarr`, or `lenskit.evaluate("probe", embeddings)`.

    Args:
        features: (n, d) for each representation by name. A single array is the representation of the backbone.
        values: Values (n,) of each parameter by name, NaN if unknown; for a class label, the number of the class.
        parameters: Units, symbols and classes of the parameters. A parameter that is not listed is a number without a
            unit.
        lens: (n,) integers, number of the lens in each image. Images of one lens are never on both sides of a split.
            By default each image shows a different lens.
        view: (n,) integers, number of each image among the images of its lens; by default 0.
        names: n names of the images; by default their numbers.
        path: File of the embeddings. Evaluations write results into a folder `NAME-evaluations` in the working
            directory.
        about: Further metadata as plain values: the embedded images, and the encoder.

    Raises:
        UsageError: Lengths differ, features are not finite numbers, or `lens` or `view` are not integers.
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
            raise UsageError(f"embeddings with {n} rows of features need {n} rows in each array, and {n} names")
        self.path, self.about = Path(path), dict(about or {})

    def __len__(self) -> int:
        return len(next(iter(self.representations.values())))

    @property
    def features(self) -> Matrix:
        """Features (n, d) of the backbone.

        If the backbone is not among the representations, they are the features of the first representation. Features of
        large files stay on disk. `features[rows]` reads rows, `np.asarray(features)` reads all.
        """
        return self.representations.get(BACKBONE, next(iter(self.representations.values())))

    @property
    def id(self) -> str:
        """Digest of metadata, shapes, parameters and the first `SAMPLED` feature rows."""
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
        """Name in tables."""
        return self.path.stem

    def place(self, evaluation: str) -> Path:
        """Return the folder for the results of an evaluation, which need not exist.

        It is `NAME-evaluations/EVALUATION` in the working directory, or the folder of `--output`.
        """
        return asked().place(self.key, evaluation) or working_folder(self.path, evaluation)

    def folder(self, evaluation: str) -> Path:
        """Create the folder for the results of an evaluation, and return it."""
        folder = self.place(evaluation)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def save(self, path: Path | str, *, overwrite: bool = False) -> None:
        """Write the embeddings to a file.

        The suffix, such as `.zarr` or `.npz`, selects the format. See `write`.
        """
        self.write(path, [self], len(self), overwrite=overwrite)

    @staticmethod
    def check_path(path: Path | str, *, overwrite: bool = False) -> None:
        """Check that embeddings can be written to a path.

        Raises:
            UsageError: No format has that suffix, or the path exists and lenskit did not write it. With `overwrite`,
                such a file is allowed, but not a folder.
            LenskitError: A package that the format needs is not installed.
        """
        files.check(Path(path), overwrite)

    @staticmethod
    def about_in(path: Path | str) -> dict[str, Any]:
        """Return `about` of a file without opening its features.

        It is empty if lenskit did not write the file.
        """
        about = files.card_in(Path(path)).get("about")
        return about if isinstance(about, dict) else {}

    @staticmethod
    def write(path: Path | str, parts: Iterable[Embeddings], rows: int, *, overwrite: bool = False) -> None:
        """Write embeddings part by part, so that only a few parts are in memory.

        The file appears only when it is complete. It then replaces an earlier file.

        Args:
            path: The file; its suffix selects the format.
            parts: Embeddings of one or more rows each, with the same representations and values. The
                metadata come from the first part.
            rows: Total number of rows.
            overwrite: Whether to overwrite a file that lenskit did not write.

        Raises:
            UsageError, LenskitError: See `check_path`; or the number of rows differs from `rows`.
        """
        files.write(Path(path), (table_of(part) for part in parts), rows, overwrite)

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Open a file of `lenskit embed` or `save`, or a file of another program.

        A `.npy` file of another program has an array (n, d). A `.npz`, Zarr or Parquet file has a column `features`;
        further columns (n,) are parameters, except `names`, `lens` and `view`. The features of `.npy` and Zarr files
        stay on disk.

        Raises:
            UsageError: The path does not exist.
            LenskitError: The file is damaged, or has no features.
        """
        path = Path(path)
        try:
            return cls(**files.read(path), path=path)
        except UsageError as error:
            raise UsageError(str(error) if str(path) in str(error) else f"{path}: {error}") from None


def table_of(embeddings: Embeddings) -> FeatureTable:
    """Return embeddings as columns and a card."""
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
        raise UsageError(
            f"{name} holds {long}, which float64 cannot represent: leave {name} out, or number the objects from 0"
        )
    return array.astype(np.float64)


def _whole(name: str, value: ArrayLike, n: int) -> NDArray[np.int64]:
    """Return integers; conversion to floats would merge numbers above 2^53."""
    array = _numbers(name, value, n)
    with np.errstate(invalid="ignore"):
        whole = array.astype(np.int64)
    if not (same := whole == array).all():
        row = int(np.argmin(same))
        raise UsageError(f"{name} must be 64-bit integers, but row {row} is {array[row]}")
    return whole


def _numbers(name: str, value: ArrayLike, n: int) -> NDArray[Any]:
    array = np.asarray(value)
    if array.shape != (n,) or array.dtype.kind not in "fiub":
        raise UsageError(
            f"{name} must be {n} numbers, one for each row of features, but is {array.dtype} {array.shape}"
        )
    return array
