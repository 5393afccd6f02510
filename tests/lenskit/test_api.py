"""lenskit from Python: light to import, and equal to the command line."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image

import lenskit
from lenskit.cli.train import command
from lenskit.data.simulated import SimulatedLenses
from lenskit.encoder import Encoder
from lenskit.errors import LenskitError, UsageError
from lenskit.flags import CHOICES
from lenskit.run import Run

Verb = Callable[..., Any]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a few batches on the toys' blobs."""
    out = tmp_path_factory.mktemp("api") / "blobs"
    return lenskit.train("toys", out=out, epochs=2, accelerator="cpu", progress=False).path


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Run:
    shutil.copytree(trained, tmp_path / "blobs")
    return Run(tmp_path / "blobs")


def test_importing_it_is_light() -> None:
    code = "import sys, lenskit; lenskit.__version__; print(*sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "numpy", "pydantic", "sklearn", "lenskit.api", "lenskit.config"} & set(loaded)


def test_every_name_is_there() -> None:
    assert all(getattr(lenskit, name) is not None for name in lenskit.__all__)
    assert set(lenskit.__all__) <= set(dir(lenskit))
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        lenskit.trian  # noqa: B018


def test_exports_take_whatever_load_opens(run: Run) -> None:
    for source in (run, run.encoder(), run.path, str(run.path / "encoder")):
        with pytest.raises(
            UsageError, match="timm has no network like backbone 'tiny@lenskit-ssl-toys': use --format onnx"
        ):
            lenskit.export(source, folder=run.path.parent / "out")
    assert not (run.path.parent / "out").exists()
    with pytest.raises(UsageError, match="there is nothing at nowhere"):
        lenskit.export("nowhere")


# --- Equal to the command line ---

SAME: list[tuple[list[object], dict[str, Any]]] = [
    ([], {}),
    (["--recipe", "toys"], {"recipe": "toys"}),
    (["--recipe", "toys", "--method", "two-optimizers"], {"recipe": "toys", "method": "two-optimizers"}),
    (["--lr", 0.5, "--optimizer", "adamw", "--devices", 2], {"lr": 0.5, "optimizer": "adamw", "devices": 2}),
    (
        ["--recipe", "toys", "--set", "simulator.width=normal(2, 0.1)", "--set", "input.size=32"],
        {"recipe": "toys", "set": {"simulator.width": "normal(2, 0.1)", "input.size": 32}},
    ),
    (
        ["--pairs", "lens-fixed+noise", "--set", "pairs.noise.level=uniform(0, 1)"],
        {"pairs": "lens-fixed+noise", "set": {"pairs.noise.level": "uniform(0, 1)"}},
    ),
    (
        ["--recipe", "toys", "--set", "simulator.pixels=20", "--set", "train.seed=3"],
        {"recipe": "toys", "set": {"simulator": {"pixels": 20}, "train.seed": "3"}},
    ),
    (
        ["--config", "mine.toml", "--data", "fits-folder:images", "--pairs", "default"],
        {"config": Path("mine.toml"), "data": "fits-folder:images", "pairs": "default"},
    ),
]


@pytest.mark.parametrize(("flags", "arguments"), SAME, ids=lambda value: str(value)[:40])
def test_the_same_choices_come_to_the_same_configuration(
    flags: list[object], arguments: dict[str, Any], request: pytest.FixtureRequest
) -> None:
    verb: Verb = request.getfixturevalue("lenskit")
    Path("mine.toml").write_text("[train]\nepochs = 7\n")
    outcome = verb("train", *flags, "--print-config")
    assert outcome.status == 0, outcome.err
    assert tomllib.loads(outcome.out) == lenskit.configuration(**arguments).sections


def test_every_flag_is_an_argument() -> None:
    """Flags of the command itself are excepted."""
    own = {"recipe", "config", "data", "assignments", "out", "overwrite", "resume", "print_config"}
    assert {parameter.name for parameter in command.params} - own == CHOICES.keys()


def test_the_same_choices_come_to_the_same_weights(run: Run, request: pytest.FixtureRequest) -> None:
    verb: Verb = request.getfixturevalue("lenskit")
    assert verb("train", "--recipe", "toys", "--epochs", 2, "--accelerator", "cpu", "--out", "cli").status == 0
    ours, theirs = (
        safetensors.torch.load_file(folder / "encoder" / "model.safetensors") for folder in (run.path, Path("cli"))
    )
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_training_goes_where_the_command_line_would_put_it() -> None:
    run = lenskit.train("toys", epochs=1, accelerator="cpu", progress=False)
    assert run.path.parent == Path("runs")
    assert run.finished
    again = lenskit.train("toys", epochs=1, accelerator="cpu", progress=False)
    assert again.path == run.path.with_name(f"{run.path.name}-2")


def test_a_finished_run_is_resumed_to_itself(run: Run) -> None:
    before = (run.path / "encoder" / "model.safetensors").read_bytes()
    assert lenskit.resume(run.path, progress=False).finished
    assert (run.path / "encoder" / "model.safetensors").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"metod": "simsiam"}, "unknown option 'metod'; did you mean method?"),
        ({"method": "simsaim"}, "unknown method 'simsaim'; did you mean simsiam"),
        ({"set": {"lr": 1}}, "--set takes SECTION.OPTION=VALUE, got 'lr=1': use optimizer.lr"),
        ({"set": {3: 1}}, "set takes options by name, such as {'train.epochs': 10}, got 3"),
        ({"set": {"train.epoch": 1}}, "section 'train' has no option 'epoch'"),
        ({"epochs": 0}, "epochs"),
        ({"data": "nowhere"}, "there are no data at nowhere"),
        ({"data": "fits-folder:a", "simulator": "hst"}, "--data and --simulator exclude each other"),
    ],
)
def test_bad_choices_are_one_line_and_leave_nothing_behind(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        lenskit.train(**arguments)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not list(Path().iterdir())


# --- Runs and encoders ---


def test_loading_gives_what_fits(run: Run) -> None:
    loaded = lenskit.load(run.path)
    assert isinstance(loaded, Run)
    assert loaded.config == run.config
    encoder = lenskit.load(run.path / "encoder")
    assert isinstance(encoder, Encoder)
    assert not encoder.training
    assert isinstance(lenskit.load(run.path / "encoder" / "model.safetensors"), Encoder)
    shutil.copytree(run.path / "encoder", run.path / "best")
    best = lenskit.load(str(run.path / "best"))
    assert isinstance(best, Run)
    assert best.best


def test_loading_what_is_nothing_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is nothing at nowhere"):
        lenskit.load("nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=r"empty is neither a run \(run.toml\) nor an encoder"):
        lenskit.load(tmp_path / "empty")
    (tmp_path / "empty" / "config.json").write_text('{"architecture": "resnet18"}')
    with pytest.raises(UsageError, match="neither a run"):
        lenskit.load(tmp_path / "empty")
    with pytest.raises(UsageError, match="open a.onnx with onnxruntime"):
        lenskit.load("a.onnx")


def test_embedding_lenses_is_as_lenskit_embed_does(run: Run, request: pytest.FixtureRequest) -> None:
    verb: Verb = request.getfixturevalue("lenskit")
    assert verb("embed", run.path, "--lenses", 20, "-o", "features.npz").status == 0
    stored = np.load("features.npz")
    features, parameters = run.embed(20, device="cpu", batch_size=7)
    assert features.shape == (20, 16)
    np.testing.assert_allclose(features, stored["features"], atol=1e-6)
    assert parameters.keys() == {"width", "x"}
    np.testing.assert_allclose(parameters["width"], stored["width"])


def test_embedding_takes_arrays_tensors_and_stored_images(run: Run) -> None:
    drawn = SimulatedLenses(run.simulator(), seed=0, split="embed").read(range(5)).images
    wanted, _ = run.embed(5, device="cpu")
    swapped = drawn.numpy().astype(">f8")  # as FITS files hold them
    for images in (drawn, drawn.double(), drawn.numpy(), swapped, drawn.tolist()):
        features, parameters = run.embed(images, device="cpu")
        np.testing.assert_allclose(features, wanted, atol=1e-6)
        assert parameters == {}
    assert run.embed(np.zeros((0, 1, 12, 12)))[0].shape == (0, 16)


def test_embedding_a_store_gives_its_parameters(run: Run, request: pytest.FixtureRequest) -> None:
    verb: Verb = request.getfixturevalue("lenskit")
    assert verb("simulate", "--recipe", "toys", "--lenses", 6, "--workers", 1, "--out", "a.zarr").status == 0
    features, parameters = run.embed("a.zarr")
    live, drawn = run.embed(6, split="train")
    np.testing.assert_allclose(features, live, atol=1e-5)
    np.testing.assert_allclose(parameters["width"], drawn["width"], rtol=1e-6)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((3, 16, 16)), r"takes images \(n, 1 x 12 x 12\), got 3 x 16 x 16"),
        (np.zeros((3, 1, 20, 20)), "got 3 x 1 x 20 x 20"),
        (torch.zeros(1, 16, 16), "got 1 x 16 x 16"),
        (1.5, "got one number"),
        ([["a"]], "got an object that is not an array of real numbers"),
        (0, "the number of lenses must be 1 or more, got 0"),
        ("nowhere", "there are no data at nowhere"),
    ],
)
def test_images_that_do_not_fit_are_one_line(run: Run, images: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        run.embed(images)
    assert "\n" not in str(caught.value)


def test_pixels_that_are_not_finite_are_one_line(run: Run) -> None:
    images = np.ones((3, 1, 12, 12))
    images[1, 0, 2, 3] = np.nan
    with pytest.raises(LenskitError, match="1 of 3 images hold NaN"):
        run.embed(images)


def test_a_device_that_is_not_there_is_one_line(run: Run) -> None:
    for device in ("gpu", "cuda:99"):
        with pytest.raises(UsageError, match=f"there is no device '{device}' here") as caught:
            run.embed(4, device=device)
        assert "\n" not in str(caught.value)


def test_metrics_are_columns(run: Run) -> None:
    lines = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    assert run.metrics["loss"] == [line["loss"] for line in lines]
    assert run.metrics["batches"][-1] == lines[-1]["batches"]
    with (run.path / "metrics.jsonl").open("a") as file:
        file.write('{"batches": 99, "probe": 0.5}\n{"batches": 100, "lo')  # which is just being written
    assert run.metrics["probe"] == [None] * len(lines) + [0.5]
    assert run.metrics["loss"][-1] is None
    (run.path / "metrics.jsonl").unlink()
    assert run.metrics == {}


@pytest.mark.slow
def test_a_run_on_stored_images_is_evaluated_on_them(
    request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> None:
    verb: Verb = request.getfixturevalue("lenskit")
    small = ("--backbone", "tiny", "--epochs", 1, "--batch-size", 16, "--out", "a")
    assert verb("simulate", "--simulator", "blobs", "--lenses", 64, "--out", "lenses.zarr").status == 0
    assert verb("train", "--data", "lenses.zarr", *small).status == 0
    assert "next: lenskit probe a --data" in caplog.text
    for words in (("probe", "a"), ("embed", "a", "-o", "a.npz"), ("neighbours", "a", "lenses.zarr", "-k", 1)):
        caplog.clear()
        done = verb(*words)
        assert done.status == 0, done.err
        assert "evaluating on the images of the training: --" in caplog.text
    told = verb("probe", "a", "--set", "width=2", "--overwrite")
    assert (told.status, "pass --data PATH or --simulator NAME" in told.err) == (2, True)


@pytest.mark.slow
def test_images_without_labels_get_no_hint(request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture) -> None:
    verb: Verb = request.getfixturevalue("lenskit")
    Path("images").mkdir()
    for number in range(20):
        pixels = np.random.default_rng(number).integers(0, 255, (16, 16), np.uint8)
        Image.fromarray(pixels).save(f"images/{number}.png")
    small = ("--backbone", "tiny", "--epochs", 1, "--batch-size", 8, "--out", "a")
    trained = verb("train", "--data", "image-folder:images", "--pairs", "default", *small)
    assert trained.status == 0, trained.err
    assert "the encoder is in a" in caplog.text
    assert "next:" not in caplog.text
    assert "has no labels: there is nothing to probe" in verb("probe", "a").err
