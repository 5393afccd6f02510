"""MAE: masks, visible patches, loss, and refused backbones."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from lenskit.plugin import Batch, UsageError
from lenskit_backbones.resnet import ResNet18
from lenskit_backbones.timm import Timm
from lenskit_siamese.mae import MAE


def mae(size: int = 64, channels: int = 1, model: str = "test_vit", **options) -> MAE:
    torch.manual_seed(0)
    backbone = Timm(channels, size, model=model)
    method = MAE(backbone, **{"decoder_dim": 32, "decoder_depth": 1, "decoder_heads": 4} | options)
    method.seed = 0
    return method


def images(n: int = 3, channels: int = 1, size: int = 64) -> Batch:
    pixels = torch.randn(n, channels, size, size, generator=torch.Generator().manual_seed(0))
    return Batch((pixels,), {}, torch.arange(n))


def patches(views: Tensor, hidden: Tensor) -> Tensor:
    """Return the pixels (n, number, channels x 16 x 16) of patches with given indices."""
    all_of_them = F.unfold(views, 16, stride=16).mT
    return torch.stack([image[numbers] for image, numbers in zip(all_of_them, hidden, strict=True)])


@pytest.mark.parametrize(("ratio", "seen"), [(0.75, 4), (0.5, 8), (0.9, 1)])
def test_a_mask_parts_the_patches(ratio, seen):
    method = mae(mask_ratio=ratio)
    kept, hidden = method.masks(images())
    assert kept.shape == (3, 1 + seen)
    assert (kept[:, 0] == 0).all()  # the class token
    assert torch.equal(torch.cat([kept, hidden], 1).sort(1).values, torch.arange(17).expand(3, -1))


def test_masks_belong_to_lenses_and_batches():
    method, batch = mae(), images(4)
    state = torch.get_rng_state()
    whole = method.masks(batch)[1]
    part = method.masks(Batch((batch.views[0][2:],), {}, batch.index[2:]))[1]
    assert torch.equal(whole[2:], part)
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.equal(whole[0], whole[1])
    method.batches = 1
    assert not torch.equal(method.masks(batch)[1], whole)


def test_each_patch_is_hidden_as_often():
    method = mae()
    hidden = method.masks(Batch((torch.zeros(4000, 1, 64, 64),), {}, torch.arange(4000)))[1]
    share = torch.bincount(hidden.flatten() - 1, minlength=16) / 4000
    torch.testing.assert_close(share, torch.full((16,), 0.75), atol=4 * (0.75 * 0.25 / 4000) ** 0.5, rtol=0)


def test_the_encoder_does_not_see_what_is_hidden():
    method, batch = mae(), images()
    kept, hidden = method.masks(batch)
    before = method.step(batch)["embedding"]
    for numbers, same in ((hidden[:, 0], True), (kept[:, 1], False)):
        changed = batch.views[0].clone()
        for image, number in zip(changed, (numbers - 1).tolist(), strict=True):
            row, column = 16 * (number // 4), 16 * (number % 4)
            image[:, row : row + 16, column : column + 16] += 1.0
        after = method.step(Batch((changed,), {}, batch.index))["embedding"]
        assert torch.equal(after, before) == same


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("normalize", [True, False])
def test_the_loss_is_that_of_hidden_pixels(channels, normalize):
    method, batch = mae(channels=channels, normalize_target=normalize), images(channels=channels)
    with torch.no_grad():
        method.predict_pixels.weight.zero_()
        method.predict_pixels.bias.fill_(0.5)
    target = patches(batch.views[0], method.masks(batch)[1] - 1)
    if normalize:
        target = (target - target.mean(2, keepdim=True)) / (target.var(2, keepdim=True) + 1e-6).sqrt()
    loss = method.step(batch)["loss"]
    torch.testing.assert_close(loss.detach(), (0.5 - target).square().mean())


@pytest.mark.parametrize("size", [32, 64, 96])
@pytest.mark.parametrize("model", ["test_vit", "test_vit4"])
def test_seeing_all_is_what_the_backbone_sees(model, size):
    # A class token alone, a class token with a register, and features that are the mean of the patches.
    method = mae(size, 2, model).eval()
    pixels = images(2, 2, size).views[0]
    masked = method.masked_vit
    everything = torch.arange(masked.sequence_length).expand(2, -1)
    with torch.no_grad():
        tokens = masked.encode(pixels, idx_keep=everything)
        torch.testing.assert_close(tokens, method.backbone.network.forward_features(pixels))
        torch.testing.assert_close(masked.vit.forward_head(tokens, pre_logits=True), method.embed(pixels))


@pytest.mark.parametrize("model", ["test_vit", "test_vit4"])
def test_all_that_is_trained_gets_a_gradient_and_is_stored_once(model):
    method = mae(model=model)
    method.step(images())["loss"].backward()
    assert [name for name, p in method.named_parameters() if p.requires_grad and p.grad is None] == []
    stored = [value.data_ptr() for value in method.state_dict().values()]
    assert len(stored) == len(set(stored))


@pytest.mark.slow
def test_it_learns_to_fill_in_what_follows_from_the_rest():
    # Each image has one value, so that its hidden patches are predictable.
    method = mae(size=32, mask_ratio=0.5, normalize_target=False)
    optimiser = torch.optim.AdamW(method.parameters(), lr=2e-3)
    generator = torch.Generator().manual_seed(0)
    losses = []
    for batches in range(60):
        method.batches = batches
        values = torch.randn(32, 1, 1, 1, generator=generator)
        loss = method.step(Batch((values.expand(-1, 1, 32, 32),), {}, torch.arange(32)))["loss"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert sum(losses[:5]) / 5 > 0.7
    assert sum(losses[-5:]) / 5 < 0.3


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: MAE(ResNet18(1, 32)), "method 'mae' needs a ViT: use --backbone timm:vit_tiny_patch16_224"),
        (lambda: mae(model="test_vit3"), "needs a ViT of plain patches .* use --backbone timm:vit_tiny_patch16_224"),
        (lambda: mae(model="deit_tiny_distilled_patch16_224"), "needs a ViT of plain patches"),
        (lambda: mae(size=16), "images of 16 pixels have 1 of 16 pixels: use larger images"),
        (lambda: mae(mask_ratio=0.97), "hides 0.97 of an image's patches .* use larger images or smaller"),
        (lambda: mae(decoder_dim=30), "decoder_dim is 30: use a multiple of 4 and of decoder_heads=4"),
    ],
)  # fmt: skip
def test_what_it_cannot_do_is_said_in_a_line(make, complaint):
    with pytest.raises(UsageError, match=complaint) as raised:
        make()
    assert "\n" not in str(raised.value)
