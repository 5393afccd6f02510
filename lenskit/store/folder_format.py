"""Base of store formats that are a folder with one file per lens."""

from __future__ import annotations

import json
import re
from abc import abstractmethod
from pathlib import Path
from typing import Any, ClassVar
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from lenskit.errors import LenskitError, UsageError
from lenskit.files import write_atomically
from lenskit.ownership import strangers
from lenskit.records import load_json
from lenskit.store.format import Format
from lenskit.store.plan import Plan, checked_attributes
from lenskit.store.store import size_of, sizes_in


class FolderFormat(Format):
    """A folder with one file per lens, named by its number, and a card in JSON.

    All files of a store have the same size. A file of a different size was cut short and is made again.

    Attributes:
        suffix: Suffix of the files, such as `.fits`.
    """

    suffix: ClassVar[str]

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._bytes: int | None = None

    @abstractmethod
    def content(self, plan: Plan, images: NDArray[Any], values: NDArray[np.float64]) -> bytes | memoryview:
        """Return the content of the file of a lens.

        The size of the content must not depend on the values.

        Args:
            plan: Plan of the store.
            images: Images of the lens, (views, channels, height, width).
            values: Parameters of the lens, (views, parameters).
        """

    def names(self, plan: Plan, lenses: range) -> list[str]:
        """Return the names of the files of some lenses."""
        digits = len(str(plan["lenses"] - 1))
        return [f"{lens:0{digits}}{self.suffix}" for lens in lenses]

    def card(self) -> dict[str, Any]:
        try:
            return dict(load_json(self.path / self.card_file))
        except LenskitError:
            return {}

    def attributes(self) -> dict[str, Any]:
        try:
            return checked_attributes(self.path, load_json(self.path / self.card_file))
        except UsageError:
            raise
        except LenskitError as error:
            raise UsageError(f"{self.path} is not a store of simulated pairs: {error}") from None

    def create(self, plan: Plan) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        if not self.exists:
            self._say(plan, complete=False)

    def missing(self, plan: Plan) -> list[int]:
        sizes, size = sizes_in(self.path), self._size(plan)
        return [
            chunk
            for chunk in range(plan.chunks)
            if any(sizes.get(name) != size for name in self.names(plan, plan.lenses_of(chunk)))
        ]

    def lacks(self, plan: Plan, chunk: int) -> bool:
        size = self._size(plan)
        return any(size_of(self.path / name) != size for name in self.names(plan, plan.lenses_of(chunk)))

    def write(self, plan: Plan, chunk: int, images: NDArray[Any], values: NDArray[np.float64]) -> None:
        for name, pixels, row in zip(self.names(plan, plan.lenses_of(chunk)), images, values, strict=True):
            file = self.path / name
            # No fsync for each file, which would take longer than everything else.
            part = file.with_name(f"{name}.{uuid4().hex}.part")
            try:
                part.write_bytes(self.content(plan, pixels, row))
                part.replace(file)
            except BaseException:
                part.unlink(missing_ok=True)
                raise

    def finish(self, plan: Plan) -> None:
        if not self.attributes()["complete"]:
            self._say(plan, complete=True)

    def is_part(self, name: str) -> bool:
        names = rf"{re.escape(self.card_file)}|\d+{re.escape(self.suffix)}"
        return bool(re.fullmatch(rf"({names})(\.[0-9a-f]{{8,32}})?\.part", name))

    def strangers(self) -> list[str]:
        lenses = self.card().get("configuration", {}).get("simulate", {}).get("lenses", 0)
        digits = len(str(lenses - 1))

        def owns(name: str) -> bool:
            number = name.removesuffix(self.suffix)
            a_lens = number != name and number.isdecimal() and len(number) == digits and int(number) < lenses
            return a_lens or name == self.card_file or self.is_part(name)

        return strangers(self.path, owns)

    def _size(self, plan: Plan) -> int:
        """Return the size of each file in bytes."""
        if self._bytes is None:
            values = np.zeros((plan["views"], len(plan.parameters)))
            self._bytes = len(self.content(plan, np.zeros(plan.shape[1:], plan["dtype"]), values))
        return self._bytes

    def _say(self, plan: Plan, complete: bool) -> None:
        card = plan.attributes() | {"complete": complete}
        write_atomically(self.path / self.card_file, json.dumps(card, indent=2) + "\n")
