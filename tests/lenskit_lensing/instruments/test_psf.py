"""PSFs: the bundled file against Tiny Tim, resampling, profiles, users' files.

Resampling and profiles are compared with integrals.
"""

from __future__ import annotations

import math
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st
from lenstronomy.Data.psf import PSF
from scipy.integrate import dblquad
from scipy.ndimage import convolve, map_coordinates
from scipy.optimize import brentq
from scipy.special import erf, j0, j1

from lenskit.errors import LenskitError, UsageError
from lenskit_lensing.instruments.psf import airy_psf, load_psfs, profile_psf, resample

ENERGY_RADII = (0.1, 0.25, 0.5, 0.75)  # arcsec


def fwhm(psf: np.ndarray, pixel_scale: float = 0.05) -> float:
    """Full width in arcsec at half of the central value.

    The profile is interpolated by splines and averaged over angles.
    """
    centre = (len(psf) - 1) / 2
    radius, angle = np.linspace(0, 5, 1001), np.linspace(0, 2 * np.pi, 72, endpoint=False)
    y, x = centre + radius[:, None] * np.sin(angle), centre + radius[:, None] * np.cos(angle)
    profile = map_coordinates(psf, [y, x], order=3).mean(1)
    below = int(np.argmax(profile < profile[0] / 2))  # the first radius
    half = np.interp(profile[0] / 2, profile[[below, below - 1]], radius[[below, below - 1]])
    return float(2 * pixel_scale * half)


def energy(psf: np.ndarray, radius: float, pixel_scale: float = 0.05) -> float:
    """Flux within a radius in arcsec; the kernel's sum is one.

    The light is uniform within a pixel.
    """
    fine = 11
    offset = (np.arange(len(psf) * fine) - (len(psf) * fine - 1) / 2) * pixel_scale / fine
    light = np.kron(psf, np.ones((fine, fine))) / fine**2
    return light[np.hypot(offset[:, None], offset) <= radius].sum()


def cropped(psf: np.ndarray, size: int = 41) -> np.ndarray:
    """Crop a PSF to its middle, with a sum of one."""
    margin = (len(psf) - size) // 2
    middle = psf[margin : margin + size, margin : margin + size]
    return middle / middle.sum()


def gaussian(size: int, scale: float, sigma: float, x: float = 0.0, y: float = 0.0) -> np.ndarray:
    """Gaussian integrated over square pixels in closed form; lengths are in arcsec."""
    edges = (np.arange(size + 1) - size / 2) * scale
    along_y, along_x = (np.diff(erf((edges - centre) / sigma / np.sqrt(2))) / 2 for centre in (y, x))
    return np.outer(along_y, along_x)


def write(path: Path, psf: np.ndarray, **header: object) -> Path:
    fits.PrimaryHDU(psf, fits.Header(header)).writeto(path)
    return path


# The bundled file


def test_bundled_psfs_are_unit_kernels_with_the_star_in_the_middle() -> None:
    psfs = load_psfs(None, 0.05)
    assert psfs.shape == (23, 41, 41)
    assert psfs.dtype == torch.float64
    torch.testing.assert_close(psfs.sum((1, 2)), torch.ones(23, dtype=torch.float64), rtol=0, atol=1e-14)
    assert (psfs > 0).all()
    assert (psfs.flatten(1).argmax(1) == 20 * 41 + 20).all()


def test_bundled_psfs_are_as_sharp_as_hst() -> None:
    for psf in load_psfs(None, 0.05).numpy():
        assert 0.079 < fwhm(psf) < 0.090
        assert 0.88 < energy(psf, 0.25) < 0.92


@pytest.mark.slow
def test_bundled_psfs_agree_with_tiny_tim(real_data: Path) -> None:
    ours = load_psfs(None, 0.05).numpy()
    tiny_tim = [cropped(psf) for psf in load_psfs(real_data / "psf", 0.05).numpy()]

    def figures(psfs: list[np.ndarray] | np.ndarray) -> np.ndarray:
        return np.array([[fwhm(psf), psf.max(), *(energy(psf, radius) for radius in ENERGY_RADII)] for psf in psfs])

    np.testing.assert_allclose(figures(ours).mean(0), figures(tiny_tim).mean(0), rtol=0.015)


def test_bundled_psfs_differ_as_much_as_tiny_tims(real_data: Path) -> None:
    def spread(psfs: list[np.ndarray] | np.ndarray) -> float:
        return float(np.std(psfs, axis=0).sum())  # of a kernel that sums to one

    tiny_tim = [cropped(psf) for psf in load_psfs(real_data / "psf", 0.05).numpy()]
    assert 0.5 < spread(load_psfs(None, 0.05).numpy()) / spread(tiny_tim) < 2


# Tiny Tim and other scales


@pytest.mark.slow
def test_tiny_tim_files_measure_as_in_the_literature(real_data: Path) -> None:
    """Compare encircled energies with the reference table for ACS/WFC F814W.

    PSFs are rebinned and diffused. Energies are fractions of the energy in the file's frame.
    """
    psfs = load_psfs(real_data / "psf", 0.05).numpy()
    assert psfs.shape == (20, 73, 73)
    for radius, expected in {0.1: 0.656, 0.25: 0.893, 0.5: 0.947}.items():
        assert np.mean([energy(psf, radius) for psf in psfs]) == pytest.approx(expected, abs=0.006)
    assert np.mean([fwhm(psf) for psf in psfs]) == pytest.approx(0.0845, abs=0.0055)


def test_subsampled_tiny_tim_psf_is_rebinned_and_diffused(tmp_path: Path) -> None:
    """With exactly two samples a pixel, diffusion is a 3 x 3 convolution.

    The PSF that the kernel blurs is the one on the detector's pixels.
    """
    kernel = np.array([[0.016, 0.07, 0.016], [0.07, 0.656, 0.07], [0.016, 0.07, 0.016]])
    header = fits.Header({"INSTRUME": "ACS_WFC2", "PIXSCALE": 0.025})
    header["COMMENT"] = "This PSF is subsampled, so the charge diffusion kernel was"
    header["COMMENT"] = "NOT applied.  After you rebin this PSF to normal sampling,"
    header["COMMENT"] = "you should convolve it with the following kernel :"
    for row in kernel:
        header["COMMENT"] = "     " + " ".join(f"{weight:.6f}" for weight in row)
    fits.PrimaryHDU(gaussian(81, 0.025, 0.05), header).writeto(tmp_path / "psf.fits")
    (psf,) = load_psfs(tmp_path / "psf.fits", 0.05).numpy()
    expected = convolve(gaussian(len(psf), 0.05, 0.05), kernel, mode="constant")
    np.testing.assert_allclose(psf, expected, atol=2e-3 * expected.max())


def test_tiny_tim_of_an_unknown_detector_is_an_error(tmp_path: Path) -> None:
    header = fits.Header({"INSTRUME": "WFPC1", "PIXSCALE": 0.02})
    header["COMMENT"] = "the charge diffusion kernel was NOT applied"
    fits.PrimaryHDU(gaussian(11, 0.02, 0.04), header).writeto(tmp_path / "psf.fits")
    with pytest.raises(UsageError, match=r"psf\.fits: .*WFPC1.*ACS_WFC or WFC3_UVIS"):
        load_psfs(tmp_path, 0.05)


@settings(max_examples=40, deadline=None)
@given(
    scale=st.floats(0.02, 0.045),
    new_scale=st.floats(0.02, 0.1),
    x=st.floats(-0.1, 0.1),
    y=st.floats(-0.1, 0.1),
)
def test_resampling_integrates_over_the_new_pixels(scale: float, new_scale: float, x: float, y: float) -> None:
    psf = gaussian(2 * round(1 / scale) + 1, scale, 0.06, x, y)
    new = resample(psf, scale / new_scale)
    assert len(new) % 2 == 1
    assert 0 <= len(psf) * scale - len(new) * new_scale < 2 * new_scale
    expected = gaussian(len(new), new_scale, 0.06, x, y)
    # The spline's error at 1.3 samples per sigma, the coarsest example; the largest of 4,000 examples was 1.29 %.
    np.testing.assert_allclose(new, expected, atol=0.015 * expected.max())
    assert (new >= 0).all()


def test_bundled_psfs_come_at_other_scales_too() -> None:
    """Sampling twice as finely keeps the energy in wide apertures.

    Sampling back gives nearly the same PSF.
    """
    native, fine = load_psfs(None, 0.05).numpy(), load_psfs(None, 0.025).numpy()
    assert fine.shape == (23, 81, 81)
    assert (fine >= 0).all()
    assert energy(fine[0], 0.5, 0.025) == pytest.approx(energy(native[0], 0.5), abs=0.003)
    back = cropped(resample(fine[0], 0.5), 39)
    np.testing.assert_allclose(back, cropped(native[0], 39), atol=0.02 * native[0].max())


def test_pixel_scales_are_read_from_keywords_coordinates_and_npz(tmp_path: Path) -> None:
    psf = gaussian(41, 0.03, 0.06)
    write(tmp_path / "keyword.fits", psf, PIXELSCL=0.03)
    degrees = 0.03 / 3600
    write(
        tmp_path / "wcs.fits", psf, CTYPE1="RA---TAN", CTYPE2="DEC--TAN", CUNIT1="deg", CUNIT2="deg",
        CD1_1=-degrees * 0.6, CD1_2=degrees * 0.8, CD2_1=degrees * 0.8, CD2_2=degrees * 0.6,
    )  # fmt: skip
    np.savez(tmp_path / "numpy.npz", psfs=psf, pixel_scale=0.03)
    psfs = load_psfs(tmp_path, 0.05).numpy()
    assert psfs.shape == (3, 23, 23)
    np.testing.assert_allclose(psfs, np.stack([gaussian(23, 0.05, 0.06)] * 3), atol=2e-3 * psfs.max())


# Files


def test_files_are_read_as_they_are(tmp_path: Path) -> None:
    """Without a pixel scale, nothing is resampled.

    Rows stay rows, and big-endian numbers of FITS are read correctly.
    """
    psf = np.arange(1.0, 26).reshape(5, 5).astype(">f4")
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(psf)]).writeto(tmp_path / "psf.fits")
    np.save(tmp_path / "psf.npy", psf)
    np.savez(tmp_path / "psf.npz", anything=np.stack([psf, psf[::-1]]))
    expected = torch.from_numpy(psf.astype(float) / psf.sum())
    torch.testing.assert_close(load_psfs(str(tmp_path / "psf.fits"), 0.05), expected[None])
    torch.testing.assert_close(load_psfs(tmp_path / "psf.npy", 0.05), expected[None])
    torch.testing.assert_close(load_psfs(tmp_path / "psf.npz", 0.05), torch.stack([expected, expected.flip(0)]))
    assert load_psfs(tmp_path, 0.05).shape == (4, 5, 5)


def test_smaller_psfs_are_surrounded_with_zeros(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones((3, 3)))
    np.save(tmp_path / "b.npy", np.ones((7, 7)))
    small, large = load_psfs(tmp_path, 0.05)
    expected = torch.zeros(7, 7, dtype=torch.float64)
    expected[2:5, 2:5] = 1 / 9
    torch.testing.assert_close(small, expected)
    torch.testing.assert_close(large, torch.full((7, 7), 1 / 49, dtype=torch.float64))


@pytest.mark.parametrize(
    ("psf", "message"),
    [
        (np.ones((4, 4)), "4 x 4 pixels; the size must be odd"),
        (np.ones((3, 5)), "3 x 5 pixels; it must be square"),
        (np.ones(9), r"shape \(9,\)"),
        (np.ones((3, 3), dtype=complex), "complex128"),
        (np.full((3, 3), np.nan), "NaN or infinite"),
        (np.zeros((3, 3)), "sum is 0; it must be positive"),
        (-np.ones((3, 3)), "sum is -9"),
    ],
)
def test_what_is_no_psf_is_an_error_that_names_the_file(tmp_path: Path, psf: np.ndarray, message: str) -> None:
    np.save(tmp_path / "bad.npy", psf)
    with pytest.raises(UsageError, match=rf"bad\.npy: .*{message}") as error:
        load_psfs(tmp_path, 0.05)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("scale", [-0.05, 0.0, "fine"])
def test_a_senseless_pixel_scale_is_an_error(tmp_path: Path, scale: object) -> None:
    write(tmp_path / "bad.fits", np.ones((3, 3)), PIXSCALE=scale)
    with pytest.raises(UsageError, match=r"bad\.fits: .*positive number of arcsec"):
        load_psfs(tmp_path, 0.05)


@pytest.mark.parametrize(
    ("scale", "told"),
    [(np.nan, "nan"), (-0.05, "-0.05"), (1e5, "100000.0"), ([0.05, 0.06], r"\[0.05, 0.06\]"), ("0.05", "'0.05'")],
)
def test_a_senseless_pixel_scale_of_an_archive_is_named(tmp_path: Path, scale: object, told: str) -> None:
    np.savez(tmp_path / "bad.npz", psfs=np.ones((3, 3)), pixel_scale=scale)
    with pytest.raises(UsageError, match=rf"bad\.npz: its array pixel_scale is {told}; it must be one number"):
        load_psfs(tmp_path, 0.05)


def test_a_pixel_scale_of_another_unit_is_sought_where_it_is(tmp_path: Path) -> None:
    np.savez(tmp_path / "bad.npz", psfs=np.ones((3, 3)), pixel_scale=50.0)
    with pytest.raises(UsageError, match=r'are 50" each, according to its array pixel_scale; .*: correct that array'):
        load_psfs(tmp_path, 0.05)


def test_which_array_of_an_archive_is_the_psf(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    one, other = gaussian(5, 0.05, 0.06), np.full((5, 5), 1 / 25)
    np.savez(path, noise=other, psfs=one)
    np.testing.assert_allclose(load_psfs(path, 0.05)[0], one / one.sum())
    np.savez(path, pixel_scale=0.05, kernel=other)
    np.testing.assert_allclose(load_psfs(path, 0.05)[0], other)
    np.savez(path, noise=other, kernel=one)
    with pytest.raises(
        UsageError, match=r"a\.npz: several .* may be the PSFs: noise, kernel; save .*savez\(FILE, psfs="
    ):
        load_psfs(path, 0.05)
    np.savez(path, pixel_scale=0.05)
    with pytest.raises(UsageError, match=r"a\.npz: it holds no array of PSFs; save the PSFs under the name psfs"):
        load_psfs(path, 0.05)


@pytest.mark.parametrize("name", ["bad.fits", "bad.npy", "bad.npz"])
@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 broken", b"SIMPLE  =                    T"])
def test_an_unreadable_file_is_an_error(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=r"bad\.\w+: no PSF can be read"):
        load_psfs(tmp_path, 0.05)


@pytest.mark.parametrize("name", ["a.npz", "a.fits.gz"])
def test_a_file_that_unpacks_to_more_than_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    path = tmp_path / name
    if name == "a.npz":
        np.savez_compressed(path, psfs=np.ones((100, 41, 41)))
    else:
        fits.PrimaryHDU(np.ones((100, 41, 41))).writeto(path)
    monkeypatch.setenv("LENSKIT_MAX_BYTES", "100000")
    with pytest.raises(LenskitError, match=rf"{name}.* takes 13\d{{5}} bytes in memory") as error:
        load_psfs(path, 0.05)
    monkeypatch.setenv(*str(error.value).rpartition(" ")[2].split("="))
    assert load_psfs(path, 0.05).shape == (100, 41, 41)


def test_a_truncated_fits_file_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "bad.fits", gaussian(41, 0.05, 0.06))
    os.truncate(path, 5760)
    with pytest.raises(UsageError, match=r"bad\.fits: no PSF can be read"):
        load_psfs(path, 0.05)


def test_an_empty_or_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no PSFs in this folder"):
        load_psfs(tmp_path, 0.05)
    with pytest.raises(UsageError, match="no such file or folder"):
        load_psfs(tmp_path / "absent", 0.05)


# Profiles


@given(fwhm=st.floats(0.5, 6), pixel_scale=st.floats(0.02, 1))
@settings(deadline=None, max_examples=30)
def test_gaussian_is_its_integral_over_pixels(fwhm: float, pixel_scale: float) -> None:
    """The FWHM is in pixels; the closed form is normalised within the kernel, too."""
    psf = profile_psf(fwhm * pixel_scale, pixel_scale).numpy()
    expected = gaussian(len(psf), pixel_scale, fwhm * pixel_scale / np.sqrt(8 * np.log(2)))
    assert expected.sum() > 1 - 3e-6
    assert np.abs(psf - expected / expected.sum()).max() < 1e-10


@given(fwhm=st.floats(0.5, 6), beta=st.floats(1.8, 5))
@settings(deadline=None, max_examples=20)
def test_moffat_is_its_integral_over_pixels(fwhm: float, beta: float) -> None:
    psf = profile_psf(fwhm, 1.0, beta).numpy()
    a = fwhm / (2 * np.sqrt(2 ** (1 / beta) - 1))

    def integral(x: int, y: int) -> float:
        return dblquad(lambda u, v: (1 + (u * u + v * v) / a**2) ** -beta, y - 0.5, y + 0.5, x - 0.5, x + 0.5)[0]

    middle, total = len(psf) // 2, np.pi * a**2 / (beta - 1)
    for x, y in ((0, 0), (1, 0), (1, 1), (2, 1))[: 4 if middle > 1 else 3]:
        ratio = psf[middle + y, middle + x] / psf[middle, middle]
        assert ratio == pytest.approx(integral(x, y) / integral(0, 0), rel=1e-7)
    # Light beyond the kernel is distributed over the kernel: it is less than half a percent beyond a circle.
    assert 1 < psf[middle, middle] / (integral(0, 0) / total) < 1.0051


def test_profiles_are_lenstronomys_gaussian_where_pixels_are_small() -> None:
    fwhm, pixel_scale = 0.5, 0.01
    psf = profile_psf(fwhm, pixel_scale).numpy()
    reference = PSF("GAUSSIAN", fwhm=fwhm, pixel_size=pixel_scale, truncation=5).kernel_point_source
    margin = (len(psf) - len(reference)) // 2
    assert abs(margin) <= 1
    size = min(len(psf), len(reference))
    assert np.abs(central(psf, size) - central(reference, size)).max() < 2e-3 * psf.max()


def central(psf: np.ndarray, size: int) -> np.ndarray:
    margin = (len(psf) - size) // 2
    return psf[margin : margin + size, margin : margin + size]


@pytest.mark.parametrize("fwhm", [0.06, 0.087, 0.2])
def test_an_airy_pattern_has_its_width_and_encircled_energy(fwhm: float) -> None:
    """Born & Wolf 8.5.2: within v lie 1 - J_0(v)^2 - J_1(v)^2 of the light."""
    pixel_scale = fwhm / 12
    psf = airy_psf(fwhm, pixel_scale).numpy()
    middle = len(psf) // 2
    profile = psf[middle, middle:] / psf[middle, middle]
    assert np.interp(-0.5, -profile[:12], np.arange(12)) * 2 * pixel_scale == pytest.approx(fwhm, rel=0.01)
    y, x = np.indices(psf.shape) - middle
    within = np.hypot(x, y) * pixel_scale < 2 * fwhm
    v = 4 * brentq(lambda v: 2 * j1(v) / v - math.sqrt(0.5), 1, 2)
    expected = 1 - j0(v) ** 2 - j1(v) ** 2
    assert psf[within].sum() == pytest.approx(expected, abs=0.012)  # the kernel ends at 99 % of the light
    assert psf.sum() == pytest.approx(1)
    assert np.allclose(psf, psf.T)


@pytest.mark.parametrize(("make", "cut"), [(profile_psf, 9), (airy_psf, 20)])
def test_a_kernel_reaches_across_the_image_and_no_further(make: Callable[..., torch.Tensor], cut: int) -> None:
    """Cutting a kernel keeps its middle, except for the light in the corners.

    The corners of the whole kernel lie beyond the reach of the profile.
    """
    whole = make(0.5, 0.05).numpy()
    found = make(0.5, 0.05, pixels=cut).numpy()
    assert found.shape == (2 * cut - 1, 2 * cut - 1)
    middle = slice(len(whole) // 2 - cut + 1, len(whole) // 2 + cut)
    np.testing.assert_allclose(found, whole[middle, middle], rtol=5e-3)
    assert torch.equal(make(0.5, 0.05, pixels=1000), make(0.5, 0.05))


@pytest.mark.parametrize("make", [profile_psf, airy_psf])
@pytest.mark.parametrize(("fwhm", "pixel_scale"), [(1e-9, 0.05), (1e-4, 0.05), (5, 0.05), (5, 1e-3), (1e-4, 10)])
def test_no_width_takes_much_memory(make: Callable[..., torch.Tensor], fwhm: float, pixel_scale: float) -> None:
    tracemalloc.start()
    try:
        psf = make(fwhm, pixel_scale, pixels=150)
        assert tracemalloc.get_traced_memory()[1] < 1e8
    finally:
        tracemalloc.stop()
    middle = len(psf) // 2
    assert psf.isfinite().all()
    assert 0 < psf.sum() < 1.001
    assert psf[middle, middle] == psf.amax()
    assert fwhm > 1 or psf[middle, middle] > 0.98


# Scales


SKY = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN"}


@pytest.mark.parametrize(
    ("cards", "told"),
    [
        (SKY | {"CDELT1": 1.0, "CDELT2": 1.0}, 'its header gives pixels of 3600"'),
        (SKY | {"CDELT1": 1e-30, "CDELT2": 1e-30}, 'its header gives pixels of 3.6e-27"'),
        (SKY | {"CDELT1": 1e-5, "CDELT2": 2e-5}, "its pixels are not square"),
        ({"PIXSCALE": 50.0}, r'its 21 x 21 pixels are 50" each, according to its header; .* pixels of 0.05"'),
        ({"PIXSCALE": 0.05 / 3600}, r'its 21 x 21 pixels are 1.389e-05" each'),
    ],
    ids=["degrees", "tiny", "not square", "mas", "in degrees"],
)
def test_a_scale_of_no_camera_is_named_and_not_resampled(tmp_path: Path, cards: dict, told: str) -> None:
    write(tmp_path / "psf.fits", gaussian(21, 0.05, 0.06), **cards)
    with pytest.raises(UsageError, match=rf"psf\.fits: {told}.*header") as error:
        load_psfs(tmp_path, 0.05)
    assert "\n" not in str(error.value)


def test_coordinates_in_mas_and_without_cdelt(tmp_path: Path) -> None:
    psf = gaussian(21, 0.025, 0.06)
    write(tmp_path / "key.fits", psf, PIXSCALE=0.025)
    expected = load_psfs(tmp_path, 0.05)
    step = 0.025 / 3600
    forms = {
        "mas": SKY | {"CDELT1": -25.0, "CDELT2": 25.0, "CUNIT1": "mas", "CUNIT2": "mas"},
        "pc": SKY | {"PC1_1": -step, "PC1_2": 0.0, "PC2_1": 0.0, "PC2_2": step},
        "text": {"PIXSCALE": "0.025"},
    }
    for name, cards in forms.items():
        torch.testing.assert_close(load_psfs(write(tmp_path / f"{name}.FIT", psf, **cards), 0.05), expected)


def test_what_macos_leaves_in_a_folder_is_no_psf(tmp_path: Path) -> None:
    write(tmp_path / "a.FITS", gaussian(21, 0.05, 0.06))
    np.save(tmp_path / "b.npy", gaussian(21, 0.05, 0.06))
    (tmp_path / "b.npy").rename(tmp_path / "b.NPY")
    for name in ("._a.FITS", "._b.NPY"):
        (tmp_path / name).write_bytes(b"x")
    assert len(load_psfs(tmp_path, 0.05)) == 2
