"""Paths in texts for publication."""

from __future__ import annotations

import pytest

from lenskit.published import without_absolute_paths, without_folders


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("/home/me/COSMOS_25.2", "COSMOS_25.2"),
        ("data/slacs/", "slacs"),
        ("fits-folder:/home/me/my lenses?pixel_scale=0.05&labels=/home/me/a.csv",
         "fits-folder:my lenses?pixel_scale=0.05&labels=a.csv"),
        ("simulator.stamps=../mine", "simulator.stamps=mine"),
        ("uniform(0, 1)", "uniform(0, 1)"),
        ("unsharp+multipole", "unsharp+multipole"),
        ("hf-hub:owner/model", "hf-hub:owner/model"),
        ("https://arxiv.org/abs/2311.10100", "https://arxiv.org/abs/2311.10100"),
        (0.5, 0.5),
        (None, None),
    ],
)  # fmt: skip
def test_a_path_becomes_a_name(value: object, expected: object) -> None:
    assert without_folders(value) == expected
    assert without_folders({"a": {"b": [value]}}) == {"a": {"b": [expected]}}


def test_absolute_paths_in_a_sentence_become_names() -> None:
    table = "| R2 of /home/me/slacs, N/A | 3/4 | ~/runs/a | runs/b |"
    assert without_absolute_paths(table) == "| R2 of slacs, N/A | 3/4 | a | runs/b |"
