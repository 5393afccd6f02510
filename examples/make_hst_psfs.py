"""Makes the 23 HST-like PSFs that lenskit ships (plugins/lenskit_lensing/data/hst_acs_f814w_psfs.npz).

    pip install poppy
    python examples/make_hst_psfs.py [OUTPUT.npz]

Stand-ins for Tiny Tim PSFs of ACS/WFC in F814W: the diffraction pattern of Hubble's pupil with small wavefront errors,
averaged over the band, integrated over 0.05" pixels, with a faint halo for what the pupil model leaves out (mirror
figure at middle and high spatial frequencies, dust) and the blur of charge diffusing in the CCD. Geometric distortion
is left out, as in drizzled images.
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

SEED = 2023  # any: another one gives 23 other PSFs of the same kind
COUNT = 23  # as many as LenSiam draws from
SIZE = 41  # pixels a side: 98.7 % of the flux
PIXEL_SCALE = 0.05  # arcsec
OVERSAMPLE = 5  # odd, so that the star is in the middle of a pixel

# Hubble's pupil (Krist & Hook 2004, Tiny Tim user's guide; Burrows 1990), in units of the primary's radius.
PRIMARY_RADIUS = 1.2  # metres
SECONDARY_RADIUS = 0.33
SPIDER_WIDTH = 0.022
SPIDER_ANGLES = (0, 90, 180, 270)  # degrees, as the spikes lie in ACS/WFC's frame
PAD_RADIUS = 0.065
PAD_POSITIONS = ((0.0, 0.8921), (0.7555, -0.4615), (-0.7606, -0.4564))
PUPIL_PIXELS = 512

# Throughput of ACS/WFC in F814W, coarsely: pivot wavelength 805 nm (ACS Instrument Handbook).
WAVELENGTHS = np.arange(700, 960, 25) * 1e-9
THROUGHPUT = np.array([0.20, 0.42, 0.43, 0.43, 0.42, 0.40, 0.36, 0.32, 0.26, 0.19, 0.10])

# Wavefront errors: rms in waves at 547 nm over the pupil, and their ranges among the PSFs.
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
}  # Noll's Zernikes 4 to 11, in his order

# Charge that diffuses across an edge and across a corner of a 0.05" pixel in the middle of the chips: the extremes that
# Tiny Tim states for spectra of stars over the band (Krist 2003, ACS ISR 2003-06).
DIFFUSION_MOST, DIFFUSION_LEAST = (0.0700, 0.0163), (0.0645, 0.0146)

JITTER = 0.006  # arcsec rms an axis, of the pointing

# An exponential profile. With halo and jitter the FWHM, the peak and the energy within 0.1", 0.25", 0.5" and 0.75" are,
# on average, Tiny Tim's to about one per cent.
HALO_FLUX = 0.02
HALO_SCALE = 0.25  # arcsec


def pupil() -> Image:
    """Transmission of the pupil, (PUPIL_PIXELS, PUPIL_PIXELS)."""
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
    """PSF of optics and pointing over the band, (size, size) pixels, as a fraction of all light.

    Args:
        transmission: Of the pupil.
        wavefront: Optical path difference over the pupil, in metres.
        size: Pixels a side.
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
    """Light scattered at wide angles, (size, size) pixels, as a fraction of all of it."""
    fine_scale = PIXEL_SCALE / OVERSAMPLE
    offset = (np.arange(size * OVERSAMPLE) - (size * OVERSAMPLE - 1) / 2) * fine_scale
    radius = np.hypot(offset[:, None], offset)
    return binned(np.exp(-radius / HALO_SCALE) / (2 * np.pi * HALO_SCALE**2) * fine_scale**2)


def binned(fine: Image) -> Image:
    """Light in whole pixels."""
    size = len(fine) // OVERSAMPLE
    return fine.reshape(size, OVERSAMPLE, size, OVERSAMPLE).sum((1, 3))


def diffusion(share: float) -> Image:
    """Where the charge of one pixel ends up, (3, 3): 1 for the spectrum that diffuses most, 0 for the least."""
    edge, corner = np.array(DIFFUSION_MOST) * share + np.array(DIFFUSION_LEAST) * (1 - share)
    kernel = np.array([[corner, edge, corner], [edge, 0, edge], [corner, edge, corner]])
    kernel[1, 1] = 1 - kernel.sum()
    return kernel


def main() -> None:
    """Draws wavefronts and spectra, and writes the PSFs."""
    plugin = Path(__file__).resolve().parent.parent / "plugins" / "lenskit_lensing"
    output = Path(sys.argv[1]) if len(sys.argv) > 1 else plugin / "data" / "hst_acs_f814w_psfs.npz"
    rng = np.random.default_rng(SEED)
    low, high = np.array(list(ABERRATIONS.values())).T
    aberrations = rng.uniform(low, high, (COUNT, len(ABERRATIONS)))
    diffusion_shares = rng.uniform(0, 1, COUNT)

    transmission = pupil()
    zernikes = poppy.zernike.arbitrary_basis(transmission, nterms=11, outside=0)[3:]  # orthonormal over this pupil
    margin = 1  # what diffuses in across the border
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
