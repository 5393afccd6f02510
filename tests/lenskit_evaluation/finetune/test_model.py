"""File of a fine-tuned model: damage is detected, and a wrong field is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lenskit.evaluation import Encoder
from lenskit.plugin import LenskitError, Parameter
from lenskit.toolbox import load_tensors, save_tensors
from lenskit_evaluation.finetune.model import MODEL, FineTuned

CARD: dict[str, Any] = {
    "backbone": {"name": "tiny"},
    "input": {"stretch": "asinh", "size": None, "channels": 1, "normalise": "none"},
    "image_shape": [1, 16, 16],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    FineTuned(Encoder.untrained(CARD, seed=0), [Parameter("width", "arcsec")]).save(tmp_path)
    return tmp_path


def test_it_is_read_back(folder: Path) -> None:
    model = FineTuned.load(folder)
    assert model.targets == [Parameter("width", "arcsec")]
    assert model.encoder.card["backbone"] == {"name": "tiny"}


def test_a_bit_that_changed_is_found(folder: Path) -> None:
    content = (folder / MODEL).read_bytes()
    for place in range(8, len(content), len(content) // 50):
        changed = bytearray(content)
        changed[place] ^= 1 << place % 8
        (folder / MODEL).write_bytes(changed)
        with pytest.raises(LenskitError, match=f"{MODEL} is (damaged|no fine-tuned model)"):
            FineTuned.load(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"targets": None}, "its card has a wrong field targets: "),
        ({"targets": [{"name": "a", "classes": 3}]}, r"wrong field targets\[0\].classes: "),
        ({"encoder": {"input": {}, "image_shape": [1, 16, 16]}}, "its card lacks the field encoder.backbone"),
        ({"format": 2}, "is not a fine-tuned model of format 1"),
    ],
)
def test_a_wrong_field_of_the_card_is_named(changes: dict[str, Any], message: str, folder: Path) -> None:
    tensors, metadata = load_tensors(folder / MODEL, "restore it")
    card = json.loads(metadata["card"]) | changes
    (folder / MODEL).write_bytes(save_tensors(tensors, {"card": json.dumps(card)}))
    with pytest.raises(LenskitError, match=message) as caught:
        FineTuned.load(folder)
    assert str(folder / MODEL) in str(caught.value)
