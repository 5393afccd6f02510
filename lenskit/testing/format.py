"""Contract of formats: files resume after a kill, and read back unchanged."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar
from unittest import SkipTest

import numpy as np
import torch

from lenskit.chosen import build
from lenskit.config import Config
from lenskit.data.simulated import SimulatedLenses
from lenskit.embeddings import Embeddings
from lenskit.embeddings.feature_format import FeatureFormat
from lenskit.errors import LenskitError, UsageError
from lenskit.kinds.format import FileFormat
from lenskit.rendering.image_format import ImageFormat
from lenskit.rendering.outputs import write
from lenskit.rendering.render import Rendering, simulator_for
from lenskit.rendering.table import read_table
from lenskit.store.folder_format import FolderFormat
from lenskit.store.format import Format
from lenskit.store.formats import open_format
from lenskit.store.plan import Plan
from lenskit.store.render import Renderer
from lenskit.store.simulate import simulate
from lenskit.testing.contract import ClassContract, temporary_folder

F = TypeVar("F", bound=FileFormat)

PIXELS = 16
LENSES = 5
CHUNK = 2


class FormatContract(ClassContract):
    """Tests of a format, for each kind of content that it holds.

    ```python
    class TestPgm(FormatContract):
        component = "pgm"
    ```
    """

    kind = "format"

    def test_an_ending_begins_with_a_dot(self) -> None:
        for ending in self._format.endings:
            self.require(
                not ending or ending.startswith("."), f"has the ending {ending!r}: begin it with a dot", self.loaded
            )

    def test_the_reader_exists(self) -> None:
        name = self._format.reader
        if not name:
            raise SkipTest("it states no reader")
        try:
            build("dataset", name, {}, Path("not-there"))
        except LenskitError as error:
            self.require("unknown reader" not in str(error), f"states a missing reader: {error}", self.loaded)

    # Stores

    def test_a_store_holds_the_simulated_lenses(self) -> None:
        self._only(Format)
        with temporary_folder() as folder:
            path, plan = self._path(folder), self._plan()
            store = self._simulated(path, plan)
            self._check_complete(store, plan)
            self.require(
                not store.strangers(), f"does not know its own files: {store.strangers()}", self.member("strangers")
            )
            self._compare(path, plan)

    def test_a_store_resumes_after_a_kill(self) -> None:
        """A store with one chunk is completed, and a complete store is left as it is."""
        self._only(Format)
        with temporary_folder() as folder:
            path, plan = self._path(folder), self._plan()
            store = open_format(self.component, path)
            store.create(plan)
            self.require(store.exists, "does not find its store after `create`", self.member("create"))
            self._check_missing(store, plan, [*range(plan.chunks)], "a new store")
            store.write(plan, 0, *Renderer(plan)(0))
            resumed = open_format(self.component, path)
            self._check_missing(resumed, plan, [*range(1, plan.chunks)], "a store with chunk 0")
            simulate(plan, path, format=self.component)
            self._check_complete(resumed, plan)
            before = _content(path)
            simulate(plan, path, format=self.component)
            self.require(before == _content(path), "changes a complete store", self.member("finish"))
            self._compare(path, plan)

    def test_a_store_can_be_removed(self) -> None:
        self._only(Format)
        with temporary_folder() as folder:
            path = self._path(folder)
            self._simulated(path, self._plan()).remove()
            self.require(not path.exists(), "leaves files after `remove`", self.member("remove"))

    def test_a_store_with_a_file_of_the_user_is_not_removed(self) -> None:
        self._only(Format)
        with temporary_folder() as folder:
            path = self._path(folder)
            store = self._simulated(path, self._plan())
            if not path.is_dir():
                raise SkipTest("it is a single file")
            (path / "notes.txt").write_text("mine\n", encoding="utf-8")
            with suppress(UsageError):
                store.remove()
            self.require(
                (path / "notes.txt").is_file(),
                "removes a file of the user: list it in `strangers`",
                self.member("strangers"),
            )

    # Images

    def test_images_are_written(self) -> None:
        kind = self._only(ImageFormat)
        with temporary_folder() as folder:
            path = self._path(folder)
            table = read_table({"name": ["one", "two", "three"]})
            simulator, name = simulator_for(table, {"simulator": {"pixels": PIXELS}})
            with self._working("write images", "write_images"):
                write(Rendering(table, simulator, name), path, self.component, **self.options)
            if not kind.folder_of:
                self.require(path.is_file() and path.stat().st_size, "writes no file", self.member("write_images"))
                return
            files = {file.name for file in path.iterdir()} - {"parameters.csv"}
            wanted = {f"{stem}{kind.folder_of}" for stem in ("one", "two", "three")}
            self.require(
                files == wanted, f"writes {sorted(files)} instead of {sorted(wanted)}", self.member("write_images")
            )

    # Features

    def test_features_read_back(self) -> None:
        kind = self._only(FeatureFormat)
        if kind.write_features is FeatureFormat.write_features:
            raise SkipTest("it only reads features")
        random = np.random.default_rng(0)
        whole = Embeddings(random.random((7, 3)), {"theta_E": np.arange(7) / 3}, names=[f"lens {n}" for n in range(7)])
        with temporary_folder() as folder:
            path = self._path(folder)
            with self._working("write features", "write_features"):
                Embeddings.write(path, [whole], len(whole))
            with self._working("read its file", "read_features"):
                again = Embeddings.load(path)
            self.require(
                np.array_equal(np.asarray(again.features), np.asarray(whole.features)),
                "reads back other features",
                self.member("read_features"),
            )
            self.require(
                np.array_equal(again.values["theta_E"], whole.values["theta_E"]) and [*again.names] == [*whole.names],
                "reads back other parameters or names",
                self.member("read_features"),
            )

    def test_a_file_of_another_program_has_no_features(self) -> None:
        self._only(FeatureFormat)
        with temporary_folder() as folder:
            path = self._path(folder)
            path.write_bytes(b"no features\n")
            try:
                Embeddings.load(path)
            except LenskitError:
                return
            self.require(False, "reads features from any file", self.member("read_features"))

    @property
    def _format(self) -> type[FileFormat]:
        return self.loaded

    def _only(self, base: type[F]) -> type[F]:
        """Return the class, or skip the test if it does not hold this content."""
        loaded: type = self.loaded
        if not issubclass(loaded, base):
            raise SkipTest(f"it does not hold {base.holds}")
        return loaded

    def _path(self, folder: Path) -> Path:
        return folder / f"lenses{max(self._format.endings, default='', key=len)}"

    def _plan(self) -> Plan:
        config = Config.resolve({"simulator": {"pixels": PIXELS}}, only=("simulator", "pairs"))
        return Plan.of(config, lenses=LENSES, chunk=CHUNK)

    @contextmanager
    def _working(self, work: str, at: str) -> Iterator[None]:
        """Turn an error of lenskit into a `Breach`.

        Args:
            work: The work in words, after `cannot`.
            at: Name of the method to change.
        """
        try:
            yield
        except LenskitError as error:
            self.require(False, f"cannot {work}: {error}", self.member(at))

    def _simulated(self, path: Path, plan: Plan) -> Format:
        """Return a complete store.

        A simulation never ends if a format misses a chunk that it wrote, so one chunk is tested first.
        """
        with temporary_folder() as folder:
            store = open_format(self.component, self._path(folder))
            store.create(plan)
            store.write(plan, 0, *Renderer(plan)(0))
            self.require(not store.lacks(plan, 0), "misses a chunk that it wrote", self.member("lacks"))
        simulate(plan, path, format=self.component)
        return open_format(self.component, path)

    def _check_missing(self, store: Format, plan: Plan, chunks: list[int], of: str) -> None:
        missing = store.missing(plan)
        self.require(missing == chunks, f"misses the chunks {missing} of {of}, not {chunks}", self.member("missing"))

    def _check_complete(self, store: Format, plan: Plan) -> None:
        self._check_missing(store, plan, [], "a complete store")
        self.require(store.whole(plan), "is not complete: mark it in `finish`", self.member("finish"))

    def _compare(self, path: Path, plan: Plan) -> None:
        """Compare the images that the reader finds with the simulated images."""
        if not self._format.reader:
            return
        dataset = build("dataset", self._format.reader, {}, path)
        at = "content" if issubclass(self.loaded, FolderFormat) else "write"
        self.require(len(dataset) == LENSES, f"holds {len(dataset)} instead of {LENSES} lenses", self.loaded)
        settings = plan.configuration["simulate"]
        config = Config.resolve({"simulator": plan.configuration["simulator"]}, only=("simulator",))
        lenses = SimulatedLenses(
            config.build("simulator"), seed=settings["seed"], split=settings["split"],
            shared_groups=settings["shared"],
        )  # fmt: skip
        expected = lenses.read(range(LENSES), settings["views"]).images
        with self._working("be read by its reader", at):
            images = dataset.read(range(LENSES))[0].flatten(0, 1)
        reach = 1e-5 * float(expected.abs().max())
        self.require(
            images.shape == expected.shape and torch.allclose(images, expected, rtol=0, atol=reach),
            "holds other images than were simulated",
            self.member(at),
        )


def _content(path: Path) -> dict[str, bytes]:
    """Return the content of every file of a store by its name."""
    if path.is_file():
        return {path.name: path.read_bytes()}
    return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()}
