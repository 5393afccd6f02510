"""The examples in docs/plugins/index.md run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from click.testing import CliRunner
from PIL import Image

import lenskit_toys.json_features
import lenskit_toys.npy_folder
import lenskit_toys.pgm
from lenskit.chosen import build
from lenskit.embeddings import Embeddings
from lenskit.embeddings.embeddings import table_of
from lenskit.interface import MOVED_NAMES, RENAMED
from lenskit.rendering.render import Rendering
from lenskit.rendering.table import read_table
from lenskit.run import Run

PAGES = sorted((Path(__file__).parents[2] / "docs" / "plugins").glob("*.md"))
TEXT = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)


def names_in(example: str) -> dict[str, Any]:
    """Run the code block that contains a text, and return the names that it defines."""
    (block,) = (block for block in re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL) if example in block)
    names: dict[str, Any] = {}
    exec(compile(block, "docs/plugins/index.md", "exec"), names)
    return names


def test_the_command_prints_the_brightest_pixel_of_each_lens() -> None:
    images = np.zeros((3, 1, 8, 8), np.float32)
    images[:, 0, 4, 4] = [1.5, 2.5, 3.5]
    np.save("images.npy", images)
    done = CliRunner().invoke(names_in("@click.command()")["peaks"], ["images.npy", "--lenses", "2"])
    assert done.exit_code == 0
    assert [line.split()[1] for line in done.stdout.splitlines()] == ["1.5", "2.5"]


def test_the_formats_are_those_of_the_toys() -> None:
    """Toys and page define the same classes; other tests use the toys."""
    for example, toy in {
        "class NpyFolder": lenskit_toys.npy_folder.NpyFolder,
        "class Pgm": lenskit_toys.pgm.Pgm,
        "class JsonFeatures": lenskit_toys.json_features.JsonFeatures,
    }.items():
        shown = names_in(example)[example.removeprefix("class ")]
        own = {name for name in vars(toy) if not name.startswith("_")}
        assert own == {name for name in vars(shown) if not name.startswith("_")}
        assert shown.__doc__ == toy.__doc__


def test_the_format_of_images_writes_pictures() -> None:
    images = names_in("class Pgm")["Pgm"](Path("lenses"))
    images.path.mkdir()
    table = read_table({"name": ["a", "b"], "width": [1.5, 2.0]})
    images.write_images(Rendering(table, build("simulator", "blobs", {"pixels": 8}), "blobs"))
    with Image.open("lenses/b.pgm") as picture:
        assert picture.size == (8, 8)
        assert np.asarray(picture).max() == 65535


def test_the_format_of_features_gives_back_what_it_wrote() -> None:
    features = names_in("class JsonFeatures")["JsonFeatures"](Path("a.fjson"))
    whole = Embeddings(np.random.default_rng(0).random((5, 3)), {"theta_E": np.arange(5) / 3})
    assert not features.has_features()
    features.write_features(iter([table_of(whole)]), 5)
    assert features.has_features()
    assert features.feature_card() == table_of(whole).card
    np.testing.assert_array_equal(features.read_features({})["features"], whole.features)
    np.testing.assert_array_equal(Embeddings.load("a.fjson").values["theta_E"], whole.values["theta_E"])


def test_the_walk_over_lenses_embeds_some(run: Run) -> None:
    assert np.array_equal(names_in("def brightest")["brightest"](run).lens, np.arange(100))


def test_all_changes_of_the_interface_are_told() -> None:
    table = TEXT.partition("## From interface 1 to interface 2")[2]
    for names in RENAMED.values():
        for old, new in names.items():
            assert f"`{old.partition('(')[0]}" in table
            assert f"`{new.partition('(')[0]}" in table
    for old, new in MOVED_NAMES.items():
        assert f"`{old}`" in table
        assert f"`{new.rpartition('.')[2]}`" in table
