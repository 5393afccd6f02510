"""Contract of evaluations: each test finds its planted fault."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any, ClassVar

import numpy as np
import pytest
from annotated_types import Gt
from pydantic import AfterValidator

from lenskit.evaluation import Run, write_results
from lenskit.plugin import Evaluation
from tests.lenskit.testing import planted as table

KIND = "evaluation"

SECTIONS = {
    "train": {"lenses": 8, "epochs": 1, "batch_size": 8, "accelerator": "cpu"},
    "simulator": {"name": "blobs"},
    "method": {"name": "restless"},
    "backbone": {"name": "tiny"},
}
"""Configuration of a run that trains in a fraction of a second."""

planted = partial(table.planted, KIND, sections=SECTIONS)


@table.sound(KIND, "measures the mean feature", sections=SECTIONS)
class Mean(Evaluation):
    """Measure the mean feature of random images.

    Args:
        lenses: Number of images.
        scale: Factor of the result.
    """

    place: ClassVar[str] = "measures-the-mean-feature"

    def __init__(self, *, lenses: Annotated[int, Gt(0)] = 1000, scale: float = 1.0) -> None:
        self.lenses, self.scale = lenses, scale

    def __call__(self, runs: Sequence[Run], inputs: Sequence[str] = ()) -> Any:
        images = np.random.default_rng(0).random((self.lenses, 1, 16, 16), np.float32)
        means = {run.path.name: self.scale * float(run.embed(images)[0].mean()) for run in runs}
        self.write(runs, means)
        return means

    def write(self, runs: Sequence[Run], means: dict[str, float]) -> None:
        write_results(
            [run.folder(self.place) for run in runs],
            title="Mean feature",
            settings={"lenses": self.lenses},
            results=means,
            table=[{"run": run, "mean": mean} for run, mean in means.items()],
        )


@table.sound(KIND, "writes results without a table", sections=SECTIONS, writes_results=False)
class Bare(Mean):
    """Write results that no report shows."""

    place = "writes-results-without-a-table"

    def write(self, runs: Sequence[Run], means: dict[str, float]) -> None:
        for run in runs:
            (run.folder(self.place) / "results.json").write_text(json.dumps({"results": means}))


@planted("the summary is one line", "has a long summary", "has a summary of 101 characters", at=None, summary="x" * 101)
class Verbose(Mean):
    pass


@planted("the docstring describes it", "has no docstring", "has no docstring: add one")
class Silent(Mean):
    pass


@planted("options have a meaning", "does not describe an option", "has the option 'offset' without a meaning")
class Unexplained(Mean):
    def __init__(self, *, offset: float = 0.0) -> None:
        super().__init__()


@planted("options have a type", "does not annotate an option", "has the option 'scale' without a type", at="__init__")
class Untyped(Mean):
    def __init__(self, *, scale=1.0) -> None:  # type: ignore[no-untyped-def]
        super().__init__(scale=scale)


@planted("options are plain values", "doubles an option at each reading", "reads its recorded options as other values")
class Doubling(Mean):
    def __init__(self, *, scale: Annotated[float, AfterValidator(lambda scale: 2 * scale)] = 1.0) -> None:
        super().__init__(scale=scale)


@planted("it writes results", "returns its results alone", "writes no results.json", at="__call__")
class Forgetful(Mean):
    def write(self, runs: Sequence[Run], means: dict[str, float]) -> None:
        pass


@planted("it writes results", "writes results in another folder", "writes no results.json", at="__call__")
class Elsewhere(Mean):
    def write(self, runs: Sequence[Run], means: dict[str, float]) -> None:
        (runs[0].path.parent / "results.json").write_text("{}")  # the folder of the run, not that of the evaluation


@planted("it writes results", "gives a table of numbers", "must be a list of dicts by column", at="__call__")
class Numbers(Mean):
    place = "gives-a-table-of-numbers"

    def write(self, runs: Sequence[Run], means: dict[str, float]) -> None:
        folders = [run.folder(self.place) for run in runs]
        write_results(folders, title="Mean", settings={}, results=means, table=[*means.values()])  # type: ignore


class Own(Mean):
    """Mean that writes results without `write_results`."""

    without: ClassVar[str] = ""

    def write(self, runs: Sequence[Run], means: dict[str, float]) -> None:
        found = {"title": "Mean feature", "results": means, "table": [means]}
        found.pop(self.without, None)
        for run in runs:
            (run.folder(self.place) / "results.json").write_text(json.dumps(found))


@planted("a report shows it", "writes results without a title", "writes results without a title", at="__call__")
class Untitled(Own):
    place, without = "writes-results-without-a-title", "title"


@planted("a report shows it", "writes results but no table", "writes results without a table", at="__call__")
class Tableless(Own):
    place, without = "writes-results-but-no-table", "table"


@planted("the same command gives the same results", "uses an unseeded generator", "gives other results", at="__call__")
class Unseeded(Mean):
    place = "uses-an-unseeded-generator"

    def write(self, runs: Sequence[Run], means: dict[str, float]) -> None:
        draws = np.random.default_rng().random(8)  # several, because results are rounded
        super().write(runs, {f"draw {number}": float(draw) for number, draw in enumerate(draws)})


@planted("the same command gives the same results", "prints its results", "writes no results.json", at="__call__")
class Printing(Mean):
    def write(self, runs: Sequence[Run], means: dict[str, float]) -> None:
        print(means)


@planted("it stops before a file of the user", "writes over files", "overwrites a results.json that", at="__call__")
class Ruthless(Own):
    def write(self, runs: Sequence[Run], means: dict[str, float]) -> None:
        for run in runs:
            (run.path / "writes-over-files").mkdir(exist_ok=True)
            (run.path / "writes-over-files" / "results.json").write_text("{}")


@pytest.mark.parametrize("fault", table.faults(KIND), ids=str)
def test_a_planted_fault_is_found(fault: table.Planted) -> None:
    table.check_found(fault)


@pytest.mark.slow
def test_the_table_is_complete() -> None:
    table.check_complete(KIND)
