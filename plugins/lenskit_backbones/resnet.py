"""torchvision's ResNets without classifier (He et al. 2016).

The paper is https://arxiv.org/abs/1512.03385.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn
from torchvision.models import ResNet as Network
from torchvision.models import get_model, get_model_weights

from lenskit.plugin import Backbone, LenskitError, UsageError
from lenskit_backbones.weights import load_state, read_state


class ResNet(Backbone):
    """ResNet whose features are the last layer, averaged over the image.

    Args:
        channels: Number of channels of the images. The pretrained first convolution is adapted to it, so that a grey
            image gives the same response.
        size: Height and width of the images in pixels; any size works.
        pretrained: Start from torchvision's ImageNet weights, which are downloaded once. They were trained on images
            with a mean of 0 and a standard deviation of 1.
        weights: Start from the weights of this file (`.safetensors`, `.pt` or `.pth`), lenskit run or encoder
            (`lenskit list encoders`).
        small_stem: Begin with a 3 x 3 convolution at full resolution, instead of a 7 x 7 convolution of stride 2 and
            pooling of stride 2. Use it for images of about 64 pixels or fewer (as for CIFAR-10 in the ResNet paper).
        zero_init_residual: Start every residual block as the identity, as in the authors' code of SimSiam
            (https://arxiv.org/abs/1706.02677, Sec. 5.1).

    Raises:
        UsageError: Options exclude each other.
        LenskitError: The weights do not fit or cannot be downloaded.
    """

    depth: ClassVar[int]
    """Number of layers."""

    def __init__(
        self,
        channels: int,
        size: int,
        *,
        pretrained: bool = False,
        weights: str | None = None,
        small_stem: bool = False,
        zero_init_residual: bool = False,
    ) -> None:
        super().__init__(channels, size)
        if pretrained and (weights or small_stem):
            raise UsageError(f"pretrained and {'weights' if weights else 'small_stem'} exclude each other: use one")
        self.network: Network = get_model(f"resnet{self.depth}", zero_init_residual=zero_init_residual)
        self.features = self.network.fc.in_features
        self.network.fc = nn.Identity()
        if small_stem:
            self.network.conv1 = _convolution(channels, kernel_size=3, stride=1)
            self.network.maxpool = nn.Identity()
        elif channels != 3:
            self.network.conv1 = _convolution(channels, kernel_size=7, stride=2)
        if pretrained:
            load_state(self.network, self._imagenet(), channels, "torchvision", ignore=["fc"])
        elif weights:
            load_state(self.network, read_state(weights), channels, weights, ignore=["fc"])

    def forward(self, images: Tensor) -> Tensor:
        """Map images (n, channels, height, width) to features (n, `features`)."""
        return self.network(images)

    def as_timm(self) -> tuple[nn.Module, Sequence[str]]:
        changes = []
        if isinstance(self.network.maxpool, nn.Identity):
            changes = [
                f"model.conv1 = torch.nn.Conv2d({self.channels}, 64, 3, padding=1, bias=False)",
                "model.maxpool = torch.nn.Identity()",
            ]
        import timm

        model = timm.create_model(f"resnet{self.depth}", num_classes=0, in_chans=self.channels)
        if changes:
            model.conv1, model.maxpool = _convolution(self.channels, kernel_size=3, stride=1), nn.Identity()
        model.load_state_dict(self.network.state_dict())
        return model, changes

    def _imagenet(self) -> dict[str, Tensor]:
        """Return torchvision's first ImageNet weights.

        They exist for every depth, and older papers compare with them.
        """
        try:
            weights = get_model_weights(f"resnet{self.depth}")["IMAGENET1K_V1"]
            return weights.get_state_dict(progress=False, check_hash=True)
        except (OSError, RuntimeError) as error:
            raise LenskitError(
                f"torchvision's weights of resnet{self.depth} could not be downloaded ({error}): "
                "download them elsewhere and use weights=FILE"
            ) from error


def _convolution(channels: int, *, kernel_size: int, stride: int) -> nn.Conv2d:
    """Return the first convolution, initialised as in torchvision."""
    layer = nn.Conv2d(channels, 64, kernel_size, stride, padding=kernel_size // 2, bias=False)
    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return layer


class ResNet18(ResNet):
    """ResNet-18: 512 features, 11 million parameters."""

    depth = 18


class ResNet34(ResNet):
    """ResNet-34: 512 features, 21 million parameters."""

    depth = 34


class ResNet50(ResNet):
    """ResNet-50: 2048 features, 24 million parameters."""

    depth = 50


class ResNet101(ResNet):
    """ResNet-101: 2048 features, 43 million parameters; the backbone of LenSiam."""

    depth = 101


class ResNet152(ResNet):
    """ResNet-152: 2048 features, 58 million parameters."""

    depth = 152
