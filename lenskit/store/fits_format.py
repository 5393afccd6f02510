"""Writes a folder of FITS files in the layout in which LenSiam's pairs were released.

One file a lens, called by its number. The primary HDU holds the images as (y, x, view), or (channel, y, x, view) if
there are several channels, in numpy's order. Parameters are header keys of their names; of one that differs between
the images of a lens, with `_1`, `_2`, ... behind. `simulation.json` says what made them.
"""

from __future__ import annotations

import json
import os
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from lenskit.errors import LenskitError, UsageError
from lenskit.files import write_atomically
from lenskit.ownership import strangers
from lenskit.records import load_json
from lenskit.store.format import PART, Format
from lenskit.store.plan import Plan, checked_attributes

CARD = "simulation.json"


class FitsFormat(Format):
    """A folder of FITS files."""

    name = "fits"

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._bytes: int | None = None

    def card(self) -> dict[str, Any]:
        try:
            return dict(load_json(self.path / CARD))
        except LenskitError:
            return {}

    def attributes(self) -> dict[str, Any]:
        try:
            return checked_attributes(self.path, load_json(self.path / CARD))
        except UsageError:
            raise
        except LenskitError as error:
            raise UsageError(f"{self.path} is no store of simulated pairs: {error}") from None

    def strangers(self) -> list[str]:
        lenses = self.card().get("configuration", {}).get("simulate", {}).get("lenses", 0)
        digits = len(str(lenses - 1))

        def owns(name: str) -> bool:
            number = name.removesuffix(".fits")
            a_lens = number != name and number.isdecimal() and len(number) == digits and int(number) < lenses
            return a_lens or name == CARD or bool(PART.fullmatch(name))

        return strangers(self.path, owns)

    def create(self, plan: Plan) -> None:
        if plan["dtype"] != "float32":
            raise UsageError(f"FITS knows no {plan['dtype']}: use --dtype float32, or --format zarr")
        self.path.mkdir(parents=True, exist_ok=True)
        if not self.exists:
            self._say(plan, complete=False)

    def missing(self, plan: Plan) -> list[int]:
        with os.scandir(self.path) as entries:
            sizes = {entry.name: entry.stat().st_size for entry in entries}
        size = self._size(plan)
        return [
            chunk
            for chunk in range(plan.chunks)
            if any(sizes.get(name) != size for name in self.names(plan, plan.lenses_of(chunk)))
        ]

    def lacks(self, plan: Plan, chunk: int) -> bool:
        files = (self.path / name for name in self.names(plan, plan.lenses_of(chunk)))
        return not all(file.is_file() and file.stat().st_size == self._size(plan) for file in files)

    def write(self, plan: Plan, chunk: int, images: NDArray[Any], values: NDArray[np.float64]) -> None:
        for name, pixels, known in zip(self.names(plan, plan.lenses_of(chunk)), images, values, strict=True):
            file = self.path / name
            # Not synchronised with the disk one by one, which would take longer than all the rest.
            part = file.with_name(f"{name}.{uuid4().hex}.part")
            try:
                content = BytesIO()  # astropy does not say which fault of the disk there was
                _hdu(plan, pixels, known).writeto(content)
                part.write_bytes(content.getbuffer())
                part.replace(file)
            except BaseException:
                part.unlink(missing_ok=True)
                raise

    def finish(self, plan: Plan) -> None:
        if not self.attributes()["complete"]:
            self._say(plan, complete=True)

    def _size(self, plan: Plan) -> int:
        """The size of a file, which is the same for all: a card of the header has 80 bytes, whatever it says."""
        if self._bytes is None:
            file = BytesIO()
            _hdu(plan, np.zeros(plan.shape[1:], "float32"), np.zeros((plan["views"], len(plan.parameters)))).writeto(
                file
            )
            self._bytes = len(file.getvalue())
        return self._bytes

    def _say(self, plan: Plan, complete: bool) -> None:
        write_atomically(self.path / CARD, json.dumps(plan.attributes() | {"complete": complete}, indent=2) + "\n")

    def names(self, plan: Plan, lenses: range) -> list[str]:
        """What the files of some lenses are called."""
        digits = len(str(plan["lenses"] - 1))
        return [f"{lens:0{digits}}.fits" for lens in lenses]


def _hdu(plan: Plan, pixels: NDArray[Any], known: NDArray[np.float64]) -> Any:
    """The primary HDU of a lens.

    Args:
        plan: The plan of the store.
        pixels: (views, channels, height, width).
        known: (views, parameters).
    """
    from astropy.io import fits

    data = np.moveaxis(pixels, 0, -1)
    hdu = fits.PrimaryHDU(np.ascontiguousarray(data[0] if len(data) == 1 else data))
    for place, parameter in enumerate(plan.parameters):
        shared = plan.is_shared(parameter)
        for view in range(1 if shared else plan["views"]):
            key = parameter.name if shared else f"{parameter.name}_{view + 1}"
            value = _shortest(known[view, place])
            comment = parameter.unit if np.isfinite(value) else "not known"
            # FITS has no NaN: a key without a value is what its standard calls undefined.
            card = (key if len(key) <= 8 else f"HIERARCH {key}", value if np.isfinite(value) else None, comment)
            hdu.header.append(card, end=True)
    # The comments would hold the time.
    hdu.add_checksum(when="")
    return hdu


def _shortest(value: np.float64) -> float:
    """The number with the fewest digits that is the same in float32, if that is what it was drawn in: a card has room
    for 16 digits."""
    return float(str(np.float32(value))) if np.float32(value) == value else float(value)
