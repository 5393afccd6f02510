"""Output folders of results; no file of others is lost."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lenskit import api
from lenskit.errors import UsageError
from lenskit.registry import registry
from lenskit.run import Run

FEW = ("--lenses", 20, "--test-lenses", 10)
WRITTEN = ["results.json", "table.csv", "table.md"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("results") / "blobs"
    return api.train("toys", out=out, accelerator="cpu", progress=False).path


@pytest.fixture
def run(trained: Path) -> Path:
    """A run in the current folder, of the name `blobs`."""
    return Path(shutil.copytree(trained, "blobs"))


def names(folder: str | Path) -> list[str]:
    return sorted(os.listdir(folder))


def tree(folder: str | Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(Path(folder).rglob("*")) if path.is_file()}


def test_every_evaluation_takes_a_folder_and_overwrite(lenskit: Callable[..., Any]) -> None:
    for record in registry().of_kind("evaluation"):
        text = lenskit(record.name, "--help").out
        assert "--output" in text, record.name
        assert "--overwrite" in text, record.name


def test_results_go_where_they_are_wanted_and_are_replaced_there(run: Path, lenskit: Callable[..., Any]) -> None:
    for _ in range(2):
        assert lenskit("crowding", run, *FEW, "--output", "new/out").status == 0
        assert names("new/out") == WRITTEN
    assert not (run / "evaluations").exists()
    told = json.loads(Path("new/out/results.json").read_text())
    assert (told["evaluation"], told["files"]) == ("crowding", WRITTEN)


def test_of_several_runs_what_they_share_is_written_once(run: Path, lenskit: Callable[..., Any]) -> None:
    shutil.copytree(run, "other/blobs")
    assert lenskit("crowding", run, "other/blobs", *FEW, "--output", "out").status == 0
    assert sorted(tree("out")) == [f"out/{name}" for name in WRITTEN]
    assert names("out") == ["blobs", "blobs-2", *WRITTEN]


@pytest.mark.parametrize("name", WRITTEN)
def test_a_file_of_an_outputs_name_stops_before_the_work(name: str, run: Path, lenskit: Callable[..., Any]) -> None:
    for folder, flags in ((run / "evaluations" / "probe", ()), (Path("mine"), ("--output", "mine"))):
        folder.mkdir(parents=True)
        (folder / name).write_text('{"pictures": ["notes.txt"], "table": "mine"}')
        (folder / "notes.txt").write_text("stay")
        before = tree(folder)
        complaint = lenskit("probe", run, *FEW, *flags).complaint()
        assert f"{folder} holds {name}, which probe did not write: move your files" in complaint
        assert tree(folder) == before


@pytest.mark.parametrize("name", WRITTEN)
def test_a_folder_of_an_outputs_name_is_never_replaced(name: str, run: Path, lenskit: Callable[..., Any]) -> None:
    Path("mine", name).mkdir(parents=True)
    complaint = f"mine/{name} is a folder, where a file would go: move it, or choose another --output"
    for evaluation in ("crowding", "probe"):
        told = lenskit(evaluation, run, *FEW, "--output", "mine", "--overwrite").complaint()
        assert told == complaint
    assert names("mine") == [name]


def test_a_file_of_an_outputs_name_is_replaced_only_when_asked(run: Path, lenskit: Callable[..., Any]) -> None:
    Path("mine").mkdir()
    Path("mine/results.json").write_text('{"pictures": ["notes.txt"], "files": ["notes.txt"]}')
    Path("mine/notes.txt").write_text("stay")
    assert lenskit("crowding", run, *FEW, "--output", "mine", "--overwrite").status == 0
    assert Path("mine/notes.txt").read_text() == "stay"
    assert lenskit("crowding", run, *FEW, "--output", "mine").status == 0


def outcome(folder: str | Path) -> dict[str, Any]:
    return dict(json.loads((Path(folder) / "results.json").read_text()))


@pytest.mark.slow
def test_an_outcome_of_other_settings_goes_beside(
    run: Path, lenskit: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    others = (), ("--seed", 1), ("--scale", 2), ("--seed", 1), (), ("--set", "width=uniform(1, 2)")
    for flags in others:
        assert lenskit("crowding", run, *FEW, *flags).status == 0
    assert names(run / "evaluations") == ["crowding", "crowding-2", "crowding-3", "crowding-4"]
    found = [outcome(run / "evaluations" / name) for name in names(run / "evaluations")]
    assert [each["settings"]["seed"] for each in found] == [0, 1, 0, 0]
    assert len({each["id"] for each in found}) == 4
    assert f"{run}/evaluations/crowding has different settings, data or runs and is kept: " in caplog.text
    assert lenskit("crowding", run, *FEW, "--seed", 1, "--overwrite").status == 0
    assert outcome(run / "evaluations" / "crowding")["settings"]["seed"] == 1


def test_an_outcome_of_other_runs_goes_beside(run: Path, lenskit: Callable[..., Any]) -> None:
    shutil.copytree(run, "other")
    Path("other/provenance.json").write_text("{}")
    for runs in ([run], [run, "other"], ["other"], [run]):
        assert lenskit("crowding", *runs, *FEW).status == 0
    for folder in (run, Path("other")):
        assert names(folder / "evaluations") == ["crowding", "crowding-2"]
    alone, together = (outcome(run / "evaluations" / name) for name in ("crowding", "crowding-2"))
    assert alone["subjects"] == {"blobs": Run(run).id}
    assert together["subjects"] == {"blobs": Run(run).id, "other": Run("other").id}
    assert together == outcome("other/evaluations/crowding")


def test_with_output_an_outcome_of_other_settings_is_replaced_only_when_asked(
    run: Path, lenskit: Callable[..., Any]
) -> None:
    assert lenskit("crowding", run, *FEW, "--output", "out").status == 0
    before = tree("out")
    complaint = lenskit("crowding", run, *FEW, "--output", "out", "--seed", 1).complaint()
    assert complaint.startswith("out holds a result of crowding with different settings, data or runs: choose another")
    assert tree("out") == before
    assert lenskit("crowding", run, *FEW, "--output", "out", "--seed", 1, "--overwrite").status == 0


def test_an_outcome_of_an_earlier_version_stays(run: Path, lenskit: Callable[..., Any]) -> None:
    folder = run / "evaluations" / "crowding"
    folder.mkdir(parents=True)
    former = {"title": "R2", "settings": {}, "table": [], "evaluation": "crowding", "files": ["results.json"]}
    (folder / "results.json").write_text(json.dumps(former))
    assert lenskit("crowding", run, *FEW).status == 0
    assert outcome(folder) == former
    assert names(run / "evaluations") == ["crowding", "crowding-2"]


@pytest.mark.slow
def test_predict_keeps_its_probe(run: Path, lenskit: Callable[..., Any]) -> None:
    blobs = ("simulate", "--simulator", "blobs", "--set", "simulator.pixels=12", "--workers", 1, "--lenses", 2)
    assert lenskit(*blobs, "--out", "pairs.zarr").status == 0
    tables = []
    for lenses in (40, 20):
        assert lenskit("probe", run, "--lenses", lenses, "--test-lenses", 20, "--no-mlp", "--seeds", 1).status == 0
        tables.append(lenskit("predict", run, "pairs.zarr").out)
    assert tables[0] == tables[1] != ""
    assert lenskit("predict", run, "pairs.zarr", "--model", "probe-2").out not in ("", tables[0])
    complaint = lenskit("predict", run, "pairs.zarr", "--model", "probe-3").complaint()
    assert complaint == f"{run} has no probe-3; it has probe, probe-2"


def test_the_same_data_in_another_spelling_are_the_same(run: Path, lenskit: Callable[..., Any]) -> None:
    blobs = ("simulate", "--simulator", "blobs", "--set", "simulator.pixels=12", "--workers", 1, "--lenses", 40)
    assert lenskit(*blobs, "--out", "pairs.zarr").status == 0
    for data in ("pairs.zarr", "./pairs.zarr", "zarr:pairs.zarr", Path("pairs.zarr").resolve()):
        assert lenskit("crowding", run, *FEW, "--data", data).status == 0
    assert names(run / "evaluations") == ["crowding"]


@pytest.mark.slow
def test_features_of_other_settings_stay(run: Path, lenskit: Callable[..., Any]) -> None:
    few = ("embed", run, "--no-projection", "--lenses")
    for lenses in (4, 5, 4):
        assert lenskit(*few, lenses).status == 0
    assert names(run / "evaluations") == ["embed", "embed-2"]
    assert lenskit(*few, 4, "-o", "f.npz").status == 0
    assert lenskit(*few, 4, "-o", "f.npz").status == 0
    before = tree(".")
    complaint = "f.npz exists: choose another --output, or replace it with --overwrite"
    assert lenskit(*few, 5, "-o", "f.npz").complaint() == complaint
    assert tree(".") == before
    assert lenskit(*few, 5, "-o", "f.npz", "--overwrite").status == 0


def test_results_of_another_evaluation_are_left_alone(run: Path, lenskit: Callable[..., Any]) -> None:
    assert lenskit("crowding", run, *FEW, "--output", "out").status == 0
    before = tree("out")
    assert lenskit("probe", run, *FEW, "--output", "out").complaint().startswith("out holds results of crowding: ")
    assert tree("out") == before


def test_where_no_results_can_go(run: Path, lenskit: Callable[..., Any]) -> None:
    Path("file").write_text("mine")
    Path("link").symlink_to("nowhere")
    for output, why in {
        "": "--output must be a folder, got an empty text",
        "file": "file is no folder",
        "file/x": "file is no folder",
        "link": "link is a broken link",
        "blobs": "blobs is a part of the run",
        "blobs/run.toml": "blobs/run.toml is a part of the run",
        "file/../blobs/encoder": "blobs/encoder is a part of the run",
        "blobs/best/x": "blobs/best/x is a part of the run",
    }.items():
        assert why in lenskit("crowding", run, *FEW, "--output", output).complaint()
    assert names(".") == ["blobs", "file", "link"]


def test_inputs_are_never_written_to(run: Path, lenskit: Callable[..., Any]) -> None:
    assert lenskit("embed", run, "--lenses", 40, "--no-projection", "-o", "f.zarr").status == 0
    before = tree("f.zarr")
    Path("same").symlink_to("f.zarr")
    for output, why in (("f.zarr", "is an input"), ("same", "is an input"), ("f.zarr/x", "is in f.zarr, an input")):
        assert f"{output} {why}" in lenskit("crowding", "f.zarr", "--output", output, "--overwrite").complaint()
    Path("scores.csv").write_text("score,label\n1,0\n2,1\n")
    for flags in ((), ("--overwrite",)):
        complaint = lenskit("anomaly", "--scores", "scores.csv", "--output", ".", *flags).complaint()
        assert complaint == "scores.csv is an input of this command: choose another --output"
    assert tree("f.zarr") == before
    assert Path("scores.csv").read_text() == "score,label\n1,0\n2,1\n"


def test_without_a_run_results_go_to_the_working_folder(run: Path, lenskit: Callable[..., Any]) -> None:
    for place in ("a", "b"):
        assert lenskit("embed", run, "--lenses", 40, "--no-projection", "-o", f"{place}/f.npz").status == 0
    for _ in range(2):
        assert lenskit("crowding", "a/f.npz").status == 0
    assert names("a") == ["f.npz"]
    assert names("f.npz-evaluations/crowding") == WRITTEN
    before = tree("f.npz-evaluations")
    for _ in range(2):
        assert lenskit("crowding", "b/f.npz").status == 0
    assert names(".") == ["a", "b", "blobs", "f.npz-2-evaluations", "f.npz-evaluations"]
    assert tree("f.npz-evaluations") == before
    shutil.rmtree("f.npz-evaluations")
    shutil.rmtree("f.npz-2-evaluations")
    assert "the results of two subjects would go to" in lenskit("crowding", "a/f.npz", "b/f.npz").complaint()
    assert lenskit("crowding", "a/f.npz", "b/f.npz", "--output", "out").status == 0


HOOKS = """
@hookimpl
def lenskit_evaluations():
    return [Component("writer", "writing:Writer", "Writes files in its own way")]
"""
WRITER = """
from lenskit.plugin import Evaluation

class Writer(Evaluation):
    '''Writes files.

    Args:
        fail: Whether it fails on the way.
    '''
    def __init__(self, *, fail: bool = False) -> None:
        self.fail = fail

    def __call__(self, runs, inputs=()):
        for run in runs:
            folder = run.folder("writer")
            (folder / "deep").mkdir(exist_ok=True)
            for name in ("results.json", "deep/values.txt"):
                (folder / name).write_text("{}")
            if self.fail:
                raise OSError(28, "No space left on device")
"""


def test_what_a_third_party_writes_is_listed_for_it(
    run: Path, install: Callable[..., None], lenskit: Callable[..., Any]
) -> None:
    install("acme", HOOKS, writing=WRITER)
    assert lenskit("writer", run, "--fail").status == 1
    for flags in ((), (), ("--output", "out"), ("--output", "out")):
        assert lenskit("writer", run, *flags).status == 0
    listed = json.loads(Path("out/lenskit-files.json").read_text())
    assert (listed["evaluation"], listed["files"]) == ("writer", ["deep/values.txt", "results.json"])
    mine = run / "evaluations" / "writer" / "deep" / "mine.txt"
    mine.write_text("mine")
    assert lenskit("writer", run).status == 0
    with pytest.raises(UsageError, match=r"holds evaluations/writer/deep/mine.txt, which lenskit did not write"):
        Run.create(run, Run(run).config, overwrite=True)
    mine.unlink()
    Run.create(run, Run(run).config, overwrite=True)
    assert names(run) == ["provenance.json", "run.toml"]


@pytest.mark.slow
def test_a_run_with_results_of_every_kind_is_replaced(run: Path, lenskit: Callable[..., Any]) -> None:
    assert lenskit("embed", run, "--lenses", 20).status == 0
    for verb in ("crowding", "probe"):
        assert lenskit(verb, run, *FEW).status == 0
        assert lenskit(verb, run, *FEW, "--seed", 1).status == 0
    assert lenskit("embed", run, "--lenses", 30).status == 0
    assert lenskit("export", run, "--format", "timm").status in (0, 2)  # the toys' backbone is none of timm
    Run.create(run, Run(run).config, overwrite=True)
    assert names(run) == ["provenance.json", "run.toml"]


def test_no_run_and_no_store_is_made_in_another(run: Path, lenskit: Callable[..., Any]) -> None:
    blobs = ("simulate", "--simulator", "blobs", "--set", "simulator.pixels=8", "--workers", 1, "--lenses", 2)
    for store in ("pairs.zarr", "pairs"):
        assert lenskit(*blobs, "--out", store).status == 0
    before = tree(".")
    inner = ("best", "sub", "evaluations/x", "a/b/c", "checkpoints")
    places = {f"blobs/{name}": f"is a part of the run {run.resolve()}" for name in inner}
    places |= {f"{store}/x": f"is in the store {Path(store).resolve()}" for store in ("pairs.zarr", "pairs")}
    for out, why in places.items():
        complaint = f"{out} {why}: choose another --out"
        assert lenskit("train", "--recipe", "toys", "--overwrite", "--out", out).complaint() == complaint
        assert lenskit(*blobs, "--format", "zarr", "--out", out).complaint() == complaint
    for folder in ("encoder", "best", "checkpoints"):
        output = f"blobs/{folder}/x.npz"
        assert lenskit("embed", run, "-o", output).complaint().startswith(f"{output} is a part of the run ")
    assert tree(".") == before


def test_a_run_that_is_half_made_has_no_run_in_its_best(run: Path, lenskit: Callable[..., Any]) -> None:
    (run / "provenance.json").unlink()
    complaint = f"blobs/best is a part of the run {run.resolve()}: choose another --out"
    assert lenskit("train", "--recipe", "toys", "--out", "blobs/best").complaint() == complaint
