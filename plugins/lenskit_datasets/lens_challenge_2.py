"""Reader of the second Lens Finding Challenge.

See http://metcalf1.difa.unibo.it/blf-portal/gg_challenge.html.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from lenskit.plugin import Parameter
from lenskit_datasets.catalogue import Array, all_of, column
from lenskit_datasets.challenge import Band, Challenge, Label, images_in

Name = Literal["VIS", "H", "J", "Y"]

KNOWN = (
    Parameter("z_lens", "", "$z_l$"),
    Parameter("z_source", "", "$z_s$", "source"),
    Parameter("mag_source", "mag", "$m_s$", "source"),
    Parameter("mag_lens", "mag", "$m_l$", "lens_light"),
    Parameter("n_source_im", "", r"$n_\mathrm{im}$", "instrument"),
    Parameter("mag_eff", "", r"$\mu_\mathrm{eff}$", "instrument"),
    Parameter("n_pix_source", "", r"$n_\mathrm{pix}$", "instrument"),
)
"""Columns that become parameters without a change; names are those of `euclid-challenge`, if it has them."""


class LensChallenge2(Challenge):
    """Images of the second Lens Finding Challenge, in Euclid's bands.

    ```
    challenge2/
      image_catalog2.0train.csv             with or without lines that begin with #
      EUC_H/imageEUC_H-200001.fits          66 x 66 pixels of 0.3"; EUC_J and EUC_Y too
      EUC_VIS/imageEUC_VIS-200001.fits      about 200 x 200 pixels of 0.1"
    ```

    The catalogue gives `theta_E` (from `ein_area`), redshifts, magnitudes and more. `is_lens` follows the challenge's
    rule: n_source_im > 0 and mag_eff > 1.6 and n_pix_source > 20. If one of these is unknown and the others hold,
    `is_lens` is unknown. `source_ID` keeps all images of a source on one side of a split. Rows without an image, and
    lenses without an image in every band, are left out. Images without a row have no labels. Messages give the numbers.

    Args:
        bands: Bands that become channels, in this order: VIS, H, J, Y. VIS is resampled to the pixel size of the other
            bands, if any.
        columns: Further columns of the catalogue to use as parameters, such as `halo_mass`. Their units are not
            documented and stay empty.
    """

    accepts = "a folder with EUC_H/imageEUC_H-ID.fits, ... and image_catalog*.csv"
    known_bands = {"VIS": Band("EUC_VIS", 0.1)} | {band: Band(f"EUC_{band}", 0.3) for band in "HJY"}
    catalogues = re.compile(r"image_catalog.*\.csv")

    def __init__(
        self,
        path: str | Path,
        *,
        bands: list[Name] = ["H", "J", "Y"],  # noqa: B006 - it is never changed
        columns: list[str] | None = None,
        **options: Any,
    ) -> None:
        self._columns = columns or []
        super().__init__(path, bands, **options)

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether a path is a folder with a subfolder for a band of Euclid."""
        return path.is_dir() and any(
            name["band"].startswith("EUC_") and file.parent.name.startswith("EUC_") and file.parent != path
            for file, name in images_in(path).items()
        )

    def labels(self, table: Mapping[str, Array]) -> list[Label]:
        is_lens = all_of(
            (column(table, "n_source_im"), 0), (column(table, "mag_eff"), 1.6), (column(table, "n_pix_source"), 20)
        )
        labels = [
            self.radius(column(table, "ein_area")),
            (Parameter("is_lens", "", "lens", "instrument", classes=("non-lens", "lens"), headline=True), is_lens),
        ]
        labels += [(parameter, table[parameter.name]) for parameter in KNOWN if parameter.name in table]
        if "source_ID" in table:
            labels.append((Parameter("source_ID", group="source", identity=True), _numbered(table["source_ID"])))
        there = {parameter.name for parameter, _ in labels}
        return labels + [(Parameter(name), column(table, name)) for name in self._columns if name not in there]


def _numbered(identities: Array) -> Array:
    """Return identities as numbers from 0, which float32 can hold; -1 for none."""
    positive = identities > 0
    numbers = np.full(len(identities), -1.0)
    numbers[positive] = np.unique(identities[positive], return_inverse=True)[1]
    return numbers
