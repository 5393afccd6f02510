"""Verb `lenskit export`."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from lenskit.api import train
from lenskit.run import Run

Lenskit = Callable[..., Any]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("export") / "blobs"
    choices: dict[str, Any] = {"backbone": "timm:test_vit", "epochs": 1, "accelerator": "cpu"}
    return train("toys", out=out, progress=False, set={"simulator.pixels": 32}, **choices).path


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Run:
    shutil.copytree(trained, tmp_path / "blobs")
    return Run(tmp_path / "blobs")


@pytest.mark.slow
def test_the_card_says_what_a_stranger_needs(run: Run, lenskit: Lenskit) -> None:
    run.folder("probe").joinpath("table.md").write_text("# R2\n\n| probe | width |\n|---|---|\n| ridge | 0.93 |\n")
    assert lenskit("export", run.path).status == 0
    text = (run.path / "export" / "timm" / "README.md").read_text()
    _, front, body = text.split("---\n", 2)
    front = yaml.safe_load(front)
    assert front["library_name"] == "timm"
    assert "license" not in front  # the owner chooses a licence
    assert {"timm", "lenskit", "gravitational-lensing"} <= set(front["tags"])
    for part in (
        "asinh(x / 3 sigma)",
        "(n, 1, 32, 32)",
        "| ridge | 0.93 |",
        'name = "restless@lenskit-ssl-toys"',
        "local-dir:.",
        "loss",
    ):
        assert part in body, part
    assert next(line for line in body.splitlines() if line.startswith("# ")) == "# blobs"
    config = json.loads((run.path / "export" / "timm" / "config.json").read_text())
    assert config["architecture"] == "test_vit"
    assert config["pretrained_cfg"]["input_size"] == [1, 32, 32]


def test_nothing_of_others_is_replaced(run: Run, lenskit: Lenskit, tmp_path: Path) -> None:
    for name in ("README.md", "model.safetensors", "config.json"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).write_text("years of work")
        for flags in ((), ("--overwrite",)):
            complaint = lenskit("export", run.path, "-o", name, *flags).complaint()
            assert complaint == f"{name} holds {name}, which `lenskit export` did not write: choose another -o"
        assert [path.read_text() for path in (tmp_path / name).iterdir()] == ["years of work"]


def test_an_earlier_export_is_replaced_only_when_asked(run: Run, lenskit: Lenskit, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes").write_text("stay")
    for flags in (("-o", "mine"), ()):
        assert lenskit("export", run.path, *flags).status == 0
        complaint = lenskit("export", run.path, *flags).complaint()
        assert complaint.endswith("model.safetensors exists: choose another -o, or replace it with --overwrite")
        assert lenskit("export", run.path, *flags, "--overwrite").status == 0
    assert (tmp_path / "mine" / "notes").read_text() == "stay"


def test_no_part_of_a_run_becomes_an_export(run: Run, lenskit: Lenskit) -> None:
    for name in ("", "encoder", "best", "checkpoints"):
        complaint = lenskit("export", run.path, "-o", run.path / name, "--overwrite").complaint()
        assert "is a part of the run" in complaint
    assert Run(run.path).encoder()


def test_bad_input_is_one_line(run: Run, lenskit: Lenskit) -> None:
    assert "pass -o DIR" in lenskit("export", run.path / "encoder").complaint(2)
    assert "there is nothing at nowhere" in lenskit("export", "nowhere").complaint(2)
    assert "pickle" in lenskit("export", run.path, "--format", "pickle").complaint(2)
    shutil.rmtree(run.path / "encoder")
    assert "holds no encoder" in lenskit("export", run.path).complaint(1)


@pytest.mark.slow
def test_onnx_without_its_extra_is_one_line(run: Run, tmp_path: Path) -> None:
    """The test runs a process in which onnxscript cannot be found."""
    code = (
        "import sys; import importlib.util as u; find = u.find_spec;"
        "u.find_spec = lambda name, *more: None if name == 'onnxscript' else find(name, *more);"
        "from lenskit.cli.main import run;"
        f"sys.exit(run(['export', {str(run.path)!r}, '--format', 'onnx', '-o', 'out']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    # Libraries may print warnings first.
    assert done.stderr.endswith("lenskit: ONNX needs onnxscript: pip install 'lenskit-ssl[onnx]'\n")
    assert not (tmp_path / "out").exists()
