"""Single augmentations, added noise, and rotated images."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lenskit.plugin import KeyedGenerator, Transform, UsageError
from lenskit.toolbox import border_noise
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


@pytest.mark.parametrize("scale", [1.0, 1e-12, 1e6])
def test_noise_is_that_of_the_border_times_its_level(scale: float) -> None:
    """A level of white noise multiplies the variance of a white sky by 1 + level^2."""
    sky = scale * images(60, 1, 1, 110) * torch.linspace(0.1, 10, 60)[:, None, None, None, None]
    view, _ = Noise(level=1.5)(sky, {}, generator(torch.arange(60))).views
    ratio = view.flatten(1).std(1) / sky.flatten(1).std(1)
    assert ratio.mean().item() == pytest.approx((1 + 1.5**2) ** 0.5, rel=0.02)
    torch.testing.assert_close(ratio, torch.full((60,), (1 + 1.5**2) ** 0.5), rtol=0.15, atol=0)  # for each image
    added = (view - sky[:, 0]) / border_noise(sky[:, 0])
    assert added.flatten(1).std(1).mean().item() == pytest.approx(1.5, rel=0.01)
    correlation = torch.corrcoef(torch.stack([added.flatten(), (sky / border_noise(sky)).flatten()]))[0, 1]
    assert abs(correlation.item()) < 4 / added.numel() ** 0.5


def test_noise_of_a_shorter_exposure_is_what_is_added_to_a_stretched_sky() -> None:
    """Noise added before and after the stretch is equal, except for the curvature."""
    sky = images(60, 1, 1, 110)
    stretched = (sky / 3).asinh()
    after, _ = Noise(level=1.0)(stretched, {}, generator(torch.arange(60))).views
    before = ((sky + torch.randn(sky.shape, generator=torch.Generator().manual_seed(5))) / 3).asinh()
    assert after.std().item() == pytest.approx(before.std().item(), rel=0.08)


def test_levels_are_drawn_for_every_view() -> None:
    batch = Noise(level="uniform(0, 2)")(images(300, 1, 1, 64), {}, generator(torch.arange(300)))
    levels = [
        ((view - images(300, 1, 1, 64)[:, 0]) / border_noise(images(300, 1, 1, 64)[:, 0])).flatten(1).std(1)
        for view in batch.views
    ]
    for level in levels:
        assert 0 < level.min() < 0.1
        assert 1.9 < level.max() < 2.1
    assert abs(torch.corrcoef(torch.stack(levels))[0, 1]) < 4 / 300**0.5


def orientations(dihedral: Dihedral, n: int) -> torch.Tensor:
    """Return the orientation (n, 2) of two views, one of eight, measured in the image."""
    square = torch.arange(9.0).view(1, 1, 1, 3, 3).expand(n, 2, -1, -1, -1)
    views, _ = dihedral.transform(square, {}, generator(torch.arange(n)))
    ways = [torch.rot90(each, k, (-2, -1)) for each in (square[0, 0], square[0, 0].flip(-1)) for k in range(4)]
    return (views[:, :, None] == torch.stack(ways)).flatten(3).all(3).int().argmax(2)


def test_all_eight_ways_are_as_likely() -> None:
    n = 4000
    for view in orientations(Dihedral(), n).T:
        assert ((view.bincount(minlength=8) - n / 8).abs() < 4 * (n / 8) ** 0.5).all()


@pytest.mark.parametrize(
    ("turn", "mirror", "ways", "alike"),
    [("no", "no", 1, True), ("alike", "alike", 8, True), ("alike", "no", 4, True), ("no", "independently", 2, False),
     ("independently", "alike", 8, False), ("independently", "independently", 8, False)],
)  # fmt: skip
def test_views_are_turned_alike_or_each_on_its_own(turn: str, mirror: str, ways: int, alike: bool) -> None:
    both = orientations(Dihedral(turn=turn, mirror=mirror), 200)
    assert len(set(both.flatten().tolist())) == ways
    assert torch.equal(both[:, 0], both[:, 1]) == alike
    if (turn, mirror) == ("independently", "alike"):
        assert torch.equal(both[:, 0] // 4, both[:, 1] // 4)


@pytest.mark.parametrize(
    ("make", "wrong"),
    [(lambda: Blur(sigma="uniform(-1, 2)"), "sigma is uniform"), (lambda: Noise(level=-1), "level is -1"),
     (lambda: Noise(level="normal(1, 1)"), "level is normal"), (lambda: Crop(scale=(0.5, 0.2)), "scale is ")],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(make, wrong) -> None:
    with pytest.raises(UsageError, match=wrong):
        make()
