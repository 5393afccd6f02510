"""Contract of recipes: a configuration that resolves, repeats itself and trains."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from lenskit.config import Config
from lenskit.errors import LenskitError
from lenskit.layers import Layer, read_layer, read_recipe
from lenskit.testing.contract import Breach, Contract, temporary_folder
from lenskit.testing.run import SECTIONS
from lenskit.training.runner import train


class RecipeContract(Contract):
    """Tests of a recipe.

    ```python
    class TestRings(RecipeContract):
        component = "rings"
        sections = {"simulator": {"pixels": 32}}
    ```
    """

    kind = "recipe"

    sections: ClassVar[Mapping[str, Mapping[str, Any]]] = {"train": SECTIONS["train"], "monitor": SECTIONS["monitor"]}
    """Sections over those of the recipe, to train one batch."""

    def test_it_resolves(self) -> None:
        self._resolved(self._recipe())

    def test_its_run_can_be_repeated(self) -> None:
        """The `run.toml` of its run resolves to the same configuration."""
        resolved = self._resolved(self._recipe())
        with temporary_folder() as folder:
            (folder / "run.toml").write_text(resolved.to_toml(), encoding="utf-8")
            again = Config.resolve(read_layer(folder / "run.toml"))
        self.require(again == resolved, "resolves to other options after its run.toml was written")

    def test_it_trains(self) -> None:
        config = self._resolved(self._recipe(), {name: dict(values) for name, values in self.sections.items()})
        with temporary_folder() as folder:
            try:
                run = train(config, folder / "run", progress=False)
            except LenskitError as error:
                raise Breach(f"{self.record.origin} cannot be trained: {error}") from error
            self.require(run.finished, "does not finish a training of one batch")

    def _recipe(self) -> Layer:
        try:
            return read_recipe(self.component)
        except LenskitError as error:
            raise Breach(f"{self.record.origin} cannot be read: {error}") from error

    def _resolved(self, *layers: Layer) -> Config:
        try:
            return Config.resolve(*layers)
        except LenskitError as error:
            raise Breach(f"{self.record.origin} does not resolve: {error}") from error
