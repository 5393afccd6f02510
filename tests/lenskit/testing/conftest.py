"""Fixture of the contracts: the planted components are installed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lenskit.testing.planted import installed


@pytest.fixture(autouse=True, scope="module")
def planted_components() -> Iterator[None]:
    """Install the components with planted faults while the tests of a module run."""
    with installed():
        yield
