"""Compute the 23 HST-like PSFs of lenskit.

The default output file is plugins/lenskit_lensing/data/hst_acs_f814w_psfs.npz.

    pip install poppy
    python examples/make_hst_psfs.py [OUTPUT.npz]

The PSFs approximate Tiny Tim PSFs of ACS/WFC in F814W. They are the diffraction pattern of Hubble's pupil with small
wavefront errors, averaged over the band and integrated over 0.05" pixels. A faint halo represents effects that are
missing in the pupil model: errors of the mirror surface at middle and high spatial frequencies, and dust. The PSFs
include the blur by charge diffusion in the CCD. They do not include geometric distortion, which is also absent in
drizzled images.
"""

from __future__ import annotations

import sys
from pathlib import Path

import astropy.units as u
import numpy as np
import poppy
from numpy.typing import NDArray
from scipy.ndimage import convolve, gaussian_filter

Image = NDArray[np.float64]

SEED = 2023  # arbitrary; a different seed gives 23 different PSFs with the same distribution
COUNT = 23  # the number of PSFs in LenSiam
SIZE = 41  # pixels per side, which contain 98.7 % of the flux
PIXEL_SCALE = 0.05  # arcsec
OVERSAMPLE = 5  # odd, so that the star is at the centre of a pixel

# Hubble's pupil (Krist & Hook 2004, Tiny Tim user's guide; Burrows 1990), in units of the primary's radius.
PRIMARY_RADIUS = 1.2  # metres
SECONDARY_RADIUS = 0.33
SPIDER_WIDTH = 0.022
SPIDER_ANGLES = (0, 90, 180, 270)  # degrees, the directions of the spikes in the frame of ACS/WFC
PAD_RADIUS = 0.065
PAD_POSITIONS = ((0.0, 0.8921), (0.7555, -0.4615), (-0.7606, -0.4564))
PUPIL_PIXELS = 512

# Approximate throughput of ACS/WFC in F814W; pivot wavelength 805 nm (ACS Instrument Handbook).
WAVELENGTHS = np.arange(700, 960, 25) * 1e-9
THROUGHPUT = np.array([0.20, 0.42, 0.43, 0.43, 0.42, 0.40, 0.36, 0.32, 0.26, 0.19, 0.10])

# Ranges of the wavefront errors of the PSFs: rms over the pupil, in waves at 547 nm.
REFERENCE_WAVELENGTH = 547e-9
ABERRATIONS = {
    "focus": (0.02, 0.05),
    "astigmatism_45": (-0.03, 0.03),
    "astigmatism_0": (-0.03, 0.03),
    "coma_y": (-0.03, 0.03),
    "coma_x": (-0.03, 0.03),
    "clover_y": (0.0, 0.02),
    "clover_x": (0.0, 0.02),
    "spherical": (-0.025, -0.025),
}  # Zernike polynomials 4 to 11 in Noll's order

# Share of charge that diffuses across an edge and across a corner of a 0.05" pixel at the centre of the chips. These
# are the extremes of Tiny Tim for stellar spectra in this band (Krist 2003, ACS ISR 2003-06).
DIFFUSION_MOST, DIFFUSION_LEAST = (0.0700, 0.0163), (0.0645, 0.0146)

JITTER = 0.006  # pointing jitter, arcsec rms per axis

# Exponential profile. With the halo and the jitter, the mean FWHM, peak and energy within 0.1", 0.25", 0.5" and 0.75"
# agree with Tiny Tim to about one per cent.
HALO_FLUX = 0.02
HALO_SCALE = 0.25  # arcsec


def pupil() -> Image:
    """Return the transmission of the pupil (PUPIL_PIXELS, PUPIL_PIXELS)."""
    metre = PRIMARY_RADIUS * u.m
    secondary = poppy.AsymmetricSecondaryObscuration(
        secondary_radius=SECONDARY_RADIUS * metre,
        support_angle=SPIDER_ANGLES,
        support_width=[SPIDER_WIDTH * PRIMARY_RADIUS] * 4,
        support_offset_x=[0] * 4,
        support_offset_y=[0] * 4,
    )
    pads = [
        poppy.InverseTransmission(
            poppy.CircularAperture(radius=PAD_RADIUS * metre, shift_x=x * PRIMARY_RADIUS, shift_y=y * PRIMARY_RADIUS)
        )
        for x, y in PAD_POSITIONS
    ]
    optic = poppy.CompoundAnalyticOptic([poppy.CircularAperture(radius=metre), secondary, *pads])
    return optic.sample(npix=PUPIL_PIXELS, grid_size=2 * metre)


def diffraction(transmission: Image, wavefront: Image, size: int) -> Image:
    """Return the PSF of optics and pointing jitter (size, size).

    The PSF is averaged over the band. Each pixel is a fraction of all light.

    Args:
        transmission: Transmission of the pupil.
        wavefront: Optical path difference over the pupil, in metres.
        size: Pixels per side.
    """
    optics = poppy.OpticalSystem(oversample=OVERSAMPLE, npix=PUPIL_PIXELS, pupil_diameter=2 * PRIMARY_RADIUS * u.m)
    optics.add_pupil(
        poppy.ArrayOpticalElement(
            transmission=transmission, opd=wavefront, pixelscale=2 * PRIMARY_RADIUS / PUPIL_PIXELS * u.m / u.pixel
        )
    )
    optics.add_detector(pixelscale=PIXEL_SCALE * u.arcsec / u.pixel, fov_pixels=size)
    spectrum = {"wavelengths": WAVELENGTHS, "weights": THROUGHPUT / THROUGHPUT.sum()}
    fine = optics.calc_psf(source=spectrum, normalize="exit_pupil")[0].data
    return binned(gaussian_filter(fine, JITTER * OVERSAMPLE / PIXEL_SCALE))


def halo(size: int) -> Image:
    """Return the light scattered at wide angles (size, size).

    Each pixel is a fraction of all scattered light.
    """
    fine_scale = PIXEL_SCALE / OVERSAMPLE
    offset = (np.arange(size * OVERSAMPLE) - (size * OVERSAMPLE - 1) / 2) * fine_scale
    radius = np.hypot(offset[:, None], offset)
    return binned(np.exp(-radius / HALO_SCALE) / (2 * np.pi * HALO_SCALE**2) * fine_scale**2)


def binned(fine: Image) -> Image:
    """Return the sums of an oversampled image over detector pixels."""
    size = len(fine) // OVERSAMPLE
    return fine.reshape(size, OVERSAMPLE, size, OVERSAMPLE).sum((1, 3))


def diffusion(share: float) -> Image:
    """Return the kernel (3, 3) of charge diffusion.

    `share` is 1 for the spectrum with the most diffusion, and 0 for the spectrum with the least.
    """
    edge, corner = np.array(DIFFUSION_MOST) * share + np.array(DIFFUSION_LEAST) * (1 - share)
    kernel = np.array([[corner, edge, corner], [edge, 0, edge], [corner, edge, corner]])
    kernel[1, 1] = 1 - kernel.sum()
    return kernel


def main() -> None:
    """Choose random wavefronts and spectra, and write the PSFs."""
    plugin = Path(__file__).resolve().parent.parent / "plugins" / "lenskit_lensing"
    output = Path(sys.argv[1]) if len(sys.argv) > 1 else plugin / "data" / "hst_acs_f814w_psfs.npz"
    rng = np.random.default_rng(SEED)
    low, high = np.array(list(ABERRATIONS.values())).T
    aberrations = rng.uniform(low, high, (COUNT, len(ABERRATIONS)))
    diffusion_shares = rng.uniform(0, 1, COUNT)

    transmission = pupil()
    zernikes = poppy.zernike.arbitrary_basis(transmission, nterms=11, outside=0)[3:]  # orthonormal over this pupil
    margin = 1  # pixels outside the border, whose charge diffuses into the image
    scattered = halo(SIZE + 2 * margin)
    psfs = []
    for waves, share in zip(aberrations, diffusion_shares, strict=True):
        wavefront = np.tensordot(waves * REFERENCE_WAVELENGTH, zernikes, 1)
        focused = diffraction(transmission, wavefront, SIZE + 2 * margin)
        light = (1 - HALO_FLUX) * focused + HALO_FLUX * scattered
        psf = convolve(light, diffusion(share))[margin:-margin, margin:-margin]
        psfs.append(psf / psf.sum())

    np.savez_compressed(
        output,
        psfs=np.stack(psfs).astype(np.float32),
        pixel_scale=PIXEL_SCALE,
        aberrations=list(ABERRATIONS),
        aberrations_waves_rms_at_547nm=aberrations.astype(np.float32),
        diffusion_shares=diffusion_shares.astype(np.float32),
        seed=SEED,
    )
    print(f"{output}: {len(psfs)} PSFs of {SIZE} x {SIZE} pixels, {output.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
