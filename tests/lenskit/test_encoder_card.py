"""Cards of encoders: a wrong field is named, and a change is found."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from lenskit.encoder_card import is_as_written, read_card
from lenskit.errors import LenskitError

CARD: dict[str, Any] = {
    "format": 1,
    "backbone": {"name": "tiny"},
    "input": {"stretch": "asinh", "size": 24, "channels": None},
    "image_shape": [1, 16, 16],
    "features": 16,
}

CARDS: dict[str, tuple[dict[str, Any], str]] = {
    "no backbone": ({"backbone": None}, "wrong field backbone: "),
    "no name": ({"backbone": {}}, "lacks the field backbone.name"),
    "NaN": ({"backbone": {"name": "tiny", "dropout": math.nan}}, "wrong field backbone: it holds NaN or Infinity"),
    "two sides": ({"image_shape": [1, 16]}, "wrong field image_shape: "),
    "a text": ({"image_shape": [1, "16", 16]}, r"wrong field image_shape\[1\]: "),
    "vast": ({"image_shape": [1, 16, 10**30]}, r"wrong field image_shape\[2\]: a whole number of more than 64 bits"),
    "no size": ({"pixel_scale": -0.1}, "wrong field pixel_scale: "),
    "no count": ({"trained": {"batches": "many", "of": 3}}, "wrong field trained.batches: "),
    "no input": ({"input": [1]}, "wrong field input: "),
}


@pytest.mark.parametrize("case", CARDS)
def test_a_wrong_field_is_named(case: str, tmp_path: Path) -> None:
    changes, message = CARDS[case]
    (tmp_path / "encoder.json").write_text(json.dumps(CARD | changes))
    with pytest.raises(LenskitError, match=f"encoder.json.*{message}|{message}") as caught:
        read_card(tmp_path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value).replace(str(tmp_path), "")) < 400


def test_a_card_without_a_checksum_is_a_users(tmp_path: Path) -> None:
    (tmp_path / "encoder.json").write_text(json.dumps(CARD))
    assert read_card(tmp_path) == CARD
    assert is_as_written(tmp_path)
    (tmp_path / "encoder.json").write_text(json.dumps(CARD | {"checksum": "0"}))
    assert not is_as_written(tmp_path)
