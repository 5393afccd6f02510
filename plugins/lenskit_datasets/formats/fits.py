"""Writes a folder of FITS files in the layout in which LenSiam's pairs were released."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lenskit.plugin import UsageError
from lenskit.toolbox import FolderFormat, Plan


class FitsFormat(FolderFormat):
    """A folder of FITS files in the layout in which LenSiam's pairs were released.

    There is a file for each lens, named by its number. The primary HDU holds the images as (y, x, view), or
    (channel, y, x, view) if there are several channels, in numpy's order. Parameters are header keys of their names.
    The keys of a parameter that differs between the images of a lens end with `_1`, `_2`, ... `simulation.json` holds
    the configuration.
    """

    reader = "lensiam-fits"
    suffix = ".fits"
    card_file = "simulation.json"

    def create(self, plan: Plan) -> None:
        if plan["dtype"] != "float32":
            raise UsageError(f"FITS knows no {plan['dtype']}: use --dtype float32, or --format zarr")
        super().create(plan)

    def content(self, plan: Plan, images: NDArray[Any], values: NDArray[np.float64]) -> memoryview:
        """See `FolderFormat.content`. A card of the header has 80 bytes, whatever its value."""
        file = BytesIO()  # astropy does not say which fault of the disk there was
        _hdu(plan, images, values).writeto(file)
        return file.getbuffer()


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
