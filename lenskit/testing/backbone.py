"""Contract of backbones: an image has one feature vector, on any device."""

from __future__ import annotations

from typing import ClassVar
from unittest import SkipTest

import torch
from torch import Tensor

from lenskit.contracts.backbone import meet_backbone
from lenskit.errors import UsageError
from lenskit.kinds.backbone import Backbone, sizes_near
from lenskit.testing.contract import Breach, ClassContract, place_of
from lenskit.words import reason

IMAGES = 4


class BackboneContract(ClassContract):
    """Tests of a backbone.

    ```python
    class TestSmallNet(BackboneContract):
        component = "small-net"
        options = {"width": 8}
    ```
    """

    kind = "backbone"

    channels: ClassVar[int] = 1
    """Number of channels of the images."""

    size: ClassVar[int] = 32
    """Height and width of the images in pixels. The nearest accepted size is used."""

    def network(self) -> Backbone:
        """Return a new network, with the same initial weights at each call."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            network: Backbone = self.build(self.channels, self._accepted())
        return network

    def images(self) -> Tensor:
        """Return images of random numbers, (n, channels, height, width)."""
        size = self._accepted()
        return torch.rand(IMAGES, self.channels, size, size, generator=torch.Generator().manual_seed(0))

    def test_it_passes_the_checks_at_first_use(self) -> None:
        with self.rules_of_lenskit("forward"):
            meet_backbone(self.network(), self.channels, self._accepted())

    def test_features_differ_between_images(self) -> None:
        network = self.network().eval()
        with torch.no_grad():
            features = network(self.images())
        self.require(
            not torch.allclose(features[0], features[1]), "gives all images the same features", self.member("forward")
        )

    def test_other_channels_are_accepted(self) -> None:
        size = self._accepted()
        try:
            network = self.build(3, size).eval()
            with torch.no_grad():
                features = network(torch.rand(2, 3, size, size))
        except UsageError as error:
            raise SkipTest(f"it refuses 3 channels: {error}") from error
        except (RuntimeError, ValueError, IndexError) as error:
            raise Breach(
                f"{self.record.origin} fails on images of 3 channels: {reason(error)}. Use `channels` in its layers, "
                f"or raise a UsageError{place_of(self.loaded)}"
            ) from error
        self.require(
            features.shape == (2, network.features),
            f"gives images of 3 channels features of shape {tuple(features.shape)}",
            self.member("forward"),
        )

    def test_weights_can_be_reloaded(self) -> None:
        network, other = self.network().eval(), self.build(self.channels, self._accepted()).eval()
        other.load_state_dict(network.state_dict())
        with torch.no_grad():
            same = torch.equal(network(self.images()), other(self.images()))
        self.require(
            same,
            "gives other features after its weights were loaded into a new network: keep all that it learns in "
            "parameters and buffers",
            self.loaded,
        )

    def test_the_seed_determines_the_initial_weights(self) -> None:
        one, other = self.network().state_dict(), self.network().state_dict()
        same = one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())
        self.require(same, "has other initial weights with the same seed: use torch's generator", self.loaded)

    def test_every_weight_has_a_gradient(self) -> None:
        network = self.network().train()
        weights = {name: weight for name, weight in network.named_parameters() if weight.requires_grad}
        if not weights:
            raise SkipTest("it has no trainable weights")
        network(self.images()).square().sum().backward()
        without = [name for name, weight in weights.items() if weight.grad is None]
        self.require(
            not without,
            f"has weights that features do not depend on: {', '.join(without[:5])}. Remove them, or set "
            "requires_grad = False",
            self.member("forward"),
        )

    def test_tensors_are_on_the_device_of_the_images(self) -> None:
        with self.on_a_gpu("Register constants with register_buffer", "forward") as device, torch.no_grad():
            features = self.network().to(device).eval()(self.images().to(device))
        self.require(features.device.type == device.type, f"gives features on {features.device.type}", self.loaded)

    def test_the_nearest_size_is_accepted(self) -> None:
        size = self.loaded.nearest_size(self.size + 1, **self.chosen.arguments)  # type: ignore[attr-defined]
        if size == self.size + 1:
            raise SkipTest("it names no sizes")
        try:
            self.build(self.channels, size)
        except UsageError as error:
            self.require(False, f"refuses the size {size} that it names: {error}", self.member("nearest_size"))

    def _accepted(self) -> int:
        """Return the accepted size nearest to `size`."""
        nearest = self.loaded.nearest_size(self.size, **self.chosen.arguments)  # type: ignore[attr-defined]
        for size in sizes_near(nearest):
            try:
                network = self.build(self.channels, size)
                with torch.no_grad():
                    network.eval()(torch.zeros(1, self.channels, size, size))
            except (UsageError, RuntimeError, ValueError):
                continue
            return size
        return nearest
