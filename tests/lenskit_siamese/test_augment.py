"""Batched augmentations, compared with torchvision's, image by image."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.transforms.v2 import functional as tv

from lenskit_siamese.augment import gaussian_blur, jitter, random_crops, resized_crop

UNIT = st.floats(0, 1, exclude_max=True)


def images(n: int, channels: int, height: int, width: int, seed: int = 0) -> torch.Tensor:
    """Return smooth images with noise, from about -3 to 3, including negative pixels."""
    return torch.randn(n, channels, height, width, generator=torch.Generator().manual_seed(seed))


@st.composite
def crops(draw, height: int, width: int) -> list[int]:
    h, w = draw(st.integers(1, height)), draw(st.integers(1, width))
    return [draw(st.integers(0, height - h)), draw(st.integers(0, width - w)), h, w]


@settings(max_examples=40, deadline=None)
@given(data=st.data(), channels=st.integers(1, 4), size=st.tuples(st.integers(2, 40), st.integers(2, 40)))
def test_resized_crop_is_torchvisions(data, channels, size):
    height, width = size
    places = data.draw(st.lists(crops(height, width), min_size=1, max_size=4))
    flips = data.draw(st.lists(st.booleans(), min_size=len(places), max_size=len(places)))
    batch = images(len(places), channels, height, width)
    ours = resized_crop(batch, torch.tensor(places), torch.tensor(flips))
    for image, got, place, flip in zip(batch, ours, places, flips, strict=True):
        for antialias in (False, True):  # both are the same, because a crop is never reduced
            wanted = tv.resized_crop(image, *place, size=[height, width], antialias=antialias)
            wanted = tv.horizontal_flip(wanted) if flip else wanted
            torch.testing.assert_close(got, wanted, atol=1e-4, rtol=0)


def test_resized_crop_is_exact_to_single_precision_on_a_ramp():
    # Bilinear interpolation reproduces a linear function, so the crop's positions can be read off in closed form.
    ramp = torch.arange(110.0).expand(1, 1, 110, 110)
    got = resized_crop(ramp, torch.tensor([[0, 20, 110, 55]]), torch.tensor([False]))
    wanted = (20 + (torch.arange(110) + 0.5) / 2 - 0.5).clamp(20, 74)
    torch.testing.assert_close(got[0, 0, 50], wanted, atol=2e-5, rtol=0)


@settings(max_examples=40, deadline=None)
@given(factors=st.lists(st.tuples(st.floats(0.6, 1.4), st.floats(0.6, 1.4)), min_size=1, max_size=5))
def test_jitter_is_torchvisions_where_it_does_not_clamp(factors):
    batch = 0.4 + 0.02 * images(len(factors), 1, 16, 16)  # stays within (0, 1)
    ours = jitter(batch, *torch.tensor(factors).T)
    for image, got, (brightness, contrast) in zip(batch, ours, factors, strict=True):
        for wanted in (
            tv.adjust_contrast(tv.adjust_brightness(image, brightness), contrast),
            tv.adjust_brightness(tv.adjust_contrast(image, contrast), brightness),
        ):
            torch.testing.assert_close(got, wanted, atol=1e-6, rtol=0)


def test_contrast_keeps_the_mean_over_all_channels_and_scales_the_spread():
    batch = images(2, 3, 16, 16) + torch.tensor([-5.0, 0.0, 9.0])[:, None, None]
    got = jitter(batch, torch.ones(2), torch.tensor([0.5, 1.4]))
    torch.testing.assert_close(got.mean((1, 2, 3)), batch.mean((1, 2, 3)))
    torch.testing.assert_close(got.std((1, 2, 3)), batch.std((1, 2, 3)) * torch.tensor([0.5, 1.4]))


@settings(max_examples=40, deadline=None)
@given(
    sigmas=st.lists(st.floats(0.1, 5), min_size=1, max_size=4),
    channels=st.integers(1, 4),
    radius=st.integers(0, 11),
    size=st.tuples(st.integers(12, 40), st.integers(12, 40)),
)
def test_gaussian_blur_is_torchvisions(sigmas, channels, radius, size):
    batch = images(len(sigmas), channels, *size)
    ours = gaussian_blur(batch, torch.tensor(sigmas), radius)
    for image, got, sigma in zip(batch, ours, sigmas, strict=True):
        wanted = tv.gaussian_blur(image, [2 * radius + 1] * 2, [sigma] * 2)
        torch.testing.assert_close(got, wanted, atol=2e-6, rtol=0)


def test_neutral_arguments_leave_an_image_as_it_is():
    batch = images(3, 2, 33, 47)
    whole = torch.tensor([[0, 0, 33, 47]] * 3)
    torch.testing.assert_close(resized_crop(batch, whole, torch.zeros(3, dtype=bool)), batch, atol=1e-4, rtol=0)
    assert torch.equal(jitter(batch, torch.ones(3), torch.ones(3)), batch)
    assert torch.equal(gaussian_blur(batch, torch.zeros(3), 7), batch)


def reference_crop(height, width, scale, ratio, area, aspect, top, left) -> list[int]:
    """Return a crop by the rule of torchvision's RandomResizedCrop, for one image."""
    for a, r in zip(area, aspect, strict=True):
        pixels = height * width * (scale[0] + (scale[1] - scale[0]) * a)
        shape = math.exp(math.log(ratio[0]) + (math.log(ratio[1]) - math.log(ratio[0])) * r)
        w, h = round(math.sqrt(pixels * shape)), round(math.sqrt(pixels / shape))
        if 0 < w <= width and 0 < h <= height:
            return [int(top * (height - h + 1)), int(left * (width - w + 1)), h, w]
    if width / height < ratio[0]:
        w, h = width, round(width / ratio[0])
    elif width / height > ratio[1]:
        w, h = round(height * ratio[1]), height
    else:
        w, h = width, height
    return [(height - h) // 2, (width - w) // 2, h, w]


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(
    size=st.tuples(st.integers(1, 120), st.integers(1, 120)),
    scale=st.sampled_from([(0.2, 1.0), (0.9, 1.0), (1.0, 1.0), (1e-4, 1e-3)]),
    ratio=st.sampled_from([(3 / 4, 4 / 3), (0.3, 3.3), (1.0, 1.0)]),
    numbers=st.lists(st.tuples(UNIT, UNIT), min_size=1, max_size=4),
    place=st.tuples(UNIT, UNIT),
)
def test_random_crops_follow_torchvisions_rule(size, scale, ratio, numbers, place):
    area, aspect = zip(*numbers, strict=True)
    wanted = reference_crop(*size, scale, ratio, area, aspect, *place)
    got = random_crops(
        size,
        scale,
        ratio,
        area=torch.tensor([area], dtype=torch.float64),
        aspect=torch.tensor([aspect], dtype=torch.float64),
        top=torch.tensor(place[:1], dtype=torch.float64),
        left=torch.tensor(place[1:], dtype=torch.float64),
    )
    assert got.tolist() == [wanted]


@pytest.mark.parametrize("size", [(110, 110), (64, 100)])
def test_random_crops_are_distributed_as_torchvisions(size):
    from torchvision.transforms.v2 import RandomResizedCrop

    torch.manual_seed(1)
    n = 4000
    transform, image = RandomResizedCrop(8), torch.zeros(1, *size)
    transform.scale = (0.2, 1.0)
    theirs = torch.tensor([[p[k] for k in ("top", "left", "height", "width")] for p in
                           (transform.make_params([image]) for _ in range(n))], dtype=torch.float64)  # fmt: skip
    u = torch.rand(n, 22)
    ours = random_crops(
        size, (0.2, 1.0), (3 / 4, 4 / 3), area=u[:, :10], aspect=u[:, 10:20], top=u[:, 20], left=u[:, 21]
    )
    for a, b in zip(ours.double().T, theirs.T, strict=True):
        # Kolmogorov-Smirnov distance of two samples of 4000: 0.0363 is the 1 % level.
        grid = torch.cat([a, b]).unique()
        distance = (torch.searchsorted(a.sort().values, grid, right=True)
                    - torch.searchsorted(b.sort().values, grid, right=True)).abs().max() / n  # fmt: skip
        assert distance < 0.0363
