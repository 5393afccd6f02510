"""Text of an encoder's card."""

from __future__ import annotations


def test_the_command_line_lists_and_explains(lenskit) -> None:
    assert "dotty" in lenskit("list", "encoders").out
    told = lenskit("info", "dotty").out
    for line in (
        "dotty (encoder): Widths of Gaussian blobs",
        "network: tiny (dropout 0.1, norm True), 16 features",
        "trained on: lenses of simulator blobs (method restless, pairs default, 16 of 16 batches)",
        "images: 1 x 16 x 16 (channels, height, width); stretch asinh",
        "licence: CC0-1.0",
        "use in place of a run: lenskit predict dotty IMAGES; in Python lenskit.load('dotty')",
    ):
        assert line in told
    assert "predicts: width [arcsec], +-" in told
    assert "result: width [arcsec], 100 lenses of simulator blobs: R2 0.9" in told
