"""Contract of readers: each test catches a planted fault."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest
import torch
from annotated_types import Gt
from pydantic import AfterValidator
from torch import Tensor

from lenskit.plugin import Dataset, Parameter, UsageError
from tests.lenskit.testing import planted as table

KIND = "dataset"


def write(contract: Any, folder: Path) -> Path:
    """Write six images."""
    np.save(folder / "pile.npy", np.random.default_rng(0).random((6, 1, 1, 8, 8), np.float32))
    return folder / "pile.npy"


planted = partial(table.planted, KIND, write=write)


@table.sound(KIND, "reads images of one NumPy file", write=write)
class Pile(Dataset):
    """Images of one NumPy file, with a label.

    Args:
        scale: Factor of the pixels.
    """

    parameters: Sequence[Parameter] = (Parameter("theta_E", "arcsec"), Parameter("kind", classes=("lens", "none")))
    image_shape = (1, 8, 8)
    names: Sequence[str] = tuple("abcdef")

    def __init__(self, path: Path, *, scale: Annotated[float, Gt(0)] = 1.0) -> None:
        if not path.is_file():
            raise UsageError(f"{path} is no file")
        self.pixels, self.scale = torch.from_numpy(np.load(path)), scale

    @classmethod
    def recognises(cls, path: Path) -> bool:
        return path.suffix == ".npy" and path.is_file()

    def read(self, index: Sequence[int]) -> tuple[Tensor, dict[str, Tensor]]:
        rows = torch.tensor(list(index))
        return self.scale * self.pixels[rows], {"theta_E": 0.1 * rows, "kind": (rows % 2).float()}


@planted("the summary is one line", "has a long summary", "has a summary of 101 characters", summary="x" * 101, at=None)
class Verbose(Pile):
    pass


@planted("the summary is one line", "has a blank summary", "has an empty summary", summary=" ", at=None)
class Blank(Pile):
    pass


@planted("the docstring describes it", "has no docstring", "has no docstring: add one")
class Silent(Pile):
    pass


@planted("the docstring describes it", "has a docstring of arguments alone", "has no docstring: add one")
class Terse(Pile):
    """

    Args:
        scale: Factor of the pixels.
    """


@planted("options have a meaning", "does not describe an option", "has the option 'offset' without a meaning")
class Unexplained(Pile):
    def __init__(self, path: Path, *, offset: float = 0.0) -> None:
        super().__init__(path)


@planted("options have a type", "does not annotate an option", "has the option 'scale' without a type", at="__init__")
class Untyped(Pile):
    def __init__(self, path: Path, *, scale=1.0) -> None:  # type: ignore[no-untyped-def]
        super().__init__(path, scale=scale)


@planted(
    "options are plain values",
    "has an option that holds None in a list",
    "option that TOML cannot hold ... use numbers",
)
class Gaps(Pile):
    """Pile with gaps.

    Args:
        rows: Rows.
    """

    def __init__(self, path: Path, *, rows: tuple[int | None, ...] = (1, None)) -> None:
        super().__init__(path)


@planted("options are plain values", "doubles an option at each reading", "reads its recorded options as other values")
class Doubling(Pile):
    def __init__(self, path: Path, *, scale: Annotated[float, AfterValidator(lambda scale: 2 * scale)] = 1.0) -> None:
        super().__init__(path, scale=scale)


@planted(
    "it passes the checks at first use", "states a size without channels", "states image_shape = (8, 8)", at="read"
)
class Flat(Pile):
    image_shape = (8, 8)  # type: ignore[assignment]


@planted(
    "it passes the checks at first use",
    "reads the first lenses in place of the requested ones",
    "returns different lenses",
    at="read",
)
class First(Pile):
    def read(self, index: Sequence[int]) -> tuple[Tensor, dict[str, Tensor]]:
        return super().read(range(len(index)))


@planted(
    "it passes the checks at first use",
    "gives double precision",
    "returns images of float64: return float32",
    at="read",
)
class Double(Pile):
    def read(self, index: Sequence[int]) -> tuple[Tensor, dict[str, Tensor]]:
        images, values = super().read(index)
        return images.double(), values


@planted("names are unique", "gives the same name to two lenses", "gives the same name to several lenses: a")
class Namesakes(Pile):
    names = tuple("aabcde")


@planted("names are unique", "has a lens without a name", "has lenses without a name")
class Nameless(Pile):
    names = (*"abcde", "")


@planted("labels have units", "records an Einstein radius without a unit", "records 'theta_E' without a unit")
class Unitless(Pile):
    parameters = (Parameter("theta_E"), *Pile.parameters[1:])


@planted("labels have units", "records a label twice", "records a label twice: ['theta_E', 'kind', 'kind']")
class Repeated(Pile):
    parameters = (*Pile.parameters, Pile.parameters[1])


class Relabelled(Pile):
    """Pile whose classes have other numbers."""

    factor: float

    def read(self, index: Sequence[int]) -> tuple[Tensor, dict[str, Tensor]]:
        images, values = super().read(index)
        return images, values | {"kind": self.factor * values["kind"]}


@planted(
    "class labels are numbers of classes",
    "counts classes beyond the last",
    "gives 'kind' other values than 0 to 1",
    at="read",
)
class Beyond(Relabelled):
    factor = 2


@planted(
    "class labels are numbers of classes",
    "gives a fraction as a class",
    "gives 'kind' other values than 0 to 1",
    at="read",
)
class Between(Relabelled):
    factor = 0.5


@planted(
    "class labels are numbers of classes",
    "gives a class below zero",
    "gives 'kind' other values than 0 to 1",
    at="read",
)
class Below(Relabelled):
    factor = -1


class Marked(Pile):
    """Pile with other values in the first rows of the images."""

    mark: float
    rows = slice(1)

    def read(self, index: Sequence[int]) -> tuple[Tensor, dict[str, Tensor]]:
        images, values = super().read(index)
        images[..., self.rows, :] = self.mark
        return images, values


@planted("undefined pixels are nan", "keeps the mark of undefined pixels of its file", "return NaN for them", at="read")
class Sentinels(Marked):
    mark = -3e38


@planted(
    "undefined pixels are nan",
    "returns an image without a defined pixel",
    "gives images without a defined pixel",
    at="read",
)
class Empty(Marked):
    mark, rows = torch.nan, slice(None)


@planted(
    "a second object reads the same", "adds random noise", "reads other pixels or labels from the same files", at="read"
)
class Noisy(Pile):
    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.pixels += torch.from_numpy(np.random.default_rng().random(self.pixels.shape, np.float32))


@planted(
    "a second object reads the same",
    "shuffles its labels",
    "reads other pixels or labels from the same files",
    at="read",
)
class Shuffled(Pile):
    opened = 0

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        Shuffled.opened += 1
        self.shift = Shuffled.opened % 2

    def read(self, index: Sequence[int]) -> tuple[Tensor, dict[str, Tensor]]:
        images, values = super().read(index)
        return images, values | {"theta_E": values["theta_E"] + self.shift}


@planted(
    "labels alone are those read with the images",
    "reads labels alone in their order in the file",
    "reads other values of 'theta_E' in read_parameters",
    at="read_parameters",
)
class Reversed(Pile):
    def read_parameters(self, index: Sequence[int]) -> dict[str, Tensor]:
        return super().read_parameters(list(reversed(index)))


@planted(
    "threads read the same", "shares one open file among threads", "reads other images in several threads", at="read"
)
class Shared(Pile):
    """Pile that seeks in one open file."""

    row = 0

    def read(self, index: Sequence[int]) -> tuple[Tensor, dict[str, Tensor]]:
        rows = []
        for row in index:
            self.row = row
            time.sleep(0.002)
            rows.append(self.row)
        return super().read(rows)


@planted(
    "it recognises its own data only",
    "recognises every folder",
    "recognises a folder that has no images of its form",
    at="recognises",
)
class Greedy(Pile):
    @classmethod
    def recognises(cls, path: Path) -> bool:
        return True


@planted(
    "it recognises its own data only", "returns a list of files in place of a bool", "returns no bool", at="recognises"
)
class Listing(Pile):
    @classmethod
    def recognises(cls, path: Path) -> bool:
        return [*path.glob("*.npy")]  # type: ignore[return-value]


@planted(
    "missing data are one line",
    "raises a FileNotFoundError for missing data",
    "fails for missing data with FileNotFoundError",
)
class Careless(Pile):
    def __init__(self, path: Path) -> None:
        np.load(path)


@planted("missing data are one line", "opens missing data", "opens data that do not exist")
class Lazy(Pile):
    def __init__(self, path: Path) -> None:
        if path.exists():
            super().__init__(path)


@planted("missing data are one line", "does not name the missing data", "does not name the missing data: no file")
class Vague(Pile):
    def __init__(self, path: Path) -> None:
        if not path.exists():
            raise UsageError("no file")
        super().__init__(path)


@planted("missing data are one line", "describes missing data in two lines", "in several lines")
class Wordy(Pile):
    def __init__(self, path: Path) -> None:
        if not path.exists():
            raise UsageError(f"{path} is missing:\ndownload it")
        super().__init__(path)


@pytest.mark.parametrize("fault", table.faults(KIND), ids=str)
def test_a_planted_fault_is_found(fault: table.Planted) -> None:
    table.check_found(fault)


@pytest.mark.slow
def test_the_table_is_complete() -> None:
    table.check_complete(KIND)
