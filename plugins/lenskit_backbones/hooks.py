"""Backbones and encoders of this plugin."""

from lenskit.plugin import Component, hookimpl


@hookimpl
def lenskit_backbones() -> list[Component]:
    resnets = [
        Component(f"resnet{depth}", f"lenskit_backbones.resnet:ResNet{depth}", f"torchvision's ResNet-{depth}")
        for depth in (18, 34, 50, 101, 152)
    ]
    timm = Component("timm", "lenskit_backbones.timm:Timm", "Any image model of timm", argument="model")
    lite = Component("efficientnet-lite0", "lenskit_backbones.efficientnet:EfficientNetLite0", "EfficientNet-Lite0")
    return [*resnets, timm, lite]


@hookimpl
def lenskit_encoders() -> list[Component]:
    return [
        Component(
            "efficientnet-lite0",
            "lenskit_backbones:encoders/efficientnet-lite0",
            "EfficientNet-Lite0 trained on photographs (ImageNet)",
        ),
        Component("timm", "lenskit_backbones:encoders/timm", "Any pretrained model of timm", argument="model"),
    ]
