"""The notebook and its percent script."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pytest

from tests.examples.conftest import EXAMPLES

FOLDER = EXAMPLES / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
LARGEST = 100_000
"""Maximum size of a picture in a notebook, in characters of base64."""


def cells_of_script(path: Path) -> list[str]:
    """Return the source of each cell in a percent script."""
    header, *cells = re.split(r"^# %%(.*)\n", path.read_text(), flags=re.MULTILINE)
    assert header.startswith("# ---")
    pairs = zip(cells[::2], cells[1::2], strict=True)
    return [re.sub(r"^# ?", "", text, flags=re.MULTILINE) if "markdown" in kind else text for kind, text in pairs]


def outputs(notebook: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for cell in notebook["cells"]:
        yield from cell.get("outputs", [])


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_its_script_executed_with_small_pictures(path: Path) -> None:
    notebook = json.loads(path.read_text())
    cells = ["".join(cell["source"]) for cell in notebook["cells"]]
    assert cells == [text.strip() for text in cells_of_script(path.with_suffix(".py"))]
    numbers = [cell["execution_count"] for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert numbers == [*range(1, len(numbers) + 1)]
    assert not [output for output in outputs(notebook) if output["output_type"] == "error"]
    pictures = [output["data"]["image/png"] for output in outputs(notebook) if "image/png" in output.get("data", {})]
    assert pictures
    assert max(map(len, pictures)) < LARGEST


@pytest.mark.slow
def test_the_script_runs_at_a_small_size(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(Path.cwd()))
    source = (FOLDER / "fits_to_radii.py").read_text()
    assert "LENSES = 60\n" in source
    names: dict[str, Any] = {"__name__": "__main__"}
    plt.switch_backend("agg")
    try:
        exec(compile(source.replace("LENSES = 60\n", "LENSES = 8\n"), "fits_to_radii.py", "exec"), names)
    finally:
        plt.close("all")
    assert len(names["table"]) == 8
    assert names["features"].shape == (8, 512)
    assert "within the 68 % intervals" in capsys.readouterr().out
    assert abs(names["predicted"] - names["true"]).mean() < 0.3
