"""What docs/plugins.md shows runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from click.testing import CliRunner

TEXT = (Path(__file__).parents[2] / "docs" / "plugins.md").read_text(encoding="utf-8")


def names_in(example: str) -> dict[str, Any]:
    """What the block defines that holds a text."""
    (block,) = (block for block in re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL) if example in block)
    names: dict[str, Any] = {}
    exec(compile(block, "docs/plugins.md", "exec"), names)
    return names


def test_the_command_prints_the_brightest_pixel_of_each_lens() -> None:
    images = np.zeros((3, 1, 8, 8), np.float32)
    images[:, 0, 4, 4] = [1.5, 2.5, 3.5]
    np.save("images.npy", images)
    done = CliRunner().invoke(names_in("@click.command()")["peaks"], ["images.npy", "--lenses", "2"])
    assert done.exit_code == 0
    assert [line.split()[1] for line in done.stdout.splitlines()] == ["1.5", "2.5"]
