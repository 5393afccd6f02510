"""DeepLense's convolutions: the paper's at 150 pixels, and those for other sizes."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from lenskit.plugin import UsageError
from lenskit_deeplense.networks import Decoder, DeepLenseConv

# The paper's table: channels in, channels out, kernel, and the output size in pixels.
ENCODER = [(1, 16, 7, 49), (16, 32, 7, 15), (32, 64, 7, 9)]
DECODER = [(64, 32, 7, 15), (32, 16, 7, 49), (16, 1, 6, 150)]
FEATURES, LATENT = 5184, 1000


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def in_table(table: list[tuple[int, int, int, int]]) -> int:
    return sum(inside * outside * kernel**2 + outside for inside, outside, kernel, _ in table)


def sizes(module: nn.Module, x: Tensor, kind: type) -> list[int]:
    """Return height and width of the outputs of all layers of one type."""
    seen: list[int] = []
    for layer in module.modules():
        if isinstance(layer, kind):
            layer.register_forward_hook(lambda _, __, out: seen.extend({*out.shape[2:]}))
    module(x)
    return seen


def test_at_150_pixels_it_is_the_papers_encoder() -> None:
    backbone = DeepLenseConv(1, 150)
    assert backbone.features == FEATURES
    assert count(backbone) == in_table(ENCODER)
    assert sizes(backbone, torch.zeros(1, 1, 150, 150), nn.Conv2d) == [size for *_, size in ENCODER]


def test_at_150_pixels_it_is_the_papers_decoder() -> None:
    decoder = Decoder(LATENT, 1, 150)
    assert count(decoder) == (LATENT + 1) * FEATURES + in_table(DECODER)
    assert sizes(decoder, torch.zeros(1, LATENT), nn.ConvTranspose2d) == [size for *_, size in DECODER]


@pytest.mark.slow
@given(size=st.integers(15, 1500), channels=st.integers(1, 5))
@settings(deadline=None, max_examples=40)
def test_what_was_encoded_is_decoded_to_the_same_size(size: int, channels: int) -> None:
    with torch.device("meta"):
        images = torch.empty(2, channels, size, size)
        backbone, decoder = DeepLenseConv(channels, size), Decoder(3, channels, size)
        assert backbone(images).shape == (2, backbone.features)
        assert decoder(torch.empty(2, 3)).shape == images.shape


@given(size=st.integers(15, 120))
@settings(deadline=None, max_examples=10)
def test_all_pixels_are_made_of_the_latent_but_for_the_margin_that_the_paper_has(size: int) -> None:
    decoder = Decoder(1, 1, size)
    for name, parameter in decoder.named_parameters():
        nn.init.constant_(parameter, 1.0 if name.endswith("weight") else 0.0)
    with torch.no_grad():
        image = decoder(torch.full((1, 1), 1e-6))[0, 0]
    assert (image[:-2, :-2] > 0).all()


def test_a_last_relu_is_an_option() -> None:
    images = torch.randn(4, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    with_relu, without = DeepLenseConv(1, 32), DeepLenseConv(1, 32, last_relu=False)
    without.load_state_dict(with_relu.state_dict())
    torch.testing.assert_close(with_relu(images), without(images).relu())
    assert (without(images) < 0).any()


@pytest.mark.parametrize("make", [lambda size: DeepLenseConv(1, size), lambda size: Decoder(8, 1, size)])
@pytest.mark.parametrize("size", [8, 14])
def test_smaller_images_are_refused_in_a_line(make, size: int) -> None:
    with pytest.raises(UsageError, match=f"images of {size} pixels are too small .* use 15 pixels or more") as raised:
        make(size)
    assert "\n" not in str(raised.value)
    assert make(15) is not None
