"""Contract of recipes: each test finds its planted fault."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from pydantic import AfterValidator

from lenskit.plugin import Backbone, Batch
from lenskit_toys.components import Restless, Tiny
from tests.lenskit.testing import planted as table

KIND = "recipe"


class Doubling(Tiny):
    """Backbone that doubles an option at each reading.

    Args:
        width: A number.
    """

    def __init__(
        self, channels: int, size: int, *, width: Annotated[int, AfterValidator(lambda width: 2 * width)] = 1
    ) -> None:
        super().__init__(channels, size)


class Detached(Restless):
    """Method whose loss has no gradient."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__(backbone)

    def step(self, batch: Batch) -> Any:
        return {"loss": super().step(batch)["loss"].detach()}


DOUBLING = table.support("backbone", "recipe-doubling", Doubling)
DETACHED = table.support("method", "recipe-detached", Detached)

SOUND = """
[train]
lenses = 1000000
[simulator]
name = "blobs"
[method]
name = "restless"
[backbone]
name = "tiny"
"""


def file_of(name: str, text: str) -> str:
    """Add a file to the distribution, and return its import string."""
    table.FILES["mine_files/__init__.py"] = b""
    table.FILES[f"mine_files/{name}.toml"] = text.encode()
    return f"mine_files:{name}.toml"


def planted(test: str, does: str, says: str, text: str, **more: Any) -> None:
    """Add a recipe with a fault."""
    table.plant(KIND, test, does, says, file_of(does.replace(" ", "-"), text), **more)


table.SOUND.append(
    table.Planted(KIND, "", "trains a small network", "", file_of("sound-recipe", SOUND), None, {}, "A recipe")
)
planted("the summary is one line", "has an empty summary", "has an empty summary", SOUND, summary=" ")
planted("it resolves", "is no TOML", "cannot be read: ", "simulator: blobs\n")
planted(
    "it resolves", "has a section of another name", "does not resolve: unknown section 'trian'", "[trian]\nepochs = 1"
)
planted("it resolves", "names a method that no plugin has", "does not resolve: ", SOUND.replace("restless", "restful"))
planted("it resolves", "sets an option that no component has", "does not resolve: ", SOUND + "depth = 3\n")
planted(
    "its run can be repeated", "has a backbone that doubles an option", "resolves to other options after its run.toml",
    SOUND.replace("tiny", DOUBLING),
)  # fmt: skip
planted("it trains", "has a loss without a gradient", "cannot be trained: ", SOUND.replace("restless", DETACHED))
planted(
    "it trains", "has a loss that is not finite", "cannot be trained: ",
    SOUND.replace('"restless"', '"exploding"\nat = 0'),
)  # fmt: skip


@pytest.mark.parametrize("fault", table.faults(KIND), ids=str)
def test_a_planted_fault_is_found(fault: table.Planted) -> None:
    table.check_found(fault)


def test_the_table_is_complete() -> None:
    table.check_complete(KIND)
