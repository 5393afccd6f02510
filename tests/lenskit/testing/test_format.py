"""Contract of formats: each test finds its planted fault."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import AfterValidator

from lenskit.errors import UsageError
from lenskit.files import write_atomically
from lenskit.plugin import ImageFormat
from lenskit.toolbox import FeatureTable, Plan, Rendering
from lenskit_datasets.formats.fits import FitsFormat
from lenskit_toys.json_features import JsonFeatures
from tests.lenskit.testing import planted as table

KIND = "format"

planted = partial(table.planted, KIND)


@table.sound(KIND, "is a folder of FITS files")
class Store(FitsFormat):
    """Store in a folder of FITS files."""

    endings = (".mine",)


@table.sound(KIND, "is a folder of arrays")
class Pictures(ImageFormat):
    """Folder of arrays.

    Args:
        factor: Factor of the pixels.
    """

    endings = (".arrays",)
    folder_of = ".npy"

    def __init__(self, path: Path, *, factor: float = 1.0) -> None:
        super().__init__(path)
        self.factor = factor

    def write_images(self, rendering: Rendering) -> None:
        for part in rendering:
            for name, image in zip(rendering.names[part.first :], part.images, strict=False):
                np.save(self.path / f"{name}.npy", self.factor * image)


@table.sound(KIND, "is one file of arrays")
class OneFile(ImageFormat):
    """File of arrays."""

    endings = (".array",)

    def write_images(self, rendering: Rendering) -> None:
        with self.path.open("wb") as file:
            np.save(file, np.concatenate([part.images for part in rendering]))


@table.sound(KIND, "is a JSON file of features")
class Features(JsonFeatures):
    """Features in a JSON file."""

    endings = (".mine-json",)


@planted("the summary is one line", "has an empty summary", "has an empty summary", at=None, summary=" ")
class Blank(Pictures):
    pass


@table.planted(KIND, "the docstring describes it", "has no docstring", "has no docstring: add one")
class Silent(Pictures):
    pass


@planted("options have a meaning", "does not describe an option", "has the option 'bits' without a meaning")
class Unexplained(Pictures):
    def __init__(self, path: Path, *, bits: int = 8) -> None:
        super().__init__(path)


@planted("options have a type", "does not annotate an option", "has the option 'factor' without a type", at="__init__")
class Untyped(Pictures):
    def __init__(self, path: Path, *, factor=1.0) -> None:  # type: ignore[no-untyped-def]
        super().__init__(path, factor=factor)


@planted("options are plain values", "doubles an option at each reading", "reads its recorded options as other values")
class Doubling(Pictures):
    def __init__(self, path: Path, *, factor: Annotated[float, AfterValidator(lambda f: 2 * f)] = 1.0) -> None:
        super().__init__(path, factor=factor)


@planted("an ending begins with a dot", "has an ending without a dot", "has the ending 'pics': begin it with a dot")
class Dotless(Pictures):
    endings = ("pics",)


@planted("the reader exists", "states a reader that no plugin has", "states a missing reader: unknown reader 'lens")
class Unread(Store):
    reader = "lensiam-fit"


@planted("a store holds the simulated lenses", "stores other images", "holds other images than were", at="content")
class Dark(Store):
    def content(self, plan: Plan, images: NDArray[Any], values: NDArray[np.float64]) -> memoryview:
        return super().content(plan, images + 1, values)


@planted("a store holds the simulated lenses", "stores black images", "cannot be read by its reader", at="content")
class Black(Store):
    def content(self, plan: Plan, images: NDArray[Any], values: NDArray[np.float64]) -> memoryview:
        return super().content(plan, 0 * images, values)


@planted("a store holds the simulated lenses", "never marks a store as complete", "is not complete", at="finish")
class Endless(Store):
    def finish(self, plan: Plan) -> None:
        pass


@planted("a store holds the simulated lenses", "does not know its files", "not know its own files", at="strangers")
class Estranged(Store):
    def strangers(self) -> list[str]:
        return sorted(file.name for file in self.path.iterdir())


@planted("a store holds the simulated lenses", "misses a chunk for ever", "misses a chunk that it wrote", at="lacks")
class Unsatisfied(Store):
    def lacks(self, plan: Plan, chunk: int) -> bool:
        return True

    def missing(self, plan: Plan) -> list[int]:
        return [*range(plan.chunks)]


@planted("a store resumes after a kill", "writes its card last", "not find its store after `create`", at="create")
class Cardless(Store):
    def create(self, plan: Plan) -> None:
        self.path.mkdir(exist_ok=True)


@planted("a store resumes after a kill", "misses no chunk of a new store", "misses the chunks [] of a ne", at="missing")
class Hasty(Store):
    def missing(self, plan: Plan) -> list[int]:
        return []


@planted("a store resumes after a kill", "looks at the first chunk only", "of a store with chunk 0, not", at="missing")
class Trusting(Store):
    def missing(self, plan: Plan) -> list[int]:
        return super().missing(plan) if self.lacks(plan, 0) else []


@planted("a store resumes after a kill", "writes a new card each time", "changes a complete store", at="finish")
class Restless(Store):
    def finish(self, plan: Plan) -> None:
        card = plan.attributes() | {"complete": True, "id": uuid4().hex}
        write_atomically(self.path / self.card_file, json.dumps(card))


@planted("a store can be removed", "removes its card alone", "leaves files after `remove`", at="remove")
class Sticky(Store):
    def remove(self) -> None:
        (self.path / self.card_file).unlink()


@planted(
    "a store with a file of the user is not removed", "removes the files of others", "removes a file of the user",
    at="strangers",
)  # fmt: skip
class Ruthless(Store):
    def strangers(self) -> list[str]:
        return []


@planted("images are written", "numbers the files", "writes ['0.npy', '1.npy', '2.npy'] instead", at="write_images")
class Numbered(Pictures):
    def write_images(self, rendering: Rendering) -> None:
        for part in rendering:
            for number, image in enumerate(part.images, part.first):
                np.save(self.path / f"{number}.npy", image)


@planted("images are written", "writes an empty file", "writes no file", at="write_images")
class Empty(OneFile):
    def write_images(self, rendering: Rendering) -> None:
        list(rendering)
        self.path.touch()


@planted("images are written", "writes images of three channels only", "cannot write images: give", at="write_images")
class Colours(Pictures):
    def write_images(self, rendering: Rendering) -> None:
        if rendering.shape[1] != 3:
            raise UsageError("give images of three channels")


@planted("features read back", "rounds the features", "reads back other features", at="read_features")
class Rounded(Features):
    endings = (".rounded",)

    def read_features(self, card: dict[str, Any]) -> dict[str, Any]:
        columns = super().read_features(card)
        return columns | {"features": columns["features"].round(3)}


@planted("features read back", "sorts the names", "reads back other parameters or names", at="read_features")
class Sorted(Features):
    endings = (".sorted",)

    def read_features(self, card: dict[str, Any]) -> dict[str, Any]:
        columns = super().read_features(card)
        return columns | {"names": columns["names"][::-1]}


@planted("features read back", "writes nothing", "cannot write features", at="write_features")
class Idle(Features):
    endings = (".nothing",)

    def write_features(self, parts: Iterator[FeatureTable], rows: int) -> None:
        list(parts)


@planted("features read back", "writes no card", "cannot read its file", at="read_features")
class Uncarded(Features):
    endings = (".uncarded",)

    def write_features(self, parts: Iterator[FeatureTable], rows: int) -> None:
        self.path.write_text(json.dumps([len(part) for part in parts]))


@planted("a file of another program has no features", "reads bytes as features", "from any file", at="read_features")
class Gullible(Features):
    endings = (".gullible",)

    def has_features(self) -> bool:
        return True

    def feature_card(self) -> Any:
        return super().feature_card() if super().has_features() else None

    def read_features(self, card: dict[str, Any]) -> dict[str, Any]:
        if card:
            return super().read_features(card)
        return {"features": np.frombuffer(self.path.read_bytes(), np.uint8)[None].astype(np.float32)}


@pytest.mark.parametrize("fault", table.faults(KIND), ids=str)
def test_a_planted_fault_is_found(fault: table.Planted) -> None:
    table.check_found(fault)


@pytest.mark.slow
def test_the_table_is_complete() -> None:
    table.check_complete(KIND)
