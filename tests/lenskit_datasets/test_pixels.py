"""The central part of images of all sizes."""

from __future__ import annotations

import logging

import pytest

from lenskit_datasets.pixels import common_shape, middle


@pytest.mark.parametrize(("size", "told"), [(100, "an odd size avoids this"), (101, ""), (201, "")])
def test_a_middle_off_centre_is_told(size: int, told: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "lenskit"):
        assert common_shape([(1, 201, 201)] * 3, ["a", "b", "c"], size) == (1, size, size)
    assert (told in caplog.text) if told else not caplog.text
    rows, _ = middle((201, 201), size)
    assert (rows.start + rows.stop - 1) / 2 == pytest.approx(100, abs=0.5 if told else 0)
