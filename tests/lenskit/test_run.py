"""A run directory: made whole, never in place of something else, and never stuck."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sys
import tomllib
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest
import torch

from lenskit.config import Config
from lenskit.errors import LenskitError, UsageError
from lenskit.layers import read_recipe
from lenskit.owned_run import check_no_input
from lenskit.provenance import provenance
from lenskit.registry import registry
from lenskit.run import Run
from lenskit.training.resume import resume
from lenskit.training.runner import train

SECTIONS: dict[str, dict] = {
    "train": {"lenses": 16, "epochs": 1, "batch_size": 8, "accelerator": "cpu"},
    "simulator": {"name": "blobs", "pixels": 20},
    "pairs": {"name": "default"},
    "method": {"name": "restless"},
    "backbone": {"name": "tiny"},
}


@pytest.fixture
def config() -> Config:
    return Config.resolve(SECTIONS)


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def results(run: Run) -> None:
    """Write files as an evaluation does, with their list."""
    folder = run.folder("probe")
    (folder / "results.json").write_text(json.dumps({"evaluation": "probe", "files": ["results.json", "table.csv"]}))
    (folder / "table.csv").write_text("1,2")


def test_a_new_run(config: Config, tmp_path: Path) -> None:
    run = Run.create(tmp_path / "runs" / "a", config)
    assert names(run.path) == ["provenance.json", "run.toml"]
    assert run.name == "a"
    assert not run.finished
    assert not run.checkpoint.exists()
    assert Run(run.path).config == config
    assert Config.from_toml(run.path / "run.toml") == config
    with pytest.raises(LenskitError, match="a/encoder holds no encoder"):
        run.encoder()


def test_the_configuration_holds_every_value(config: Config, tmp_path: Path) -> None:
    """A run stays the same when a default changes."""
    Run.create(tmp_path / "a", config)
    written = tomllib.loads((tmp_path / "a" / "run.toml").read_text())
    assert written["method"] == {"name": "restless@lenskit-ssl-toys", "noise": 0.1, "spread": 0.1}
    assert written["optimizer"]["lr"] == 0.05
    assert written["simulator"] == {"name": "blobs@lenskit-ssl-toys", "pixels": 20, "width": "uniform(1, 3)"}
    assert written["train"]["seed"] == 0


def test_provenance(config: Config, tmp_path: Path) -> None:
    run = Run.create(tmp_path / "a", config)
    found = json.loads((run.path / "provenance.json").read_text())
    assert found == provenance() | {"recipe": None, "id": run.id}
    assert found["command"] == sys.argv
    assert found["python"].startswith(f"{sys.version_info.major}.{sys.version_info.minor}.")
    assert {"lenskit-ssl", "torch", "numpy", "lightly", "pytorch-lightning"} <= found["packages"].keys()
    assert "toys@lenskit-ssl-toys" in found["plugins"]
    assert found["git"] is None  # of the folder it was started in


def test_folders_of_evaluations(config: Config, tmp_path: Path) -> None:
    run = Run.create(tmp_path / "a", config)
    assert run.folder("probe") == run.folder("probe") == tmp_path / "a" / "evaluations" / "probe"
    assert run.folder("probe").is_dir()


def test_the_simulator_of_a_run(config: Config, tmp_path: Path) -> None:
    run = Run.create(tmp_path / "a", config)
    assert run.simulator().image_shape == (1, 20, 20)
    assert run.simulator(pixels=24).image_shape == (1, 24, 24)
    assert run.simulator("blobs").image_shape == (1, 16, 16)
    with pytest.raises(UsageError, match="simulator 'blobs@lenskit-ssl-toys' has no option 'pixel'"):
        run.simulator(pixel=24)


# --- Existing files ---


def test_an_empty_directory_becomes_a_run(config: Config, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    assert Run.create(tmp_path / "a", config).config == config


def test_a_run_is_replaced_only_when_asked(config: Config, tmp_path: Path) -> None:
    run = Run.create(tmp_path / "a", config)
    results(run)
    other = Config.resolve(SECTIONS, {"train": {"epochs": 2}})
    with pytest.raises(
        UsageError, match=r"a exists: choose a different --out, resume it with --resume \S+a, or replace it"
    ):
        Run.create(run.path, other)
    assert Run(run.path).config == config
    assert Run.create(run.path, other, overwrite=True).config == other
    assert names(run.path) == ["provenance.json", "run.toml"]


MINE = {
    "notes.txt": "notes.txt",
    "thesis/one/chapter.tex": "thesis/",
    "checkpoints/mine.ckpt": "checkpoints/mine.ckpt",
    "encoder/notes": "encoder/notes",
    "evaluations/probe/mine.csv": "evaluations/probe/mine.csv",
    "evaluations/notes": "evaluations/notes",
    "run.toml.part.mine": "run.toml.part.mine",
    "download.part": "download.part",
    "export/timm/notes": "export/timm/notes",
    "wandb/notes": "wandb/notes",
    "wandb/run-mine/notes": "wandb/run-mine/",
    "mlflow/artifacts/notes": "mlflow/artifacts/notes",
}
"""Files of a user in a run, and how they are named."""


@pytest.mark.parametrize("name", MINE)
def test_what_lenskit_did_not_write_in_a_run_is_never_removed(name: str, config: Config, tmp_path: Path) -> None:
    run = Run.create(tmp_path / "a", config)
    results(run)
    mine = run.path / name
    mine.parent.mkdir(parents=True, exist_ok=True)
    mine.write_text("years")
    before = names(run.path)
    with pytest.raises(UsageError, match=re.escape(f"a holds {MINE[name]}, which lenskit did not write")):
        Run.create(run.path, config, overwrite=True)
    with pytest.raises(UsageError, match=r"a exists: choose a different --out, or resume it with --resume \S+a$"):
        Run.create(run.path, config)
    assert (names(run.path), mine.read_text()) == (before, "years")
    mine.rename(tmp_path / "moved")
    if mine.parent.name == "run-mine":
        mine.parent.rmdir()
    if mine.parent.name == "one":
        mine.parent.rmdir()
        mine.parent.parent.rmdir()
    Run.create(run.path, config, overwrite=True)  # the advice works


def test_of_what_loggers_keep_only_the_runs_own_is_replaced(config: Config, tmp_path: Path) -> None:
    """An MLflow server may store artifacts of later runs with those of the first."""
    run = Run.create(tmp_path / "a", config)
    own = ("wandb/offline-run-20261130_071011-0123abcd/run.wandb", "mlflow/artifacts/4567ef/artifacts/a.png")
    others = ("wandb/run-20261130_071011-89ab/run.wandb", "mlflow/artifacts/cdef/artifacts/a.png")
    for name in (*own, *others):
        (run.path / name).parent.mkdir(parents=True)
        (run.path / name).touch()
    (run.path / "wandb" / "lenskit-id").write_text("0123abcd\n")
    (run.path / "mlflow" / "lenskit-id").write_text("4567ef\n")
    with pytest.raises(
        UsageError, match=r"a holds mlflow/artifacts/cdef/, wandb/run-20261130_071011-89ab/, which lenskit did not"
    ):
        Run.create(run.path, config, overwrite=True)
    for name in ("mlflow/artifacts/cdef", "wandb/run-20261130_071011-89ab"):
        (run.path / name).rename(tmp_path / name.rpartition("/")[2])
    Run.create(run.path, config, overwrite=True)
    assert names(run.path) == ["provenance.json", "run.toml"]


def test_links_in_a_run_are_a_users(config: Config, tmp_path: Path) -> None:
    run = Run.create(tmp_path / "a", config)
    (tmp_path / "precious").mkdir()
    for name in ("encoder", "metrics.jsonl", "evaluations"):
        (run.path / name).symlink_to(tmp_path / "precious")
    with pytest.raises(UsageError, match=r"a holds encoder, evaluations, metrics\.jsonl, which"):
        Run.create(run.path, config, overwrite=True)
    assert (run.path / "encoder").is_symlink()


def test_a_run_of_an_earlier_version_is_replaced(config: Config, tmp_path: Path) -> None:
    """Evaluations of earlier versions have no list of files.

    Killed processes of earlier versions left files with different names.
    """
    run = Run.create(tmp_path / "a", config)
    folder = run.folder("probe")
    told = {"title": "R2", "settings": {}, "summary": {}, "table": [], "pictures": ["r2.png"]}
    (folder / "results.json").write_text(json.dumps(told))
    for name in ("table.md", "table.csv", "r2.png", "linear.npz", "fitted.json"):
        (folder / name).write_text("")
    others = ("metrics.jsonl", "train.log", "encoder/encoder.json", "checkpoints/last.ckpt.part", "best/encoder.json")
    for name in (*others, "tensorboard/events.out.tfevents.17.host.1.0", "evaluations/embed/features.npz"):
        (run.path / name).parent.mkdir(parents=True, exist_ok=True)
        (run.path / name).write_text("")
    Run.create(run.path, config, overwrite=True)
    assert names(run.path) == ["provenance.json", "run.toml"]


def test_a_configuration_of_a_user_makes_no_run(config: Config, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    for text in ("[train]\nepochs = 3\n", "[tool.black]\nline-length = 3\n", "years of work"):
        (tmp_path / "mine" / "run.toml").write_text(text)
        with pytest.raises(UsageError, match="mine is not a run directory, so --overwrite does not replace it"):
            Run.create(tmp_path / "mine", config, overwrite=True)
        assert (tmp_path / "mine" / "run.toml").read_text() == text


def test_a_link_that_leads_nowhere_is_told(config: Config, tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="a is a broken link: choose another --out"):
        Run.create(tmp_path / "a", config, overwrite=True)


def test_what_a_run_starts_from_is_not_replaced_by_it(config: Config, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "encoder").mkdir()
    sections = {"backbone": {"weights": str(tmp_path / "a" / "encoder")}, "train": {"seed": 3}}
    with pytest.raises(UsageError, match=r"a/encoder is an input of this run, and in \S+a: choose a different --out"):
        check_no_input(tmp_path / "a", Config(sections))
    check_no_input(tmp_path / "b", Config(sections))


def test_what_is_no_run_is_never_replaced(config: Config, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.tex").write_text("years")
    with pytest.raises(UsageError, match="home is not a run directory, so --overwrite does not replace it"):
        Run.create(tmp_path / "home", config, overwrite=True)
    with pytest.raises(UsageError, match=r"thesis\.tex is not a run directory, so --overwrite does not replace it"):
        Run.create(tmp_path / "home" / "thesis.tex", config, overwrite=True)
    assert (tmp_path / "home" / "thesis.tex").read_text() == "years"


def test_a_run_behind_a_link_is_replaced_in_its_place(config: Config, tmp_path: Path) -> None:
    Run.create(tmp_path / "scratch", config)
    (tmp_path / "a").symlink_to(tmp_path / "scratch")
    Run.create(tmp_path / "a", config, overwrite=True)
    assert (tmp_path / "a").is_symlink()
    assert Run(tmp_path / "scratch").config == config


def test_what_is_no_run_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name in ("file", "nowhere"):
        with pytest.raises(UsageError, match=f"there is no run directory .*{name}$"):
            Run(tmp_path / name)
    with pytest.raises(UsageError, match=r"is no run directory: it has no run\.toml$"):
        Run(tmp_path)
    (tmp_path / "run.toml").write_text("[train\n")
    with pytest.raises(UsageError, match=r"run\.toml is no valid TOML"):
        Run(tmp_path)


@pytest.mark.parametrize("section", ["train", "simulator", "pairs", "method", "backbone"])
def test_a_configuration_without_a_section_opens_no_run(section: str, config: Config, tmp_path: Path) -> None:
    Run.create(tmp_path / "run", config)
    file = tmp_path / "run" / "run.toml"
    for left in ({}, {section: {}}):
        sections = {name: values for name, values in config.sections.items() if name != section}
        file.write_text(Config(sections | left).to_toml())
        with pytest.raises(LenskitError, match=rf"run\.toml is damaged: it has no section '{section}'; restore it"):
            Run(tmp_path / "run")
    file.write_text("")
    with pytest.raises(LenskitError, match=r"run\.toml is damaged: it has no section 'train'"):
        Run(tmp_path / "run")


def test_a_run_of_before_some_settings_is_opened(config: Config, tmp_path: Path) -> None:
    Run.create(tmp_path / "run", config)
    sections = {name: values for name, values in config.sections.items() if name not in ("input", "monitor")}
    (tmp_path / "run" / "run.toml").write_text(Config(sections).to_toml())
    assert Run(tmp_path / "run").config == config


@pytest.mark.parametrize("place", ["file/a", "file/a/b"])
def test_a_place_where_no_directory_can_be(place: str, config: Config, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(
        LenskitError, match=re.escape(f"the run directory {tmp_path / place} cannot be created: Not a dir")
    ):
        Run.create(tmp_path / place, config)


# --- Kills ---


def create_and_die(path: Path, config: Config, overwrite: bool, steps: int) -> bool:
    """Create a run in a process that is killed after a number of steps.

    A step creates, renames or removes a file or folder. Return whether the process finished.
    """

    def kill(event: str, arguments: tuple) -> None:
        nonlocal steps
        writes = event == "open" and str(arguments[1]).startswith(("w", "x"))
        place = str(arguments[0]) if writes or event in ("os.rename", "os.mkdir", "os.remove", "os.rmdir") else "/"
        if place.startswith(str(path)) or not place.startswith("/"):  # removal of a tree uses relative names
            steps -= 1
            if steps < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if not child:
        try:
            sys.addaudithook(kill)
            Run.create(path, config, overwrite)
            os._exit(0)
        finally:
            os._exit(1)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, -signal.SIGKILL)
    return status == 0


@pytest.mark.slow
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_directory_is_never_stuck(overwrite: bool, config: Config, tmp_path: Path) -> None:
    """A run killed at any step can be created, resumed or overwritten."""
    for steps in count():
        path = tmp_path / str(steps)
        if overwrite:
            run = Run.create(path, config)
            results(run)
            run.checkpoint.parent.mkdir()
            run.checkpoint.touch()
        through = create_and_die(path, config, overwrite, steps)
        if (path / "run.toml").is_file():
            assert Run(path).config == config
        assert Run.create(path, config, overwrite=path.exists()).config == config
        assert names(path) == ["provenance.json", "run.toml"]
        if through:
            break
    assert steps == (13 if overwrite else 5)  # the number of killed processes


def test_a_run_that_was_killed_before_its_first_checkpoint_starts_from_its_beginning(
    config: Config, tmp_path: Path
) -> None:
    run = Run.create(tmp_path / "a", config)
    (run.path / "provenance.json").unlink()
    assert resume(run.path, progress=False).finished


def test_the_method_of_a_run_is_in_its_checkpoint(config: Config, tmp_path: Path) -> None:
    run = train(config, tmp_path / "a", progress=False)
    images = run.encoder().preprocess(torch.randn(3, 1, 20, 20))
    method = run.method()
    features = method.embed(images)
    assert torch.equal(features, run.encoder().backbone(images))
    assert torch.equal(method.project(features), method.head(features))

    (run.path / "best").mkdir()
    with pytest.raises(LenskitError, match="a/best has only a backbone: the method, with its projections, is in"):
        Run(run.path / "best").method()
    run.checkpoint.unlink()
    with pytest.raises(LenskitError, match="a has no checkpoint"):
        run.method()


# --- A plugin that is gone ---

FAINT = "@hookimpl\ndef lenskit_pairs():\n    return [Component('faint', 'acme_faint:Faint', 'Fainter images')]\n"
TRANSFORM = """
from lenskit.plugin import Transform

class Faint(Transform):
    def transform(self, images, parameters, rng):
        return images / 2, parameters
"""


@pytest.fixture
def faint_run(tmp_path: Path, install: Callable[..., None]) -> Path:
    """A run with pairs of the plugin `acme` 1.2."""
    install("acme", FAINT, version="1.2", acme_faint=TRANSFORM)
    pairs = {"pairs": {"name": "lens-fixed+faint"}}
    path = tmp_path / "a"
    Run.create(path, Config.resolve(read_recipe("toys"), pairs), recipe="toys")
    assert json.loads((path / "provenance.json").read_text())["recipe"] == "toys@lenskit-ssl-toys"
    assert Run(path).config.name("pairs") == "lens-fixed+faint@lenskit-ssl-acme"
    return path


def remove(plugin: str) -> None:
    """Uninstall a plugin of `install`."""
    for folder in (Path(entry) for entry in sys.path):
        for info in folder.glob(f"lenskit_ssl_{plugin}-*.dist-info"):
            shutil.rmtree(info)
    sys.modules.pop(f"{plugin}_hooks")
    registry.cache_clear()


def bare(path: Path) -> None:
    """Name components as runs of earlier versions do."""
    text = (path / "run.toml").read_text()
    (path / "run.toml").write_text(re.sub("@lenskit-ssl-[a-z]+", "", text))


def complaint(path: Path) -> str:
    with pytest.raises(UsageError) as error:
        Run(path)
    return str(error.value)


@pytest.mark.parametrize("age", ["new", "old"])
def test_a_run_whose_plugin_is_gone_says_which_version_to_install(faint_run: Path, age: str) -> None:
    if age == "old":
        bare(faint_run)
        assert Run(faint_run).config.name("pairs") == "lens-fixed+faint@lenskit-ssl-acme"
    remove("acme")
    assert complaint(faint_run) == (
        f"run {faint_run} was made with pair strategy 'faint' of lenskit-ssl-acme 1.2, which is not installed: "
        'pip install "lenskit-ssl-acme==1.2"'
    )
    (faint_run / "provenance.json").write_text("{}")
    if age == "new":
        assert complaint(faint_run) == (
            f"run {faint_run} was made with pair strategy 'faint' of lenskit-ssl-acme, which is not installed: "
            "pip install lenskit-ssl-acme"
        )
    else:
        assert complaint(faint_run).startswith("unknown pair strategy 'faint'")


def test_a_run_whose_plugin_is_there_in_another_version(faint_run: Path, install: Callable[..., None]) -> None:
    remove("acme")
    install("acme", "", version="2.0")
    assert complaint(faint_run) == (
        f"run {faint_run} was made with pair strategy 'faint' of lenskit-ssl-acme 1.2, and the installed version 2.0 "
        'does not have it: pip install "lenskit-ssl-acme==1.2"'
    )


def test_a_run_whose_plugin_is_broken_says_so(faint_run: Path, install: Callable[..., None]) -> None:
    remove("acme")
    install("acme", FAINT.replace("'Fainter images'", "3"), version="2.0")
    assert complaint(faint_run).startswith(
        "pair strategy 'faint' of lenskit-ssl-acme 2.0 is left out: a summary must be one line"
    )


def test_a_run_names_no_other_command_than_to_install_a_distribution(faint_run: Path) -> None:
    remove("acme")
    text = (faint_run / "run.toml").read_text()
    (faint_run / "run.toml").write_text(text.replace("lenskit-ssl-acme", "x; rm -r y"))
    assert complaint(faint_run).startswith("unknown pair strategy 'faint@x; rm -r y'")
