"""The table of docs/how-to/render.md is rendered, and its options exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import lenskit
from lenskit.options import options_of
from lenskit_deeplense.simulators.substructure import Substructure

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "render.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_table_is_rendered() -> None:
    (table,) = re.findall(r"```\n(# four.*?)```", PAGE, re.DOTALL)
    Path("lenses.csv").write_text(table)
    images, values = lenskit.render("lenses.csv", "deeplense-a", set={"pixels": 32, "pixel_scale": 0.2})
    assert images.shape == (4, 1, 32, 32)
    assert values["substructure"].tolist()[:3] == ["none", "spherical", "vortex"]
    assert values["subhalos"].tolist()[:3] == [0, 20, 0]


def test_columns_for_those_of_pylensing_are_there() -> None:
    rows = re.findall(r"^\| (?:Lens|Dark|Ext|Sph|Vor|exp)[^|]*\| ([^|]*) \|$", PAGE, re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`([a-zE_]+)`", row)}
    assert len(rows) == 15
    assert named <= {option.name for option in options_of(Substructure)} | {"substructure", "string_angle"}
