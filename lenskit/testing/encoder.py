"""Contract of encoders: a folder that loads, describes itself and embeds images."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lenskit.checksums import load_tensors
from lenskit.encoder import Encoder
from lenskit.encoder_card import read_card
from lenskit.encoders.named import NamedEncoder
from lenskit.errors import LenskitError
from lenskit.naming import parse
from lenskit.testing.contract import Breach, Contract

ANY_SHAPE = (3, 64, 64)
"""Shape of the images for an encoder that takes images of any shape."""


class EncoderContract(Contract):
    """Tests of an encoder.

    ```python
    class TestRings(EncoderContract):
        component = "rings"
    ```
    """

    kind = "encoder"

    def loaded(self) -> Encoder:
        """Load the encoder."""
        try:
            return NamedEncoder(self.record, parse(self.component).argument).load()
        except LenskitError as error:
            raise Breach(f"{self.record.origin} cannot be loaded: {error}") from error

    def images(self) -> Tensor:
        """Return images of random numbers, (n, channels, height, width)."""
        shape = self.loaded().image_shape or ANY_SHAPE
        return torch.rand(3, *shape, generator=torch.Generator().manual_seed(0))

    def test_it_embeds_images(self) -> None:
        features = self._features(self.images())
        self.require(features.shape[0] == 3 and features.ndim == 2, f"gives features of shape {features.shape}")
        self.require(np.isfinite(features).all(), "gives NaN or infinite features")
        self.require((features[0] != features[1]).any(), "gives all images the same features")

    def test_an_image_has_the_same_features_alone(self) -> None:
        images = self.images()
        together, alone = self._features(images), self._features(images[1:2])
        reach = 1e-4 * np.abs(together).max()
        self.require(
            np.abs(together[1] - alone[0]).max() <= reach, "gives an image alone other features than in a batch"
        )

    def test_the_card_describes_it(self) -> None:
        card = self._card()
        for name, text in (("summary", "images and purpose"), ("licence", "licence of the weights")):
            self.require(card.get(name), f"has a card without {name}: state the {text} in encoder.json")
        self.require(card.get("trained_on"), "has a card without trained_on: state the data that it learned from")

    def test_the_head_can_be_loaded(self) -> None:
        card, head = self._card(), self.record.load() / "head.safetensors"
        if "head" not in card:
            self.require(not head.is_file(), "has a file of a head, which its card does not describe")
            return
        self.require(head.is_file(), f"has no {head.name}, which its card describes: package it again")
        try:
            load_tensors(head, "package it again")
        except LenskitError as error:
            raise Breach(f"{self.record.origin} has a damaged head: {error}") from error

    def _features(self, images: Tensor) -> NDArray[np.float32]:
        encoder = self.loaded()
        try:
            return encoder.embed(images)
        except LenskitError as error:
            raise Breach(f"{self.record.origin} cannot embed images: {error}") from error

    def _card(self) -> dict[str, object]:
        try:
            return read_card(self.record.load())
        except LenskitError as error:
            raise Breach(f"{self.record.origin} has a wrong card: {error}") from error
