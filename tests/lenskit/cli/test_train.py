"""Verb `lenskit train`."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lenskit.cli.train import command
from lenskit.config import Config
from lenskit.run import Run

TOYS = ("train", "--recipe", "toys")

FLAGS = """recipe config simulator data pairs method backbone set lenses epochs batch-size optimizer lr seed precision
accelerator
logger stop-on-collapse devices num-nodes strategy out resume overwrite print-config"""


def printed(lenskit: Callable[..., Any], *arguments: object) -> dict[str, dict[str, Any]]:
    outcome = lenskit("train", *arguments, "--print-config")
    assert (outcome.status, outcome.err) == (0, "")
    return tomllib.loads(outcome.out)


def test_has_the_flags_that_users_were_promised() -> None:
    assert {flag for parameter in command.params for flag in parameter.opts} == {f"--{flag}" for flag in FLAGS.split()}


def test_without_arguments_it_is_the_main_job(lenskit: Callable[..., Any]) -> None:
    nothing = printed(lenskit)
    assert nothing == printed(lenskit, "--method", "simsiam", "--pairs", "lens-fixed")
    assert nothing == Config.resolve().sections


def test_flags_go_over_the_file_and_that_over_the_recipe(lenskit: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('[train]\nepochs = 3\nseed = 4\n[backbone]\nname = "resnet34"\n')
    layers = ("--recipe", "toys", "--config", "mine.toml")
    config = printed(lenskit, *layers, "--seed", 5, "--set", "simulator.pixels=20", "--lr", 0.5)
    assert config["train"] | {"lenses": 16, "epochs": 3, "seed": 5} == config["train"]
    assert config["simulator"] | {"name": "blobs@lenskit-ssl-toys", "pixels": 20} == config["simulator"]
    assert config["backbone"]["name"] == "resnet34"
    assert "dropout" not in config["backbone"]
    assert (config["method"]["name"], config["optimizer"]["lr"]) == ("restless@lenskit-ssl-toys", 0.5)


@pytest.mark.parametrize(
    ("flag", "value", "section", "option", "read"),
    [
        ("--lenses", "640", "train", "lenses", 640),
        ("--epochs", "7", "train", "epochs", 7),
        ("--batch-size", "32", "train", "batch_size", 32),
        ("--seed", "-1", "train", "seed", -1),
        ("--precision", "bf16-mixed", "train", "precision", "bf16-mixed"),
        ("--accelerator", "cpu", "train", "accelerator", "cpu"),
        ("--devices", "2", "train", "devices", "2"),
        ("--num-nodes", "3", "train", "num_nodes", 3),
        ("--strategy", "ddp", "train", "strategy", "ddp"),
        ("--lr", "0.5", "optimizer", "lr", 0.5),
        ("--optimizer", "adamw", "optimizer", "name", "adamw"),
        ("--optimizer", "adamw", "optimizer", "weight_decay", 0.05),
        ("--set", "optimizer.clip=3", "optimizer", "clip", 3),
        ("--simulator", "blobs", "simulator", "name", "blobs@lenskit-ssl-toys"),
        ("--pairs", "default", "pairs", "name", "default"),
        ("--method", "two-optimizers", "method", "name", "two-optimizers@lenskit-ssl-toys"),
        ("--backbone", "tiny", "backbone", "name", "tiny@lenskit-ssl-toys"),
        ("--data", "fits-folder:images", "data", "name", "fits-folder"),
        ("--set", "simulator.width=normal(2, 0.1)", "simulator", "width", "normal(2, 0.1)"),
        ("--set", "input.size=32", "input", "size", 32),
    ],
)
def test_each_flag_sets_its_option(
    flag: str, value: str, section: str, option: str, read: object, lenskit: Callable[..., Any]
) -> None:
    assert printed(lenskit, "--recipe", "toys", flag, value)[section][option] == read


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--recipe", "quickstart"],
        ["--recipe", "toys", "--set", "simulator.width=uniform(2, 3)", "--set", "input.stretch=linear"],
        ["--backbone", "timm:resnet10t"],
        ["--data", "fits-folder:images", "--pairs", "default"],
    ],
    ids=" ".join,
)
def test_what_is_printed_is_taken_back(arguments: list[str], lenskit: Callable[..., Any], tmp_path: Path) -> None:
    first = lenskit("train", *arguments, "--print-config").out
    (tmp_path / "run.toml").write_text(first)
    assert lenskit("train", "--config", "run.toml", "--print-config").out == first


def test_data_are_named_by_their_full_path(lenskit: Callable[..., Any]) -> None:
    """A run can therefore be resumed from any working directory."""
    assert printed(lenskit, "--data", "fits-folder:images", "--pairs", "default")["data"]["path"] == str(
        Path("images").resolve()
    )


def test_data_and_simulator_take_each_others_place(lenskit: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "stored.toml").write_text('[data]\nname = "fits-folder"\npath = "images"\n')
    assert "simulator" not in printed(lenskit, "--config", "stored.toml")
    assert "data" not in printed(lenskit, "--config", "stored.toml", "--simulator", "blobs")


BAD = {
    "--method simsaim": "unknown method 'simsaim'; did you mean simsiam",
    "--pairs lensfixed": "unknown pair strategy 'lensfixed'; did you mean lens-fixed",
    "--backbone resnet": "unknown backbone 'resnet'; did you mean ",
    "--backbone timm": "backbone 'timm' needs an argument after a colon: timm:MODEL",
    "--simulator hts": "unknown simulator 'hts'; did you mean hst",
    "--recipe toy": "unknown recipe 'toy'; did you mean toys",
    "--recipe nowhere.toml": "nowhere.toml cannot be read: No such file or directory",
    "--config nowhere.toml": "nowhere.toml cannot be read: No such file or directory",
    "--config .": ". cannot be read: Is a directory",
    "--config bad.toml": "bad.toml is no valid TOML: ",
    "--config typo.toml": "unknown section 'tarin'; did you mean train",
    "--set method.hiden_dim=1": "method 'simsiam' has no option 'hiden_dim': did you mean hidden_dim?",
    "--set optimizer.lrr=1": "section 'optimizer' has no option 'lrr': did you mean lr?",
    "--set optimizer.lr=fast": "section 'optimizer': option lr takes float > 0, got 'fast'",
    "--set optimizer.lr=true": "section 'optimizer': option lr takes float > 0, got True",
    "--lr -1": "section 'optimizer': option lr takes float > 0, got -1.0",
    "--optimizer adam": "section 'optimizer': option name takes 'sgd' or 'lars' or 'adamw', got 'adam'",
    "--recipe toys --method two-optimizers --lr 3": "method 'two-optimizers@lenskit-ssl-toys' creates its",
    "--pairs lens-fixed+lens-fixed": "pair strategy 'lens-fixed+lens-fixed' names a part twice",
    "--pairs lens-fixed+": "unknown pair strategy ''",
    "--recipe toys --pairs default+lens-fixed": "pair strategy 'lens-fixed' makes views itself",
    "--lr fast": "Invalid value for '--lr': 'fast' is not a valid float",
    "--set simulator.theta_E=uniform(3,1)": "simulator 'hst': option theta_E takes a distribution, got 'uniform(3,1)' "
    "(uniform(3, 1) has low > high: write uniform(1, 3))",
    "--set simulator.renderer=gpu": "simulator 'hst': option renderer takes 'torch' or 'lenstronomy', got 'gpu'",
    "--set train.epochs=0": "section 'train': option epochs takes int >= 1, got 0",
    "--set lr=1": "--set takes SECTION.OPTION=VALUE, got 'lr=1': use optimizer.lr",
    "--method aae --set theta_E=1": "--set takes SECTION.OPTION=VALUE, got 'theta_E=1': use simulator.theta_E",
    "--set simulator=hst": "--set takes SECTION.OPTION=VALUE, got 'simulator=hst': simulator is a section; use sim",
    "--set input=3": "--set takes SECTION.OPTION=VALUE, got 'input=3': input is a section, with options such as inp",
    "--pairs lens-fixed+noise --set level=2": "--set takes SECTION.OPTION=VALUE, got 'level=2': use pairs.noise.level",
    "--simulator injection --set galaxies=x": (
        "--set takes SECTION.OPTION=VALUE, got 'galaxies=x': simulator 'injection' needs option galaxies"
    ),
    "--recipe=": "unknown recipe ''",
    "--method aae --set depth=1": (
        "--set takes SECTION.OPTION=VALUE, got 'depth=1': no section has the option 'depth'; an example is method."
    ),
    "--set method.name=3": "section 'method' needs a name, the method to use, got 3",
    "--epochs 0": "section 'train': option epochs takes int >= 1, got 0",
    "--precision 8": "section 'train': option precision takes '32-true' or ",
    "--data nowhere": "there are no data at nowhere",
    "--data bad.toml": "no reader recognises bad.toml; name the reader: --data READER:PATH (deeplense-npy: ",
    "--data fits-folder:x --simulator hst": "--data and --simulator exclude each other",
    "--data fits-folder:x --set simulator.pixels=64": "data and simulator exclude each other",
    "--resume run --epochs 3": "--resume continues a run with its own configuration: the only other flags are --acc",
    "--resume run --lr 3": "--resume continues a run with its own configuration",
    "--resume run --overwrite": "--resume continues a run with its own configuration",
    "--recipe toys --accelerator cpu --strategy fsdp": "--strategy must be auto, ddp, ",
    "--recipe toys --accelerator foo": "--accelerator foo --devices auto --num-nodes 1 ",
    "--recipe toys --set simulator.pixels=0": "the images are 0 x 0 pixels: training needs 4 x 4 or more",
    "--recipe toys --set simulator.pixels=-1": "the images are -1 x -1 pixels: training needs 4 x 4 or more",
    "--recipe toys --set simulator.pixels=3": "the images are 3 x 3 pixels: training needs 4 x 4 or more",
    "--recipe toys --accelerator tpu": "--accelerator tpu --devices auto --num-nodes 1 ",
    "--recipe toys --accelerator cpu --devices 0": "--accelerator cpu --devices 0 --num-nodes 1 ",
    "--recipe toys --accelerator cpu --devices x": "--accelerator cpu --devices x --num-nodes 1 ",
    "--recipe toys --out=": "--out needs the path of the run directory, got an empty text",
    "--resume nowhere": "there is no run directory nowhere",
    "--resume .": ". is no run directory: it has no run.toml",
}


@pytest.mark.parametrize("line", BAD)
def test_bad_input_is_one_line_and_leaves_nothing_behind(line: str, lenskit: Callable[..., Any]) -> None:
    Path("bad.toml").write_text("[train\nepochs = 3\n")
    Path("typo.toml").write_text("[tarin]\nepochs = 3\n")
    assert lenskit("train", *line.split()).complaint(status=2).startswith(BAD[line])
    assert sorted(path.name for path in Path().iterdir()) == ["bad.toml", "typo.toml"]


def test_a_folder_that_exists_is_left_alone(lenskit: Callable[..., Any]) -> None:
    Path("mine").mkdir()
    Path("mine/thesis.tex").write_text("years of work")
    complaint = "mine exists and is not a run: choose a different --out"
    assert lenskit(*TOYS, "--out", "mine").complaint() == complaint
    complaint = "mine is not a run directory, so --overwrite does not replace it"
    assert lenskit(*TOYS, "--out", "mine", "--overwrite").complaint() == complaint
    assert [path.name for path in Path("mine").iterdir()] == ["thesis.tex"]


def test_a_place_where_nothing_can_be_written(lenskit: Callable[..., Any]) -> None:
    Path("file").write_text("")
    complaint = lenskit(*TOYS, "--out", "file/run").complaint(status=1)
    assert complaint == "the run directory file/run cannot be created: Not a directory"


@pytest.mark.slow
def test_trains_repeats_and_replaces_a_run(lenskit: Callable[..., Any]) -> None:
    assert lenskit(*TOYS, "--seed", 3).status == 0
    first = Run("runs/restless-default")
    assert first.finished
    assert first.config == Config.resolve(Run(first.path).config.sections)
    assert first.config.sections["train"]["seed"] == 3

    assert lenskit("train", "--config", first.path / "run.toml").status == 0
    again = Run("runs/restless-default-2")
    assert again.config == first.config
    weights = "encoder/model.safetensors"
    assert (again.path / weights).read_bytes() == (first.path / weights).read_bytes()

    assert lenskit(*TOYS, "--out", again.path, "--overwrite", "--seed", 4).status == 0
    assert Run(again.path).config.sections["train"]["seed"] == 4
    assert (again.path / weights).read_bytes() != (first.path / weights).read_bytes()

    assert lenskit("train", "--resume", first.path).status == 0
    assert sorted(path.name for path in Path("runs").iterdir()) == ["restless-default", "restless-default-2"]
