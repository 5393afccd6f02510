"""Datasets: what reads stored images."""

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
    """Images on disk and what is known of them.

    A subclass takes the path as its first constructor argument; its keyword-only arguments are its options. The
    constructor reads no pixels, and opens what is incomplete too: `missing` says so.
    """

    parameters: Sequence[Parameter] = ()
    """The labels; `read` gives a value for each, NaN where it is not known."""

    image_shape: tuple[int, int, int]
    """Channels, height and width of an image."""

    pixel_scale: float | None = None
    """Size of a pixel in arcsec as `read` gives the images, where it is known and the same for all."""

    pixel_scale_unclear: str = ""
    """Why it is not known, in a few words, where the data speak of it; the reader has warned of that."""

    views: int = 1
    """Number of images stored of each lens."""

    shared_groups: frozenset[str] = frozenset()
    """Parameter groups that the stored images of a lens share."""

    chunk: int = 1
    """Number of neighbouring lenses that are stored, and best read, together: i * chunk to (i + 1) * chunk - 1."""

    names: Sequence[str]
    """A name for each lens, such as its file's."""

    missing: int = 0
    """Number of lenses that are still to be written, of data that are incomplete: these are only looked at
    (`lenskit data info`), and nothing else is done with them."""

    unfinished: str = ""
    """What is still to be done, in one line, where no lens is missing but something else is; like data of which lenses
    are missing they are only looked at."""

    stored_as: str = ""
    """How pixels are stored, such as `float16`; empty if the reader does not know without reading."""

    configuration: Mapping[str, Any] | None = None
    """The configuration that simulated the images, by section, if they hold it."""

    accepts: ClassVar[str] = ""
    """One line that says which paths this reader takes, for error messages."""

    general: ClassVar[bool] = False
    """Whether it takes all files of a kind, whoever wrote them: of a path that names no reader it is asked after those
    that know a layout."""

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether the path looks like this format, so that `--data PATH` needs no format named."""
        return False

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def undefined(self) -> Undefined:
        """The undefined pixels that were filled so far, and what fills them.

        A reader that cuts out the middle of images, or resamples them, fills them first by `undefined.fill`: pixels
        outside the middle help. No other reader needs it.
        """
        return Undefined()

    @property
    def pixel_scale_can_be_said(self) -> bool:
        """Whether the reader has an option `pixel_scale` that is for these images: nothing says what simulated them."""
        return self.configuration is None and any(option.name == "pixel_scale" for option in options_of(type(self)))

    @abstractmethod
    def read(self, index: Sequence[int]) -> tuple[Tensor, dict[str, Tensor]]:
        """Reads some lenses. Training calls it from several threads at once.

        Args:
            index: n numbers of lenses, from 0 to `len(self)` - 1. Training asks for a whole chunk, as a `range`, or
                for several chunks if they are small.

        Returns:
            Images (n, views, channels, height, width), float32, and for each parameter its values as float32: (n,), or
            (n, views) where they differ between the images of a lens. NaN marks undefined pixels, such as masked ones.
            Whoever reads lenses for a network fills them (`lenskit.fill`), as well as infinities.

        Raises:
            LenskitError: naming what cannot be read, or is damaged.
        """

    def read_into(self, images: Tensor, index: Sequence[int]) -> dict[str, Tensor]:
        """Reads as `read` does, but into memory that is there: training's way, from several threads at once.

        A reader that can read without a copy in between overrides it.

        Args:
            images: (n, draws, channels, height, width), float32, contiguous: the first so many images of each lens.
            index: n numbers of lenses.

        Returns:
            The parameters.
        """
        pixels, values = self.read(index)
        # By numpy, because torch would start threads of its own in each of ours.
        np.copyto(images.numpy(), pixels[:, : images.shape[1]].numpy())
        return values

    def read_parameters(self, index: Sequence[int]) -> dict[str, Tensor]:
        """Reads the parameters of some lenses, as `read` gives them.

        A reader whose format has them apart from the images overrides it.
        """
        return self.read(index)[1]

    def check(self) -> Iterator[tuple[str, str]]:
        """Reads everything through.

        A reader whose format has checksums overrides it to name the chunks that are damaged or absent.

        Yields:
            For each part, in order, its name and what is wrong with it (nothing if it is sound).
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
