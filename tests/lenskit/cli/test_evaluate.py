"""Evaluations as verbs: `lenskit evaluate NAME RUN` and `lenskit NAME RUN`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lenskit as api
from lenskit.registry import registry

Lenskit = Callable[..., Any]
FEW = ("--lenses", "20", "--test-lenses", "10")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("evaluate") / "blobs"
    return api.train("toys", out=out, accelerator="cpu", progress=False).path


@pytest.fixture
def run(trained: Path) -> Path:
    """Return a run directory `blobs` in the working directory."""
    return Path(shutil.copytree(trained, "blobs"))


def found(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "crowding" / "results.json").read_text())


@pytest.mark.parametrize(
    "command",
    [
        ["evaluate", "crowding", "blobs"],
        ["evaluate", "crowding", "--from", "blobs"],
        ["crowding", "blobs"],
        ["crowding", "--from", "blobs"],
        ["crowding@lenskit-ssl-toys", "blobs"],
    ],
)
def test_every_way_to_ask_is_the_same(command: list[str], run: Path, lenskit: Lenskit) -> None:
    outcome = lenskit(*command, *FEW, "--seed", "3")
    assert outcome.status == 0
    assert "Mean distance from the mean of the features" in " ".join(outcome.out.split())
    (asked,) = found(run / "evaluations")["runs"].values()
    said = api.evaluate("crowding", run, lenses=20, test_lenses=10, seed=3)
    assert said == {"blobs": asked["distance"]}


def test_runs_are_told_apart(run: Path, lenskit: Lenskit) -> None:
    for other in ("b", "c/blobs"):
        shutil.copytree(run, other)
    assert lenskit("crowding", "blobs", "b", "--from", "c/blobs", *FEW).status == 0
    figures = found(Path("b/evaluations"))["runs"]
    assert list(figures) == ["blobs", "b", "c/blobs"]
    assert figures == found(Path("c/blobs/evaluations"))["runs"]
    assert figures["b"] == figures["blobs"]


def test_embeddings_in_place_of_a_run(run: Path, lenskit: Lenskit) -> None:
    assert lenskit("embed", run, "--lenses", 40, "--no-projection", "-o", "mine.zarr").status == 0
    assert list(api.Embeddings.load("mine.zarr").representations) == ["backbone"]
    assert lenskit("evaluate", "crowding", "mine.zarr", "--scale", 2).status == 0
    figures = found(Path("mine.zarr-evaluations"))["runs"]["mine"]
    assert figures["n"] == 10  # held-out lenses are a quarter of all
    assert lenskit("crowding", "mine.zarr", "blobs", *FEW).status == 0
    assert list(found(Path("blobs/evaluations"))["runs"]) == ["mine", "blobs"]


def test_help_names_all_of_them(lenskit: Lenskit) -> None:
    outcome = lenskit("evaluate", "--help")
    assert (outcome.status, outcome.err) == (0, "")
    names = [record.name for record in registry().of_kind("evaluation")]
    assert {"crowding", "embed"} <= set(names)
    for name in names:
        assert f"\n  {name} " in outcome.out
    assert lenskit("evaluate", "crowding", "--help").out.startswith("Usage: lenskit evaluate crowding [OPTIONS] RUN...")
    own = lenskit("crowding", "--help").out
    assert "--scale FLOAT > 0" in own
    assert "--test-lenses" in own  # an option of the base class


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["evaluate", "crowdign", "blobs"], "there is no evaluation 'crowdign' (did you mean crowding?)"),
        (["evaluate", "crowding"], "crowding needs a run"),
        (["crowding"], "crowding needs a run"),
        (["crowding", "nowhere"], "there is no run directory nowhere"),
        (["crowding", "nowhere.npz"], "there are no embeddings at nowhere.npz"),
        (["crowding", "images.zarr"], "images.zarr holds no embeddings: it has no column `features`, but images"),
        (["embed", "mine.npz"], "embed takes runs, and mine.npz holds embeddings"),
        (["evaluate", "embed", "blobs", "mine.npz"], "embed takes runs, and mine.npz holds embeddings"),
        (["note", "mine.npz", "a.fits", "-o", "b"], "note takes runs, and mine.npz holds embeddings"),
        (["crowding", "blobs", "--scale", "0"], "evaluation 'crowding': option scale takes float > 0, got '0'"),
        (["crowding", "mine.npz"], "1 lenses cannot be split into training lenses and held-out lenses"),
    ],
)
def test_wrong_usage_is_one_line(arguments: list[str], message: str, run: Path, lenskit: Lenskit) -> None:
    np.savez("mine.npz", features=np.zeros((2, 3)), lens=[0, 0])
    if "images.zarr" in arguments:
        zarr = pytest.importorskip("zarr")
        zarr.create_group("images.zarr").create_array("images", shape=(2, 8, 8), chunks=(2, 8, 8), dtype="f4")
    outcome = lenskit(*arguments)
    assert message in outcome.complaint(status=outcome.status)
    assert outcome.status in (1, 2)
    assert not (run / "evaluations").exists()


def test_from_python(run: Path) -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(400, 8)) + 5
    embeddings = api.Embeddings(features, {"theta_E": np.arange(400.0)}, path="in-memory.npz")
    (distance,) = api.evaluate("crowding", embeddings).values()
    # The mean of a chi distribution of 8 degrees of freedom is sqrt(2) gamma(9/2) / gamma(4) = 2.742.
    assert distance == pytest.approx(2.742, rel=0.05)
    assert found(Path("in-memory.npz-evaluations"))["settings"]["scale"] == 1.0
    both = api.evaluate("crowding", [embeddings, api.load(run)], lenses=20, test_lenses=10)
    assert list(both) == ["in-memory", "blobs"]

    with pytest.raises(api.UsageError, match="crowding needs a run"):
        api.evaluate("crowding", [])
    with pytest.raises(api.UsageError, match="no option 'scael': did you mean scale"):
        api.evaluate("crowding", run, scael=2)
    with pytest.raises(api.UsageError, match="embed takes runs, and in-memory.npz holds embeddings"):
        api.evaluate("embed", embeddings)
    with pytest.raises(api.LenskitError, match="crowdign"):
        api.evaluate("crowdign", run)


FREE_NOTE = """
@hookimpl
def lenskit_evaluations():
    return [Component("free-note", "acme_note:FreeNote", "A note without runs")]
"""
WITHOUT_RUNS = """
from lenskit_toys.note import Note

class FreeNote(Note):
    without_runs = True
"""


def test_an_evaluation_says_whether_it_needs_a_run(
    install: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(api.UsageError, match="note needs a run"):
        api.evaluate("note", [], ["a.fits"], output="b")
    install("acme", FREE_NOTE, acme_note=WITHOUT_RUNS)
    api.evaluate("free-note", [], ["a.fits"], output="b")
    said = json.loads(capsys.readouterr().out)
    assert (said["runs"], said["inputs"]) == ([], ["a.fits"])
