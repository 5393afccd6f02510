"""Identities, which stay when things are moved, and differ where content differs."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import lenskit_toys
from lenskit import api
from lenskit.embeddings import Embeddings
from lenskit.encoders.encoder_run import open_run
from lenskit.identity import digest
from lenskit.run import Run

ENCODER = Path(lenskit_toys.__file__).parent / "encoders" / "dotty"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "a"
    return api.train("toys", out=out, accelerator="cpu", progress=False).path


def test_a_run_keeps_its_identity(trained: Path, tmp_path: Path) -> None:
    run = Run(shutil.copytree(trained, tmp_path / "b"))
    assert run.id == Run(trained).id == json.loads((trained / "provenance.json").read_text())["id"]
    api.resume(run.path, progress=False)
    assert run.id == Run(trained).id
    Run.create(run.path, run.config, overwrite=True)
    assert run.id != Run(trained).id


def test_the_best_encoder_has_an_identity_of_its_own(trained: Path, tmp_path: Path) -> None:
    run = Run(shutil.copytree(trained, tmp_path / "b"))
    (run.path / "best").mkdir(exist_ok=True)
    assert Run(run.path / "best").id == f"{run.id}-best"


@pytest.mark.parametrize("origin", ['{"command": [], "packages": {}, "plugins": {}}', '{"id": "mine"}', "{", "[]"])
def test_an_older_run_is_known_by_the_digest_of_its_provenance(trained: Path, tmp_path: Path, origin: str) -> None:
    run = Run(shutil.copytree(trained, tmp_path / "b"))
    (run.path / "provenance.json").write_text(origin)
    assert run.id == hashlib.sha256(origin.encode()).hexdigest()[:32]


def test_an_encoder_is_known_by_its_weights(tmp_path: Path) -> None:
    found = open_run(ENCODER).id
    copy = shutil.copytree(ENCODER, tmp_path / "other")
    card = json.loads((copy / "encoder.json").read_text())
    (copy / "encoder.json").write_text(json.dumps(card | {"summary": "another text"}))
    assert open_run(copy).id == found
    weights = (copy / "model.safetensors").read_bytes()
    (copy / "model.safetensors").write_bytes(weights[:-1] + bytes([weights[-1] ^ 1]))
    assert open_run(copy).id != found


def test_embeddings_are_known_by_their_content(tmp_path: Path) -> None:
    def made(shift: float = 0, run: str = "a", width: float = 1) -> Embeddings:
        features = np.arange(12, dtype=np.float32).reshape(6, 2) + shift
        return Embeddings(features, {"width": np.full(6, width)}, about={"run": run}, path=tmp_path / "a.npz")

    one = made()
    one.save(one.path)
    assert Embeddings.load(one.path.rename(tmp_path / "b.npz")).id == one.id
    assert len({each.id for each in (one, made(1), made(run="b"), made(width=2))}) == 4


def test_the_order_of_keys_does_not_matter() -> None:
    assert digest({"a": 1, "b": [2]}) == digest({"b": [2], "a": 1}) != digest({"a": 1, "b": [3]})
    assert digest({3: (1, 2.5), "a": None}) == digest({"a": None, "3": [1, 2.5]})
