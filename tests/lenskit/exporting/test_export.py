"""Exported encoders give the same features, with the code in their model card."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
import yaml

import lenskit
from lenskit.chosen import build
from lenskit.config import Config
from lenskit.encoder import Encoder
from lenskit.errors import LenskitError, UsageError
from lenskit.exporting.card import Facts
from lenskit.exporting.export import export
from lenskit.preprocessing import lens_light
from lenskit.preprocessing.preprocess import Preprocess
from lenskit.run import Run

Lenskit = Callable[..., Any]


def encoder_of(name: str, shape: tuple[int, int, int] = (1, 64, 64), inputs: Any = None, **options: Any) -> Encoder:
    """Return an encoder with random weights and non-default batch norm statistics."""
    torch.manual_seed(0)
    inputs = {"stretch": "asinh", "size": None, "channels": None} | (inputs or {})
    preprocess = Preprocess(**inputs, pixel_scale=0.05)
    channels, _, size = preprocess.shape(shape)
    backbone = build("backbone", name, options, channels, size)
    backbone(torch.randn(8, channels, size, size))
    card = {"backbone": {"name": name, **options}, "input": inputs, "method": "simsiam", "pairs": "lens-fixed"}
    return Encoder(backbone, preprocess, shape, card).eval()


def features_of(encoder: Encoder, images: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        return encoder(images)


def run_card(folder: Path, images: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> torch.Tensor:
    """Run the first example of a model card in its folder on given images.

    The example does not import lenskit.
    """
    code = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)[0]
    assert "lenskit" not in code
    monkeypatch.chdir(folder)
    names: dict[str, Any] = {"images": images}
    exec(re.sub(r"^images = .*# your images$", "", code, flags=re.MULTILINE), names)
    return torch.as_tensor(names["features"])


IMAGES = 3 + 5 * torch.randn(3, 1, 64, 64, generator=torch.Generator().manual_seed(1))

TIMM: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("resnet18", {}, {}),
    ("resnet18", {"small_stem": True}, {}),
    ("resnet18", {}, {"stretch": "imagenet", "size": 48, "channels": 3}),
    ("timm:resnet10t", {}, {"stretch": "linear", "size": 96}),
    ("timm:test_vit", {}, {}),
    ("timm:test_vit", {}, {"stretch": "zscale", "normalise": "standard"}),
    ("timm:test_vit", {}, {"stretch": "linear", "normalise": "peak"}),
    ("timm:test_vit", {}, {"stretch": "asinh+unsharp+multipole", "unsharp_scale": (0.15, 0.25)}),
]


@pytest.mark.parametrize(("name", "options", "inputs"), TIMM, ids=str)
def test_timm_alone_gives_the_same_features(
    name: str, options: dict[str, Any], inputs: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = encoder_of(name, inputs=inputs, **options)
    wanted = features_of(encoder, IMAGES)
    folder = export(encoder, "timm", tmp_path / "out")
    found = run_card(folder, IMAGES, monkeypatch)
    torch.testing.assert_close(found, wanted, atol=1e-5 * wanted.abs().max().item(), rtol=0)


@pytest.mark.parametrize(("name", "options", "inputs"), TIMM[1:3], ids=str)
def test_lenskit_opens_the_folder_again(
    name: str, options: dict[str, Any], inputs: dict[str, Any], tmp_path: Path
) -> None:
    encoder = encoder_of(name, inputs=inputs, **options)
    folder = export(encoder, "timm", tmp_path / "out")
    for path in (folder, folder / "model.safetensors"):
        again = lenskit.load(path)
        assert isinstance(again, Encoder)
        assert torch.equal(features_of(again, IMAGES), features_of(encoder, IMAGES))
    found = lenskit.LensEncoder(folder, device="cpu").fit_transform(IMAGES)
    np.testing.assert_allclose(found, features_of(encoder, IMAGES), atol=1e-6)
    assert "weights" not in again.card["backbone"]


def test_timm_takes_it_for_fine_tuning_and_for_other_channels(tmp_path: Path) -> None:
    encoder = encoder_of("resnet18")
    folder = export(encoder, "timm", tmp_path / "out")
    classifier = timm.create_model(f"local-dir:{folder}", pretrained=True, num_classes=4)
    assert torch.equal(classifier.conv1.weight, encoder.backbone.network.conv1.weight)
    assert classifier(torch.randn(1, 1, 64, 64)).shape == (1, 4)


def test_a_network_with_another_stem_is_not_loaded_for_timms_own(tmp_path: Path) -> None:
    folder = export(encoder_of("resnet18", small_stem=True), "timm", tmp_path / "out")
    with pytest.raises(RuntimeError, match="conv1"):
        timm.create_model(f"local-dir:{folder}", pretrained=True)


@pytest.mark.parametrize(
    "inputs",
    [
        {},
        {"stretch": "imagenet", "size": 48, "channels": 3},
        pytest.param({"stretch": "unsharp+multipole", "unsharp_scale": (0.15, 0.25)}, marks=pytest.mark.slow),
        pytest.param({"stretch": "zscale", "normalise": "standard"}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_the_onnx_file_is_the_whole_encoder(
    inputs: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    # The time of tracing is proportional to the number of operations. Fewer rounds keep all kinds of operations.
    monkeypatch.setattr(lens_light, "SHAPE_ROUNDS", 1)
    monkeypatch.setattr(lens_light, "CLIP_ROUNDS", 2)
    encoder = encoder_of("tiny", inputs=inputs)
    folder = export(encoder, "onnx", tmp_path / "out")
    assert {path.name for path in folder.iterdir()} == {"encoder.onnx", "README.md"}
    for images in (IMAGES, 1e-9 * IMAGES[:1], torch.randn(9, 1, 64, 64)):
        wanted = features_of(encoder, images)
        found = run_card(folder, images.numpy(), monkeypatch)
        torch.testing.assert_close(found, wanted, atol=1e-4 * wanted.abs().max().item(), rtol=0)


@pytest.mark.slow
def test_a_resnet_and_a_vit_become_onnx_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    for name in ("resnet18", "timm:test_vit"):
        encoder = encoder_of(name)
        wanted = features_of(encoder, IMAGES)
        found = run_card(export(encoder, "onnx", tmp_path / name[-4:]), IMAGES.numpy(), monkeypatch)
        torch.testing.assert_close(found, wanted, atol=1e-4 * wanted.abs().max().item(), rtol=0)


# --- The model card ---


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("export") / "blobs"
    choices: dict[str, Any] = {"backbone": "timm:test_vit", "epochs": 1, "accelerator": "cpu"}
    return lenskit.train("toys", out=out, progress=False, set={"simulator.pixels": 32}, **choices).path


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Run:
    shutil.copytree(trained, tmp_path / "blobs")
    return Run(tmp_path / "blobs")


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


def test_the_card_holds_no_path_of_a_machine(run: Run) -> None:
    run.folder("probe").joinpath("table.md").write_text(f"# R2 of {run.path.parent}/slacs\n")
    sections = run.config.sections | {"data": {"name": "fits-folder", "path": f"{run.path.parent}/mine"}}
    facts = Facts.of_run(Run(run.path, Config(sections)))
    assert facts.probe == "# R2 of slacs\n"
    assert 'path = "mine"' in facts.config
    assert str(run.path.parent) not in facts.config


# --- The verb ---


def test_nothing_of_others_is_replaced(run: Run, lenskit: Lenskit, tmp_path: Path) -> None:
    for name in ("README.md", "model.safetensors", "config.json"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).write_text("years of work")
        for flags in ((), ("--overwrite",)):
            complaint = lenskit("export", run.path, "-o", name, *flags).complaint()
            assert complaint == f"{name} holds {name}, which no export of lenskit wrote: choose another -o"
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


def test_what_cannot_be_exported_is_one_line(run: Run, lenskit: Lenskit, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="timm has no network like backbone 'tiny': use --format onnx"):
        export(encoder_of("tiny"), "timm", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert "pass -o DIR" in lenskit("export", run.path / "encoder").complaint(2)
    assert "there is nothing at nowhere" in lenskit("export", "nowhere").complaint(2)
    assert "pickle" in lenskit("export", run.path, "--format", "pickle").complaint(2)
    shutil.rmtree(run.path / "encoder")
    assert "holds no encoder" in lenskit("export", run.path).complaint(1)
    with pytest.raises(UsageError, match=r"no format 'onx' \(did you mean onnx\?\)"):
        export(run, "onx")


def test_onnx_without_its_extra_is_one_line(tmp_path: Path) -> None:
    """The test runs a process in which onnxscript cannot be found."""
    encoder_of("tiny").save(tmp_path / "encoder")
    code = (
        "import sys; import importlib.util as u; find = u.find_spec;"
        "u.find_spec = lambda name, *more: None if name == 'onnxscript' else find(name, *more);"
        "from lenskit.cli.main import run;"
        f"sys.exit(run(['export', {str(tmp_path / 'encoder')!r}, '--format', 'onnx', '-o', 'out']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    # Libraries may print warnings first.
    assert done.stderr.endswith("lenskit: ONNX needs onnxscript: pip install 'lenskit-ssl[onnx]'\n")
    assert not (tmp_path / "out").exists()


def test_a_damaged_export_is_one_line(tmp_path: Path) -> None:
    folder = export(encoder_of("resnet18"), "timm", tmp_path / "out")
    (folder / "model.safetensors").write_bytes(b"half")
    with pytest.raises(LenskitError, match="cannot be read as weights") as caught:
        lenskit.load(folder)
    assert "\n" not in str(caught.value)
