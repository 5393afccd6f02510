"""Point-spread functions: bundled PSFs of HST ACS/WFC in F814W, and PSFs of users.

A PSF is a kernel: the image of a point source on the detector, integrated over pixels of the simulator's scale. Files
with a different pixel scale are resampled if they state it. Subsampled files of Tiny Tim lack charge diffusion, so it
is applied here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from astropy.io import fits
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline
from scipy.ndimage import convolve
from scipy.special import j1
from torch import Tensor

from lenskit.plugin import LenskitError, UsageError
from lenskit.toolbox import check_hdu, listed, load_array, open_arrays, open_fits, quoted, too_many_files
from lenskit_datasets.fits_file import FAULTS, pixels_of
from lenskit_datasets.folders import FITS, has_ending, look_through
from lenskit_datasets.pixel_scale import LARGEST as LARGEST_PIXEL
from lenskit_datasets.pixel_scale import SMALLEST as FINEST
from lenskit_datasets.pixel_scale import Unclear, scale_in

BUNDLED = "data/hst_acs_f814w_psfs.npz"
"""23 PSFs of 41 x 41 pixels of 0.05 arcsec, made by examples/make_hst_psfs.py."""

SUFFIXES = (*FITS, ".npy", ".npz")
LARGEST = 8193
"""Largest number of pixels across a PSF: twice the largest image, and half a gigabyte."""

SCALE = "pixel_scale"
"""Name of the array of the pixel size in an .npz file."""

SAME_SCALE = 1e-3
"""Relative difference below which two pixel scales are equal."""

COARSEST = 10
"""Largest pixel size of a PSF, in pixels of the simulator: larger pixels do not resolve the PSF."""

DETECTOR_SCALES = {"ACS_WFC": 0.05, "WFC3_UVIS": 0.04}
"""Arcsec per detector pixel, by the beginning of Tiny Tim's INSTRUME."""


def load_psfs(source: str | Path | None, pixel_scale: float, unstated: float | None = None) -> Tensor:
    """Load PSFs at the pixel scale of the simulator.

    Args:
        source: A FITS file, an .npy or .npz file (one PSF or a stack), or a folder of such files. An .npz file has one
            array of PSFs, called `psfs` if there are several arrays, and optionally the number `pixel_scale`. None
            selects the bundled PSFs.
        pixel_scale: Pixel size of the simulator in arcsec.
        unstated: Pixel size in arcsec of files that do not state it. The default is `pixel_scale`.

    Returns:
        (k, s, s) float64 with s odd, in the order of the file names; each sums to one. Smaller PSFs are padded with
        zeros.

    Raises:
        UsageError: There is no file, or a file is not a PSF.
    """
    if source is None:
        with as_file(files("lenskit_lensing") / BUNDLED) as bundled:
            psfs = _read(bundled, pixel_scale, pixel_scale)
    else:
        psfs = [psf for path in _paths(Path(source)) for psf in _read(path, pixel_scale, unstated or pixel_scale)]
    size = max(len(psf) for psf in psfs)
    padded = [np.pad(psf, (size - len(psf)) // 2) for psf in psfs]
    return torch.from_numpy(np.stack([psf / psf.sum() for psf in padded]))


def _paths(source: Path) -> list[Path]:
    """Return the files to read."""
    if source.is_file():
        return [source]
    if not source.is_dir():
        raise UsageError(
            f"{source}: no such file or folder; use a FITS, .npy or .npz file of PSFs, or a folder of such files"
        )
    listing = look_through(source, depth=0)
    listing.tell(source)
    if not (paths := listing.ending(SUFFIXES)):
        raise UsageError(f"{source}: no PSFs in this folder; their files must end in {', '.join(SUFFIXES)}")
    return paths


def _read(path: Path, pixel_scale: float, unstated: float) -> list[NDArray[np.float64]]:
    """Return the PSFs of one file, checked and at the pixel scale of the simulator."""
    stack, header, scale = _load(path)
    scale = scale or unstated
    psfs = [_diffused(_checked(psf, path), header, scale, path) for psf in stack]
    if abs(scale / pixel_scale - 1) > SAME_SCALE:
        _check_scale(path, len(psfs[0]), scale, pixel_scale)
        across = len(psfs[0]) * scale / pixel_scale
        if across > LARGEST:
            raise UsageError(
                f'{path}: a PSF of {len(psfs[0])} pixels of {scale:g}" is {across:.3g} pixels of {pixel_scale:g}", '
                f"above {LARGEST}; use larger pixels for the images, or a smaller pixel scale for the PSF"
            )
        psfs = [resample(psf, scale / pixel_scale) for psf in psfs]
    return psfs


def _load(path: Path) -> tuple[NDArray[Any], fits.Header, float | None]:
    """Return the PSFs (k, y, x) of a file, its header, and its pixel size in arcsec."""
    header, scale = fits.Header(), None
    try:
        if has_ending(path, (".npy",)):
            data = load_array(path)
        elif has_ending(path, (".npz",)):
            with open_arrays(path) as arrays:
                data, scale = arrays[_psfs_in(path, arrays.files)], _scale_in(path, arrays)
        else:
            with open_fits(path, memmap=False, uint=False) as hdus:
                hdu = next(hdu for hdu in hdus if hdu.is_image and math.prod(hdu.shape or (0,)))
                check_hdu(path, hdu)
                data, header, scale = pixels_of(hdus, hdu), hdu.header, scale_in(hdus, hdu, keys_first=True)
    except LenskitError:
        raise
    except Unclear as error:
        raise UsageError(f"{path}: {error}; correct its header") from None
    except (*FAULTS, BadZipFile, StopIteration) as error:
        instead = UsageError(f"{path}: no PSF can be read from it; use a FITS image or a numpy array")
        raise too_many_files(error) or instead from error
    if data.ndim not in (2, 3) or data.size == 0 or data.dtype.kind not in "iuf":
        raise UsageError(
            f"{path}: a {data.dtype} array of shape {data.shape}; it must have numbers, (s, s) or a stack (k, s, s)"
        )
    return data[None] if data.ndim == 2 else data, header, scale


def _psfs_in(path: Path, names: Sequence[str]) -> str:
    """Return the name of the array of PSFs in an .npz file.

    This is `psfs`, or else the only array apart from the pixel scale.

    Raises:
        UsageError: There is no such array, or there are several.
    """
    others = [name for name in names if name != SCALE]
    if "psfs" in others or len(others) == 1:
        return "psfs" if "psfs" in others else others[0]
    advice = "save the PSFs under the name psfs: numpy.savez(FILE, psfs=...)"
    if not others:
        raise UsageError(f"{path}: it holds no array of PSFs; {advice}")
    raise UsageError(f"{path}: several of its arrays may be the PSFs: {listed(others)}; {advice}")


def _scale_in(path: Path, arrays: Any) -> float | None:
    """Return the pixel size of an .npz file in arcsec, None if it is not stated.

    Raises:
        UsageError: The pixel size is not one positive number, or impossible for a camera.
    """
    if SCALE not in arrays:
        return None
    stored = arrays[SCALE]
    scale = float(stored.item()) if stored.size == 1 and stored.dtype.kind in "iuf" else math.nan
    if not FINEST <= scale <= LARGEST_PIXEL:
        raise UsageError(
            f"{path}: its array {SCALE} is {quoted(stored.tolist())}; it must be one number in arcsec, such as 0.05"
        )
    return scale


def _check_scale(path: Path, size: int, scale: float, pixel_scale: float) -> None:
    """Check that the pixel size of a PSF has the right order of magnitude.

    Raises:
        UsageError: One pixel is larger than `COARSEST` pixels of the images, or all pixels together are smaller than
            1 / `COARSEST` of such a pixel. This happens for sizes in degrees or mas.
    """
    if scale > COARSEST * pixel_scale or size * scale < pixel_scale / COARSEST:
        header = "header", "the header, in arcsec (PIXSCALE) or degrees (CDELT1, CDELT2)"
        where, correct = (f"array {SCALE}", "that array, in arcsec") if has_ending(path, (".npz",)) else header
        raise UsageError(
            f'{path}: its {size} x {size} pixels are {scale:.4g}" each, according to its {where}; the images have '
            f'pixels of {pixel_scale:.4g}": correct {correct}'
        )


def _checked(psf: NDArray[Any], path: Path) -> NDArray[np.float64]:
    """Return a valid PSF as native float64."""
    height, width = psf.shape
    psf = np.asarray(psf, dtype=np.float64)
    if height != width:
        raise UsageError(f"{path}: a PSF of {height} x {width} pixels; it must be square")
    if height % 2 == 0:
        raise UsageError(
            f"{path}: a PSF of {height} x {height} pixels; the size must be odd, with the star in the middle"
        )
    if not np.isfinite(psf).all():
        raise UsageError(f"{path}: a PSF with NaN or infinite pixels; all must be finite")
    if not psf.sum() > 0:
        raise UsageError(f"{path}: a PSF whose sum is {psf.sum():g}; it must be positive")
    return psf


def _diffused(psf: NDArray[np.float64], header: fits.Header, scale: float, path: Path) -> NDArray[np.float64]:
    """Blur a subsampled Tiny Tim PSF with the charge diffusion kernel of its header.

    The kernel is for whole detector pixels. It is applied to the subsampled PSF with taps one detector pixel apart. At
    any scale, the result equals that of rebinning to detector pixels first.
    """
    comments = "\n".join(header["COMMENT"]) if "COMMENT" in header else ""
    if "diffusion kernel was" not in comments:
        return psf
    taps = [float(number) for number in re.findall(r"\d*\.\d+", comments.partition("following kernel")[2])]
    detector = next((name for name in DETECTOR_SCALES if str(header.get("INSTRUME")).startswith(name)), None)
    if len(taps) != 9 or detector is None:
        raise UsageError(
            f"{path}: a Tiny Tim PSF without charge diffusion, for {header.get('INSTRUME')} and with {len(taps)} kernel"
            f" weights; use {' or '.join(DETECTOR_SCALES)} with 9 weights, or a PSF already rebinned and diffused"
        )
    step = round(DETECTOR_SCALES[detector] / scale)
    kernel = np.zeros((2 * step + 1, 2 * step + 1))
    kernel[::step, ::step] = np.reshape(taps, (3, 3)) / sum(taps)
    return convolve(psf, kernel, mode="constant")


def resample(psf: NDArray[np.float64], factor: float) -> NDArray[np.float64]:
    """Integrate a PSF over pixels of a different size; keep its centre and flux.

    A cubic spline interpolates the cumulative light at the edges of the pixels, axis by axis. (Even division of the old
    pixels would widen the core of an HST PSF by 8 to 16 %.)

    Args:
        psf: (s, s).
        factor: Size of the old pixels in new pixels.

    Returns:
        The largest odd square inside the old one, at least one pixel. Values are clipped at zero, or at the minimum of
        the old PSF if that is negative, because a spline can undershoot near an undersampled peak.
    """
    size = len(psf)
    new_size = max(1, 2 * int((size * factor - 1) / 2) + 1)
    edges = np.arange(size + 1) - size / 2
    new_edges = np.clip((np.arange(new_size + 1) - new_size / 2) / factor, edges[0], edges[-1])
    new = psf
    for axis in (0, 1):
        light_up_to = np.insert(np.cumsum(new, axis), 0, 0, axis)
        new = np.diff(CubicSpline(edges, light_up_to, axis)(new_edges), axis=axis)
    positive = np.maximum(new, min(0, psf.min()))
    return positive * (new.sum() / positive.sum())


NARROWEST = 1 / 32
"""Minimum FWHM in pixels. One pixel then contains all light of a Gaussian, and 99 % of an Airy pattern."""


def profile_psf(fwhm: float, pixel_scale: float, moffat_beta: float | None = None, pixels: int | None = None) -> Tensor:
    """Return a round Gaussian or Moffat PSF, integrated over pixels.

    The kernel extends to 5 standard deviations of a Gaussian, or to 99.5 % of the light of a Moffat profile. It is
    averaged over pixels by a Gauss-Legendre rule with at least 20 nodes per FWHM.

    Args:
        fwhm: Full width at half maximum in arcsec, before the integration.
        pixel_scale: Size of a pixel in arcsec.
        moffat_beta: Exponent of the Moffat profile (1 + (r/a)^2)^-beta, above 1; None is a Gaussian.
        pixels: Size of the images, which limits the kernel.

    Returns:
        (s, s) float64, s odd, with a sum of one minus the light that is cut off because of `pixels`.
    """
    fwhm = max(fwhm, NARROWEST * pixel_scale)
    if moffat_beta is None:
        sigma = fwhm / math.sqrt(8 * math.log(2))
        reach = 5 * sigma
        total = 2 * math.pi * sigma**2
    else:
        a = fwhm / (2 * math.sqrt(2 ** (1 / moffat_beta) - 1))
        reach = a * math.sqrt(0.005 ** -min(1 / (moffat_beta - 1), 100) - 1)
        total = 0.995 * math.pi * a**2 / (moffat_beta - 1)
    return _integrated(
        lambda r2: np.exp(-r2 / (2 * sigma**2)) if moffat_beta is None else (1 + r2 / a**2) ** -moffat_beta,
        reach,
        total,
        fwhm,
        pixel_scale,
        pixels,
    )


def airy_psf(fwhm: float, pixel_scale: float, pixels: int | None = None) -> Tensor:
    """Return the Airy pattern of a round aperture, integrated over pixels.

    The pattern is (2 J_1(v) / v)^2. The kernel extends to 99 % of the light: the rings beyond v have the fraction 2 /
    (pi v) (Born & Wolf, 8.5.2).

    Args:
        fwhm: Full width at half maximum in arcsec, 1.029 wavelengths over the aperture, before the integration.
        pixel_scale: Size of a pixel in arcsec.
        pixels: Size of the images, which limits the kernel.

    Returns:
        (s, s) float64, s odd, with a sum of one minus the light that is cut off because of `pixels`.
    """
    fwhm = max(fwhm, NARROWEST * pixel_scale)
    per_arcsec = AIRY_WIDTH / fwhm
    reach = 2 / (math.pi * 0.01) / per_arcsec

    def light(r2: NDArray[np.float64]) -> NDArray[np.float64]:
        v = np.sqrt(np.maximum(r2, 1e-12 * fwhm**2)) * per_arcsec
        return (2 * j1(v) / v) ** 2

    return _integrated(light, reach, 0.99 * 4 * math.pi / per_arcsec**2, fwhm, pixel_scale, pixels)


AIRY_WIDTH = 3.2326799
"""Full width at half maximum of (2 J_1(v) / v)^2 in v: v = 1.6163400 on either side."""


def _integrated(
    light: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    reach: float,
    total: float,
    fwhm: float,
    pixel_scale: float,
    pixels: int | None,
) -> Tensor:
    """Return round light, a function of the squared radius, averaged over pixels.

    One quarter is computed row by row, because all nodes of wide kernels on fine pixels do not fit into memory. The sum
    is relative to `total`, the light within reach, so light that is cut off is missing.
    """
    whole = max(1, math.ceil(reach / pixel_scale - 0.5))
    half = whole if pixels is None else min(whole, max(1, pixels - 1))
    if 2 * half + 1 > LARGEST:
        raise UsageError(
            f'a PSF with fwhm = {fwhm:g}" is {2 * half + 1:.3g} pixels of {pixel_scale:g}" across, above {LARGEST}; '
            "use a smaller fwhm, larger pixels or a larger moffat_beta"
        )
    count = max(4, math.ceil(20 * pixel_scale / fwhm))
    nodes, weights = np.polynomial.legendre.leggauss(count)
    points = (np.arange(half + 1)[:, None] + nodes / 2) * pixel_scale
    rows = [np.einsum("axb,a,b->x", light(y[:, None, None] ** 2 + points**2), weights, weights) for y in points]
    psf = np.pad(np.stack(rows), ((half, 0), (half, 0)), mode="reflect")
    return torch.from_numpy(psf / (psf.sum() if half == whole else 4 * total / pixel_scale**2))
