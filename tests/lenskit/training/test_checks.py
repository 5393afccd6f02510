"""Bad input on the command line: the error is one line, and nothing is written."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import save_file
from torchvision.models import resnet18

from lenskit.config import Config
from lenskit.errors import LenskitError, UsageError
from lenskit.layers import read_recipe
from lenskit.training.runner import Job

TOYS = ("train", "--recipe", "toys", "--accelerator", "cpu", "--lenses", "64")

BAD = {
    "--batch-size 8 --set train.accumulate=3": "a batch of 8 lenses cannot be divided into 3 equal parts: "
    "use --batch-size 9, or a different train.accumulate",
    "--batch-size 8 --set train.accumulate=16": "a batch of 8 lenses cannot be divided into 16 equal parts: "
    "use --batch-size 16, or a different train.accumulate",
    "--batch-size 8 --set train.accumulate=8": "batch norm needs 2 lenses or more at a time, and a batch of 8 in 8 "
    "parts gives it 1: use --batch-size 16 or more",
    "--batch-size 4 --devices 4": "batch norm needs 2 lenses or more at a time, and a batch of 4 over 4 processes "
    "gives it 1: use --batch-size 8 or more",
    "--batch-size 12 --devices 2 --set train.accumulate=4": "a part of 3 lenses cannot be shared evenly by 2 "
    "processes: use --batch-size 16",
    "--batch-size 65": "64 lenses per epoch are fewer than a batch of 65: use --batch-size 64 or less",
    "--method two-optimizers --batch-size 8 --set train.accumulate=2": "method 'two-optimizers@lenskit-ssl-toys' "
    "steps its optimisers itself, so its batches cannot be divided into parts: use --set train.accumulate=1, and a "
    "smaller --batch-size",
    "--backbone timm:test_vit --set input.size=40": "timm:test_vit takes sizes that are multiples of 16 pixels, the ",
    "--pairs single": "method 'restless@lenskit-ssl-toys' takes 2 view(s) of each lens, pairs 'single' make 1: "
    "use --pairs instrument-only or lens-fixed or ",
    "--precision 16-mixed": "--precision 16-mixed needs a GPU, a CPU has no fp16: use --precision ",
    "--set train.ema=1": "section 'train': option ema takes ",
    "--set optimizer.clip=-1": "section 'optimizer': option clip takes ",
}


@pytest.mark.parametrize("line", BAD)
def test_is_one_line_and_leaves_nothing_behind(line: str, lenskit: Callable[..., Any]) -> None:
    assert lenskit(*TOYS, *line.split()).complaint(status=2).startswith(BAD[line])
    assert list(Path().iterdir()) == []


def test_images_that_are_too_small_are_enlarged(lenskit: Callable[..., Any], caplog: pytest.LogCaptureFixture) -> None:
    line = (*TOYS, "--set", "simulator.pixels=5", "--set", "train.epochs=1", "--batch-size", "32")
    assert lenskit(*line).status == 0
    assert (
        "images of 5 x 5 pixels are resized to 8 x 8, the nearest size that backbone 'tiny@lenskit-ssl-toys' accepts"
        in caplog.text
    )


def test_pairs_of_one_view_are_named_to_a_method_that_takes_one(lenskit: Callable[..., Any], install: Any) -> None:
    install(
        "one",
        '@hookimpl\ndef lenskit_methods():\n    return [Component("one", "one_method:One", "One view")]\n',
        one_method="from lenskit_toys.components import Restless\n\nclass One(Restless):\n"
        '    """One view."""\n\n    views = 1\n',
    )
    complaint = lenskit(*TOYS, "--method", "one", "--pairs", "default").complaint()
    assert complaint.startswith("method 'one@lenskit-ssl-one' takes 1 view(s) of each lens, pairs 'default' make 2: ")
    assert "use --pairs single" in complaint


@pytest.mark.slow
def test_weights_that_do_not_fit(lenskit: Callable[..., Any]) -> None:
    save_file(resnet18(num_classes=1).state_dict(), "weights.safetensors")
    flags = ("--backbone", "resnet34", "--set", "backbone.weights=weights.safetensors")
    complaint = lenskit(*TOYS, *flags).complaint(status=1)
    assert complaint.startswith("the weights of weights.safetensors do not fit: ")
    assert "network.layer1.2.conv1.weight" in complaint or "layer1.2.conv1.weight" in complaint
    assert [path.name for path in Path().iterdir()] == ["weights.safetensors"]


def test_a_part_without_batch_norm_may_be_one_lens(toys) -> None:
    config = {"backbone": {"name": "tiny", "norm": False}, "train": {"accumulate": 8}}
    assert Job(toys(**config)).settings.accumulate == 8


METHODS = """
@hookimpl
def lenskit_methods():
    return [
        Component("impatient", "acme_methods:Impatient", "Steps its optimiser itself"),
        Component("forgetful", "acme_methods:Forgetful", "Trains the backbone only"),
    ]
"""
CLASSES = """
from lenskit_toys.components import Restless

class Impatient(Restless):
    def __init__(self, backbone):
        super().__init__(backbone)
        self.automatic_optimization = False

class Forgetful(Restless):
    def parameter_groups(self):
        return [{"modules": [self.backbone]}]
"""


def test_gradients_of_a_method_that_steps_itself_cannot_be_clipped(toys, install: Callable[..., None]) -> None:
    install("acme", METHODS, acme_methods=CLASSES)
    with pytest.raises(
        UsageError, match=r"'impatient@lenskit-ssl-acme' steps its optimisers itself: use --set optimizer.clip=0"
    ):
        Job(toys(method={"name": "impatient"}, optimizer={"clip": 1}))


def test_a_method_that_forgets_a_parameter(toys, install: Callable[..., None]) -> None:
    install("acme", METHODS, acme_methods=CLASSES)
    with pytest.raises(LenskitError, match=r"of Forgetful has the parameter head.weight in no group"):
        Job(toys(method={"name": "forgetful"}))


FITTING = re.compile(r"use --batch-size (\d+)")


@pytest.mark.parametrize(
    "line",
    [
        "--lenses 33 --batch-size 64",
        "--lenses 2 --batch-size 32",
        "--lenses 7 --batch-size 8 --set train.accumulate=3",
        "--lenses 10 --batch-size 9 --set train.accumulate=2",
        "--lenses 9 --batch-size 9 --set train.accumulate=2",
        "--lenses 9 --batch-size 9 --devices 2",
    ],
)
def test_a_batch_that_is_advised_is_one_that_can_be_taken(line: str, lenskit: Callable[..., Any]) -> None:
    """The number of lenses may not be a multiple of a batch, or smaller than one.

    The same fault as in pytorch/pytorch#4534.
    """
    toys = ("train", "--recipe", "toys", "--accelerator", "cpu")
    advised = FITTING.search(lenskit(*toys, *line.split()).complaint())
    assert advised
    choices = dict(zip(line.split()[::2], line.split()[1::2], strict=True))
    accumulate = int(choices.get("--set", "=1").rpartition("=")[2])
    config = Config.resolve(
        read_recipe("toys"),
        {
            "train": {
                "lenses": int(choices["--lenses"]), "batch_size": int(advised[1]), "accumulate": accumulate,
                "devices": choices.get("--devices", "1"), "accelerator": "cpu",
            }
        },
    )  # fmt: skip
    assert Job(config).budget.batches_per_epoch


def test_one_lens_is_no_batch(lenskit: Callable[..., Any]) -> None:
    line = lenskit("train", "--recipe", "toys", "--lenses", 1).complaint()
    assert line.endswith("use more lenses; a batch has at least 2")
    assert "--batch-size" not in line
    line = lenskit(
        "train", "--recipe", "toys", "--lenses", 2, "--batch-size", 2, "--set", "train.accumulate=2"
    ).complaint()
    assert line.endswith("use fewer processes, a smaller train.accumulate or more lenses: an epoch has 2 lenses")
