"""Reader of a folder with an array of images and a table of labels."""

from pathlib import Path

import numpy as np
import torch
from lenskit.plugin import Dataset, Parameter, UsageError
from lenskit.toolbox import load_array, read_delimited, read_numbers


class PinnedDataset(Dataset):
    """Folder with images and a table of labels.

    `images.npy` has the shape (n, height, width), and `labels.csv` the columns `name` and `theta_E`. Undefined
    pixels are NaN, and empty cells are unknown labels.

    Args:
        pixel_scale: Size of a pixel in arcsec.
    """

    accepts = "a folder with images.npy and labels.csv"
    parameters = (Parameter("theta_E", "arcsec", r"$\theta_E$", headline=True),)
    chunk = 64                                          # lenses that are read together

    def __init__(self, path, *, pixel_scale: float | None = None) -> None:
        path = Path(path)
        if not self.recognises(path):
            raise UsageError(f"{path} is not {self.accepts}")
        try:
            self.images = load_array(path / "images.npy")   # mapped into memory, not read
        except ValueError as error:
            raise UsageError(f"{path / 'images.npy'}: {error}") from error
        table = read_delimited(path / "labels.csv")
        columns = dict(zip(table.header, zip(*table.rows)))
        if lacking := {"name", "theta_E"} - columns.keys():
            raise UsageError(f"{path / 'labels.csv'} lacks the columns {', '.join(sorted(lacking))}")
        self.names = columns["name"]
        if len(self.names) != len(self.images):
            raise UsageError(f"{path} has {len(self.images)} images and {len(self.names)} rows of labels")
        self.theta_E = read_numbers(columns["theta_E"])
        self.image_shape = (1, *self.images.shape[1:])
        self.pixel_scale = pixel_scale

    @classmethod
    def recognises(cls, path):
        return (path / "images.npy").is_file() and (path / "labels.csv").is_file()

    def read(self, index):
        pixels = np.array(self.images[list(index)], np.float32)
        values = torch.from_numpy(self.theta_E[list(index)]).float()
        return torch.from_numpy(pixels)[:, None, None], {"theta_E": values}
