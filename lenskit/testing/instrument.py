"""Contract of instruments: a TOML file that simulators can use."""

from __future__ import annotations

from importlib import resources
from typing import Any, ClassVar
from unittest import SkipTest

import torch

from lenskit.chosen import build
from lenskit.errors import LenskitError
from lenskit.layers import read_toml
from lenskit.options import options_of
from lenskit.origin import told
from lenskit.registry import registry
from lenskit.testing.contract import Breach, Contract


class InstrumentContract(Contract):
    """Tests of an instrument.

    ```python
    class TestKeck(InstrumentContract):
        component = "keck-ao"
    ```
    """

    kind = "instrument"

    simulator: ClassVar[str] = ""
    """Simulator to render with; by default all with an option `instrument` are tried."""

    def test_the_file_is_toml(self) -> None:
        self.require(self._values(), "is an empty file: state its bands")

    def test_the_source_is_stated(self) -> None:
        self.require(self._values().get("source"), "states no source: name the reference of its numbers as `source`")

    def test_its_files_are_in_the_package(self) -> None:
        for key, value in _texts(self._values()):
            package, colon, path = value.partition(":")
            if key.endswith("_file") and colon:
                try:
                    there = (resources.files(package) / path).is_file()
                except ModuleNotFoundError:
                    there = False
                self.require(there, f"names the missing file {value}: add it to the package, in `{key}`")

    def test_a_simulator_renders_with_it(self) -> None:
        faults = []
        for name in [self.simulator] if self.simulator else self._simulators():
            try:
                simulator = build("simulator", name, {**self.options, "instrument": self.component})
                images = simulator.render(simulator.scene(0, "train", torch.arange(2)))
            except Exception as error:  # a simulator of another plugin may read other keys
                faults.append(f"simulator {name!r}: {error if isinstance(error, LenskitError) else told(error, '')}")
                continue
            self.require(images.isfinite().all(), f"gives NaN or infinite pixels in simulator {name!r}")
            return
        if not faults:
            raise SkipTest("no simulator has an option `instrument`")
        self.require(False, f"cannot be used by any simulator ({'; '.join(faults)})")

    def _values(self) -> dict[str, Any]:
        try:
            return read_toml("instrument", self.component)
        except LenskitError as error:
            raise Breach(f"{self.record.origin} cannot be read: {error}") from error

    def _simulators(self) -> list[str]:
        """Return the simulators that take an instrument and no other required option."""
        found = []
        for record in registry().of_kind("simulator"):
            options = options_of(record.load())
            if "instrument" in {option.name for option in options} and not any(option.required for option in options):
                found.append(record.typed)
        return found


def _texts(values: Any, key: str = "") -> list[tuple[str, str]]:
    """Return all texts in nested tables, with their keys."""
    if isinstance(values, dict):
        return [pair for name, value in values.items() for pair in _texts(value, name)]
    if isinstance(values, list):
        return [pair for value in values for pair in _texts(value, key)]
    return [(key, values)] if isinstance(values, str) else []
