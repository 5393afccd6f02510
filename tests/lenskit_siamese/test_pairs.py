"""Pair strategies `default` and `single`."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lenskit.plugin import KeyedGenerator, UsageError
from lenskit_siamese.pairs import Default, Single


def generator(index: torch.Tensor, seed: int = 0) -> KeyedGenerator:
    return KeyedGenerator(seed, "train", "views", index, torch.zeros_like(index))


def images(n: int, channels: int, size: int) -> torch.Tensor:
    return torch.randn(n, 1, channels, size, size, generator=torch.Generator().manual_seed(n))


def test_single_returns_the_rendering_as_it_is():
    batch = Single()(images(3, 2, 8), {"gamma": torch.ones(3, 1)}, generator(torch.arange(3)))
    assert len(batch.views) == Single.views
    assert torch.equal(batch.views[0], images(3, 2, 8)[:, 0])
    assert batch.parameters["gamma"].shape == (3, 1)


@pytest.mark.slow
@settings(max_examples=12, deadline=None)
@given(
    index=st.lists(st.integers(0, 10**9), min_size=2, max_size=3, unique=True),
    channels=st.integers(1, 4),
    size=st.sampled_from([16, 31, 64]),
    seed=st.integers(0, 99),
)
def test_default_makes_each_row_from_its_address_alone(index, channels, size, seed):
    numbers, stack = torch.tensor(index), images(len(index), channels, size)
    parameters = {"theta_E": torch.rand(len(index), 1)}
    together = Default()(stack, parameters, generator(numbers, seed))
    again = Default()(stack, parameters, generator(numbers, seed))
    assert together.parameters["theta_E"].shape == (len(index), 2)
    for view in range(2):
        assert together.views[view].shape == (len(index), channels, size, size)
        assert torch.equal(together.views[view], again.views[view])
        for row in range(len(index)):
            alone = Default()(stack[row : row + 1], {}, generator(numbers[row : row + 1], seed))
            torch.testing.assert_close(alone.views[view][0], together.views[view][row], atol=1e-6, rtol=1e-6)


def test_default_makes_two_different_views_of_each_of_different_images():
    batch = Default()(images(8, 1, 32)[:1].expand(8, -1, -1, -1, -1), {}, generator(torch.arange(8)))
    views = torch.cat(batch.views).flatten(1)
    distances = torch.cdist(views, views) + torch.eye(16) * 1e3
    assert distances.min() > 1


def test_default_keeps_negative_and_large_values():
    stack = images(64, 1, 32) * 100 - 50
    views = torch.stack(Default()(stack, {}, generator(torch.arange(64))).views)
    assert views.min() < -200
    assert views.max() > 100
    # Without clamping, brightness, contrast and blur keep the mean of each image up to the choice of the crop.
    assert (views.mean((2, 3, 4)) < -20).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_default_with_neutral_options_leaves_images_as_they_are(channels):
    neutral = Default(scale=(1, 1), flip=0, jitter=0, blur=0)
    stack = images(5, channels, 110)
    for view in neutral(stack, {}, generator(torch.arange(5))).views:
        torch.testing.assert_close(view, stack[:, 0], atol=1e-4, rtol=0)


def test_default_applies_each_operation_as_often_as_asked():
    # A ramp from left to right distinguishes the operations in images that are not cropped.
    n, size = 2000, 24
    ramp = torch.linspace(1, 2, size).expand(n, 1, 1, size, size)
    options = {"scale": (1.0, 1.0), "flip": 0.0, "jitter": 0.0, "blur": 0.0}
    for option, probability in {"flip": 0.3, "jitter": 0.8, "blur": 0.6}.items():
        strategy = Default(**options | {option: probability, "blur_sigma": (20.0, 20.0)})
        for view in strategy(ramp, {}, generator(torch.arange(n))).views:
            changed = ((view - ramp[:, 0]).abs().amax((1, 2, 3)) > 1e-3).double().mean()
            assert abs(changed - probability) < 4 * (probability * (1 - probability) / n) ** 0.5


@pytest.mark.slow
def test_default_draws_factors_and_widths_from_their_ranges():
    n, size = 2000, 64
    point = torch.zeros(n, 1, 1, size, size)
    point[..., size // 2, size // 2] = 1
    views = Default(scale=(1, 1), flip=0, jitter=0, blur=1, blur_sigma=(2.0, 6.0))(
        point, {}, generator(torch.arange(n))
    )
    offset = torch.arange(size) - size // 2
    sigma = (views.views[0].sum(2)[:, 0] * offset**2).sum(1).sqrt() * 224 / size
    # Pixels of an image of 224; narrow kernels on this grid are narrower than the Gaussian that they sample.
    assert 5 < sigma.max() < 6.05
    flat = torch.ones(n, 1, 1, 4, 4)
    views = Default(jitter=1, blur=0)(flat, {}, generator(torch.arange(n)))
    factor = views.views[0].mean((1, 2, 3))
    assert 0.6 <= factor.min() < 0.602
    assert 1.398 < factor.max() <= 1.4


@pytest.mark.parametrize(
    ("options", "wrong"),
    [({"scale": (0.5, 0.2)}, "scale"), ({"scale": (0.2, 1.5)}, "scale"), ({"ratio": (0.0, 1.0)}, "ratio"),
     ({"blur_sigma": (2.0, 1.0)}, "blur_sigma")],
)  # fmt: skip
def test_default_refuses_ranges_that_are_none(options, wrong):
    with pytest.raises(UsageError, match=f"{wrong} is .*give two numbers"):
        Default(**options)


def test_default_enters_its_flip_into_the_parameters_and_nothing_else():
    stack, index = images(40, 1, 16), torch.arange(40)
    parameters = {name: torch.rand(40, 1) for name in ("theta_E", "e1", "gamma2", "center_x")}
    batch = Default()(stack, parameters, generator(index))
    uncropped = Default(scale=(1, 1), ratio=(1, 1), jitter=0, blur=0)(stack, {}, generator(index))
    for view, plain in enumerate(uncropped.views):
        distance = [(plain - image).abs().amax((1, 2, 3)) for image in (stack[:, 0], stack[:, 0].flip(-1))]
        sign = torch.where(distance[0] < distance[1], 1.0, -1.0)
        assert {-1.0, 1.0} == set(sign.tolist())
        for name, expected in {"theta_E": 1, "e1": 1, "gamma2": sign, "center_x": sign}.items():
            assert torch.equal(batch.parameters[name][:, view], parameters[name][:, 0] * expected), name
