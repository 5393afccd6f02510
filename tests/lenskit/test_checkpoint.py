"""Damaged checkpoints, other files, and checkpoints of a different configuration."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lenskit.checkpoint import changed_fields, read_checkpoint
from lenskit.config import Config
from lenskit.errors import LenskitError
from lenskit.run import Run
from lenskit.training.runner import train

SECTIONS: dict[str, dict] = {
    "train": {"lenses": 16, "epochs": 1, "batch_size": 8, "accelerator": "cpu"},
    "simulator": {"name": "blobs"},
    "method": {"name": "restless"},
    "backbone": {"name": "tiny"},
}


@pytest.fixture
def config() -> Config:
    return Config.resolve(SECTIONS)


def truncate(content: bytes) -> bytes:
    return content[: len(content) // 2]


@pytest.mark.slow
@pytest.mark.parametrize(
    "damage",
    [lambda content: b"", lambda content: b"junk", truncate, lambda content: content[100:]],
    ids=["empty", "junk", "truncated", "beginning lost"],
)
def test_a_damaged_checkpoint_is_told_in_one_line(damage, config: Config, tmp_path: Path) -> None:
    run = train(config, tmp_path / "run", progress=False)
    run.checkpoint.write_bytes(damage(run.checkpoint.read_bytes()))
    with pytest.raises(LenskitError, match=r"last\.ckpt is no checkpoint of lenskit, or is damaged") as caught:
        read_checkpoint(run.path, run.config)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value).replace(str(tmp_path), "")) < 400


@pytest.mark.parametrize("content", [{}, {"state_dict": {}}, {"lenskit": {}}, {"lenskit": {"config": 1}}, [1], 3])
def test_a_checkpoint_of_something_else_is_told_in_one_line(content: object, config: Config, tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", config)
    run.checkpoint.parent.mkdir()
    torch.save(content, run.checkpoint)
    with pytest.raises(LenskitError, match=r"last\.ckpt is no checkpoint of lenskit, or is damaged"):
        read_checkpoint(run.path, run.config)


def test_a_checkpoint_of_another_backbone_is_refused(config: Config, tmp_path: Path) -> None:
    run = train(config, tmp_path / "run", progress=False)
    other = Run.create(tmp_path / "other", Config.resolve(SECTIONS, {"backbone": {"name": "resnet18"}}))
    run.path.joinpath("checkpoints").rename(other.path / "checkpoints")
    with pytest.raises(LenskitError, match=r"holds the backbone 'tiny@lenskit-ssl-toys', but .* names 'resnet18'"):
        read_checkpoint(other.path, other.config)


def test_a_checkpoint_of_another_method_is_refused(config: Config, tmp_path: Path) -> None:
    run = train(config, tmp_path / "run", progress=False)
    another = Config.resolve(SECTIONS, {"method": {"name": "two-optimizers"}})
    with pytest.raises(
        LenskitError,
        match=r"holds the method 'restless@lenskit-ssl-toys', but .* names 'two-optimizers@lenskit-ssl-toys'",
    ):
        read_checkpoint(run.path, another)


@given(
    st.dictionaries(st.sampled_from(["seed", "epochs", "lenses"]), st.integers(8, 99)),
    st.dictionaries(st.sampled_from(["devices", "num_nodes", "checkpoint_every"]), st.integers(1, 99)),
)
@settings(deadline=None, max_examples=25)
def test_what_changed_is_all_and_only_what_is_named(changed: dict[str, int], free: dict[str, int]) -> None:
    before = Config.resolve({"simulator": {"name": "blobs"}, "train": {"seed": 1, "epochs": 1, "lenses": 1}})
    after = Config.resolve(before.sections, {"train": changed | free})
    assert sorted(changed_fields(before, after)) == [f"train.{k} (was 1, is {v})" for k, v in sorted(changed.items())]
    assert changed_fields(after, after) == []
