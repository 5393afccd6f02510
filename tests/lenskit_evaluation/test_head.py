"""Tests of the linear heads of encoders."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import Tensor

from lenskit.errors import LenskitError
from lenskit.plugin import Parameter
from lenskit.toolbox import orient_images, orient_values, save_tensors
from lenskit_evaluation.head import ORIENTATIONS, Head, averaged, predict
from lenskit_evaluation.intervals import Intervals
from lenskit_evaluation.outliers import fit_outlier_detector
from lenskit_evaluation.regression import fit_linear_probe

PARAMETERS = (Parameter("theta_E", "arcsec", headline=True), Parameter("e1"), Parameter("e2"))


def pixels(images: Tensor) -> np.ndarray:
    """Return the pixels, which serve as features in these tests."""
    return images.flatten(1).double().numpy()


def draw(count: int, seed: int = 0) -> Tensor:
    return torch.rand(count, 1, 4, 4, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def head() -> Head:
    rng = np.random.default_rng(0)
    train, test = pixels(draw(60)), pixels(draw(40, 1))
    labels = train @ rng.normal(size=(16, 3)) + 0.1 * rng.normal(size=(60, 3))
    linear = fit_linear_probe(train, labels, [p.name for p in PARAMETERS], [p.unit for p in PARAMETERS])
    intervals = Intervals.fit(linear.predict(test) + rng.normal(size=(40, 3)), linear.predict(test))
    return Head(linear, PARAMETERS, intervals, fit_outlier_detector(train, test), False, {"data": "squares"})


def test_what_is_written_is_read_again(head: Head, tmp_path: Path) -> None:
    path = tmp_path / "head.safetensors"
    path.write_bytes(head.to_bytes())
    again = Head.load(path)
    assert (again.parameters, again.average, again.about) == (PARAMETERS, False, {"data": "squares"})
    ours, theirs = (each.predict(pixels, [draw(5, 2), draw(3, 3)]) for each in (head, again))
    for name in ("theta_E", "e1", "e2"):
        np.testing.assert_array_equal(theirs.values[name], ours.values[name])
    assert again.half_width(0.68) == head.half_width(0.68)
    np.testing.assert_array_equal(again.outliers.distance(ours.features), head.outliers.distance(ours.features))
    assert again.to_bytes() == head.to_bytes()


def test_a_plain_head_is_its_linear_map(head: Head) -> None:
    found = head.predict(pixels, [draw(5, 2)])
    np.testing.assert_array_equal(found.values["e1"], head.linear.predict(pixels(draw(5, 2)))[:, 1])
    np.testing.assert_array_equal(found.features, pixels(draw(5, 2)))


@pytest.mark.parametrize(("quarters", "mirrored"), ORIENTATIONS)
def test_an_average_turns_with_its_image(head: Head, quarters: int, mirrored: bool) -> None:
    """The average over orientations transforms with the image, for any head."""
    images = draw(6, 4)
    turn, mirror = torch.full((6,), quarters), torch.full((6,), mirrored)
    plain = predict(head.linear, PARAMETERS, True, pixels, images).values
    turned = predict(head.linear, PARAMETERS, True, pixels, orient_images(images, turn, mirror)).values
    expected = orient_values({name: torch.from_numpy(value) for name, value in plain.items()}, turn, mirror, PARAMETERS)
    for name, value in expected.items():
        np.testing.assert_allclose(turned[name], value.numpy(), atol=1e-10)


def test_what_cannot_be_averaged() -> None:
    angle, alone = Parameter("phi", "rad"), Parameter("gamma1")
    assert averaged([*PARAMETERS, angle, alone]) == list(PARAMETERS)


def test_damage_is_one_line(head: Head, tmp_path: Path) -> None:
    path, whole = tmp_path / "head.safetensors", head.to_bytes()
    path.write_bytes(whole[:-4] + bytes(4))
    with pytest.raises(LenskitError, match=r"head\.safetensors is damaged: its checksum is wrong"):
        Head.load(path)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(LenskitError, match=r"head\.safetensors is damaged"):
        Head.load(path)
    path.write_bytes(save_tensors({"a": torch.zeros(1)}))
    with pytest.raises(LenskitError, match="is not the head of an encoder"):
        Head.load(path)
    tensors = safetensors.torch.load(whole)
    path.write_bytes(whole)
    told = safetensors.safe_open(path, "pt").metadata()
    path.write_bytes(save_tensors({n: t for n, t in tensors.items() if n != "linear.coef"}, {"head": told["head"]}))
    with pytest.raises(LenskitError, match=r"is not a complete head of an encoder: .*linear.coef"):
        Head.load(path)
    path.write_bytes(save_tensors(tensors | {"linear.coef": torch.zeros(2, 16).double()}, {"head": told["head"]}))
    with pytest.raises(LenskitError, match="is not a complete head of an encoder"):
        Head.load(path)
    path.write_bytes(save_tensors(tensors, {"head": told["head"].replace('"format": 1', '"format": 2')}))
    with pytest.raises(LenskitError, match="has format 2, but this version of lenskit reads 1"):
        Head.load(path)
