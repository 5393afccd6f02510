"""The images and parameters of the lenses of a table."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import lenskit
from lenskit.errors import LenskitError
from lenskit.rendering.render import Rendering
from lenskit.rendering.table import read_table
from lenskit_toys.components import Blobs

from .conftest import rendered


def test_an_image_that_is_not_finite_is_no_image() -> None:
    with pytest.raises(LenskitError, match=r"the table, row 1 \(from 0\): the image is not finite"):
        list(rendered({"hidden": [1.0, 2e38]}))


def test_a_row_is_one_lens_and_nothing_is_multiplied() -> None:
    """Three values of each of two parameters are three lenses, not nine."""
    (part,) = rendered({"plain": [1.0, 2.0, 3.0], "hidden": [0.0, 0.5, 1.0], "kind": ["all", 1, None]})
    assert part.images.shape == (3, 1, 2, 2)
    np.testing.assert_allclose(part.images[:, 0, 0, 0], [1 + 0, 2 + 1.5, 3 + 3])
    assert part.values["plain"].tolist() == [1, 2, 3]
    assert part.values["hidden"].tolist() == [0, 0.5, 1]
    assert part.values["kind"].tolist()[:2] == [2, 1]


def test_what_the_table_does_not_say_is_drawn_for_the_row() -> None:
    (full,), (short,) = rendered({"plain": [None] * 5}), rendered({"plain": [None, 7.0]})
    (other,) = rendered({"plain": [None] * 5}, seed=1)
    np.testing.assert_array_equal(short.values["shifted"][0], full.values["shifted"][0])
    assert short.values["shifted"][1] - full.values["shifted"][1] == pytest.approx(
        7 - full.values["plain"][1], rel=1e-5
    )
    assert len(set(full.values["plain"])) == 5
    assert not np.isin(full.values["plain"], other.values["plain"]).any()


def test_recorded_values_give_the_same_images() -> None:
    """The toy draws only the width; place and noise depend on the row."""
    simulator = Blobs(pixels=8)
    scene = simulator.scene(5, "render", torch.arange(9))
    images, values = lenskit.render({"width": scene["width"].tolist()}, "blobs", set={"pixels": 8}, seed=5)
    np.testing.assert_array_equal(images, simulator.render(scene))
    np.testing.assert_array_equal(values["x"], scene["x"])


@pytest.mark.slow
def test_many_rows_are_rendered_in_parts_that_do_not_matter() -> None:
    """Two images of 1024 pixels fill a part."""
    simulator = Blobs(pixels=1024)
    given = {"width": torch.tensor([1.0, 2.0, torch.nan, 1.0, 2.0, torch.nan], dtype=torch.float64)}
    whole = simulator.render(simulator.scene(0, "render", torch.arange(6), given=given))
    parts = list(Rendering(read_table({"width": [1.0, 2.0, None] * 2}), simulator, "blobs"))
    assert len(parts) == 3
    np.testing.assert_allclose(np.concatenate([part.images for part in parts]), whole, atol=1e-6)


def test_images_are_called_as_the_table_says() -> None:
    _, values = lenskit.render({"name": ["a", "b"], "width": [1, 2]}, "blobs", set={"simulator.pixels": 8})
    assert values["name"].tolist() == ["a", "b"]
    assert values["width"].tolist() == [1, 2]
