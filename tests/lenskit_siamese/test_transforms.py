"""Single augmentations."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lenskit.plugin import KeyedGenerator, Transform, UsageError
from lenskit_siamese.dihedral import Dihedral
from lenskit_siamese.noise import Noise
from lenskit_siamese.pairs import Default
from lenskit_siamese.transforms import Blur, Crop, Flip, Jitter

TRANSFORMS = {"crop": Crop, "flip": Flip, "jitter": Jitter, "blur": Blur, "noise": Noise, "dihedral": Dihedral}


def generator(index: torch.Tensor, seed: int = 0) -> KeyedGenerator:
    return KeyedGenerator(seed, "train", "views", index, torch.zeros_like(index))


def images(n: int, views: int = 1, channels: int = 1, size: int = 16) -> torch.Tensor:
    return torch.randn(n, views, channels, size, size, generator=torch.Generator().manual_seed(n))


@pytest.mark.parametrize("name", TRANSFORMS)
@settings(max_examples=6, deadline=None)
@given(index=st.lists(st.integers(0, 10**9), min_size=2, max_size=3, unique=True), views=st.integers(1, 3))
def test_each_row_is_made_from_its_address_alone(name: str, index: list[int], views: int) -> None:
    transform, numbers, stack = TRANSFORMS[name](), torch.tensor(index), images(len(index), views, 2)
    before = stack.clone()
    values = {"theta_E": torch.rand(len(index), views), "e2": torch.rand(len(index), views)}
    together, parameters = transform.transform(stack, values, generator(numbers))
    assert together.shape == stack.shape
    assert torch.equal(stack, before)
    assert torch.equal(parameters["theta_E"], values["theta_E"])
    for row in range(len(index)):
        own = {key: value[row : row + 1] for key, value in values.items()}
        alone, known = transform.transform(stack[row : row + 1], own, generator(numbers[row : row + 1]))
        torch.testing.assert_close(alone[0], together[row], atol=1e-6, rtol=1e-6)
        assert torch.equal(known["e2"][0], parameters["e2"][row])


@pytest.mark.parametrize("name", TRANSFORMS)
def test_alone_each_makes_two_views_of_one_image(name: str) -> None:
    transform: Transform = TRANSFORMS[name]()
    batch = transform(images(40, size=64), {"e1": torch.rand(40, 1)}, generator(torch.arange(40)))
    assert len(batch.views) == 2
    assert batch.parameters["e1"].shape == (40, 2)
    differ = (batch.views[0] != batch.views[1]).flatten(1).any(1).float().mean()
    assert differ > 0.3


def test_default_is_the_four_one_after_the_other() -> None:
    rng, stack = generator(torch.arange(12)), images(12, 1, 2, 31)
    views = stack.expand(-1, 2, -1, -1, -1)
    for part in (Crop(), Flip(), Jitter(), Blur()):
        views, _ = part.transform(views, {}, rng)
    assert torch.equal(views, torch.stack(Default()(stack, {}, rng).views, 1))


def test_a_flip_is_a_mirror_image_with_its_parameters() -> None:
    n = 2000
    stack, values = images(n), {"gamma2": torch.rand(n, 1), "gamma1": torch.rand(n, 1)}
    batch = Flip(probability=0.3)(stack, values, generator(torch.arange(n)))
    for view, image in enumerate(batch.views):
        flipped = (image != stack[:, 0]).flatten(1).any(1)
        assert abs(flipped.float().mean() - 0.3) < 4 * (0.21 / n) ** 0.5
        assert torch.equal(image[flipped], stack[flipped, 0].flip(-1))
        sign = torch.where(flipped, -1, 1)
        assert torch.equal(batch.parameters["gamma2"][:, view], values["gamma2"][:, 0] * sign)
        assert torch.equal(batch.parameters["gamma1"][:, view], values["gamma1"][:, 0])


def test_a_blur_has_the_width_that_is_asked_for() -> None:
    """Measure the second moment of a point's image, in pixels of an image of 224."""
    point = torch.zeros(20, 1, 1, 112, 112)
    point[..., 56, 56] = 1
    view, _ = Blur(sigma=4.0, kernel=61, probability=1)(point, {}, generator(torch.arange(20))).views
    offset = torch.arange(112) - 56.0
    torch.testing.assert_close((view.sum(2)[:, 0] * offset**2).sum(1).sqrt(), torch.full((20,), 2.0), rtol=1e-3, atol=0)


def test_a_kernel_may_be_as_wide_as_it_likes() -> None:
    view, _ = Blur(sigma=500.0, kernel=9999, probability=1)(images(3), {}, generator(torch.arange(3))).views
    assert view.std() < 0.2 < images(3).std()


@pytest.mark.parametrize(
    ("make", "wrong"),
    [(lambda: Blur(sigma="uniform(-1, 2)"), "sigma is uniform"), (lambda: Noise(level=-1), "level is -1"),
     (lambda: Noise(level="normal(1, 1)"), "level is normal"), (lambda: Crop(scale=(0.5, 0.2)), "scale is ")],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(make, wrong) -> None:
    with pytest.raises(UsageError, match=wrong):
        make()
