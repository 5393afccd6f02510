"""Named encoders in place of runs."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import lenskit
import lenskit_toys
from lenskit.download import digest_of
from lenskit.encoder import Encoder
from lenskit.encoders.encoder_run import open_run
from lenskit.errors import LenskitError, UsageError

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


def test_a_path_wins_and_that_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    shutil.copytree(FOLDER, tmp_path / "dotty")
    assert open_run("dotty").key == tmp_path / "dotty"
    assert "dotty is both a path and the name of an encoder" in caplog.text
    assert "For the encoder, type dotty@lenskit-ssl-toys" in caplog.text
    assert open_run("dotty@lenskit-ssl-toys").key == FOLDER
    shutil.rmtree(tmp_path / "dotty")
    (tmp_path / "dotty").mkdir()
    with pytest.raises(UsageError, match=r"dotty is no run directory: it has no run\.toml"):
        open_run("dotty")


def test_an_unknown_name_is_one_line_with_near_ones() -> None:
    with pytest.raises(UsageError, match=r"no run directory dottie, and no encoder .* \(did you mean dotty\?\); "):
        open_run("dottie")
    with pytest.raises(UsageError, match=r"nothing at dottie, and no encoder has that name \(did you mean dotty\?\)"):
        lenskit.load("dottie")
    with pytest.raises(UsageError, match="there is no run directory runs/a$"):
        open_run("runs/a")
    with pytest.raises(UsageError, match="unknown encoder 'dotty@nobody'"):
        open_run("dotty@nobody")
    with pytest.raises(UsageError, match="needs an argument after a colon: timm:MODEL"):
        open_run("timm")


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
        "torn": "encoder 'torn' of lenskit-ssl-acme: .* has the digest .*, but its plugin states",
        "bare": r"has no digest of encoder\.json",
        "lost": r"holds no encoder: encoder\.json is missing",
        "away": "no_such_package",
    }.items():
        with pytest.raises(LenskitError, match=complaint):
            open_run(name)
        assert "\n" not in lenskit("embed", name, "--lenses", 2).complaint(1)
