"""torchvision's ResNets as backbones."""

from __future__ import annotations

import urllib.error

import pytest
import torch
import torchvision

from lenskit.options import options_of
from lenskit.plugin import LenskitError, UsageError
from lenskit_backbones import resnet
from lenskit_backbones.resnet import ResNet18, ResNet50

# Parameters of the published networks (torchvision's meta["num_params"]) and length of their features.
PUBLISHED = {
    18: (11689512, 512),
    34: (21797672, 512),
    50: (25557032, 2048),
    101: (44549160, 2048),
    152: (60192808, 2048),
}


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("depth", PUBLISHED)
def test_parameters_are_torchvisions_without_the_classifier(depth):
    total, features = PUBLISHED[depth]
    with torch.device("meta"):
        backbone = getattr(resnet, f"ResNet{depth}")(3, 224)
        narrow = getattr(resnet, f"ResNet{depth}")(1, 224)
    assert count(backbone) == total - 1000 * (features + 1)
    assert count(narrow) == count(backbone) - 2 * 64 * 7 * 7
    assert backbone.features == narrow.features == features


@pytest.mark.parametrize(("channels", "small_stem"), [(1, False), (3, False), (4, True)])
def test_images_of_any_size_become_features(channels, small_stem):
    backbone = ResNet18(channels, 32, small_stem=small_stem)
    for size in (32, 45):
        assert backbone(torch.randn(2, channels, size, size)).shape == (2, 512)


def test_the_small_stem_keeps_the_resolution():
    full = ResNet18(1, 32, small_stem=True).network
    assert full.maxpool(full.conv1(torch.randn(1, 1, 32, 32))).shape == (1, 64, 32, 32)
    usual = ResNet18(1, 32).network
    assert usual.maxpool(usual.conv1(torch.randn(1, 1, 32, 32))).shape == (1, 64, 8, 8)


def test_the_adapted_first_convolution_starts_as_torchvisions():
    # He initialisation over the fan out: a standard deviation of sqrt(2 / (64 * 7 * 7)) for any number of channels.
    torch.manual_seed(0)
    deviation = ResNet18(8, 64).network.conv1.weight.std().item()
    assert deviation == pytest.approx((2 / (64 * 49)) ** 0.5, rel=0.02)


def test_zero_init_residual_starts_every_block_as_the_identity():
    network = ResNet18(1, 32, zero_init_residual=True).network.eval()
    x = torch.randn(1, 64, 8, 8).abs()
    torch.testing.assert_close(network.layer1(x), x)


@pytest.mark.slow
@pytest.mark.parametrize("channels", [1, 4])
def test_published_weights_answer_a_grey_image_as_in_torchvision(tmp_path, channels):
    torch.manual_seed(0)
    published = torchvision.models.resnet18(num_classes=7).eval()
    torch.save(published.state_dict(), tmp_path / "resnet18.pth")
    backbone = ResNet18(channels, 64, weights=str(tmp_path / "resnet18.pth")).eval()
    published.fc = torch.nn.Identity()
    grey = torch.randn(2, 1, 64, 64)
    with torch.no_grad():
        ours, theirs = backbone(grey.expand(-1, channels, -1, -1)), published(grey.expand(-1, 3, -1, -1))
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


@pytest.mark.slow
def test_weights_of_our_own_backbone_are_read(tmp_path):
    first = ResNet18(1, 32, small_stem=True)
    torch.save({"backbone." + name: value for name, value in first.state_dict().items()}, tmp_path / "run.pt")
    second = ResNet18(1, 32, small_stem=True, weights=str(tmp_path / "run.pt"))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


@pytest.mark.slow
def test_weights_of_another_depth_are_refused(tmp_path):
    torch.save(torchvision.models.resnet34().state_dict(), tmp_path / "resnet34.pt")
    with pytest.raises(LenskitError, match=r"resnet34\.pt do not fit: layer1\.2\.conv1\.weight .* is not in"):
        ResNet18(3, 64, weights=str(tmp_path / "resnet34.pt"))
    with pytest.raises(LenskitError, match=r"layer1\.0\.conv1\.weight is \(64, 64, 3, 3\) where \(64, 64, 1, 1\)"):
        ResNet50(3, 64, weights=str(tmp_path / "resnet34.pt"))


def test_a_failed_download_is_an_error_of_one_line(monkeypatch, tmp_path):
    # torch's downloader fails at once here, so that the test does not use the network.
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))

    def unreachable(*args, **kwargs):
        raise urllib.error.URLError("unreachable")

    monkeypatch.setattr(torch.hub, "download_url_to_file", unreachable)
    with pytest.raises(LenskitError, match=r"resnet18 could not be downloaded .*unreachable.*use weights=FILE"):
        ResNet18(1, 64, pretrained=True)


@pytest.mark.parametrize("other", [{"weights": "a.pt"}, {"small_stem": True}])
def test_options_that_exclude_each_other_are_refused(other):
    with pytest.raises(UsageError, match="exclude each other"):
        ResNet18(1, 64, pretrained=True, **other)


def test_every_option_says_what_it_means():
    assert {option.name for option in options_of(ResNet18)} >= {"pretrained", "weights", "small_stem"}
    assert all(option.meaning for option in options_of(ResNet18))


@pytest.mark.slow
@pytest.mark.parametrize(("network", "channels", "small_stem"), [(ResNet50, 1, False), (ResNet18, 3, True)])
def test_timm_has_the_same_network(network, channels, small_stem):
    torch.manual_seed(0)
    backbone = network(channels, 64, small_stem=small_stem)
    backbone(torch.randn(8, channels, 64, 64))  # gives the norms their statistics
    model, changes = backbone.eval().as_timm()
    assert bool(changes) == small_stem
    images = torch.randn(2, channels, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(model.eval()(images), backbone(images), atol=1e-5, rtol=1e-5)
