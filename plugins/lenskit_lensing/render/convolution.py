"""Convolution of images with point-spread functions."""

from __future__ import annotations

import torch
from scipy.fft import next_fast_len
from torch import Tensor

FAINTEST = 1e-30
"""Peak below which an image counts as empty: float32 cannot represent the scale."""


class Convolver:
    """Convolution with one of several PSFs, with zeros outside the frame.

    It equals scipy's `convolve2d(..., mode="same")`. The Fourier transforms of the PSFs are computed once per device
    and dtype.

    Args:
        psfs: (k, s, s), s odd.
        pixels: Height and width of the images.
    """

    def __init__(self, psfs: Tensor, pixels: int) -> None:
        self.psfs, self.pixels = psfs, pixels
        self._transfers: dict[tuple[torch.device, torch.dtype], Tensor] = {}

    def __call__(self, images: Tensor, psf: Tensor) -> Tensor:
        """Return convolved images.

        Two channels are the real and the imaginary part of one complex image. The second is scaled to the maximum of
        the first, so that rounding errors of a bright channel do not affect a faint one. The transform is long enough
        to keep wrapped pixels out of the frame.

        Args:
            images: (n, channels, pixels, pixels), real.
            psf: Number of the PSF, (n,) for all channels of an image or (n, channels). (n,) costs half as much.

        Returns:
            (n, channels, pixels, pixels).
        """
        if not len(images):
            return images  # MKL refuses an empty transform
        if psf.ndim == 2:
            return self(images.flatten(0, 1)[:, None], psf.flatten()).reshape(images.shape)
        channels = images.shape[1]
        if channels % 2:
            images = torch.cat([images, torch.zeros_like(images[:, :1])], dim=1)
        first, second = images[:, 0::2], images[:, 1::2]
        peaks = images.detach().abs().amax((2, 3), keepdim=True)
        first_peak, second_peak = peaks[:, 0::2], peaks[:, 1::2]
        seen = peaks > FAINTEST
        alike = torch.where(seen[:, 0::2] & seen[:, 1::2], first_peak / second_peak, 1)
        transfer = self._transfer(images)
        size, margin = transfer.shape[-1], self.psfs.shape[-1] // 2
        spectrum = torch.fft.fft2(torch.complex(first, second * alike), s=(size, size))
        spectrum *= transfer.index_select(0, psf)[:, None]
        frame = slice(margin, margin + self.pixels)
        blurred = torch.fft.ifft2(spectrum)[:, :, frame, frame]
        both = torch.stack([blurred.real, blurred.imag / alike], dim=2).flatten(1, 2)
        return (both * seen)[:, :channels]  # an empty image must not get rounding errors of its partner

    def _transfer(self, like: Tensor) -> Tensor:
        """Return the Fourier transforms of the PSFs, (k, size, size)."""
        key = like.device, like.dtype
        if key not in self._transfers:
            kernel = self.psfs.shape[-1]
            # MKL and cuFFT are fastest with factors of two, three and five: 144 beats 135 and 132.
            size = 4 * next_fast_len(-(-max(self.pixels + kernel // 2, kernel) // 4), real=True)
            spectrum = torch.fft.fft2(self.psfs.to(like.device, torch.float64), s=(size, size))
            self._transfers[key] = spectrum.to(torch.complex64 if like.dtype == torch.float32 else torch.complex128)
        return self._transfers[key]
