"""Contract of readers: equal lenses in any order, undefined pixels, labels."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from lenskit.contracts.dataset import check_stated, meet_dataset
from lenskit.errors import LenskitError
from lenskit.kinds.dataset import Dataset
from lenskit.testing.contract import ClassContract, temporary_folder

ANGLES_ON_SKY = ("theta_E", "einstein_radius")
"""Names of labels that need a unit."""

SENTINEL = 1e30
"""Absolute value of a pixel that is no brightness."""

THREADS = 4
"""Threads that read at the same time, as in a training."""


class DatasetContract(ClassContract):
    """Tests of a reader.

    A subclass writes an example of the data, or sets `path` to existing data:

    ```python
    class TestSurvey(DatasetContract):
        component = "my-survey"

        def write(self, folder):
            ...                     # write three lenses or more
            return folder / "release-1"
    ```
    """

    kind = "dataset"

    path: ClassVar[str | Path] = ""
    """Existing data, unless the subclass has `write`."""

    def write(self, folder: Path) -> Path:
        """Write an example, and return its path.

        Args:
            folder: Empty folder.
        """
        self.require(self.path, "has no data to test: set `path`, or write an example in `write`", type(self))
        return Path(self.path)

    def test_it_passes_the_checks_at_first_use(self) -> None:
        with temporary_folder() as folder, self.rules_of_lenskit("read"):
            dataset = self.build(self.write(folder))
            check_stated(dataset)
            meet_dataset(dataset)

    def test_names_are_unique(self) -> None:
        with temporary_folder() as folder:
            names = [*self.build(self.write(folder)).names]
        self.require(all(isinstance(name, str) and name for name in names), "has lenses without a name", self.loaded)
        double = sorted({name for name in names if names.count(name) > 1})
        self.require(not double, f"gives the same name to several lenses: {', '.join(double[:5])}", self.loaded)

    def test_labels_have_units(self) -> None:
        with temporary_folder() as folder:
            parameters = self.build(self.write(folder)).parameters
        names = [parameter.name for parameter in parameters]
        self.require(len({*names}) == len(names), f"records a label twice: {names}", self.loaded)
        for parameter in parameters:
            self.require(
                parameter.unit or parameter.name not in ANGLES_ON_SKY,
                f"records {parameter.name!r} without a unit: give Parameter({parameter.name!r}, 'arcsec')",
                self.loaded,
            )

    def test_class_labels_are_numbers_of_classes(self) -> None:
        with temporary_folder() as folder:
            dataset = self.build(self.write(folder))
            values = dataset.read_parameters(range(len(dataset)))
        for parameter in dataset.parameters:
            value = values[parameter.name]
            known = value[value.isfinite()]
            if parameter.classes:
                whole = (known == known.round()) & (known >= 0) & (known < len(parameter.classes))
                self.require(
                    whole.all(),
                    f"gives {parameter.name!r} other values than 0 to {len(parameter.classes) - 1}",
                    self.member("read"),
                )

    def test_undefined_pixels_are_nan(self) -> None:
        with temporary_folder() as folder:
            images = self._all(self.build(self.write(folder)))[0]
        self.require(
            not (images.nan_to_num(0, 0, 0).abs() > SENTINEL).any(),
            f"gives pixels above {SENTINEL:g}, which mark undefined pixels in the file: return NaN for them",
            self.member("read"),
        )
        self.require(
            images.isfinite().flatten(1).any(1).all(),
            "gives images without a defined pixel: leave these lenses out, or raise a LenskitError",
            self.member("read"),
        )

    def test_a_second_object_reads_the_same(self) -> None:
        with temporary_folder() as folder:
            path = self.write(folder)
            one, other = self._all(self.build(path)), self._all(self.build(path))
        self.require(
            _equal(one[0], other[0]) and all(_equal(one[1][name], other[1][name]) for name in one[1]),
            "reads other pixels or labels from the same files",
            self.member("read"),
        )

    def test_labels_alone_are_those_read_with_the_images(self) -> None:
        with temporary_folder() as folder:
            dataset = self.build(self.write(folder))
            values, alone = self._all(dataset)[1], dataset.read_parameters(range(len(dataset)))
        for parameter in dataset.parameters:
            self.require(
                _equal(values[parameter.name], alone[parameter.name]),
                f"reads other values of {parameter.name!r} in read_parameters than in read",
                self.member("read_parameters"),
            )

    def test_threads_read_the_same(self) -> None:
        with temporary_folder() as folder:
            dataset = self.build(self.write(folder))
            rows = [[row] for row in range(len(dataset))] * THREADS
            images = self._all(dataset)[0]
            with ThreadPoolExecutor(THREADS) as threads:
                found = [*threads.map(lambda index: dataset.read(index)[0][0], rows)]
        same = all(_equal(image, images[index[0]]) for image, index in zip(found, rows, strict=True))
        self.require(same, "reads other images in several threads: do not share open files", self.member("read"))

    def test_it_recognises_its_own_data_only(self) -> None:
        with temporary_folder() as folder:
            path = self.write(folder)
            recognised = self.loaded.recognises(path)  # type: ignore[attr-defined]
        with temporary_folder() as empty:
            (empty / "notes.txt").write_text("no images\n", encoding="utf-8")
            strange = self.loaded.recognises(empty)  # type: ignore[attr-defined]
        member = self.member("recognises")
        self.require(isinstance(recognised, bool), "returns no bool: return True or False", member)
        self.require(not strange, "recognises a folder that has no images of its form", member)

    def test_missing_data_are_one_line(self) -> None:
        """A path that does not exist is a `LenskitError` that names the path."""
        with temporary_folder() as folder:
            missing = folder / "not-there"
            try:
                self.build(missing)
            except LenskitError as error:
                message = str(error)
            except Exception as error:
                message = f"{type(error).__name__}: {error}"
                self.require(False, f"fails for missing data with {message}: raise a UsageError", self.loaded)
            else:
                self.require(False, "opens data that do not exist: raise a UsageError", self.loaded)
        self.require("\n" not in message, "describes missing data in several lines: use one", self.loaded)
        self.require(missing.name in message, f"does not name the missing data: {message}", self.loaded)

    def _all(self, dataset: Dataset) -> tuple[Tensor, dict[str, Tensor]]:
        """Read all lenses."""
        return dataset.read(range(len(dataset)))


def _equal(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and torch.allclose(one.double(), other.double(), rtol=0, atol=0, equal_nan=True)
