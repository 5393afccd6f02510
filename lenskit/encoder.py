"""Encoder: a trained backbone with its preprocessing, from images to features.

On disk it is a folder of two files: `model.safetensors`, and `encoder.json` with the backbone and its options, the
shape of the images and the preprocessing. If the backbone loads its own weights (`pretrained`), there is only
`encoder.json`.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lenskit.checksums import Damaged, card_checksum, load_tensors, save_tensors
from lenskit.chosen import build
from lenskit.contracts.backbone import check_features
from lenskit.data.readers import open_dataset
from lenskit.encoder_card import FORMAT, read_card, remake, require
from lenskit.errors import LenskitError, UsageError
from lenskit.files import write_atomically
from lenskit.kinds.backbone import Backbone
from lenskit.kinds.dataset import Dataset
from lenskit.kinds.simulator import Simulator
from lenskit.options import validate
from lenskit.preprocessing.preprocess import Preprocess
from lenskit.registry import registry
from lenskit.settings import InputSettings

log = logging.getLogger("lenskit")

SAME_SCALE = 0.02
"""Largest relative difference of pixel sizes that count as equal, and so the largest relative error of a length."""


class Encoder(nn.Module):
    """Network from raw images to features.

    Args:
        backbone: The network.
        preprocess: The preprocessing.
        image_shape: Channels, height and width of the images; None if the encoder resizes images of any shape.
        card: Further information as plain values: at least `backbone` (a name and options) and `input`, and
            `pixel_scale` if the pixel size of the training images in arcsec is known.
    """

    def __init__(
        self,
        backbone: Backbone,
        preprocess: Preprocess,
        image_shape: tuple[int, int, int] | None,
        card: dict[str, Any],
    ) -> None:
        super().__init__()
        self.backbone, self.preprocess = backbone, preprocess
        self.image_shape, self.card = image_shape, card
        self.features = backbone.features

    def forward(self, images: Tensor) -> Tensor:
        """Compute features (n, `features`) of images (n, C, H, W) in any unit.

        Raises:
            UsageError: The images have a different shape than the training images.
            LenskitError: The images contain NaN or infinite pixels.
        """
        return self.backbone(self.prepare(images))

    def prepare(self, images: Tensor) -> Tensor:
        """Stretch and resize images (n, C, H, W) in any unit for the backbone.

        Raises:
            UsageError: The images have a different shape than the training images.
            LenskitError: The images contain NaN or infinite pixels.
        """
        self.check_shape(images.shape)
        if not images.isfinite().all():
            count = int((~images.isfinite()).flatten(1).any(1).sum())
            raise LenskitError(f"{count} of {len(images)} images hold NaN or infinite pixels: fill or mask them first")
        return self.preprocess(images)

    @torch.inference_mode()
    def embed(self, images: Tensor, batch_size: int = 256) -> NDArray[np.float32]:
        """Compute features of images in eval mode.

        Args:
            images: (n, channels, height, width), raw.
            batch_size: Images per batch.

        Returns:
            (n, `features`).
        """
        self.eval()
        device = next(self.parameters()).device
        parts = [part for part in images.split(batch_size) if len(part)]
        features = [check_features(self.backbone, self(part.to(device)), len(part)).float().cpu() for part in parts]
        return torch.cat(features).numpy() if features else np.empty((0, self.features), np.float32)

    def images(self, images: Any) -> Tensor:
        """Convert images (n, C, H, W) to a float32 tensor.

        Raises:
            UsageError: The images are not real numbers, or have the wrong shape for the encoder.
        """
        if not isinstance(images, Tensor):
            try:
                array = np.asarray(images)
            except (TypeError, ValueError):
                array = np.empty(0, object)
            if array.dtype.kind not in "fiub":
                raise UsageError(
                    f"the encoder takes images {self._wanted}, got an object that is not an array of real numbers"
                )
            # torch does not accept the big-endian numbers of FITS files.
            images = torch.from_numpy(array.astype(np.float32))
        elif images.is_complex():
            raise UsageError(f"the encoder takes images {self._wanted}, got complex numbers")
        self.check_shape(images.shape)
        return images.float()

    def check_shape(self, shape: Sequence[int]) -> None:
        """Check that the shape of images (n, C, H, W) is the shape that the encoder takes.

        Raises:
            UsageError: The shape differs; the message names both shapes.
        """
        if len(shape) != 4 or self.image_shape not in (None, tuple(shape[1:])):
            raise UsageError(f"the encoder takes images {self._wanted}, got {_shape(shape) or 'one number'}")
        if self.image_shape is None:
            self.preprocess.shape((shape[1], shape[2], shape[3]))

    @property
    def fixed_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of the images, for exports with a fixed shape.

        Raises:
            UsageError: The encoder takes images of any shape.
        """
        if self.image_shape is None:
            raise UsageError("an encoder that takes images of any shape cannot be exported; train one from its weights")
        return self.image_shape

    @property
    def pixel_scale(self) -> float | None:
        """Pixel size in arcsec of the training images, if known."""
        return self.card.get("pixel_scale")

    def open(self, data: str, *, measures: bool = False) -> Dataset:
        """Open stored images, cropped to the image size of the encoder if it is fixed.

        Args:
            data: `[READER:]PATH`, see `lenskit.data.readers.open_dataset`. The option `resample=auto` of a
                reader resamples images to the pixel size of the training.
            measures: Whether the caller measures lengths in these images.

        Raises:
            UsageError: `measures` is set, and the pixel size is known to differ from the training images.
        """
        size = self.image_shape and self.image_shape[-1]
        dataset = open_dataset(data, size=size, encoder_scale=self.pixel_scale)
        self.check_pixel_scale(dataset, measures=measures)
        return dataset

    def check_pixel_scale(self, images: Dataset | Simulator, *, measures: bool = False) -> None:
        """Warn if the pixel size of images differs from the training images or is unknown.

        Raises:
            UsageError: The pixel size is known to differ, and the caller measures lengths (`measures`). All lengths
                would be wrong by the ratio of the pixel sizes.
        """
        ours, theirs = self.pixel_scale, images.pixel_scale
        if ours and not theirs and isinstance(images, Dataset):
            said = "the pixel size of the images is unknown, and the encoder was trained on pixels of"
            if images.pixel_scale_can_be_said:
                log.warning('%s %.4g": set it in arcsec, as in "READER:PATH?pixel_scale=%.4g"', said, ours, ours)
            else:
                log.warning('%s %.4g"', said, ours)
        if not ours or not theirs or abs(theirs / ours - 1) <= SAME_SCALE:
            return
        said = (
            f'the images have pixels of {theirs:.4g}", but the encoder was trained on pixels of {ours:.4g}": lengths '
            f"that it measures are wrong by a factor of {theirs / ours:.3g}"
        )
        if isinstance(images, Dataset):
            said += (
                ". The option resample of readers of FITS files changes the pixel size: "
                f'"READER:PATH?resample={ours:.4g}"'
            )
        if measures:
            raise UsageError(said)
        log.warning("%s", said)

    @property
    def _wanted(self) -> str:
        return f"(n, {_shape(self.image_shape) if self.image_shape else 'channels x height x width'})"

    def save(self, folder: Path, half: bool = False) -> None:
        """Save the encoder to a folder; each of the two files is replaced atomically.

        Args:
            folder: The folder.
            half: Whether matrices and kernels are written as float16. `load` converts them to float32.
        """
        folder.mkdir(parents=True, exist_ok=True)
        weights = {name: value.detach().cpu().contiguous() for name, value in self.backbone.state_dict().items()}
        if half:
            weights = {name: value.half() if is_halved(value) else value for name, value in weights.items()}
        shape = self.image_shape and list(self.image_shape)
        card = self.card | {"format": FORMAT, "image_shape": shape, "features": self.features}
        write_atomically(folder / "model.safetensors", save_tensors(weights))
        write_atomically(folder / "encoder.json", json.dumps(card | {"checksum": card_checksum(card)}, indent=2) + "\n")

    @classmethod
    def load(cls, folder: Path, argument: str = "") -> Encoder:
        """Load an encoder from its folder.

        Args:
            folder: The folder.
            argument: Argument of the backbone after a colon, such as `resnet18` in `timm:resnet18`.

        Raises:
            LenskitError: The folder holds no encoder, its files do not match, or the backbone cannot load its
                weights.
        """
        card = read_card(folder)
        if argument:
            card |= {"backbone": card["backbone"] | {"name": f"{card['backbone']['name']}:{argument}"}}
        path = folder / "model.safetensors"
        whole = path.exists()
        try:
            plain = _without_start(card)
            encoder = cls.untrained(plain if whole else card)
        except (LenskitError, ValueError, TypeError, RuntimeError, ArithmeticError, MemoryError) as error:
            if isinstance(error, LenskitError) and not whole:
                raise
            told = str(error) if isinstance(error, LenskitError) else f"{type(error).__name__}: {_one_line(error)}"
            raise LenskitError(f"the encoder in {folder} cannot be built from its encoder.json: {told}") from error
        if plain == card:
            require(path)
        encoder.card = plain
        if not whole:
            return encoder.eval()
        try:
            weights, _ = load_tensors(path, f"restore it, or {remake(folder)}")
            encoder.backbone.load_state_dict(weights)
        except Damaged as error:
            raise LenskitError(f"the encoder in {folder} is damaged: {path.name}: {error.told}") from None
        except OSError as error:
            raise LenskitError(f"{path} cannot be read: {error.strerror}") from None
        except RuntimeError as error:
            raise LenskitError(f"the weights in {folder} do not fit its encoder.json: {_one_line(error)}") from None
        return encoder.eval()

    @classmethod
    def untrained(cls, card: dict[str, Any], seed: int | None = None) -> Encoder:
        """Build the encoder of a card with initial weights, random ones from `seed`.

        Raises:
            LenskitError: The card has no image shape, and no size and channels to resize to.
        """
        inputs = validate(InputSettings, card["input"], "the encoder's input")[0]
        shape: tuple[int, int, int] | None = card["image_shape"] and tuple(card["image_shape"])
        if shape is None and not (inputs["size"] and inputs["channels"]):
            raise LenskitError("images of any shape need input.size and input.channels, the shape after resizing")
        preprocess = Preprocess.of(InputSettings(**inputs), card.get("pixel_scale"))
        channels, _, width = preprocess.shape(shape or (1, inputs["size"], inputs["size"]))
        options = {key: value for key, value in card["backbone"].items() if key != "name"}
        with torch.random.fork_rng(enabled=seed is not None):
            if seed is not None:
                torch.manual_seed(seed)
            backbone = build("backbone", card["backbone"]["name"], options, channels, width)
        return cls(backbone, preprocess, shape, card)


def is_halved(tensor: Tensor) -> bool:
    """Whether a weight is written as float16 when half precision is requested.

    Vectors remain float32: they are small, and float16 cannot represent some variances of batch norms.
    """
    return tensor.is_floating_point() and tensor.ndim > 1


def _without_start(card: dict[str, Any]) -> dict[str, Any]:
    """Return a card without the backbone options of initial weights."""
    start = registry().find("backbone", card["backbone"]["name"]).load().start_options
    return card | {"backbone": {key: value for key, value in card["backbone"].items() if key not in start}}


def _shape(shape: Iterable[int]) -> str:
    return " x ".join(map(str, shape))


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def find_device(name: str) -> torch.device:
    """Return a device by name; `auto` selects a GPU if there is one, else the CPU.

    Raises:
        UsageError: This machine has no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError, NotImplementedError, TypeError) as error:
        raise UsageError(f"there is no device {name!r} here: {_one_line(error)[:120]}") from None
