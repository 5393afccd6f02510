"""Reader of the first Lens Finding Challenge.

Metcalf et al. 2019, https://arxiv.org/abs/1802.03609.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from lenskit.plugin import Parameter, UsageError
from lenskit_datasets.catalogue import Array, column
from lenskit_datasets.challenge import Band, Challenge, Label, images_in

CATALOGUE = "classifications.csv"

MASKED = 100.0
"""Value of masked pixels in some bands from the ground."""

Name = Literal["VIS", "R", "I", "G", "U"]


class LensChallenge1(Challenge):
    """Images of the first Lens Finding Challenge.

    They are from space in one band, or from the ground in four:

    ```
    space/                          101 x 101 pixels of 0.1"      ground/          101 x 101 pixels of 0.2"
      classifications.csv                                           classifications.csv
      imageEUC_VIS-100000.fits                                      Band1/imageSDSS_R-100000.fits
      ...                                                           Band2/imageSDSS_I-100000.fits  Band3: G, Band4: U
    ```

    The catalogue gives `is_lens`, `theta_E` and the number of pixels and the flux of the lensed image. Rows without an
    image are left out, images without a row have no labels, and a message gives the numbers of both.

    Args:
        bands: Bands that become channels, in this order: VIS, or some of R, I, G and U. By default the bands in the
            folder.
        blank: Value of undefined pixels, or several; `[]` for none. The challenge marks masked pixels by 100; other
            pixels are about 1e-12. Undefined pixels are filled like NaNs.
    """

    accepts = "a folder with imageEUC_VIS-ID.fits, or with Band1/imageSDSS_R-ID.fits, ..., and classifications.csv"
    known_bands = {"VIS": Band("EUC_VIS", 0.1)} | {band: Band(f"SDSS_{band}", 0.2) for band in "RIGU"}
    catalogues = re.compile(r"classifications.*\.csv")

    def __init__(
        self,
        path: str | Path,
        *,
        bands: list[Name] | None = None,
        blank: float | list[float] | None = MASKED,
        **options: Any,
    ) -> None:
        if bands is None:
            space, ground = _sides(Path(path))
            if space and ground:
                raise UsageError(
                    f"{path} holds images from space and from the ground, whose labels differ: open one of its folders"
                )
            bands = ["R", "I", "G", "U"] if ground else ["VIS"]
        if len({self.known_bands[band].pixel_scale for band in bands}) > 1:
            raise UsageError("VIS is from space, R, I, G and U are from the ground, of different lenses: use one kind")
        super().__init__(path, bands, blank=blank, **options)

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether a path is a folder of this challenge, and not of the second."""
        return path.is_dir() and any(_sides(path))

    def labels(self, table: Mapping[str, Array]) -> list[Label]:
        labels = [
            self.radius(column(table, "Einstein_area")),
            (
                Parameter("is_lens", "", "lens", "instrument", classes=("non-lens", "lens"), headline=True),
                column(table, "is_lens"),
            ),
        ]
        for name in ("numb_pix_lensed_image", "flux_lensed_image_in_sigma"):
            if name in table:
                labels.append((Parameter(name, group="instrument"), table[name]))
        return labels


def _sides(folder: Path) -> tuple[bool, bool]:
    """Return whether a folder has images from space, and whether from the ground."""
    images = images_in(folder)
    vis = {file.parent for file, name in images.items() if name["band"] == "EUC_VIS" and name["id"].startswith("1")}
    has_catalogue = any((place / CATALOGUE).is_file() for each in vis for place in (each, each.parent))
    return folder in vis or has_catalogue, any(name["band"].startswith("SDSS_") for name in images.values())
