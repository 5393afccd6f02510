"""Tests of the example that cuts sources out of a picture."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from matplotlib.image import imread

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def example() -> ModuleType:
    specification = importlib.util.spec_from_file_location("hubble_deep_field", ROOT / "examples/hubble_deep_field.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def disc(shape: tuple[int, int], x: float, y: float, scale: float, peak: float) -> np.ndarray:
    rows, columns = np.indices(shape)
    return peak * np.exp(-np.hypot(rows - y, columns - x) / scale)


def test_galaxies_are_cut_out_in_the_middle_of_their_stamps(example: ModuleType) -> None:
    """Two galaxies are cut out; a saturated, a tiny and a border one are not."""
    shape = (300, 260)
    image = 5 + np.random.default_rng(0).normal(0, 0.05, shape)
    for x, y, scale, peak in (
        (60, 80, 4, 10),
        (170, 200, 5, 20),
        (255, 100, 5, 15),
        (60, 240, 4, 100),
        (200, 40, 0.4, 9),
    ):
        image += disc(shape, x, y, scale, peak)
    stamps = example.cut_out(image)
    assert len(stamps) == 2
    for stamp, (x, y) in zip(stamps, ((170, 200), (60, 80)), strict=True):
        half = len(stamp) // 2
        assert stamp.shape == (2 * half, 2 * half)
        np.testing.assert_array_equal(stamp, image[y - half : y + half, x - half : x + half])


@pytest.mark.slow
def test_the_deep_field_gives_sources(
    example: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("skimage")
    monkeypatch.setattr(sys, "argv", ["hubble_deep_field.py", "galaxies"])
    example.main()
    count = len(list((tmp_path / "galaxies").glob("*.npy")))
    assert count > 150
    assert capsys.readouterr().out == f"{count} galaxies in galaxies\ngalaxies.png\n"
    picture = imread(tmp_path / "galaxies.png")[..., :3]
    assert picture.shape[1] > 900
    assert picture.std() > 0.1
