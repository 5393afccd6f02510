"""Features of images, from wherever they come, with what is known of the images."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lenskit.errors import LenskitError, UsageError
from lenskit.files import write_atomically
from lenskit.kinds.parameter import Parameter

Array = NDArray[np.float64]

BACKBONE, PROJECTION = "backbone", "projection"
"""Names of the representations that `lenskit embed` writes."""

ENDINGS = (".npz", ".npy")
"""How the names of files of embeddings end."""

_OWN = ("features", "projection", "names", "lens", "about")
"""Arrays of a file that are no parameters."""


class Embeddings:
    """Features of images, and what is known of each: what `lenskit embed` wrote, or anybody's array.

    Evaluations take them in place of a run: `lenskit probe features.npz`, or `lenskit.evaluate("probe", embeddings)`.

    Args:
        features: (n, d) for each representation by its name; an array alone is that of the backbone.
        values: Values (n,) of each parameter by name, NaN where not known; for a class, its number.
        parameters: What is known of the parameters. One that is not listed is a number without a unit.
        lens: (n,) numbers that say which lens an image shows. Images of one lens are never on both sides of a split;
            by default each shows its own.
        names: n names of the images; by default their numbers.
        path: The file they are in. What evaluations find goes into a folder beside it, `STEM-evaluations`.
        about: What else is known of them, as plain values: what was embedded, and by what.

    Raises:
        UsageError: if the lengths do not agree, or features are no numbers.
    """

    def __init__(
        self,
        features: ArrayLike | Mapping[str, ArrayLike],
        values: Mapping[str, ArrayLike] | None = None,
        *,
        parameters: Sequence[Parameter] = (),
        lens: ArrayLike | None = None,
        names: Sequence[str] | None = None,
        path: Path | str = "embeddings.npz",
        about: Mapping[str, Any] | None = None,
    ) -> None:
        given = features if isinstance(features, Mapping) else {BACKBONE: features}
        self.representations = {name: _matrix(name, value) for name, value in given.items()}
        if not self.representations:
            raise UsageError("embeddings need features (n, d)")
        n = len(self)
        self.values = {name: _column(name, value, n) for name, value in (values or {}).items()}
        known = {parameter.name: parameter for parameter in parameters}
        self.parameters = [known.get(name, Parameter(name)) for name in self.values]
        self.lens = np.arange(n) if lens is None else _column("lens", lens, n).astype(np.int64)
        self.names = [str(number) for number in range(n)] if names is None else [str(name) for name in names]
        if len(self.names) != n or any(len(each) != n for each in self.representations.values()):
            raise UsageError(f"embeddings: {n} rows of features need as many of each other array, and as many names")
        self.path, self.about = Path(path), dict(about or {})

    def __len__(self) -> int:
        return len(next(iter(self.representations.values())))

    @property
    def features(self) -> NDArray[Any]:
        """(n, d), of the backbone, or else of the first representation."""
        return self.representations.get(BACKBONE, next(iter(self.representations.values())))

    @property
    def name(self) -> str:
        """What tables call them."""
        return self.path.stem

    def folder(self, evaluation: str) -> Path:
        """The folder that an evaluation writes to, made if need be."""
        folder = self.path.with_name(f"{self.path.stem}-evaluations") / evaluation
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def save(self, path: Path | str) -> None:
        """Writes them to a file, `.npz`.

        Raises:
            UsageError: if the ending of the name says nothing that can be written.
        """
        path = Path(path)
        if path.suffix != ".npz":
            raise UsageError(f"embeddings are written as .npz, not {path.name}")
        about = {"parameters": [asdict(parameter) for parameter in self.parameters], **self.about}
        arrays: dict[str, Any] = {name: value for name, value in self.representations.items() if name != BACKBONE}
        arrays |= {"features": self.features, "names": np.array(self.names), "lens": self.lens}
        arrays |= {"about": np.array(json.dumps(about)), **self.values}
        write_atomically(path, lambda file: np.savez(file, **arrays))

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Reads what `save` wrote, or a bare array of features, `.npy`.

        Raises:
            UsageError: if there is nothing there.
            LenskitError: if it holds no features.
        """
        path = Path(path)
        if not path.exists():
            raise UsageError(f"there are no embeddings at {path}")
        try:
            if path.suffix == ".npy":
                return cls(np.load(path, allow_pickle=False), path=path)
            with np.load(path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
        except (OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
            raise LenskitError(f"{path} holds no embeddings: {error}") from None
        if "features" not in arrays:
            raise LenskitError(f"{path} holds no embeddings: it has no array `features`, but {', '.join(arrays)}")
        about = json.loads(str(arrays["about"])) if "about" in arrays else {}
        parameters = [Parameter(**{**p, "classes": tuple(p["classes"])}) for p in about.pop("parameters", ())]
        representations = {BACKBONE: arrays["features"]}
        if PROJECTION in arrays:
            representations[PROJECTION] = arrays[PROJECTION]
        return cls(
            representations,
            {name: value for name, value in arrays.items() if name not in _OWN},
            parameters=parameters,
            lens=arrays.get("lens"),
            names=arrays["names"].tolist() if "names" in arrays else None,
            path=path,
            about=about,
        )


def is_embeddings(path: Path) -> bool:
    """Whether a path looks like a file of embeddings; cheap."""
    return path.suffix in ENDINGS and path.is_file()


def _matrix(name: str, value: ArrayLike) -> NDArray[Any]:
    array = np.asarray(value)
    if array.ndim != 2 or array.dtype.kind not in "fiu":
        raise UsageError(f"features are numbers of shape (n, d), but {name} is {array.dtype} of shape {array.shape}")
    return array


def _column(name: str, value: ArrayLike, n: int) -> Array:
    array = np.asarray(value)
    if array.shape != (n,) or array.dtype.kind not in "fiub":
        raise UsageError(f"{name} must be {n} numbers, one a row of features, but is {array.dtype} {array.shape}")
    return array.astype(np.float64)
