"""Base class of datasets, which read stored images."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from torch import Tensor

from lenskit.errors import LenskitError
from lenskit.kinds.parameter import Parameter
from lenskit.options import options_of
from lenskit.undefined import Undefined


class Dataset(ABC):
    """Stored images with their labels and metadata.

    A subclass takes the path as its first constructor argument. Its keyword-only arguments are its options. The
    constructor reads no pixels. It also opens incomplete data, and then sets `missing` or `unfinished`.
    """

    parameters: Sequence[Parameter] = ()
    """The labels. `read` returns a value for each of them, NaN where it is unknown."""

    image_shape: tuple[int, int, int]
    """Channels, height and width of an image."""

    pixel_scale: float | None = None
    """Size of a pixel in arcsec of the images that `read` returns; None if it is unknown or not the same for all."""

    pixel_scale_unclear: str = ""
    """Reason why the pixel scale is unknown although the data mention one, in a few words. The reader has
    logged a warning."""

    views: int = 1
    """Number of stored images of each lens."""

    shared_groups: frozenset[str] = frozenset()
    """Parameter groups that the stored images of a lens share."""

    chunk: int = 1
    """Number of consecutive lenses that are stored together and should be read together: i * chunk to
    (i + 1) * chunk - 1."""

    names: Sequence[str]
    """A name for each lens, such as the name of its file."""

    missing: int = 0
    """Number of lenses that are not written yet. Incomplete data can only be inspected (`lenskit data info`)."""

    unfinished: str = ""
    """The remaining work in one line, if all lenses are written but the data are unfinished for a different reason.
    Such data, too, can only be inspected."""

    stored_as: str = ""
    """Type of the stored pixels, such as `float16`; empty if it is unknown before pixels are read."""

    configuration: Mapping[str, Any] | None = None
    """Configuration that simulated the images, by section; None if the data do not contain it."""

    accepts: ClassVar[str] = ""
    """Description of the accepted paths, in one line for error messages."""

    general: ClassVar[bool] = False
    """Whether the reader reads all files of a format, whatever their layout. If a path names no reader, readers of one
    layout are tried before general ones."""

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether this reader can read the path.

        If so, `--data PATH` need not name the reader.
        """
        return False

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def undefined(self) -> Undefined:
        """Filler of undefined pixels, which counts the filled pixels.

        A reader that crops or resamples images calls `undefined.fill` first, because pixels outside the crop help to
        fill pixels inside. Other readers need not call it.
        """
        return Undefined()

    @property
    def pixel_scale_can_be_said(self) -> bool:
        """Whether the reader's option `pixel_scale` applies to these images.

        It applies if the reader has that option and the data do not contain the configuration that simulated them.
        """
        return self.configuration is None and any(option.name == "pixel_scale" for option in options_of(type(self)))

    @abstractmethod
    def read(self, index: Sequence[int]) -> tuple[Tensor, dict[str, Tensor]]:
        """Read lenses by their numbers.

        Training calls it from several threads at once.

        Args:
            index: n numbers of lenses, from 0 to `len(self)` - 1. Training passes a whole chunk, as a `range`, or
                several chunks if they are small.

        Returns:
            Images (n, views, channels, height, width), float32, and for each parameter its values as float32: (n,), or
            (n, views) where they differ between the images of a lens. NaN marks undefined pixels, such as masked ones.
            The core fills them, and infinite pixels, before a network sees the image (`lenskit.fill`).

        Raises:
            LenskitError: A file or a part of it cannot be read, or is damaged; the message names it.
        """

    def read_into(self, images: Tensor, index: Sequence[int]) -> dict[str, Tensor]:
        """Read lenses into an existing tensor.

        Training calls it from several threads at once. A reader that can avoid the intermediate copy overrides it.

        Args:
            images: (n, draws, channels, height, width), float32, contiguous: receives the first `draws` images of each
                lens.
            index: n numbers of lenses.

        Returns:
            The parameters.
        """
        pixels, values = self.read(index)
        # Copy with numpy, because torch would start further threads in each reading thread.
        np.copyto(images.numpy(), pixels[:, : images.shape[1]].numpy())
        return values

    def read_parameters(self, index: Sequence[int]) -> dict[str, Tensor]:
        """Read the parameters of lenses, in the form that `read` returns.

        A reader whose format stores parameters separately from images overrides it.
        """
        return self.read(index)[1]

    def check(self) -> Iterator[tuple[str, str]]:
        """Read all lenses, and yield the fault of each part.

        A reader whose format has checksums overrides it to name the chunks that are damaged or absent.

        Yields:
            For each part, in order, its name and its fault (empty if the part is sound).
        """
        for start in range(0, len(self), self.chunk):
            lenses = range(start, min(start + self.chunk, len(self)))
            name = self.names[start] if len(lenses) == 1 else f"lenses {lenses[0]} to {lenses[-1]}"
            try:
                images, _ = self.read(lenses)
                for lens, image in zip(lenses, images.numpy(), strict=True):
                    self.undefined.fill(image, f"lens {self.names[lens]}", self.names[lens])
            except (LenskitError, OSError) as error:
                yield name, " ".join(str(error).split())
            else:
                yield name, ""
