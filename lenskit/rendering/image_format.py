"""Base of the formats of rendered images."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

from lenskit.kinds.format import FileFormat

if TYPE_CHECKING:
    from lenskit.rendering.render import Rendering


class ImageFormat(FileFormat):
    """File or folder of rendered images, which is written once and never extended.

    Attributes:
        folder_of: Suffix of the files in the folder, such as `.png`, if the format writes a folder. A file is named
            `NAME` after its image, or `NAME-0`, `NAME-1`, ... for its channels. lenskit adds the parameters as
            `parameters.csv`. The empty string means a single file.
        parameters_beside: Whether the file cannot hold the parameters. lenskit then writes them to
            `NAME.parameters.csv` in the same folder.
    """

    holds = "images"
    folder_of: ClassVar[str] = ""
    parameters_beside: ClassVar[bool] = False

    @abstractmethod
    def write_images(self, rendering: Rendering) -> None:
        """Write the images of a rendering to `path`.

        lenskit renames `path` when all images are written.

        Args:
            rendering: Iterate over it to render. Each part has `first`, the number of its first image, and `images`,
                float32 (n, channels, height, width). Afterwards `rendering.values` has all parameters.

        Raises:
            UsageError: The format cannot hold these images.
        """
