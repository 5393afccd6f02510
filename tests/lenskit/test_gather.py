"""Gathered rows of several processes; see tests/test_methods.py for methods."""

from __future__ import annotations

import torch

from lenskit.gather import gather, places


def test_a_process_that_is_alone_has_all_rows():
    rows = torch.randn(5, 3, requires_grad=True)
    assert gather(rows) is rows
    assert places(5, rows.device).tolist() == [0, 1, 2, 3, 4]
