"""Contract of encoders: each test finds its planted fault."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lenskit.checksums import save_tensors
from lenskit.plugin import Backbone
from tests.lenskit.testing import planted as table

KIND = "encoder"


class Linear(Backbone):
    """Linear layer."""

    features = 4

    def __init__(self, channels: int, size: int) -> None:
        super().__init__(channels, size)
        self.layer = nn.Linear(channels * size * size, 4)

    def forward(self, images: Tensor) -> Tensor:
        return self.layer(images.flatten(1))


class Centred(Linear):
    """Linear layer, minus the mean of the batch."""

    def forward(self, images: Tensor) -> Tensor:
        features = super().forward(images)
        return features - features.mean(0)


class Map(Linear):
    """Linear layer that returns a map."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images)[:, :, None, None]


LINEAR, CENTRED, MAP = (table.support("backbone", f"encoder-{each.__name__}", each) for each in (Linear, Centred, Map))

CARD = {
    "format": 1,
    "backbone": {"name": LINEAR},
    "input": {},
    "image_shape": [1, 8, 8],
    "summary": "Sums of pixels",
    "trained_on": "nothing: the weights are random",
    "licence": "MIT",
}
"""Card without a head."""

HEAD = {"head": {"parameters": [{"name": "theta_E", "unit": "arcsec"}]}}

MATRIX = torch.randn(4, 64, generator=torch.Generator().manual_seed(0))


def weights_of(weight: Tensor = MATRIX, bias: float = 0.0) -> bytes:
    """Return the file of the weights of a linear layer."""
    return bytes(save_tensors({"layer.weight": weight, "layer.bias": torch.full((4,), bias)}))


def folder_of(does: str, card: Mapping[str, Any] | bytes, weights: bytes, head: bytes) -> str:
    """Add a folder of an encoder to the distribution, and return its import string.

    Args:
        does: Description of the encoder, which is also the name of its folder.
        card: Card, or the content of its file.
        weights: Content of the file of weights; empty for no file.
        head: Content of the file of the head; empty for no file.
    """
    name = does.replace(" ", "-")
    table.FILES["mine_files/__init__.py"] = b""
    text = card if isinstance(card, bytes) else json.dumps(card).encode()
    files = {"encoder.json": text, "model.safetensors": weights, "head.safetensors": head}
    table.FILES.update({f"mine_files/{name}/{file}": content for file, content in files.items() if content})
    return f"mine_files:{name}"


def planted(
    test: str,
    does: str,
    says: str,
    *,
    card: Any = CARD,
    weights: bytes = weights_of(),
    head: bytes = b"",
    summary: str = "An encoder",
) -> None:
    """Add an encoder with a fault."""
    table.plant(KIND, test, does, says, folder_of(does, card, weights, head), summary=summary)


def without(key: str) -> dict[str, Any]:
    """Return the card without a key."""
    return {name: value for name, value in CARD.items() if name != key}


FILE_OF_HEAD = bytes(save_tensors({"weight": torch.ones(2)}))

for does, card, head in (("has no head", CARD, b""), ("has a head", CARD | HEAD, FILE_OF_HEAD)):
    target = folder_of(does, card, weights_of(), head)
    table.SOUND.append(table.Planted(KIND, "", does, "", target, None, {}, "An encoder"))

planted("the summary is one line", "has an empty summary", "has an empty summary", summary=" ")
planted("it embeds images", "lacks its weights", "cannot be loaded: ", weights=b"")
planted("it embeds images", "has half of its weights", "cannot be loaded: ", weights=weights_of()[:99])
planted(
    "it embeds images", "has weights that are NaN", "gives NaN or infinite features",
    weights=weights_of(bias=torch.nan),
)  # fmt: skip
planted(
    "it embeds images", "has weights of zero", "gives all images the same features",
    weights=weights_of(torch.zeros(4, 64)),
)  # fmt: skip
planted(
    "it embeds images",
    "has a backbone that returns a map",
    "cannot embed images: ",
    card=CARD | {"backbone": {"name": MAP}},
)
planted(
    "an image has the same features alone", "subtracts the mean of the batch", "gives an image alone other features",
    card=CARD | {"backbone": {"name": CENTRED}},
)  # fmt: skip
for key in ("summary", "licence", "trained_on"):
    planted("the card describes it", f"has no {key} in its card", f"has a card without {key}: state", card=without(key))
planted("the card describes it", "has a card that is no JSON", "has a wrong card: ", card=b"{")
planted("the card describes it", "has no card", "has a wrong card: ", card=b"")
planted("the head can be loaded", "has a head that its card omits", "which its card does not descr", head=FILE_OF_HEAD)
planted("the head can be loaded", "lacks its head", "has no head.safetensors, which its card", card=CARD | HEAD)
planted(
    "the head can be loaded", "has half of its head", "has a damaged head", card=CARD | HEAD, head=FILE_OF_HEAD[:99]
)


@pytest.mark.parametrize("fault", table.faults(KIND), ids=str)
def test_a_planted_fault_is_found(fault: table.Planted) -> None:
    table.check_found(fault)


def test_the_table_is_complete() -> None:
    table.check_complete(KIND)
