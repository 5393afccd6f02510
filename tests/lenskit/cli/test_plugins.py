"""Verb `lenskit plugins`."""

from __future__ import annotations

from collections.abc import Callable
from importlib import metadata
from typing import Any

import pytest

from lenskit.registry import registry


def test_says_what_each_plugin_brings_or_why_it_failed(
    install: Callable[..., None], lenskit: Callable[..., Any]
) -> None:
    install("acme", "raise RuntimeError('no luck')", version="2.1")
    install("zebra", "@hookimpl\ndef lenskit_methods():\n    return [Component('stripes', 'a:B', 'Stripes')]\n")
    outcome = lenskit("plugins")
    assert outcome.status == 0
    rows = {line.split()[0]: line.split(maxsplit=3) for line in outcome.out.splitlines()}
    assert rows["acme"] == ["acme", "lenskit-ssl-acme", "2.1", "left out: RuntimeError: no luck (acme_hooks, line 3)"]
    assert rows["zebra"] == ["zebra", "lenskit-ssl-zebra", "1.0", "1 component"]
    assert rows["siamese"] == ["siamese", "lenskit-ssl", metadata.version("lenskit-ssl"), "19 components"]


def test_says_that_there_are_none(monkeypatch: pytest.MonkeyPatch, lenskit: Callable[..., Any]) -> None:
    monkeypatch.setenv("LENSKIT_PLUGINS", "")
    registry.cache_clear()
    assert lenskit("plugins").out == "no plugin is installed, or LENSKIT_PLUGINS excludes all of them\n"
    registry.cache_clear()


def test_load_times_are_printed_the_slowest_first(install: Callable[..., Any], lenskit: Callable[..., Any]) -> None:
    install("slow", "import time\ntime.sleep(0.25)\n")
    lines = lenskit("plugins", "--timing").out.splitlines()
    first = lines[0].split()
    assert first[2] == "slow"
    assert float(first[0]) >= 250
    times = [float(line.split()[0]) for line in lines if " ms  " in line]
    assert times == sorted(times, reverse=True)
    assert len(times) > 5
