"""Base of the formats of rendered images."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

from lenskit.kinds.format import FileFormat

if TYPE_CHECKING:
    from lenskit.rendering.render import Rendering


class ImageFormat(FileFormat):
    """A file of rendered images, or a folder of them, which is written at once.

    Attributes:
        folder_of: Suffix of the files of a format that is a folder, such as `.png`. Each is called `NAME` as its image,
            or `NAME-0`, `NAME-1`, ... for its channels. lenskit adds the parameters as `parameters.csv`. The empty text
            means a single file.
        parameters_beside: Whether the file has no place for parameters: lenskit then writes them beside it, in
            `NAME.parameters.csv`.
    """

    holds = "images"
    folder_of: ClassVar[str] = ""
    parameters_beside: ClassVar[bool] = False

    @abstractmethod
    def write_images(self, rendering: Rendering) -> None:
        """Write the images of a rendering to `path`, which lenskit renames when they are all there.

        Args:
            rendering: Iterating over it renders: each part has `first`, the number of its first image, and `images`,
                float32 (n, channels, height, width). Afterwards `rendering.values` has all parameters.

        Raises:
            UsageError: The format cannot hold these images.
        """
