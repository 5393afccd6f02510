"""Ranges of seeds and counts among the flags."""

from __future__ import annotations

import click

SEED = click.IntRange(-(2**63), 2**63 - 1)
"""Range of seeds: signed 64-bit integers."""

MOST = 10**9
"""Largest number of lenses, batches or pixels."""


def count(most: int = MOST) -> click.IntRange:
    """Return the range of a count from 1 to `most`."""
    return click.IntRange(1, most)
