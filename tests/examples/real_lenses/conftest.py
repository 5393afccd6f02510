"""Simulated lenses as a substitute for real lenses."""

from __future__ import annotations

import pytest
from astropy.io import fits

import lenskit


@pytest.fixture(scope="session")
def lenses(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Folder of FITS files of simulated lenses, with a table of Einstein radii."""
    folder = tmp_path_factory.mktemp("lenses")
    table = {"theta_E": [0.7 + 0.05 * i for i in range(12)]}
    images, _ = lenskit.render(table, "hst", set={"pixels": 61}, seed=1)
    for i, image in enumerate(images):
        fits.writeto(folder / f"lens{i}.fits", image[0])
    lines = ["name,theta_E_arcsec", *(f"lens{i},{value}" for i, value in enumerate(table["theta_E"]))]
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    return f"fits-folder:{folder}?pixel_scale=0.05"
