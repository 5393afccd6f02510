"""Compiled passes, and rendering without compilation."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from lenskit_lensing.light import sersic
from lenskit_lensing.render.compiled import compiled, works

SCRIPT = """
import logging, torch
logging.basicConfig(format="%(message)s")
from lenskit_lensing.simulators.hst import HST
torch.set_num_threads(1)
simulator = HST(pixels=32)
scene = simulator.scene(0, "train", torch.arange(5))
torch.save(simulator.renderer(scene), "PATH")
"""


def rendered(tmp_path: Path, **environment: str) -> tuple[torch.Tensor, list[str]]:
    """Render arcs and lens light in a new process; return its messages on compilation."""
    path = tmp_path / "images.pt"
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.replace("PATH", str(path))],
        env=os.environ | {"TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"} | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return torch.stack(torch.load(path)), [line for line in done.stderr.splitlines() if "torch.compile" in line]


def test_nothing_is_compiled_unless_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LENSKIT_COMPILE", raising=False)

    def here() -> bool:
        return torch.compiler.is_compiling()

    @compiled
    def double(x: torch.Tensor) -> torch.Tensor:
        return -x if here() else 2 * x

    assert torch.equal(double(torch.ones(3)), 2 * torch.ones(3))
    assert double.__name__ == "double"


@pytest.mark.slow
def test_compiled_light_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    if not works("cpu"):
        pytest.skip("no compiler")
    monkeypatch.setenv("LENSKIT_COMPILE", "1")
    fused = compiled(sersic)
    axis = torch.linspace(-2, 2, 40)
    names = ("R_sersic", "n_sersic", "e1", "e2", "center_x", "center_y")
    for n in (5, 3):
        light = dict(zip(names, torch.rand(6, n, generator=torch.Generator().manual_seed(n)) * 0.5 + 0.5, strict=True))
        light |= {"e1": light["e1"] - 0.7, "e2": light["e2"] - 0.7}
        eager = sersic(axis[None, :], axis[:, None], **light)
        found = fused(axis[None, :], axis[:, None], **light)
        assert torch.allclose(found, eager, rtol=1e-5)
        assert not torch.equal(found, eager), "nothing was compiled"


@pytest.mark.slow
def test_without_a_compiler_one_line_says_so(tmp_path: Path) -> None:
    eager, _ = rendered(tmp_path)
    images, said = rendered(tmp_path, LENSKIT_COMPILE="1", CXX=str(tmp_path / "no-compiler"))
    assert len(said) == 1
    assert said[0].startswith("torch.compile does not work here; continuing without it (")
    assert torch.equal(eager, images)
