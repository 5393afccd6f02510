"""Instruments: bundled files against lenstronomy's, files of users and plugins.

Wrong files are errors.
"""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from lenstronomy.SimulationAPI.observation_api import SingleBand

from lenskit.errors import LenskitError, UsageError
from lenskit.registry import registry
from lenskit_lensing.instruments.instrument import Band, load_instrument

SHIPPED = {
    ("euclid-vis", "VIS"): ("Euclid", "VIS"),
    ("euclid-nisp", "Y"): ("Euclid", "Y"),
    ("euclid-nisp", "J"): ("Euclid", "J"),
    ("euclid-nisp", "H"): ("Euclid", "H"),
    ("lsst", "g"): ("LSST", "g"),
    ("lsst", "r"): ("LSST", "r"),
    ("lsst", "i"): ("LSST", "i"),
    ("jwst-nircam", "F115W"): ("JWST", "F115W"),
    ("jwst-nircam", "F150W"): ("JWST", "F150W"),
    ("jwst-nircam", "F277W"): ("JWST", "F277W"),
    ("jwst-nircam", "F444W"): ("JWST", "F444W"),
}
THEIR_NAMES = {
    "pixel_scale": "pixel_scale",
    "fwhm": "seeing",
    "zero_point": "magnitude_zero_point",
    "sky": "sky_brightness",
    "read_noise": "read_noise",
    "exposure_time": "exposure_time",
    "exposures": "num_exposures",
}

DOCS = (Path(__file__).parents[3] / "docs" / "guides" / "simulators.md").read_text(encoding="utf-8")

VALID = """
[bands.A]
pixels = 32
pixel_scale = 0.1
fwhm = 0.2
"""


def config(instrument: str, band: str) -> dict[str, float]:
    """Return lenstronomy's configuration of a band."""
    module = import_module(f"lenstronomy.SimulationAPI.ObservationConfig.{instrument}")
    return getattr(module, instrument)(band).kwargs_single_band()


def write(folder: Path, text: str, name: str = "mine.toml") -> str:
    (folder / name).write_text(text)
    return str(folder / name)


@pytest.mark.parametrize(("ours", "theirs"), SHIPPED.items())
def test_numbers_are_lenstronomys(ours: tuple[str, str], theirs: tuple[str, str]) -> None:
    band, expected = load_instrument(ours[0]).band(ours[1]), config(*theirs)
    assert {name: getattr(band, name) for name in THEIR_NAMES} == {
        name: expected[their_name] for name, their_name in THEIR_NAMES.items()
    }


@pytest.mark.parametrize(("ours", "theirs"), SHIPPED.items())
def test_background_and_counts_are_lenstronomys(ours: tuple[str, str], theirs: tuple[str, str]) -> None:
    band, reference = load_instrument(ours[0]).band(ours[1]), SingleBand(**config(*theirs))
    assert band.background_sigma == pytest.approx(reference.background_noise, rel=1e-12)
    assert band.total_exposure == reference.exposure_time
    assert band.rate(21.0) == pytest.approx(10 ** (0.4 * (config(*theirs)["magnitude_zero_point"] - 21)), rel=1e-12)


def test_every_shipped_band_has_a_citation_noise_and_a_psf() -> None:
    records = [r for r in registry().of_kind("instrument") if r.plugin.distribution == "lenskit-ssl"]
    assert {r.name for r in records} == {name for name, _ in SHIPPED} | {"hst-acs-f814w"}
    for record in records:
        instrument = load_instrument(record.name)
        assert "STScI" in instrument.source or "lenstronomy" in instrument.source
        for band in instrument.bands:
            assert band.missing_for_noise == ""
            psfs = band.psfs()
            torch.testing.assert_close(psfs.sum((1, 2)), torch.ones(len(psfs), dtype=torch.float64))


def test_hst_is_what_was_measured() -> None:
    band = load_instrument("hst-acs-f814w").band()
    assert (band.pixels, band.pixel_scale, band.zero_point) == (110, 0.05, 25.94)
    assert (band.background_sigma, band.total_exposure, band.noise_correlation) == (0.01, 2250, 0.44)
    assert band.psfs().shape == (23, 41, 41)


def test_the_documentations_table_and_example_are_these_numbers(tmp_path: Path) -> None:
    name, rows = "", 0
    for line in DOCS.partition("## Instruments")[2].splitlines():
        cells = [cell.strip(" `") for cell in line.split("|")[1:-1]]
        if len(cells) != 9 or not cells[2].isdigit():
            continue
        name, rows = cells[0] or name, rows + 1
        band = load_instrument(name).band(cells[1])
        noise = [f"{band.sky:g}", f"{band.read_noise:g}"] if band.sky else [f"rms {band.background_rms:.3f} e/s", ""]
        exposure = f"{band.exposures} x {band.exposure_time:g} s"
        expected = [f"{band.pixels}", f"{band.pixel_scale:g}", f"{band.zero_point:g}", *noise, exposure]
        assert cells[2:8] == expected, (name, band.name)
        assert band.fwhm is None or cells[8] == f"{band.fwhm:g}"
    assert rows == len(SHIPPED) + 1

    example = load_instrument(write(tmp_path, DOCS.partition("```toml\n")[2].partition("```")[0])).band()
    shipped = load_instrument("hst-acs-f814w").band()
    assert replace(example, background_rms=0.01, exposure_time=562.5, exposures=4) == shipped


def test_bands_keep_their_order_and_are_found_by_name() -> None:
    nisp = load_instrument("euclid-nisp")
    assert [band.name for band in nisp.bands] == ["Y", "J", "H"]
    assert nisp.band() is nisp.bands[0]
    assert nisp.band("J") is nisp.bands[1]
    with pytest.raises(UsageError, match="^instrument 'euclid-nisp' has no band 'K'; it has Y, J, H$"):
        nisp.band("K")


def test_ones_own_file_with_what_its_bands_have_in_common(tmp_path: Path) -> None:
    common = "source = 'a sheet'\npixels = 64\npixel_scale = 0.2\nfwhm = 0.5\n"
    instrument = load_instrument(write(tmp_path, common + "[bands.a]\n[bands.b]\nfwhm = 1\nmoffat_beta = 3\n"))
    assert instrument.source == "a sheet"
    assert instrument.bands == (
        Band(name="a", pixels=64, pixel_scale=0.2, fwhm=0.5),
        Band(name="b", pixels=64, pixel_scale=0.2, fwhm=1.0, moffat_beta=3.0),
    )


def test_a_files_psf_lies_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = np.zeros((3, 3))
    kernel[1] = 1, 2, 1
    np.save(tmp_path / "star.npy", kernel)
    write(tmp_path, VALID.replace("fwhm = 0.2", "psf_file = 'star.npy'"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert torch.equal(load_instrument("../mine.toml").band().psfs(), torch.from_numpy(kernel)[None] / 4)


def test_a_files_psf_keeps_its_size_in_arcsec_at_other_pixels(tmp_path: Path) -> None:
    """Pixels add a twelfth of their area to the variance along each axis.

    This holds for any profile.
    """
    axis, scale, sigma = np.arange(-20, 21) * 0.05, 0.05, 0.15
    np.save(tmp_path / "star.npy", np.exp(-(axis[:, None] ** 2 + axis**2) / (2 * sigma**2)))
    text = VALID.replace("fwhm = 0.2", "psf_file = 'star.npy'").replace("0.1", str(scale))
    native = load_instrument(write(tmp_path, text)).band()
    stated = load_instrument(write(tmp_path, text.replace("0.05", "0.08") + "psf_scale = 0.05", "stated.toml")).band()
    variance = sigma**2 - scale**2 / 12
    bands = [native, native.at(pixel_scale=0.1), native.at(pixel_scale=0.025).at(pixel_scale=0.1), stated]
    for band in [*bands, stated.at(pixel_scale=0.04)]:
        (psf,) = band.psfs()
        place = (torch.arange(len(psf), dtype=torch.float64) - len(psf) // 2) * band.pixel_scale
        found = float((psf.sum(0) * place**2).sum())
        assert found == pytest.approx(variance + band.pixel_scale**2 / 12, rel=1e-3)


def test_a_plugins_instrument_with_a_psf_of_its_package() -> None:
    band = load_instrument("pinhole").band("white")
    torch.testing.assert_close(band.psfs(), torch.full((1, 3, 3), 1 / 9, dtype=torch.float64))
    assert band.missing_for_noise == "zero_point, exposure_time, background_rms (or sky and read_noise)"


def test_other_pixels_of_the_same_camera() -> None:
    """The variance of the sky noise is proportional to the area of a pixel.

    This holds for computed and for measured noise.
    """
    quiet = Band(name="a", pixels=32, pixel_scale=0.1, fwhm=0.2, zero_point=25, sky=21, read_noise=0, exposure_time=100)
    assert quiet.at(pixel_scale=0.3).background_sigma == pytest.approx(3 * quiet.background_sigma)
    hst = load_instrument("hst-acs-f814w").band()
    coarse = hst.at(pixels=50, pixel_scale=0.1)
    assert (coarse.pixels, coarse.background_sigma, coarse.noise_correlation) == (50, 0.02, 0.22)
    assert hst.at() == hst


def test_an_unknown_instrument_is_a_near_one_or_a_path(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="^unknown instrument 'euclid-viz'; did you mean euclid-vis"):
        load_instrument("euclid-viz")
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        load_instrument(str(tmp_path / "none.toml"))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[bands", "is no valid TOML"),
        ("", "no bands; add a table for each band, such as [bands.VIS]"),
        ("bands = 3", "no bands; add a table"),
        ("[bands]\nA = 3", "bands.A = 3; it must be a table: [bands.A]"),
        ("source = 3" + VALID, "source = 3; it must be text"),
        ("seeing = 3" + VALID, "seeing: there is no such key; there are source, bands, pixels,"),
        (VALID + "pixel_scal = 1", "bands.A.pixel_scal: there is no such key; did you mean pixel_scale"),
        (VALID.replace("pixels = 32", ""), "bands.A has no pixels; it is needed"),
        (VALID.replace("32", "32.5"), "bands.A.pixels = 32.5: input should be a valid integer"),
        (VALID.replace("32", "8"), "bands.A.pixels = 8: input should be greater than or equal to 16"),
        (VALID.replace("0.1", "'wide'"), "bands.A.pixel_scale = 'wide': input should be a valid number"),
        (VALID.replace("0.1", "-0.1"), "bands.A.pixel_scale = -0.1: input should be greater than 0"),
        (VALID.replace("0.1", "nan"), "bands.A.pixel_scale = nan: input should be a finite number"),
        (VALID + "read_noise = true", "bands.A.read_noise = True: input should be a valid number"),
        (VALID + "exposure_time = -3", "bands.A.exposure_time = -3: input should be greater than 0"),
        ("exposures = 0" + VALID, "exposures = 0: input should be greater than or equal to 1"),
        (VALID.replace("fwhm = 0.2", ""), "bands.A: set either fwhm or psf_file for the PSF"),
        (VALID + "psf_file = 'a.fits'", "bands.A: set either fwhm or psf_file for the PSF"),
        ("moffat_beta = 2" + VALID.replace("fwhm", "psf_file").replace("0.2", "'a.npy'"), "moffat_beta needs fwhm"),
        (VALID + "psf_scale = 0.05", "bands.A: psf_scale needs psf_file"),
        (VALID + "sky = 22\nbackground_rms = 1", "set either background_rms, or sky and read_noise, for the noise"),
    ],
)
def test_a_wrong_file_is_one_line_that_names_file_and_key(tmp_path: Path, text: str, complaint: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(UsageError) as error:
        load_instrument(path)
    assert str(error.value).startswith(path)
    assert complaint in str(error.value)
    assert "\n" not in str(error.value)


def test_psfs_that_are_not_there(tmp_path: Path) -> None:
    absent = VALID.replace("fwhm = 0.2", "psf_file = 'a.npy'")
    with pytest.raises(UsageError, match="a.npy: no such file or folder"):
        load_instrument(write(tmp_path, absent)).band().psfs()
    nowhere = absent.replace("a.npy", "no_such_package:a.npy")
    with pytest.raises(UsageError, match="there is no package 'no_such_package'"):
        load_instrument(write(tmp_path, nowhere)).band().psfs()
    with pytest.raises(LenskitError, match="no such file or folder"):
        load_instrument(write(tmp_path, absent.replace("a.npy", "lenskit_lensing:a.npy"))).band().psfs()
