"""Paths in texts for publication."""

from __future__ import annotations

from pathlib import Path

import pytest

from lenskit.published import without_absolute_paths, without_folders


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("/home/me/COSMOS_25.2", "COSMOS_25.2"),
        ("data/slacs/", "data/slacs/"),
        ("~/data/slacs/", "slacs"),
        ("fits-folder:/home/me/my lenses?pixel_scale=0.05&labels=/home/me/a.csv",
         "fits-folder:my lenses?pixel_scale=0.05&labels=a.csv"),
        ("simulator.stamps=/home/me/mine", "simulator.stamps=mine"),
        ("uniform(0, 1)", "uniform(0, 1)"),
        ("unsharp+multipole", "unsharp+multipole"),
        ("hf-hub:owner/model", "hf-hub:owner/model"),
        ("timm:hf-hub:timm/resnet18.a1_in1k", "timm:hf-hub:timm/resnet18.a1_in1k"),
        ("1/3", "1/3"),
        ("**/*.fits", "**/*.fits"),
        ("/", "/"),
        ("https://arxiv.org/abs/2311.10100", "https://arxiv.org/abs/2311.10100"),
        (0.5, 0.5),
        (None, None),
    ],
)  # fmt: skip
def test_a_path_becomes_a_name(value: object, expected: object) -> None:
    assert without_folders(value) == expected
    assert without_folders({"a": {"b": [value]}}) == {"a": {"b": [expected]}}


def test_a_path_that_exists_becomes_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data" / "slacs").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert without_folders("fits-folder:data/slacs?pattern=*/a.fits") == "fits-folder:slacs?pattern=*/a.fits"
    assert without_folders({"name": "data/slacs", "path": "data/slacs"}) == {"name": "data/slacs", "path": "slacs"}


def test_absolute_paths_in_a_sentence_become_names() -> None:
    table = "| R2 of /home/me/slacs, N/A | 3/4 | ~/runs/a | runs/b |"
    assert without_absolute_paths(table) == "| R2 of slacs, N/A | 3/4 | a | runs/b |"
    for text, expected in {
        "of fits-folder:~/data/slacs?labels=/home/x/y.csv": "of fits-folder:slacs?labels=y.csv",
        "ratio (1/2)/(3/4)": "ratio (1/2)/(3/4)",
        "file:///home/me/x": "x",
        "https://arxiv.org/abs/2311.10100": "https://arxiv.org/abs/2311.10100",
    }.items():
        assert without_absolute_paths(text) == expected
