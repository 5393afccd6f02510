"""Images are resized to the nearest size of the backbone."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from lenskit.chosen import Chosen
from lenskit.config import Config
from lenskit.encoder_card import read_card
from lenskit.errors import LenskitError, UsageError
from lenskit.kinds.backbone import STEPS, Backbone, sizes_near
from lenskit.preprocessing.preprocess import Preprocess
from lenskit.run import Run
from lenskit.training.resume import resume
from lenskit.training.runner import Job, train
from lenskit.training.sizes import backbone_for

VIT = "timm:test_vit"  # patches of 16 pixels


class Sixteens(Backbone):
    """Backbone that rejects sizes other than multiples of 16, only when it is built."""

    features = 4

    def __init__(self, channels: int, size: int, *, weights: str | None = None) -> None:
        super().__init__(channels, size)
        if size % 16:
            raise ValueError(f"{size} is no multiple of 16")
        if weights:
            raise UsageError(f"there is no file {weights}")
        self.layer = nn.Linear(channels * 16**2, 4)

    def forward(self, images: Tensor) -> Tensor:
        return self.layer(nn.functional.adaptive_avg_pool2d(images, 16).flatten(1))


class Fixed(Backbone):
    """Backbone with weights for 64 x 64 pixels, whatever the size of the images."""

    features = 4

    def __init__(self, channels: int, size: int) -> None:
        super().__init__(channels, size)
        self.layer = nn.Linear(channels * 64**2, 4)

    def forward(self, images: Tensor) -> Tensor:
        return self.layer(images.flatten(1))


class Stating(Fixed):
    """Backbone that states its size."""

    @classmethod
    def nearest_size(cls, size: int, **options: Any) -> int:
        return 64


class Absurd(Fixed):
    @classmethod
    def nearest_size(cls, size: int, **options: Any) -> int:
        return 0


class Nothing(Fixed):
    def forward(self, images: Tensor) -> Tensor:
        raise RuntimeError("never")


def chosen(component: type[Backbone], **arguments: Any) -> Chosen:
    return Chosen("backbone", "mine", component, arguments, arguments)


@given(st.integers(1, 4096))
def test_sizes_near_begin_with_the_nearest_and_have_the_nearest_multiples(size: int) -> None:
    sizes = sizes_near(size, 240)
    assert sizes[0] == size
    assert 240 in sizes
    assert min(sizes[1:]) >= 8
    distances = [abs(near - size) for near in sizes]
    assert distances == sorted(distances)
    for step in STEPS:
        nearest = min(range(step, size + step + 1, step), key=lambda multiple: abs(multiple - size))
        assert nearest < 8 or abs(next(s for s in sizes if s % step == 0) - size) == abs(nearest - size)


@pytest.mark.parametrize(
    ("component", "size", "taken"),
    [(Sixteens, 32, 32), (Sixteens, 110, 112), (Sixteens, 66, 64), (Sixteens, 150, 144), (Sixteens, 5, 16)]
    + [(component, size, 64) for component in (Fixed, Stating) for size in (20, 64, 110)],
)
def test_the_nearest_size_is_taken_stated_or_tried(component: type[Backbone], size: int, taken: int) -> None:
    torch.manual_seed(0)
    backbone = backbone_for(chosen(component), 1, size, may_resize=True)
    assert backbone.size == taken
    torch.manual_seed(0)
    said = component(1, taken)
    for name, value in said.state_dict().items():
        assert torch.equal(backbone.state_dict()[name], value)


def test_a_size_that_the_user_sets_is_not_changed() -> None:
    for component in (Fixed, Stating):
        with pytest.raises(UsageError, match=r"'mine' does not accept images of 60 x 60 .* --set input.size=64$"):
            backbone_for(chosen(component), 1, 60, may_resize=False)
    with pytest.raises(UsageError, match="60 is no multiple of 16"):
        backbone_for(chosen(Sixteens), 1, 60, may_resize=False)


def test_other_faults_than_a_size_are_told_as_they_are() -> None:
    with pytest.raises(UsageError, match="there is no file nowhere"):
        backbone_for(chosen(Sixteens, weights="nowhere"), 1, 64, may_resize=True)
    with pytest.raises(RuntimeError, match="never"):
        backbone_for(chosen(Nothing), 1, 64, may_resize=True)
    with pytest.raises(
        LenskitError, match=r"'mine' needs images of 0 pixels, .* 8 to 4096 pixels: use a different --backbone"
    ):
        backbone_for(chosen(Absurd), 1, 60, may_resize=True)


class Interrupt(pl.Callback):
    """Callback that stops a run after its third batch."""

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, *_: Any) -> None:
        if pl_module.batches == 2:
            signal.raise_signal(signal.SIGINT)


def short(toys: Callable[..., Config], **changes: Any) -> Config:
    return toys(
        train={"lenses": 16, "epochs": 2, "batch_size": 4},
        simulator={"pixels": 30},
        backbone={"name": VIT},
        monitor={"probe_every": 0},
        **changes,
    )


@pytest.mark.slow
def test_the_size_is_in_the_card_and_not_in_the_configuration(
    toys: Callable[..., Config], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        run = train(short(toys), Path("run"), progress=False)
    (line,) = (record.getMessage() for record in caplog.records if "resized" in record.getMessage())
    assert line.startswith(
        f"images of 30 x 30 pixels are resized to 32 x 32, the nearest size that backbone {VIT!r} accepts"
    )
    assert "size" not in run.config.sections["input"]
    card = read_card(run.path / "encoder")
    assert (card["input"]["size"], card["image_shape"]) == (32, [1, 30, 30])

    images = run.simulator().render(run.simulator().scene(1, "test", torch.arange(3)))
    encoder = run.encoder()
    with torch.inference_mode():
        assert torch.equal(encoder(images), encoder.backbone(Preprocess("asinh", size=32)(images)))
    assert run.method().backbone.size == 32

    # Another backbone in its run.toml gets its own size.
    layer = Config.from_toml(run.path / "run.toml").sections
    assert Job(Config.resolve(layer, {"backbone": {"name": "tiny"}})).encoder.card["input"]["size"] is None


@pytest.mark.slow
def test_a_run_that_is_resumed_works_out_the_same_size(toys: Callable[..., Config]) -> None:
    config = short(toys)
    whole = train(config, Path("whole"), progress=False)
    stopped = Job(config).fit(Run.create(Path("stopped"), config), None, False, [Interrupt()])
    assert not stopped.finished
    resumed = resume(stopped.path, progress=False)
    assert resumed.finished
    for name, value in whole.encoder().state_dict().items():
        assert torch.equal(resumed.encoder().state_dict()[name], value)
    assert read_card(resumed.path / "encoder") | {"checksum": ""} == read_card(whole.path / "encoder") | {
        "checksum": ""
    }


@pytest.mark.slow
def test_it_is_the_run_with_that_size_set(toys: Callable[..., Config]) -> None:
    found, said = (Job(config) for config in (short(toys), short(toys, input={"size": 32})))
    for name, value in said.method.state_dict().items():
        assert torch.equal(found.method.state_dict()[name], value)
    ours, theirs = (job.training_set.by_index(range(2)) for job in (found, said))
    assert all(torch.equal(a, b) for a, b in zip(ours.views, theirs.views, strict=True))
    assert found.encoder.card == said.encoder.card
    with pytest.raises(UsageError, match="multiples of 16 pixels, the images have 40"):
        Job(short(toys, input={"size": 40}))


@pytest.mark.slow
def test_stored_images_of_any_size_train_a_vit(images: Path) -> None:
    config = Config.resolve({
        "data": {"name": "fits-folder", "path": str(images)},
        "pairs": {"name": "default"},
        "backbone": {"name": VIT},
        "train": {"epochs": 1, "batch_size": 6, "accelerator": "cpu"},
        "monitor": {"probe_every": 0},
    })  # fmt: skip
    encoder = train(config, Path("stored"), progress=False).encoder()
    assert (encoder.image_shape, encoder.preprocess.size) == ((1, 18, 18), 16)
    assert encoder.embed(torch.rand(2, 1, 18, 18)).shape == (2, encoder.features)
