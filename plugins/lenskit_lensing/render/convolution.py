"""Images blurred by point-spread functions."""

from __future__ import annotations

import torch
from scipy.fft import next_fast_len
from torch import Tensor

FAINTEST = 1e-30
"""Peak below which an image is empty: single precision has no digits left to scale it with."""


class Convolver:
    """Blurs images with one of several PSFs, with zeros outside the frame: scipy's `convolve2d(..., mode="same")`.

    The Fourier transforms of the PSFs are computed once a device and type.

    Args:
        psfs: (k, s, s), s odd.
        pixels: Height and width of the images.
    """

    def __init__(self, psfs: Tensor, pixels: int) -> None:
        self.psfs, self.pixels = psfs, pixels
        self._transfers: dict[tuple[torch.device, torch.dtype], Tensor] = {}

    def __call__(self, images: Tensor, psf: Tensor) -> Tensor:
        """Blurred images; each of the same quality, however faint it is beside its neighbours in a scene.

        Two channels are the real and the imaginary part of one complex image, the second scaled to the first one's
        maximum so that neither suffers from the other's rounding errors. The transform is long enough for what wraps
        around to miss the frame.

        Args:
            images: (n, channels, pixels, pixels), real.
            psf: Number of the PSF, (n,) for all channels of an image or (n, channels). The first costs half as much.

        Returns:
            (n, channels, pixels, pixels).
        """
        if not len(images):
            return images  # MKL refuses to plan a transform of nothing
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
        return (both * seen)[:, :channels]  # an empty image has none of the other one's rounding errors

    def _transfer(self, like: Tensor) -> Tensor:
        """Fourier transforms of the PSFs, (k, size, size)."""
        key = like.device, like.dtype
        if key not in self._transfers:
            kernel = self.psfs.shape[-1]
            # MKL and cuFFT are fastest with factors of two, three and five: 144 beats 135 and 132.
            size = 4 * next_fast_len(-(-max(self.pixels + kernel // 2, kernel) // 4), real=True)
            spectrum = torch.fft.fft2(self.psfs.to(like.device, torch.float64), s=(size, size))
            self._transfers[key] = spectrum.to(torch.complex64 if like.dtype == torch.float32 else torch.complex128)
        return self._transfers[key]
