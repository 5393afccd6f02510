"""Encoders in place of runs."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import lenskit
import lenskit_toys
from lenskit.encoders.encoder_run import EncoderRun, open_run
from lenskit.errors import LenskitError, UsageError
from lenskit.evaluation import Run

FOLDER = Path(lenskit_toys.__file__).parent / "encoders" / "dotty"


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


def test_what_only_a_run_has_is_refused_in_one_line() -> None:
    run = open_run("dotty")
    with pytest.raises(
        LenskitError, match="dotty@lenskit-ssl-toys is an encoder without the method that trained it: use a run"
    ):
        run.method()
    with pytest.raises(UsageError, match="an encoder has no configuration, so it has no section 'pairs': use a run"):
        run.config.build("pairs")
    lite = open_run("efficientnet-lite0")
    with pytest.raises(
        UsageError, match="the card of efficientnet-lite0 names no simulator: pass --simulator NAME or --data"
    ):
        lite.simulator()


def test_results_go_to_the_working_folder_or_where_output_says(tmp_path: Path, lenskit) -> None:
    few = ("--lenses", 20, "--test-lenses", 20)
    assert lenskit("crowding", "dotty", *few).status == 0
    assert (tmp_path / "dotty-evaluations" / "crowding" / "results.json").is_file()
    assert lenskit("crowding", "dotty", FOLDER, *few).complaint().endswith("dotty is given twice: leave one out")
    assert lenskit("crowding", "dotty", *few, "--output", "mine").status == 0
    assert (tmp_path / "mine" / "results.json").is_file()
    assert sorted(path.name for path in FOLDER.iterdir()) == ["encoder.json", "head.safetensors", "model.safetensors"]


@pytest.mark.slow
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
