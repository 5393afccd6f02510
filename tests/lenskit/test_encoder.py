"""Encoders on disk: saved and loaded, and faults in one line."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from astropy.io import fits
from safetensors.torch import load_file, save_file
from torch import Tensor

import lenskit_toys
from lenskit.chosen import build
from lenskit.data.readers import open_dataset
from lenskit.data.simulated import SimulatedLenses
from lenskit.encoder import Encoder
from lenskit.encoder_card import read_card
from lenskit.errors import LenskitError, UsageError

CARD: dict[str, Any] = {
    "backbone": {"name": "tiny", "dropout": 0.3},
    "input": {"stretch": "asinh", "size": 24},
    "image_shape": [1, 16, 16],
}


def images(n: int = 5) -> Tensor:
    return SimulatedLenses(build("simulator", "blobs", {}), seed=1, split="test").read(range(n)).images


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of an encoder."""
    Encoder.untrained(CARD, seed=3).save(tmp_path / "encoder")
    return tmp_path / "encoder"


def test_gives_the_same_features_after_a_round_trip(folder: Path) -> None:
    before, after = Encoder.untrained(CARD, seed=3).eval(), Encoder.load(folder)
    assert not after.training
    assert torch.equal(after(images()), before(images()))
    assert after(images()).shape == (5, 16) == (5, after.features)
    assert after.image_shape == (1, 16, 16)
    assert {path.name for path in folder.iterdir()} == {"encoder.json", "model.safetensors"}


def test_the_card_says_how_to_rebuild_it(folder: Path) -> None:
    assert read_card(folder) == CARD | {"format": 1, "features": 16}
    Encoder.load(folder).save(folder.with_name("again"))
    assert read_card(folder.with_name("again")) == read_card(folder)


def test_the_card_says_how_many_channels_the_one_of_an_image_becomes(tmp_path: Path) -> None:
    card = CARD | {"input": {"stretch": "imagenet", "size": 24, "channels": 3}}
    encoder = Encoder.untrained(card, seed=3).eval()
    encoder.save(tmp_path)
    again = Encoder.load(tmp_path)
    assert (again.image_shape, again.backbone.channels) == ((1, 16, 16), 3)
    assert torch.equal(again(images()), encoder(images()))
    with pytest.raises(UsageError, match="input.stretch=imagenet is for three channels"):
        Encoder.untrained(card | {"input": {"stretch": "imagenet"}})


def test_the_card_says_how_images_are_normalised(tmp_path: Path) -> None:
    encoder = Encoder.untrained(CARD | {"input": {"stretch": "zscale", "normalise": "peak"}}, seed=3).eval()
    encoder.save(tmp_path)
    again = Encoder.load(tmp_path)
    assert (again.preprocess.stretch, again.preprocess.normalise) == ("zscale", "peak")
    assert torch.equal(again(images()), encoder(images()))
    assert Encoder.untrained(CARD).preprocess.normalise == "none"  # the value for cards without this key


@pytest.fixture
def sky(tmp_path: Path) -> str:
    """A FITS file whose pixels are .05" wide."""
    cards = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CDELT1": -0.05 / 3600, "CDELT2": 0.05 / 3600}
    data = np.random.default_rng(0).normal(size=(40, 40)).astype(np.float32)
    fits.writeto(tmp_path / "sky.fits", data, fits.Header(cards))
    return str(tmp_path / "sky.fits")


@pytest.mark.parametrize("scale", [0.05, 0.0509, 0.0491, None])
def test_images_of_the_same_pixels_are_taken(scale: float | None, sky: str, caplog: pytest.LogCaptureFixture) -> None:
    encoder = Encoder.untrained(CARD | ({"pixel_scale": scale} if scale else {}))
    assert encoder.open(sky, measures=True).image_shape == (1, 16, 16)
    assert not caplog.text


def test_images_of_other_pixels_are_told_of_or_refused(sky: str, caplog: pytest.LogCaptureFixture) -> None:
    encoder = Encoder.untrained(CARD | {"pixel_scale": 0.1})
    said = 'the images have pixels of 0.05", but the encoder was trained on pixels of 0.1"'
    encoder.open(sky)
    assert said in caplog.text
    assert "READER:PATH?resample=0.1" in caplog.text
    with pytest.raises(UsageError, match=said):
        encoder.open(sky, measures=True)
    caplog.clear()
    assert encoder.open(f"{sky}?resample=0.1", measures=True).pixel_scale == 0.1
    assert not caplog.text


def test_prepares_images_itself() -> None:
    encoder = Encoder.untrained(CARD, seed=3).eval()
    assert torch.equal(encoder(images()), encoder.backbone(encoder.preprocess(images())))
    torch.testing.assert_close(encoder(1000 * images()), encoder(images()), rtol=1e-4, atol=1e-5)


def test_embeds_images_in_batches_of_any_size() -> None:
    encoder = Encoder.untrained(CARD, seed=3)
    features = encoder.embed(images(7), batch_size=3)
    assert features.shape == (7, 16)
    assert features.dtype == np.float32
    with torch.no_grad():
        np.testing.assert_allclose(features, encoder.eval()(images(7)).numpy(), rtol=1e-4, atol=1e-6)


def test_embeds_in_eval_mode() -> None:
    """Dropout is off and batch norm learns nothing, whatever the mode before."""
    encoder = Encoder.untrained(CARD, seed=3).train()
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    first, second = (encoder.embed(images()) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())


def test_untrained_weights_follow_from_the_seed_alone() -> None:
    state = torch.random.get_rng_state()
    one, two, three = (Encoder.untrained(CARD, seed=seed).eval()(images()) for seed in (3, 3, 4))
    assert torch.equal(one, two)
    assert not torch.allclose(one, three)
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.rand(5)
    assert torch.equal(Encoder.untrained(CARD, seed=3).eval()(images()), one)


def test_half_precision_is_read_as_float32(tmp_path: Path) -> None:
    encoder = Encoder.load(Path(lenskit_toys.__file__).parent / "encoders" / "dotty")
    encoder.save(tmp_path / "whole")
    encoder.save(tmp_path / "half", half=True)
    weights = [Encoder.load(tmp_path / name).backbone.state_dict() for name in ("whole", "half")]
    for whole, half in zip(*(each.values() for each in weights), strict=True):
        assert half.dtype == whole.dtype
        # The shipped weights were rounded.
        torch.testing.assert_close(half, whole, rtol=0, atol=0)
    sizes = [(tmp_path / name / "model.safetensors").stat().st_size for name in ("whole", "half")]
    assert sizes[1] < sizes[0]


def test_a_card_of_images_of_any_shape(tmp_path: Path) -> None:
    card = {
        "format": 1,
        "backbone": {"name": "tiny"},
        "input": {"stretch": "linear", "size": 12, "channels": 2},
        "image_shape": None,
    }
    encoder = Encoder.untrained(card, seed=0).eval()
    with torch.inference_mode():
        assert encoder(torch.rand(2, 1, 20, 30)).shape == (2, 16)
        assert encoder(torch.rand(2, 2, 12, 12)).shape == (2, 16)
        with pytest.raises(UsageError, match=r"input.channels=2 needs images with one channel, .* these have 3"):
            encoder(torch.rand(2, 3, 12, 12))
        with pytest.raises(UsageError, match="takes images .*n, channels x height x width.*, got 2 x 3"):
            encoder.check_shape((2, 3))
    encoder.save(tmp_path / "any")
    assert Encoder.load(tmp_path / "any").image_shape is None
    with pytest.raises(UsageError, match="takes images of any shape cannot be exported"):
        encoder.fixed_shape  # noqa: B018
    card["input"] = {"stretch": "linear", "size": 12}
    (tmp_path / "any" / "encoder.json").write_text(json.dumps(card))
    with pytest.raises(LenskitError, match=r"images of any shape need input.size and input.channels"):
        Encoder.load(tmp_path / "any")


# --- Images that it cannot take ---


@pytest.mark.parametrize("shape", [(2, 1, 16, 17), (2, 1, 24, 24), (2, 3, 16, 16), (1, 16, 16)])
def test_images_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    got = " x ".join(map(str, shape))
    with pytest.raises(LenskitError, match=rf"^the encoder takes images \(n, 1 x 16 x 16\), got {got}$"):
        Encoder.untrained(CARD)(torch.zeros(shape))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_images_that_are_not_finite_are_refused(value: float) -> None:
    holed = images()
    holed[1, 0, 3, 4] = holed[1, 0, 5, 5] = holed[4, 0, 0, 0] = value
    with pytest.raises(LenskitError, match=r"^2 of 5 images hold NaN or infinite pixels: fill or mask them first$"):
        Encoder.untrained(CARD)(holed)


@pytest.mark.parametrize("given", [np.ones((2, 1, 16, 16), complex), [["a"]], [[1.0], [2.0, 3.0]], None])
def test_what_is_no_array_of_real_numbers_is_refused(given: Any) -> None:
    with pytest.raises(UsageError, match="got an object that is not an array of real numbers"):
        Encoder.untrained(CARD).images(given)


def test_real_numbers_of_any_kind_are_images() -> None:
    encoder = Encoder.untrained(CARD)
    for kind in (">f4", "f8", "u2", "i8", bool):
        assert torch.equal(encoder.images(np.ones((2, 1, 16, 16), kind)), torch.ones(2, 1, 16, 16))
    with pytest.raises(UsageError, match="got complex numbers"):
        encoder.images(torch.ones(2, 1, 16, 16, dtype=torch.complex64))


# --- Folders that hold none ---


def change_card(**changes: Any) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        (folder / "encoder.json").write_text(json.dumps(read_card(folder) | changes))

    return change


def change_weights(change: Callable[[dict[str, Tensor]], object]) -> Callable[[Path], object]:
    def write(folder: Path) -> None:
        weights = load_file(folder / "model.safetensors")
        change(weights)
        save_file(weights, folder / "model.safetensors")

    return write


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "no card": (lambda f: (f / "encoder.json").unlink(), "holds no encoder: encoder.json is missing"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "holds no encoder: model.safetensors is missing"),
    "empty card": (lambda f: (f / "encoder.json").write_text(""), "is damaged: encoder.json: "),
    "half a card": (lambda f: os.truncate(f / "encoder.json", 60), "is damaged: encoder.json: "),
    "binary card": (lambda f: (f / "encoder.json").write_bytes(b"\xff\xfe\0"), "is damaged: encoder.json: "),
    "a list": (lambda f: (f / "encoder.json").write_text("[1]"), "has format None, this lenskit reads 1"),
    "another format": (change_card(format=2), "has format 2, this lenskit reads 1"),
    "empty weights": (lambda f: os.truncate(f / "model.safetensors", 0), "is damaged: model.safetensors: "),
    "half the weights": (lambda f: os.truncate(f / "model.safetensors", 3000), "is damaged: model.safetensors: "),
    "a weight too few": (change_weights(dict.popitem), "do not fit its encoder.json: .*Missing key"),
    "a weight too many": (
        change_weights(lambda w: w.update(more=torch.zeros(2))),
        'do not fit its encoder.json: .*Unexpected key.*"more"',
    ),
    "another shape": (
        change_weights(lambda w: w.update({"body.0.weight": torch.zeros(8, 3, 3, 3)})),
        "do not fit its encoder.json: .*size mismatch for body.0.weight",
    ),
    "unknown backbone": (change_card(backbone={"name": "tinny"}), "unknown backbone 'tinny'.*did you mean tiny"),
    "unknown option": (
        change_card(backbone={"name": "tiny", "drop_out": 0.1}),
        "backbone 'tiny' has no option 'drop_out': did you mean dropout",
    ),
    "out of range": (
        change_card(backbone={"name": "tiny", "dropout": -1}),
        "cannot be built from its encoder.json: ",
    ),
    "unknown stretch": (
        change_card(input={"stretch": "sinh"}),
        "the encoder's input: option stretch takes str, got 'sinh' .'sinh' is none of asinh, zscale, ",
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_is_no_encoder_is_told_in_one_line(damage: str, folder: Path) -> None:
    harm, message = DAMAGE[damage]
    harm(folder)
    with pytest.raises(LenskitError, match=message) as caught:
        Encoder.load(folder)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("place", range(0, 1000, 97))
def test_a_bit_that_changed_in_the_weights_is_found(place: int, folder: Path) -> None:
    content = bytearray((folder / "model.safetensors").read_bytes())
    content[-1 - place] ^= 1 << place % 8
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(LenskitError, match=r"is damaged: model\.safetensors: its checksum is wrong; restore it, or "):
        Encoder.load(folder)


def test_a_card_that_was_changed_is_told_and_used(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = folder / "encoder.json"
    path.write_text(path.read_text().replace('"size": 24', '"size": 20'))
    assert Encoder.load(folder).preprocess.size == 20
    assert "encoder.json was changed after it was written: its checksum differs" in caplog.text
    caplog.clear()
    card = json.loads(path.read_text())
    del card["checksum"]  # as the warning advises
    path.write_text(json.dumps(card))
    assert Encoder.load(folder).preprocess.size == 20
    assert not caplog.text


def test_an_encoder_of_before_without_checksums_is_opened(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    change_card()(folder)
    change_weights(lambda weights: None)(folder)
    Encoder.load(folder)
    assert not caplog.text


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(LenskitError, match=r"nowhere holds no encoder: encoder\.json is missing"):
        Encoder.load(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(LenskitError, match=r"file holds no encoder: encoder\.json is missing"):
        Encoder.load(tmp_path / "file")


def test_pixels_of_unknown_size_are_told_of_in_one_line(sky: str, caplog: pytest.LogCaptureFixture) -> None:
    fits.writeto("plain.fits", fits.getdata(sky))
    encoder = Encoder.untrained(CARD | {"pixel_scale": 0.05})
    encoder.open("plain.fits", measures=True)
    (record,) = caplog.records
    assert "unknown, and the encoder was trained on pixels of 0.05" in record.getMessage()
    assert 'as in "READER:PATH?pixel_scale=0.05"' in record.getMessage()
    caplog.clear()
    encoder.open("plain.fits?pixel_scale=0.05", measures=True)
    Encoder.untrained(CARD).open("plain.fits")
    assert not caplog.records


def test_resample_auto_takes_the_pixel_size_of_the_training(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for number, (pixels, scale) in enumerate([(32, 0.05), (16, 0.1)]):
        header = fits.Header({"PIXSCALE": scale})
        fits.writeto(tmp_path / f"{number}.fits", random.random((pixels, pixels)).astype(np.float32), header)
    encoder = Encoder.untrained(
        {
            "backbone": {"name": "tiny"}, "input": {}, "image_shape": [1, 16, 16], "pixel_scale": 0.1,
        },
        seed=0,
    )  # fmt: skip
    with pytest.raises(UsageError, match="resample=0.1"):
        encoder.open(str(tmp_path))
    dataset = encoder.open(f"{tmp_path}?resample=auto")
    assert dataset.pixel_scale == 0.1
    assert encoder.embed(dataset.read([0, 1])[0][:, 0]).shape == (2, 16)
    with pytest.raises(UsageError, match="resample=auto takes the pixel size of an encoder.*resample=ARCSEC"):
        open_dataset(f"{tmp_path}?resample=auto")
