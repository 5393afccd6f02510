"""Exported encoders give the same features, with the code in their model card."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch

import lenskit
from lenskit.chosen import build
from lenskit.config import Config
from lenskit.encoder import Encoder
from lenskit.errors import LenskitError, UsageError
from lenskit.exporting.card import Facts
from lenskit.exporting.export import export
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


@pytest.mark.slow
@pytest.mark.parametrize(("name", "options", "inputs"), TIMM, ids=str)
def test_timm_alone_gives_the_same_features(
    name: str, options: dict[str, Any], inputs: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = encoder_of(name, inputs=inputs, **options)
    wanted = features_of(encoder, IMAGES)
    folder = export(encoder, "timm", tmp_path / "out")
    found = run_card(folder, IMAGES, monkeypatch)
    torch.testing.assert_close(found, wanted, atol=1e-5 * wanted.abs().max().item(), rtol=0)


@pytest.mark.slow
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


@pytest.mark.slow
def test_timm_takes_it_for_fine_tuning_and_for_other_channels(tmp_path: Path) -> None:
    encoder = encoder_of("resnet18")
    folder = export(encoder, "timm", tmp_path / "out")
    classifier = timm.create_model(f"local-dir:{folder}", pretrained=True, num_classes=4)
    assert torch.equal(classifier.conv1.weight, encoder.backbone.network.conv1.weight)
    assert classifier(torch.randn(1, 1, 64, 64)).shape == (1, 4)


@pytest.mark.slow
def test_a_network_with_another_stem_is_not_loaded_for_timms_own(tmp_path: Path) -> None:
    folder = export(encoder_of("resnet18", small_stem=True), "timm", tmp_path / "out")
    with pytest.raises(RuntimeError, match="conv1"):
        timm.create_model(f"local-dir:{folder}", pretrained=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    "inputs",
    [
        {},
        {"stretch": "imagenet", "size": 48, "channels": 3},
        {"stretch": "unsharp+multipole", "unsharp_scale": (0.15, 0.25)},
        {"stretch": "zscale", "normalise": "standard"},
    ],
    ids=str,
)
def test_the_onnx_file_is_the_whole_encoder(
    inputs: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
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


def test_the_card_holds_no_path_of_a_machine(run: Run) -> None:
    run.folder("probe").joinpath("table.md").write_text(f"# R2 of {run.path.parent}/slacs\n")
    sections = run.config.sections | {"data": {"name": "fits-folder", "path": f"{run.path.parent}/mine"}}
    facts = Facts.of_run(Run(run.path, Config(sections)))
    assert facts.probe == "# R2 of slacs\n"
    assert 'path = "mine"' in facts.config
    assert str(run.path.parent) not in facts.config


@pytest.mark.slow
def test_a_damaged_export_is_one_line(tmp_path: Path) -> None:
    folder = export(encoder_of("resnet18"), "timm", tmp_path / "out")
    (folder / "model.safetensors").write_bytes(b"half")
    with pytest.raises(LenskitError, match="cannot be read as weights") as caught:
        lenskit.load(folder)
    assert "\n" not in str(caught.value)


def test_what_cannot_be_exported_is_one_line(run: Run, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="timm has no network like backbone 'tiny': use --format onnx"):
        export(encoder_of("tiny"), "timm", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(UsageError, match=r"no format 'onx' \(did you mean onnx\?\)"):
        export(run, "onx")
