"""Preprocessing, compared with numpy, scipy and torchvision."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor
from torchvision.transforms.v2.functional import normalize, resize

from lenskit.errors import UsageError
from lenskit.preprocessing.preprocess import Preprocess, border_noise


def noisy(n: int = 4, channels: int = 2, size: int = 33, sigma: float = 0.02) -> Tensor:
    """Return images of a bright blob on noise."""
    rng = np.random.default_rng(1)
    axis = np.arange(size) - size / 2
    blob = np.exp(-(axis**2 + axis[:, None] ** 2) / 18)
    return torch.from_numpy((blob + sigma * rng.standard_normal((n, channels, size, size))).astype(np.float32))


def border(image: np.ndarray) -> np.ndarray:
    inside = np.zeros_like(image, dtype=bool)
    inside[1:-1, 1:-1] = True
    return image[~inside]


def test_sigma_is_the_scaled_median_absolute_deviation_of_the_border() -> None:
    images = noisy()
    sigma = border_noise(images)
    assert sigma.shape == (4, 2, 1, 1)
    for image, value in zip(images.flatten(0, 1).numpy(), sigma.flatten().tolist(), strict=True):
        assert value == pytest.approx(stats.median_abs_deviation(border(image), scale="normal"), rel=1e-5)


@pytest.mark.slow
def test_sigma_is_that_of_the_noise() -> None:
    """4000 borders of 128 pixels, each with an error of 10 % and a bias of 0.6 %.

    See Croux & Rousseeuw 1992.
    """
    images = noisy(4000, 1)
    assert float(border_noise(images).mean()) == pytest.approx(0.02, rel=0.01)


def test_asinh_is_that_of_the_formula() -> None:
    images = noisy()
    expected = np.arcsinh(images.double().numpy() / (3 * border_noise(images).double().numpy()))
    np.testing.assert_allclose(Preprocess("asinh")(images).numpy(), expected, rtol=2e-6, atol=1e-6)


@given(st.floats(1e-20, 1e20))
@settings(deadline=None, max_examples=30)
def test_the_unit_drops_out(scale: float) -> None:
    images = noisy()
    torch.testing.assert_close(Preprocess()(images * scale), Preprocess()(images), rtol=1e-4, atol=1e-5)


def test_each_channel_has_its_own_scale() -> None:
    images = noisy()
    scaled = images * torch.tensor([1.0, 1000.0])[:, None, None]
    torch.testing.assert_close(Preprocess()(scaled), Preprocess()(images), rtol=1e-4, atol=1e-5)


def _with_border(value: float, inside: float) -> Tensor:
    image = torch.full((1, 1, 16, 16), value)
    image[..., 4:12, 4:12] = inside
    return image


@pytest.mark.parametrize(
    "images",
    [
        torch.zeros(1, 1, 16, 16),
        torch.ones(1, 1, 16, 16),
        _with_border(0.0, 1.0),
        _with_border(5.0, -3.0),
        _with_border(0.0, 1e-42),
        _with_border(1e-42, 1.0),
        _with_border(0.0, 3e38),
        torch.full((1, 1, 1, 1), 2.0),
    ],
    ids=["zero", "constant", "flat border", "negative inside", "subnormal", "tiny border", "huge", "one pixel"],
)
def test_borders_without_noise_are_finite(images: Tensor) -> None:
    assert (border_noise(images) > 0).all()
    assert Preprocess()(images).isfinite().all()


def test_a_flat_border_falls_back_on_the_peak() -> None:
    stretched = Preprocess()(_with_border(0.0, 7.0))
    assert float(stretched.max()) == pytest.approx(np.arcsinh(1 / 3e-3))
    assert float(stretched.min()) == 0


def test_linear_leaves_the_values() -> None:
    images = noisy()
    assert torch.equal(Preprocess("linear")(images), images)
    assert torch.equal(Preprocess("linear", 33)(images), images)


def test_resizes_as_torchvision_does() -> None:
    images = noisy()
    for size in (12, 33, 50):
        expected = resize(images, [size, size], antialias=True)
        torch.testing.assert_close(Preprocess("linear", size)(images), expected)


def test_resizing_does_not_alias() -> None:
    """A chequerboard becomes grey; every other pixel would be black or white."""
    board = ((torch.arange(32) + torch.arange(32)[:, None]) % 2).float()[None, None]
    inside = Preprocess("linear", 8)(board)[..., 1:-1, 1:-1]
    torch.testing.assert_close(inside, torch.full_like(inside, 0.5), rtol=0, atol=1e-3)


def test_stretches_before_it_resizes() -> None:
    """Therefore the noise is measured in the original pixels."""
    images = noisy()
    torch.testing.assert_close(Preprocess("asinh", 16)(images), Preprocess("linear", 16)(Preprocess("asinh")(images)))


def test_one_channel_is_repeated() -> None:
    images = noisy()[:, :1]
    repeated = Preprocess("asinh", 16, channels=3)(images)
    assert torch.equal(repeated, Preprocess("asinh", 16)(images).repeat(1, 3, 1, 1))
    assert Preprocess("asinh", 16, channels=3).shape((1, 40, 30)) == (3, 16, 16)
    assert Preprocess().shape((2, 40, 30)) == (2, 40, 30)


def test_photographs_are_standardised_as_torchvision_does() -> None:
    """torchvision scales images to 0 to 1, then applies the weights' constants."""
    images = noisy()[:, :1]
    peak = images.amax((1, 2, 3), keepdim=True)
    for channels, bands in (
        (3, images),
        (None, images.repeat(1, 3, 1, 1) * torch.tensor([1.0, 0.5, 0.2]).view(3, 1, 1)),
    ):
        stretched = Preprocess("imagenet", channels=channels)(bands * 1e-9)
        expected = normalize((bands / peak).expand(-1, 3, -1, -1), [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
        torch.testing.assert_close(stretched, expected)
    assert Preprocess("imagenet", channels=3)(torch.zeros(1, 1, 8, 8)).isfinite().all()


@pytest.mark.parametrize(
    ("preprocess", "shape", "message"),
    [
        (
            Preprocess(channels=3),
            (2, 8, 8),
            "input.channels=3 needs images with one channel, which it repeats; these have 2",
        ),
        (
            Preprocess("imagenet"),
            (1, 8, 8),
            "input.stretch=imagenet is for three channels, such as --set input.channels=3;",
        ),
        (Preprocess("imagenet"), (4, 8, 8), "input.stretch=imagenet is for three channels; the images have 4"),
    ],
)
def test_images_of_the_wrong_channels_are_refused(
    preprocess: Preprocess, shape: tuple[int, int, int], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        preprocess.shape(shape)


# --- Normalisation ---


def test_the_maximum_of_an_image_becomes_one() -> None:
    images = noisy() * torch.tensor([1e-12, 3.0])[:, None, None]
    found = Preprocess("linear", normalise="peak")(images)
    assert found.amax((1, 2, 3)).tolist() == pytest.approx([1] * 4)
    torch.testing.assert_close(found, images / images.amax((1, 2, 3), keepdim=True))
    negative = -noisy().abs()
    assert torch.equal(Preprocess("linear", normalise="peak")(negative), negative)


@pytest.mark.parametrize("size", [None, 20])
@pytest.mark.parametrize("stretch", ["linear", "asinh", "zscale"])
def test_images_are_standardised_over_their_channels(stretch: str, size: int | None) -> None:
    plain = Preprocess(stretch, size)(noisy()).double().numpy()
    found = Preprocess(stretch, size, normalise="standard")(noisy()).numpy()
    np.testing.assert_allclose(found, stats.zscore(plain.reshape(4, -1), axis=1).reshape(plain.shape), atol=1e-5)


@given(st.floats(-30, 30))
@settings(deadline=None, max_examples=30)
@pytest.mark.parametrize("how", ["peak", "standard"])
@pytest.mark.parametrize("stretch", ["linear", "asinh", "zscale"])
def test_the_unit_drops_out_of_what_is_normalised(stretch: str, how: str, exponent: float) -> None:
    """Even if squares of the values underflow.

    Images of the Lens Finding Challenge have values of 1e-12.
    """
    images, preprocess = noisy(), Preprocess(stretch, normalise=how)
    torch.testing.assert_close(preprocess(images * 10**exponent), preprocess(images), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("how", ["peak", "standard"])
def test_a_constant_image_stays_finite(how: str) -> None:
    for value in (0.0, 2.0, -2.0, 1e-42):
        assert Preprocess("linear", normalise=how)(torch.full((1, 1, 8, 8), value)).isfinite().all()


def test_photographs_are_not_normalised_twice() -> None:
    with pytest.raises(UsageError, match="stretch=imagenet standardises images itself: leave out normalise=peak"):
        Preprocess("imagenet", normalise="peak").shape((3, 8, 8))
