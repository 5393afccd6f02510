"""Errors before a run, its files, and one run in two processes."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from astropy.io import fits

from lenskit.errors import LenskitError, UsageError
from lenskit.run import Run
from lenskit.training.resume import resume
from lenskit.training.runner import Job, train


def stored(tmp_path: Path, n: int = 20) -> dict:
    """Return a section `data` with a number of FITS images."""
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(n):
        fits.writeto(folder / f"{number}.fits", np.random.default_rng(number).normal(size=(16, 16)).astype("f4"))
    return {"name": "fits-folder", "path": str(folder)}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"pairs": {"name": "single"}},
            "method 'restless@lenskit-ssl-toys' takes 2 view(s) of each lens, pairs 'single' make 1",
        ),
        (
            {"train": {"lenses": 7}},
            "7 lenses per epoch are fewer than a batch of 8: use --batch-size 7 or less",
        ),
    ],
)
def test_checks_everything_before_it_writes(changes: dict, message: str, toys, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        train(toys(**changes), tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


def test_stored_images_make_no_lens_fixed_pairs(toys, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"the pairs need 2 images of each lens, but the data hold 1"):
        train(toys(data=stored(tmp_path)), tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_an_epoch_of_stored_images_is_all_of_them(toys, tmp_path: Path) -> None:
    config = toys(data=stored(tmp_path, 20), pairs={"name": "default"}, train={"lenses": None})
    run = train(config, tmp_path / "run", progress=False)
    assert run.finished
    assert json.loads((run.path / "encoder" / "encoder.json").read_text())["trained"] == {"batches": 6, "of": 6}


@pytest.mark.slow
def test_the_encoder_knows_the_size_of_the_pixels_that_it_was_trained_on(
    toys, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = stored(tmp_path, 8)
    choices = {"pairs": {"name": "default"}, "train": {"lenses": 8, "epochs": 1}}
    assert "pixel_scale" not in Job(toys(data=data, **choices)).encoder.card
    inputs = {"input": {"stretch": "zscale", "normalise": "standard"}}
    config = toys(data=data | {"pixel_scale": 0.1}, **choices, **inputs)
    run = train(config, tmp_path / "run", progress=False)
    assert run.encoder().pixel_scale == 0.1
    assert (run.encoder().preprocess.stretch, run.encoder().preprocess.normalise) == ("zscale", "standard")
    run.embed(f"fits-folder:{data['path']}?pixel_scale=0.1")
    assert "pixels of" not in caplog.text
    run.embed(f"fits-folder:{data['path']}?pixel_scale=0.2")
    assert 'the images have pixels of 0.2", but the encoder was trained on pixels of 0.1"' in caplog.text


def test_initial_weights_follow_from_the_seed_alone(toys) -> None:
    """They do not depend on earlier random draws or on the images."""

    def weights(**changes: dict) -> list[torch.Tensor]:
        torch.rand(7)
        return list(Job(toys(**changes)).method.state_dict().values())

    reference = weights()
    assert all(map(torch.equal, weights(pairs={"name": "default"}), reference))
    assert not all(map(torch.equal, weights(train={"seed": 1}), reference))


@pytest.mark.slow
def test_replaces_a_run_only_when_told(toys, tmp_path: Path) -> None:
    run = train(toys(train={"epochs": 1}), tmp_path / "run", progress=False)
    (run.path / "evaluations" / "probe").mkdir(parents=True)
    with pytest.raises(UsageError, match="exists: choose a different --out, resume it with --resume"):
        train(toys(train={"epochs": 2}), run.path, progress=False)
    assert run.checkpoint.is_file()
    again = train(toys(train={"epochs": 2}), run.path, overwrite=True, progress=False)
    assert again.encoder().card["trained"]["of"] == 16
    assert not (run.path / "evaluations").exists()


def test_the_log_says_what_happened(toys, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "lenskit")
    levels = {name: logging.getLogger(name).level for name in ("pytorch_lightning", "lightning_fabric")}
    with pytest.raises(LenskitError) as caught:
        train(toys(method={"name": "exploding"}), tmp_path / "run", progress=False)
    text = (tmp_path / "run" / "train.log").read_text()
    assert f"INFO {tmp_path / 'run'}: 3 epochs of 8 batches of 8 lenses" in text
    assert f"ERROR LenskitError: {caught.value}" in text
    # and the state is restored
    assert logging.getLogger("lenskit").handlers == []
    assert {name: logging.getLogger(name).level for name in levels} == levels


@pytest.mark.slow
def test_trains_outside_the_main_thread(toys, tmp_path: Path) -> None:
    """Signals cannot be handled there."""
    runs: list[Run] = []
    config = toys(train={"epochs": 1})
    thread = threading.Thread(target=lambda: runs.append(train(config, tmp_path / "run", progress=False)))
    thread.start()
    thread.join()
    assert runs[0].finished


# --- Checkpoints and encoders that are damaged ---


@pytest.mark.parametrize("sealed", [True, False], ids=["with a checksum", "of before"])
def test_a_bit_that_changed_in_a_checkpoint_is_found(sealed: bool, toys, tmp_path: Path) -> None:
    run = train(toys(train={"epochs": 1}), tmp_path / "run", progress=False)
    if not sealed:
        torch.save(torch.load(run.checkpoint, weights_only=False), run.checkpoint)
    content = run.checkpoint.read_bytes()
    weight = torch.load(run.checkpoint, weights_only=True)["state_dict"]["backbone.body.0.weight"]
    at = content.index(weight.numpy().tobytes())
    for place in range(at, at + weight.nbytes, 41):
        changed = bytearray(content)
        changed[place] ^= 1 << place % 8
        run.checkpoint.write_bytes(changed)
        with pytest.raises(
            LenskitError, match="checksum.*; restore it from a copy, or train again: lenskit train --config"
        ):
            resume(run.path, progress=False)


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{}, {"ema": 0.9}, {"precision": "64-true"}])
def test_a_finished_run_mends_its_encoder(changes: dict, toys, tmp_path: Path) -> None:
    run = train(toys(train={"epochs": 1, **changes}), tmp_path / "run", progress=False)
    folder = run.path / "encoder"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    content = bytearray(before["model.safetensors"])
    content[-5] ^= 4
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(LenskitError, match=f"make it again: lenskit train --resume {run.path}"):
        run.encoder()
    resume(run.path, progress=False)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    (folder / "encoder.json").write_text("{")
    resume(run.path, progress=False)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


# --- Several processes ---


TORCHRUN = ["torch.distributed.run", "--nproc-per-node=2", "--standalone", "-m"]


@pytest.mark.slow
def test_two_processes_are_one(toys, tmp_path: Path) -> None:
    """Without batch norm, dropout and noise, the weights equal those of one process.

    The command has no --out, so the processes have to agree on a run directory.
    """
    config = toys(
        train={"precision": "64-true", "epochs": 2},
        method={"name": "restless", "noise": 0.0, "spread": 0.0},
        backbone={"name": "tiny", "dropout": 0.0, "norm": False},
    )
    whole = train(config, tmp_path / "whole", progress=False)
    Path("run.toml").write_text(config.to_toml())
    command = [sys.executable, "-m", *TORCHRUN, "lenskit.cli", "train", "--config", "run.toml", "--devices", "2"]
    answer = subprocess.run(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    assert [path.name for path in Path("runs").iterdir()] == ["restless-lens-fixed"]
    run = Run(Path("runs", "restless-lens-fixed"))
    assert run.finished
    ours, theirs = (torch.load(r.checkpoint, weights_only=True)["state_dict"] for r in (run, whole))
    for name, value in theirs.items():
        torch.testing.assert_close(ours[name], value, rtol=1e-10, atol=1e-12)
    # Only the first process logs.
    assert answer.stderr.count("2 epochs of 8 batches of 8 lenses") == 1
    assert answer.stderr.count("the encoder is in") == 1
    assert (run.path / "metrics.jsonl").read_text().count("\n") == 2
