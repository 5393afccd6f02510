"""Contract of evaluations: results on disk that a report shows."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar
from unittest import SkipTest

from lenskit.api import evaluate
from lenskit.errors import UsageError
from lenskit.options import options_of
from lenskit.testing.contract import ClassContract, temporary_folder
from lenskit.testing.run import SECTIONS, short_run

RESULTS = "results.json"

FEW = {"lenses": 32, "test_lenses": 16}
"""Numbers of lenses, for evaluations with these options."""


class EvaluationContract(ClassContract):
    """Tests of an evaluation, on a run of one batch.

    ```python
    class TestSymmetry(EvaluationContract):
        component = "symmetry"
        options = {"lenses": 32, "test_lenses": 16}
    ```
    """

    kind = "evaluation"

    sections: ClassVar[Mapping[str, Mapping[str, Any]]] = SECTIONS
    """Configuration of the run."""

    writes_results: ClassVar[bool] = True
    """Whether the evaluation calls `write_results`, so that reports show it. Otherwise its results are not tested."""

    def inputs(self, folder: Path) -> Sequence[str]:
        """Return the paths after the run, for an evaluation that sets `inputs`.

        Args:
            folder: Empty folder for these files.
        """
        return ()

    def test_it_writes_results(self) -> None:
        self._only_with_results()
        with temporary_folder() as folder:
            self._evaluated(folder)
            self.require(self._results(folder), f"writes no {RESULTS}: call write_results", self.member("__call__"))

    def test_a_report_shows_it(self) -> None:
        self._only_with_results()
        with temporary_folder() as folder:
            self._evaluated(folder)
            for file in self._results(folder):
                found = json.loads(file.read_text(encoding="utf-8"))
                for key in ("title", "table"):
                    self.require(
                        found.get(key), f"writes results without a {key}: call write_results", self.member("__call__")
                    )

    def test_the_same_command_gives_the_same_results(self) -> None:
        self._only_with_results()
        with temporary_folder() as folder:
            run = short_run(folder / "run", self.sections)
            inputs = self.inputs(folder)
            found = []
            for name in ("first", "second"):
                evaluate(self.component, run, inputs, output=folder / name, **self._options())
                file = folder / name / RESULTS
                self.require(file.is_file(), f"writes no {RESULTS}: call write_results", self.member("__call__"))
                found.append(json.loads(file.read_text(encoding="utf-8")))
        keys = found[0].keys() & {"results", "table", "summary"}
        self.require(
            all(found[0][key] == found[1][key] for key in keys),
            "gives other results for the same runs and options: seed all random numbers with an option",
            self.member("__call__"),
        )

    def test_it_stops_before_a_file_of_the_user(self) -> None:
        with temporary_folder() as folder:
            run = short_run(folder / "run", self.sections)
            place = run.path / self.record.name
            place.mkdir()
            (place / RESULTS).write_text("mine\n", encoding="utf-8")
            with suppress(UsageError):
                evaluate(self.component, run, self.inputs(folder), **self._options())
            kept = (place / RESULTS).read_text(encoding="utf-8")
        self.require(kept == "mine\n", f"overwrites a {RESULTS} that lenskit did not write", self.member("__call__"))

    def _only_with_results(self) -> None:
        if not self.writes_results:
            raise SkipTest("it does not call write_results")

    def _options(self) -> dict[str, Any]:
        """Return the options of the test, with a few lenses by default."""
        names = {option.name for option in options_of(self.loaded)}
        few = {name: number for name, number in FEW.items() if name in names}
        return {**few, **self.required, **self.options}

    def _evaluated(self, folder: Path) -> Any:
        """Evaluate a short run in a folder."""
        run = short_run(folder / "run", self.sections)
        with self.rules_of_lenskit("__call__"):
            return evaluate(self.component, run, self.inputs(folder), **self._options())

    def _results(self, folder: Path) -> list[Path]:
        """Return the files of results in a run."""
        return sorted((folder / "run").glob(f"*/**/{RESULTS}"))
