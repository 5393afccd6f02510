"""Format of stores: FITS files in the layout of LenSiam's released pairs."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lenskit.plugin import UsageError
from lenskit.toolbox import FolderFormat, Plan


class FitsFormat(FolderFormat):
    """Folder of FITS files in the layout of LenSiam's released pairs.

    There is one file for each lens, named by its number. The primary HDU holds the images with axes (y, x, view), or
    (channel, y, x, view) for several channels, in numpy's order. Parameters are header keys. If a parameter differs
    between the images of a lens, its keys end in `_1`, `_2`, ... The file `simulation.json` holds the configuration.
    """

    reader = "lensiam-fits"
    suffix = ".fits"
    card_file = "simulation.json"

    def create(self, plan: Plan) -> None:
        if plan["dtype"] != "float32":
            raise UsageError(f"FITS has no {plan['dtype']}: use --dtype float32, or --format zarr")
        super().create(plan)

    def content(self, plan: Plan, images: NDArray[Any], values: NDArray[np.float64]) -> memoryview:
        """Return the bytes of a lens's file; a header card always has 80 bytes."""
        file = BytesIO()  # errors of the disk are clearer without astropy
        _hdu(plan, images, values).writeto(file)
        return file.getbuffer()


def _hdu(plan: Plan, pixels: NDArray[Any], known: NDArray[np.float64]) -> Any:
    """Return the primary HDU of a lens.

    Args:
        plan: Plan of the store.
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
            # FITS has no NaN: a key without a value is undefined in its standard.
            card = (key if len(key) <= 8 else f"HIERARCH {key}", value if np.isfinite(value) else None, comment)
            hdu.header.append(card, end=True)
    # By default the comments of the checksum would contain the time.
    hdu.add_checksum(when="")
    return hdu


def _shortest(value: np.float64) -> float:
    """Return a float32 number with the fewest digits, as a card has room for 16.

    A number that float32 cannot represent stays as it is.
    """
    return float(str(np.float32(value))) if np.float32(value) == value else float(value)
