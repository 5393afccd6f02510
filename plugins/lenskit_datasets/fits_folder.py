"""Images in FITS files: one file, a folder of files, or a folder for each lens."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from annotated_types import Gt
from astropy.io import fits
from numpy.typing import NDArray
from torch import Tensor

from lenskit.plugin import Dataset, LenskitError, UsageError, at_most
from lenskit_datasets.fill import fill_masked
from lenskit_datasets.fits_file import opened
from lenskit_datasets.labels import SUFFIXES, read_labels, stem
from lenskit_datasets.pixel_scale import check_resampled, common_scale, pixel_scale_of, regrid, resampled_length, seen
from lenskit_datasets.pixels import MOST_REPORTS, Shape, by, common_shape

log = logging.getLogger("lenskit")

NOISE = "noise.fits"
"""Name of the noise map that is looked for unless another is given."""


class FitsFolder(Dataset):
    """Lens images in FITS files, with their masks and labels.

    Any of these is a path to read:

    ```
    slacs/                      a folder for each lens          lens.fits   one file
      labels.csv                name, theta_E_arcsec, ...       lenses/     a folder of files
      J0008-0004/image.fits                                       a.fits
      J0008-0004/noise.fits     1e5 and more: masked              b.fits.gz
    ```

    A lens is called by its file's name without the ending; by its folder's, if the file is called `image.fits`. An
    image has axes (height, width), or (channel, height, width) in numpy's order, and the lens in its middle. Masked
    pixels, NaNs and infinities are filled as `lenskit_datasets.fill` says. Files are opened when they are read; at the
    start only their headers are.

    Args:
        path: File or folder.
        pattern: Which files of the folder are images, such as `*_F814W.fits` or `**/sci.fits`. By default
            `*/image.fits` if there are any, else `image.fits`, else all FITS files in the folder.
        size: Height and width in pixels of the middle of each image that is used. By default all of it, and all
            must have the same size.
        labels: CSV file whose first column names the lens and whose columns of numbers are its parameters. By
            default `labels.csv` in the folder, if there is one.
        columns: Columns of parameters that are called otherwise in the table, such as
            `{theta_E = "b_SIE"}`. A column whose name begins with `theta_E_` is found without, and read in arcsec.
        noise: Name of the noise map in the folder of each image, or nothing to ignore them; an image without one has
            no mask.
        mask_above: Pixels whose noise is at least this, or not a number, are masked.
        hdu: Number or name of the extension that holds the image. By default the first that holds any.
        pixel_scale: Size of a pixel in arcsec, of all images. By default each file's coordinates say it, if it has any.
        resample: Size in arcsec that pixels are brought to, before the middle is cut out: that of the images that a
            network was trained on. Values are kept (surface brightness), not their sum.
    """

    accepts = "a FITS file, a folder of FITS files, or a folder of folders each with an image.fits"
    general = True

    def __init__(
        self,
        path: str | Path,
        *,
        pattern: str | None = None,
        size: Annotated[int, Gt(0), at_most(10**6)] | None = None,
        labels: str | None = None,
        columns: dict[str, str] | None = None,
        noise: str = NOISE,
        mask_above: Annotated[float, Gt(0)] = 1e5,
        hdu: int | str | None = None,
        pixel_scale: Annotated[float, Gt(0)] | None = None,
        resample: Annotated[float, Gt(0)] | None = None,
    ) -> None:
        self._root, self._noise, self._mask_above, self._hdu = Path(path), noise, mask_above, hdu
        self._files = self._find(pattern)
        self.names = [self._name(file) for file in self._files]
        for name, count in Counter(self.names).items():
            if count > 1:
                raise UsageError(f"{count} files in {path} are called {name}: say which by a pattern")
        if noise not in ("", NOISE) and not any((file.parent / noise).is_file() for file in self._files):
            raise UsageError(f"no image in {path} has a noise map {noise} beside it")
        described = [self._describe(file) for file in self._files]
        scales = [pixel_scale or scale for _, scale in described]
        self._ratios = self._to(resample, scales)
        self.pixel_scale = resample or common_scale(scales, self._files)
        shapes = [
            (channels, resampled_length(height, ratio), resampled_length(width, ratio))
            for ((channels, height, width), _), ratio in zip(described, self._ratios, strict=True)
        ]
        self.image_shape = common_shape(shapes, self._files, size)
        if resample:
            check_resampled(self.image_shape)
        self._labels: NDArray[np.float32] = np.zeros((len(self.names), 0), np.float32)
        table = self._label_table(labels)
        if table is not None:
            self.parameters, self._labels = read_labels(table, self.names, columns or {})
        elif columns:
            raise UsageError(f"columns are given, but no table of labels: there is no {self._root / 'labels.csv'}")
        self._reported: set[int] = set()

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether it is a FITS file, or a folder with some in it or in the folders in it."""
        if path.is_dir():
            return any(True for group in _default_patterns() for pattern in group for _ in path.glob(pattern))
        return path.is_file() and path.name.endswith(SUFFIXES)

    def read(self, index: Sequence[int]) -> tuple[Tensor, dict[str, Tensor]]:
        """See `Dataset.read`.

        Raises:
            LenskitError: if a file cannot be read, or holds no image: one with all pixels equal, or none good.
        """
        images = np.stack([self._image(int(i)) for i in index]) if len(index) else np.zeros((0, *self.image_shape))
        return torch.from_numpy(images[:, None].astype(np.float32, copy=False)), self.read_parameters(index)

    def read_parameters(self, index: Sequence[int]) -> dict[str, Tensor]:
        """See `Dataset.read_parameters`; no image is read."""
        labels = torch.from_numpy(self._labels[np.asarray(index, int)])
        return {parameter.name: labels[:, i] for i, parameter in enumerate(self.parameters)}

    def _find(self, pattern: str | None) -> list[Path]:
        """The image files, in the order of their names."""
        if self._root.is_file():
            return [self._root]
        if not self._root.is_dir():
            raise UsageError(f"there is no file or folder {self._root}; fits-folder takes {self.accepts}")
        for patterns in [(pattern,)] if pattern else _default_patterns():
            found = set(chain.from_iterable(self._root.glob(each) for each in patterns))
            files = sorted(file for file in found if file.is_file() and file.name != self._noise)
            if files:
                return files
        wanted = f"no file of the pattern {pattern}" if pattern else "no FITS file"
        raise UsageError(f"there is {wanted} in {self._root}; fits-folder takes {self.accepts}")

    def _name(self, file: Path) -> str:
        relative = file.relative_to(self._root) if file != self._root else Path(file.name)
        if stem(file.name) != "image":
            return relative.with_name(stem(file.name)).as_posix()
        return relative.parent.as_posix() if relative.parent.name else file.resolve().parent.name

    def _label_table(self, labels: str | None) -> Path | None:
        folder = self._root if self._root.is_dir() else self._root.parent
        candidates = [Path(labels), folder / labels] if labels else [folder / "labels.csv"]
        table = next((candidate for candidate in candidates if candidate.is_file()), None)
        if labels and table is None:
            raise UsageError(f"there is no table of labels {labels}, neither here nor in {folder}")
        return table

    def _to(self, resample: float | None, scales: Sequence[float | None]) -> list[float]:
        """By how much each image's pixels become more."""
        if resample is None:
            return [1.0] * len(scales)
        unknown = next((file for file, scale in zip(self._files, scales, strict=True) if scale is None), None)
        if unknown:
            raise UsageError(
                f"{unknown} does not say how large its pixels are: say pixel_scale, in arcsec, to resample"
            )
        return [scale / resample for scale in scales if scale]

    def _describe(self, file: Path) -> tuple[Shape, float | None]:
        """Channels, height and width of a file's image, and the size of its pixels, if it says so."""
        with opened(file) as hdus:
            hdu = _select(file, hdus, self._hdu)
            shape, scale = tuple(hdu.shape), pixel_scale_of(hdu.header)
        while len(shape) > 3 and shape[0] == 1:
            shape = shape[1:]
        if len(shape) not in (2, 3):
            raise UsageError(f"{file}: an image has 2 axes, or 3 with channels first, not {len(shape)}: {shape}")
        channels, height, width = (1, *shape)[-3:]
        if channels > min(height, width):
            raise UsageError(f"{file}: channels must be the first axis, but the axes are {shape} in numpy's order")
        return (channels, height, width), scale

    def _image(self, index: int) -> NDArray[np.float32]:
        """One image, (channels, height, width), filled and cut out."""
        file = self._files[index]
        with opened(file) as hdus:
            image = _float32(_select(file, hdus, self._hdu))
        image = image.reshape(-1, *image.shape[-2:])
        infinite = ~np.isfinite(image)
        masked = infinite | self._mask(file, image.shape)
        ratio, size = self._ratios[index], self.image_shape[-1]
        middle = seen(image.shape[-2:], ratio, size)
        for channel, (pixels, bad) in enumerate(zip(image, masked, strict=True)):
            good = pixels[middle][~bad[middle]]
            if not good.size or np.ptp(good) == 0:
                what = f"all good pixels are {good[0]:g}" if good.size else "all pixels are masked or not finite"
                where = f" in channel {channel}" if len(image) > 1 else ""
                raise LenskitError(f"{file} holds no image{where}: {what} in the middle {by(bad[middle].shape)}")
        self._report(index, masked[..., *middle], infinite[..., *middle])
        filled = [fill_masked(pixels, bad) for pixels, bad in zip(image, masked, strict=True)]
        return regrid(np.stack(filled), ratio, size)

    def _mask(self, file: Path, shape: tuple[int, ...]) -> NDArray[np.bool_]:
        """Where the noise map beside an image marks its pixels as masked: of the image's shape."""
        path = file.parent / self._noise
        if not self._noise or not path.is_file():
            return np.zeros(shape, bool)
        with opened(path) as hdus:
            noise = _float32(_select(path, hdus))
        if noise.shape[-2:] != shape[-2:]:
            raise LenskitError(f"{path} has {by(noise.shape[-2:])} pixels, its image {by(shape[-2:])}")
        with np.errstate(invalid="ignore"):
            return np.broadcast_to(~(noise < self._mask_above), shape)

    def _report(self, index: int, masked: NDArray[np.bool_], infinite: NDArray[np.bool_]) -> None:
        """Logs, once, what is filled in an image; of some images only, since there may be many."""
        if masked.any() and index not in self._reported and len(self._reported) < MOST_REPORTS:
            self._reported.add(index)
            log.info(
                "%s: %.1f %% of the pixels are filled: %d are masked, %d more are not finite",
                self.names[index], 100 * masked.mean(), masked.sum() - infinite.sum(), infinite.sum(),
            )  # fmt: skip


def _default_patterns() -> list[list[str]]:
    """Patterns of image files, the ones to try first at the front."""
    return [[base + suffix for suffix in SUFFIXES] for base in ("*/image", "image", "*")]


def _holds_image(hdu: Any) -> bool:
    return hdu.is_image and len(hdu.shape) >= 2


def _select(file: Path, hdus: fits.HDUList, name: int | str | None = None) -> Any:
    """The HDU of that number or name, or the first that holds an image."""
    if name is not None:
        try:
            hdu = hdus[name]
        except (KeyError, IndexError) as error:
            there = ", ".join(f"{number} {each.name}".strip() for number, each in enumerate(hdus))
            raise UsageError(f"{file} has no HDU {name}; it has {there}") from error
        if not _holds_image(hdu):
            raise UsageError(f"{file}: HDU {name} holds no image")
        return hdu
    hdu = next((hdu for hdu in hdus if _holds_image(hdu)), None)
    if hdu is None:
        raise LenskitError(f"{file} holds no image: no HDU has two or more axes")
    return hdu


def _float32(hdu: Any) -> NDArray[np.float32]:
    """The pixels of an HDU in memory, in the machine's byte order; what float32 cannot hold is infinite."""
    with np.errstate(over="ignore"):
        return np.array(hdu.data, dtype=np.float32)
