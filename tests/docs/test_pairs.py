"""Code blocks of docs/guides/pairs.md run, and its tables name all pairs."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import torch

from lenskit.config import Config
from lenskit.generator import KeyedGenerator
from lenskit.kinds.pairs import Composition
from lenskit.registry import registry

DOCS = Path(__file__).parents[2] / "docs"
TEXT = (DOCS / "guides" / "pairs.md").read_text(encoding="utf-8")


def test_the_tables_name_every_pair_that_lenskit_brings() -> None:
    told = set(re.findall(r"^\| `([a-z][a-z-]+)` \|", TEXT, re.MULTILINE))
    assert told == {r.name for r in registry().of_kind("pairs") if r.plugin.distribution == "lenskit-ssl"}


def test_python_blocks_do_what_they_say() -> None:
    names: dict[str, Any] = {}
    text = TEXT + (DOCS / "plugins" / "pairs.md").read_text(encoding="utf-8")
    for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(compile(block, "docs/guides/pairs.md", "exec"), names)
    assert {key: value.item() for key, value in names["mirrored"].items()} == pytest.approx(
        {"theta_E": 1.2, "e1": 0.3, "e2": -0.1}
    )
    assert {key: value.item() for key, value in names["turned"].items()} == pytest.approx(
        {"theta_E": 1.2, "e1": -0.3, "e2": -0.1}
    )
    lens_fixed = Config.resolve({"pairs": {"name": "lens-fixed"}}, only=("pairs",)).build("pairs")
    index = torch.arange(3)
    rng = KeyedGenerator(0, "train", "views", index, torch.zeros_like(index))
    batch = Composition(lens_fixed, {"dim": names["Dim"]()})(torch.ones(3, 2, 1, 4, 4), {}, rng)
    assert all(0.5 <= view.min() < view.max() <= 1 for view in batch.views)


def test_what_is_put_together_resolves() -> None:
    (block,) = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)
    assert Config.resolve(tomllib.loads(block)).sections["pairs"]["noise"] == {"level": "uniform(0, 2)"}


def test_the_first_plugin_of_the_docs_is_a_pair_like_any_other() -> None:
    text = (DOCS / "plugins" / "index.md").read_text(encoding="utf-8")
    (block,) = [b for b in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "class Speckle" in b]
    names: dict[str, Any] = {}
    exec(compile(block, "docs/plugins/index.md", "exec"), names)
    index = torch.arange(3)
    rng = KeyedGenerator(0, "train", "views", index, torch.zeros_like(index))
    one, other = names["Speckle"](sigma=0.1)(torch.ones(3, 1, 1, 64, 64), {}, rng).views
    assert one.std().item() == pytest.approx(0.1, rel=0.05)
    assert not torch.equal(one, other)
