"""Makes the 23 HST-like PSFs that lenskit ships (plugins/lenskit_lensing/data/hst_acs_f814w_psfs.npz).

    pip install poppy
    python examples/make_hst_psfs.py [OUTPUT.npz]

Stand-ins for Tiny Tim PSFs of ACS/WFC in F814W: the diffraction pattern of Hubble's pupil with small wavefront errors,
averaged over the band, integrated over 0.05" pixels, with a faint halo for what the pupil model leaves out (mirror
figure at middle and high spatial frequencies, dust) and the blur of charge diffusing in the CCD. Geometric distortion is
left out, as in drizzled images.
"""

from __future__ import annotations

import sys
from pathlib import Path

import astropy.units as u
import numpy as np
import poppy
from scipy.ndimage import convolve

SEED = 20230  # any: another one gives 23 other PSFs of the same kind
COUNT = 23  # as many as LenSiam draws from
SIZE = 41  # pixels a side: 98.7 % of the flux
PIXEL_SCALE = 0.05  # arcsec
OVERSAMPLE = 5

# Pupil (Tiny Tim's, Krist & Hook 2004, in units of the primary's radius): secondary, spider and the three mirror pads.
PRIMARY_RADIUS = 1.2  # metres
SECONDARY = 0.33
SPIDER_WIDTH = 0.022
PAD_RADIUS = 0.065
PADS = ((0.0, 0.8921), (0.7555, -0.4615), (-0.7606, -0.4564))

# Photon throughput of ACS/WFC with F814W, coarsely: pivot wavelength 805 nm (ACS Instrument Handbook).
WAVELENGTHS = np.arange(700, 960, 25) * 1e-9
THROUGHPUT = np.array([0.20, 0.42, 0.43, 0.43, 0.42, 0.40, 0.36, 0.32, 0.26, 0.19, 0.10])

# Wavefront errors, rms in waves at 547 nm, and their ranges over the 23.
REFERENCE_WAVELENGTH = 547e-9
FOCUS = (0.02, 0.05)
COMA = ASTIGMATISM = (-0.03, 0.03)
SPHERICAL = -0.025

# ACS/WFC charge diffusion between pixels of 0.05" at 800 nm (Krist 2003, ACS ISR 2003-06).
DIFFUSION = np.array([[0.016, 0.068, 0.016], [0.068, 0.662, 0.068], [0.016, 0.068, 0.016]])

HALO_FLUX = 0.02
HALO_SCALE = 0.4  # arcsec, of an exponential profile


def zernikes(rng: np.random.Generator) -> np.ndarray:
    """Wavefront error as rms metres of the Noll Zernikes 1 to 11."""
    waves = np.zeros(11)
    waves[3] = rng.uniform(*FOCUS)
    waves[4:6] = rng.uniform(*ASTIGMATISM, 2)
    waves[6:8] = rng.uniform(*COMA, 2)
    waves[10] = SPHERICAL
    return waves * REFERENCE_WAVELENGTH


def diffraction(wavefront: np.ndarray, size: int) -> np.ndarray:
    """Band-averaged, pixel-integrated PSF of the optics: (size, size), as a fraction of all light."""
    radius = PRIMARY_RADIUS * u.m
    pads = [
        poppy.InverseTransmission(
            poppy.CircularAperture(radius=PAD_RADIUS * radius, shift_x=x * PRIMARY_RADIUS, shift_y=y * PRIMARY_RADIUS)
        )
        for x, y in PADS
    ]
    optics = poppy.OpticalSystem(oversample=OVERSAMPLE, npix=512)
    optics.add_pupil(
        poppy.CompoundAnalyticOptic(
            [
                poppy.CircularAperture(radius=radius),
                poppy.AsymmetricSecondaryObscuration(
                    secondary_radius=SECONDARY * radius,
                    support_angle=(45, 135, 225, 315),
                    support_width=[SPIDER_WIDTH * PRIMARY_RADIUS] * 4,
                    support_offset_x=[0] * 4,
                    support_offset_y=[0] * 4,
                ),
                *pads,
            ]
        )
    )
    optics.add_pupil(poppy.ZernikeWFE(radius=radius, coefficients=wavefront))
    optics.add_detector(pixelscale=PIXEL_SCALE * u.arcsec / u.pixel, fov_pixels=size)
    source = {"wavelengths": WAVELENGTHS, "weights": THROUGHPUT / THROUGHPUT.sum()}
    fine = optics.calc_psf(source=source, normalize="exit_pupil")[0].data
    return fine.reshape(size, OVERSAMPLE, size, OVERSAMPLE).sum((1, 3))


def halo(size: int) -> np.ndarray:
    """Scattered light: an exponential profile with a total of one, (size, size)."""
    offset = (np.arange(size * OVERSAMPLE) - (size * OVERSAMPLE - 1) / 2) * PIXEL_SCALE / OVERSAMPLE
    radius = np.hypot(offset[:, None], offset)
    fine = np.exp(-radius / HALO_SCALE) / (2 * np.pi * HALO_SCALE**2) * (PIXEL_SCALE / OVERSAMPLE) ** 2
    return fine.reshape(size, OVERSAMPLE, size, OVERSAMPLE).sum((1, 3))


def kernel(wavefront: np.ndarray) -> np.ndarray:
    """PSF as the detector records it: (SIZE, SIZE), sums to one."""
    margin = 2  # what diffuses in from beyond the border
    optics = (1 - HALO_FLUX) * diffraction(wavefront, SIZE + 2 * margin) + HALO_FLUX * halo(SIZE + 2 * margin)
    psf = convolve(optics, DIFFUSION / DIFFUSION.sum())[margin:-margin, margin:-margin]
    return psf / psf.sum()


def main() -> None:
    """Draws the wavefronts and writes the file."""
    plugin = Path(__file__).resolve().parent.parent / "plugins" / "lenskit_lensing"
    output = Path(sys.argv[1]) if len(sys.argv) > 1 else plugin / "data" / "hst_acs_f814w_psfs.npz"
    rng = np.random.default_rng(SEED)
    wavefronts = np.stack([zernikes(rng) for _ in range(COUNT)])
    psfs = np.stack([kernel(wavefront) for wavefront in wavefronts])
    np.savez_compressed(
        output,
        psfs=psfs.astype(np.float32),
        pixel_scale=PIXEL_SCALE,
        zernikes_rms_metres=wavefronts.astype(np.float32),
        seed=SEED,
    )
    print(f"{output}: {len(psfs)} PSFs of {SIZE} x {SIZE} pixels, {output.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
