"""Encoders by name, wherever a run is taken."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import lenskit
import lenskit_toys
from lenskit.download import digest_of
from lenskit.encoder import Encoder
from lenskit.encoders.encoder_run import EncoderRun, open_run
from lenskit.errors import LenskitError, UsageError
from lenskit.evaluation import Run

FOLDER = Path(lenskit_toys.__file__).parent / "encoders" / "dotty"

HOOKS = """
@hookimpl
def lenskit_encoders():
    return [{components}]
"""


def images(count: int = 3) -> torch.Tensor:
    return torch.rand(count, 1, 16, 16, generator=torch.Generator().manual_seed(0))


def test_a_name_opens_what_its_folder_holds() -> None:
    by_name, by_path = lenskit.load("dotty"), lenskit.load(FOLDER)
    assert isinstance(by_name, Encoder)
    with torch.inference_mode():
        torch.testing.assert_close(by_name(images()), by_path(images()), rtol=0, atol=0)
    estimator = lenskit.LensEncoder("dotty", device="cpu").fit()
    np.testing.assert_allclose(estimator.transform(images()), by_path.embed(images()), rtol=1e-6)


def test_a_name_is_taken_as_a_run_and_so_is_a_folder(tmp_path: Path) -> None:
    named = "dotty@lenskit-ssl-toys"
    for text, title in (("dotty", named), (str(FOLDER), str(FOLDER)), (named, named)):
        run = open_run(text)
        assert isinstance(run, EncoderRun)
        assert (run.name, run.title, run.key) == ("dotty", title, FOLDER)
        assert run.place("probe") == tmp_path / "dotty-evaluations" / "probe"
        assert run.simulator().image_shape == (1, 16, 16)
        assert run.embed(4)[0].shape == (4, 16)
        assert isinstance(open_run(run.address), EncoderRun)


def test_a_path_wins_and_that_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    shutil.copytree(FOLDER, tmp_path / "dotty")
    assert open_run("dotty").key == tmp_path / "dotty"
    assert "dotty is the path here" in caplog.text
    assert "dotty@lenskit-ssl-toys means the encoder" in caplog.text
    assert open_run("dotty@lenskit-ssl-toys").key == FOLDER
    shutil.rmtree(tmp_path / "dotty")
    (tmp_path / "dotty").mkdir()
    with pytest.raises(UsageError, match=r"dotty is no run directory: it has no run\.toml"):
        open_run("dotty")


def test_an_unknown_name_is_one_line_with_near_ones() -> None:
    with pytest.raises(UsageError, match=r"no run directory dottie, and no encoder .* \(did you mean dotty\?\); "):
        open_run("dottie")
    with pytest.raises(UsageError, match=r"nothing at dottie, and no encoder is called that \(did you mean dotty\?\)"):
        lenskit.load("dottie")
    with pytest.raises(UsageError, match="there is no run directory runs/a$"):
        open_run("runs/a")
    with pytest.raises(UsageError, match="no encoder is called 'dotty@nobody'"):
        open_run("dotty@nobody")
    with pytest.raises(UsageError, match="needs a part behind a colon: timm:MODEL"):
        open_run("timm")


def test_what_only_a_run_has_is_refused_in_one_line() -> None:
    run = open_run("dotty")
    with pytest.raises(
        LenskitError, match="dotty@lenskit-ssl-toys is an encoder without the method that trained it: give a run"
    ):
        run.method()
    with pytest.raises(UsageError, match="an encoder has no configuration, so it has no section 'pairs': give a run"):
        run.config.build("pairs")
    lite = open_run("efficientnet-lite0")
    with pytest.raises(UsageError, match="efficientnet-lite0 does not say .*: say --simulator or --data"):
        lite.simulator()


def test_an_encoder_of_an_address(tmp_path: Path, install, monkeypatch: pytest.MonkeyPatch, lenskit) -> None:
    monkeypatch.setenv("LENSKIT_CACHE", str(tmp_path / "cache"))
    digests = {path.name: digest_of(path) for path in FOLDER.iterdir()}
    address = FOLDER.as_uri()
    component = f"Component('far', {address!r}, 'Far away', digests={digests!r})"
    install("acme", HOOKS.format(components=component))
    told = lenskit("info", "far")
    assert "trained on: lenses of simulator blobs" in told.out
    assert [path.name for path in tmp_path.glob("cache/encoders/*/*")] == ["encoder.json"]
    run = open_run("far")
    assert run.name == "far"
    assert run.head is not None
    with torch.inference_mode():
        torch.testing.assert_close(run.encoder()(images()), Encoder.load(FOLDER)(images()), rtol=0, atol=0)


def test_what_cannot_be_had_is_one_line(tmp_path: Path, install, lenskit) -> None:
    digests = {path.name: digest_of(path) for path in FOLDER.iterdir()} | {"model.safetensors": "0" * 64}
    components = [
        f"Component('torn', {FOLDER.as_uri()!r}, 'Other digest', digests={digests!r})",
        "Component('bare', 'https://127.0.0.1/a', 'No digest')",
        "Component('lost', 'lenskit_toys:encoders/nothing', 'No folder')",
        "Component('away', 'no_such_package:encoders/nothing', 'No package')",
    ]
    install("acme", HOOKS.format(components=", ".join(components)))
    for name, complaint in {
        "torn": "encoder 'torn' of lenskit-ssl-acme: .* has another digest",
        "bare": r"has no digest of encoder\.json",
        "lost": r"holds no encoder: encoder\.json is missing",
        "away": "no_such_package",
    }.items():
        with pytest.raises(LenskitError, match=complaint):
            open_run(name)
        assert "\n" not in lenskit("embed", name, "--lenses", 2).complaint(1)


def test_the_command_line_lists_and_explains(lenskit) -> None:
    assert "dotty" in lenskit("list", "encoders").out
    told = lenskit("info", "dotty").out
    for line in (
        "dotty (encoder): Widths of Gaussian blobs",
        "network: tiny (dropout 0.1, norm True), 16 features",
        "trained on: lenses of simulator blobs (method restless, pairs default, 16 of 16 batches)",
        "images: 1 x 16 x 16 (channels, height, width); stretch asinh",
        "licence: CC0-1.0",
        "use it in place of a run: lenskit predict dotty IMAGES; in Python lenskit.load('dotty')",
    ):
        assert line in told
    assert "predicts: width [arcsec], +-" in told
    assert "result: width [arcsec], 100 lenses of simulator blobs: R2 0.9" in told


def test_results_go_to_the_working_folder_or_where_output_says(tmp_path: Path, lenskit) -> None:
    few = ("--lenses", 20, "--test-lenses", 20)
    assert lenskit("crowding", "dotty", *few).status == 0
    assert (tmp_path / "dotty-evaluations" / "crowding" / "results.json").is_file()
    assert lenskit("crowding", "dotty", FOLDER, *few).complaint().endswith("dotty is given twice: leave one out")
    assert lenskit("crowding", "dotty", *few, "--output", "mine").status == 0
    assert (tmp_path / "mine" / "results.json").is_file()
    assert sorted(path.name for path in FOLDER.iterdir()) == ["encoder.json", "head.safetensors", "model.safetensors"]


def test_a_run_is_still_a_run(tmp_path: Path) -> None:
    run = lenskit.train("toys", out=tmp_path / "dotted", set={"train.epochs": 1}, progress=False)
    opened = open_run(str(run.path))
    assert type(opened) is Run
    assert opened.head is None
    assert Path(opened.address) == run.path.resolve()
    shutil.copytree(run.path / "encoder", run.path / "best")
    best = open_run(str(run.path / "best"))
    assert type(best) is Run
    assert best.best
    assert open_run(best.address).key == best.key


def test_half_precision_is_read_as_float32(tmp_path: Path) -> None:
    encoder = Encoder.load(FOLDER)
    encoder.save(tmp_path / "whole")
    encoder.save(tmp_path / "half", half=True)
    weights = [Encoder.load(tmp_path / name).backbone.state_dict() for name in ("whole", "half")]
    for whole, half in zip(*(each.values() for each in weights), strict=True):
        assert half.dtype == whole.dtype
        # The shipped weights were rounded before.
        torch.testing.assert_close(half, whole, rtol=0, atol=0)
    sizes = [(tmp_path / name / "model.safetensors").stat().st_size for name in ("whole", "half")]
    assert sizes[1] < sizes[0]


def test_a_card_of_images_of_any_shape(tmp_path: Path) -> None:
    card = {
        "format": 1,
        "backbone": {"name": "tiny"},
        "input": {"stretch": "linear", "size": 12, "channels": 2},
        "image_shape": None,
    }
    encoder = Encoder.untrained(card, seed=0).eval()
    with torch.inference_mode():
        assert encoder(torch.rand(2, 1, 20, 30)).shape == (2, 16)
        assert encoder(torch.rand(2, 2, 12, 12)).shape == (2, 16)
        with pytest.raises(UsageError, match=r"input.channels=2 needs images with one channel, .* these have 3"):
            encoder(torch.rand(2, 3, 12, 12))
        with pytest.raises(UsageError, match="takes images .*n, channels x height x width.*, got 2 x 3"):
            encoder.check_shape((2, 3))
    encoder.save(tmp_path / "any")
    assert Encoder.load(tmp_path / "any").image_shape is None
    with pytest.raises(UsageError, match="takes images of any shape cannot be exported"):
        encoder.fixed_shape  # noqa: B018
    card["input"] = {"stretch": "linear", "size": 12}
    (tmp_path / "any" / "encoder.json").write_text(json.dumps(card))
    with pytest.raises(LenskitError, match=r"images of any shape need input.size and input.channels"):
        Encoder.load(tmp_path / "any")
