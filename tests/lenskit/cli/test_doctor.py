"""Verb `lenskit doctor`."""

from __future__ import annotations

from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import torch


def test_all_is_in_order(lenskit: Callable[..., Any]) -> None:
    outcome = lenskit("doctor")
    assert (outcome.status, outcome.err) == (0, "")
    assert f"ok     torch {metadata.version('torch')}\n" in outcome.out
    assert all(line.startswith("ok     ") for line in outcome.out.splitlines())


def test_a_broken_plugin_is_wrong(install: Callable[..., None], lenskit: Callable[..., Any]) -> None:
    install("acme", "raise RuntimeError('no luck')")
    outcome = lenskit("doctor")
    assert outcome.status == 1
    assert "wrong  plugin 'acme' of lenskit-ssl-acme 1.0: RuntimeError: no luck (acme_hooks, line 3)\n" in outcome.out


def test_the_other_distribution_of_our_name_is_wrong(
    install: Callable[..., None], tmp_path: Path, lenskit: Callable[..., Any]
) -> None:
    install("acme", "")
    info = tmp_path / "site-packages" / "lenskit-0.14.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lenskit\nVersion: 0.14.2\n")
    outcome = lenskit("doctor")
    assert outcome.status == 1
    assert "wrong  the distribution 'lenskit' (a recommender toolkit) is installed too" in outcome.out


def test_says_what_several_devices_talk_through(lenskit: Callable[..., Any]) -> None:
    line = next(line for line in lenskit("doctor").out.splitlines() if "several devices" in line)
    assert ("gloo" in line) == torch.distributed.is_gloo_available()
    assert ("nccl" in line) == torch.distributed.is_nccl_available()
