"""Several processes train the same weights as one process, and stop together."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from lenskit.config import Config
from lenskit.options import options_of
from lenskit.registry import registry

METHODS = [r.name for r in registry().of_kind("method") if "toys" not in r.plugin.distribution] + ["restless"]

SMALL = {"_dim": 16, "_depth": 1, "queue": 32, "slices": 16}
"""Small values of options by the ends of their names, to be fast."""

TRAIN = {
    "lenses": 32, "epochs": 2, "batch_size": 8, "checkpoint_every": 3, "accelerator": "cpu", "precision": "64-true",
}  # fmt: skip

EXACT = {"name": "tiny", "dropout": 0.0, "norm": False}
"""A backbone whose features of a lens do not depend on other lenses or on random numbers."""


def state(path: Path) -> dict[str, Tensor]:
    return torch.load(path / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]


def figures(path: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]


# --- The weights ---


def of_method(method: str) -> Config:
    """Return two epochs of four batches without dropout and noise.

    These depend on the process.
    """
    load = registry().find("method", method).load()
    names = [option.name for option in options_of(load)]
    small = {name: size for name in names for end, size in SMALL.items() if name.endswith(end)}
    own = {"noise": 0.0, "spread": 0.0} if method == "restless" else {}
    backbone = {"mae": {"name": "timm:test_vit"}, "rbm": {"name": "rbm-hidden", "hidden": 32}}.get(method, EXACT)
    # An RBM needs pixels from 0 to 1, and the noise of the blobs is negative in places.
    return Config.resolve({
        "train": TRAIN, "monitor": {"log_every": 1}, "simulator": {"name": "blobs", "pixels": 32},
        "input": {"stretch": "zscale"} if method == "rbm" else {},
        "method": {"name": method} | small | own, "backbone": backbone,
    })  # fmt: skip


@pytest.fixture(scope="module")
def trained(together: Callable[..., list[list[int]]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with runs METHOD-1 (one process) and METHOD-2 (two processes).

    Each of the two processes has half of the batch.
    """
    folder = tmp_path_factory.mktemp("methods")
    groups = []
    for processes in (1, 2):
        tasks = []
        for method in METHODS:
            file = folder / f"{method}.toml"
            file.write_text(of_method(method).to_toml())
            tasks.append({"config": str(file), "out": str(folder / f"{method}-{processes}")})
        by, log = ("torchrun" if processes > 1 else ""), str(folder / f"log-{processes}")
        groups.append({"by": by, "processes": processes, "tasks": tasks, "log": log})
    assert together(*groups) == [[0], [0, 0]], [log.read_text() for log in folder.glob("log-*")]
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_two_processes_end_with_the_weights_of_one(method: str, trained: Path) -> None:
    """Without batch norm, which is synchronised on GPUs only."""
    one, two = state(trained / f"{method}-1"), state(trained / f"{method}-2")
    assert one.keys() == two.keys()
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-7, atol=1e-9, msg=lambda text, n=name: f"{n}: {text}")


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_figures_are_those_of_all_lenses(method: str, trained: Path) -> None:
    one, two = figures(trained / f"{method}-1"), figures(trained / f"{method}-2")
    assert len(one) == len(two) == 8
    for ours, theirs in zip(two, one, strict=True):
        assert ours.keys() == theirs.keys()
        for name in theirs.keys() - {"rate"}:
            assert ours[name] == pytest.approx(theirs[name], rel=1e-4, abs=1e-6), name


@pytest.mark.slow
def test_each_lens_is_seen_once_an_epoch(trained: Path) -> None:
    first, second = (json.loads((trained / f"restless-2.{rank}.json").read_text()) for rank in (0, 1))
    for epoch, lenses in (("0", range(32)), ("1", range(32, 64))):
        assert len(first[epoch]) == len(second[epoch]) == 16
        assert sorted(first[epoch] + second[epoch]) == list(lenses)
