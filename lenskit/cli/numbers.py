"""The ranges of numbers among the flags: what a 64-bit integer holds, and sensible counts."""

from __future__ import annotations

import click

SEED = click.IntRange(-(2**63), 2**63 - 1)
"""Any seed that can be written down."""

MOST = 10**9
"""Lenses, batches or pixels, at most."""


def count(most: int = MOST) -> click.IntRange:
    """A count of at least one."""
    return click.IntRange(1, most)
