"""Code blocks of docs/how-to/simulate.md run without changes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from lenskit.config import Config
from lenskit.store.plan import Plan
from lenskit.store.simulate import simulate

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "simulate.md"


@pytest.fixture
def run_example() -> Any:
    """Return a function that runs the example with a text and returns its names.

    The working directory has a store `pairs.zarr` of 64 simulated pairs.
    """
    resolved = Config.resolve({"simulator": {"name": "hst"}}, only=("simulator", "pairs"))
    simulate(Plan.of(resolved, lenses=64, chunk=16), "pairs.zarr")

    def run(text: str) -> dict[str, Any]:
        (example,) = (code for code in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL) if text in code)
        names: dict[str, Any] = {}
        exec(example, names)
        return names

    return run


@pytest.mark.slow
def test_the_example_of_xarray_runs(run_example: Any) -> None:
    """The example also runs if Dask is installed; then xarray reads arrays lazily."""
    pytest.importorskip("xarray")
    names = run_example("xarray.open_zarr")
    theta_E = names["pairs"].theta_E.values
    assert names["wide"].shape == ((theta_E > 1.5).sum(), 2, 1, 110, 110)
    assert 0 < len(names["wide"]) < 64
    assert (names["wide"].theta_E > 1.5).all()
    assert names["wide"].notnull().all()


@pytest.mark.slow
def test_the_example_of_lenskit_runs(run_example: Any) -> None:
    names = run_example("open_dataset")
    assert tuple(names["images"].shape) == (64, 2, 1, 110, 110)
    assert names["values"].keys() == {parameter.name for parameter in names["store"].parameters}
