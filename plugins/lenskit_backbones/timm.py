"""timm's image models without classifier (https://huggingface.co/docs/timm)."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from types import SimpleNamespace
from typing import Any

import timm
import torch
from timm.layers import PatchEmbed, resample_abs_pos_embed
from torch import Tensor, nn

from lenskit.plugin import Backbone, LenskitError, UsageError, meant
from lenskit.toolbox import reason, sizes_near
from lenskit_backbones.weights import load_state, read_state, without_prefix

SOURCES = ("hf-hub", "local-dir")
"""Prefixes of models from outside timm's own list."""

CONFIG = ("classifier", "first_conv", "fixed_input_size", "input_size")
"""Fields that are read from a model's configuration."""


class Timm(Backbone):
    """Image model of timm; its features are the input of its classifier.

    Args:
        channels: Number of channels of the images. The pretrained first convolution is adapted to it, so that a grey
            image gives the same response.
        size: Height and width of the images in pixels. Models of a fixed size are built for this size.
        model: Name of the model in timm, such as `vit_tiny_patch16_224`, with or without the tag of its weights;
            `hf-hub:OWNER/REPO` for a model on the Hugging Face Hub, or `local-dir:FOLDER` for a model on disk.
        pretrained: Start from the model's pretrained weights, which are downloaded once.
        weights: Start from the weights of this file (`.safetensors`, `.pt` or `.pth`), lenskit run or encoder
            (`lenskit list encoders`). Absolute position embeddings for a different image size are interpolated.

    Raises:
        UsageError: timm has no such model, or the model does not accept images of this size.
        LenskitError: The weights do not fit or cannot be downloaded.
    """

    def __init__(
        self, channels: int, size: int, *, model: str, pretrained: bool = False, weights: str | None = None
    ) -> None:
        super().__init__(channels, size)
        if pretrained and weights:
            raise UsageError("pretrained and weights exclude each other: use one")
        self.config = _config(model)
        self.model = model
        self.network, self.features = self._build()
        classifier = self.config.classifier or ()
        ignore = [classifier] if isinstance(classifier, str) else list(classifier)
        if pretrained:
            load_state(self.network, self._pretrained(), channels, f"timm:{model}", ignore, self._inputs())
        elif weights:
            load_state(self.network, self._fitted(read_state(weights)), channels, weights, ignore, self._inputs())

    @classmethod
    def nearest_size(cls, size: int, **options: Any) -> int:
        """Return the nearest size that the model accepts; `size` if none is found."""
        return _nearest_size(size, options["model"])

    def forward(self, images: Tensor) -> Tensor:
        """Map images (n, channels, height, width) to features (n, `features`)."""
        return self.network(images)

    def as_timm(self) -> tuple[nn.Module, Sequence[str]]:
        return self.network, ()

    def _inputs(self) -> Sequence[str]:
        """Return the layers that see the image; models with branches have several."""
        first = self.config.first_conv or ()
        return [first] if isinstance(first, str) else list(first)

    def _build(self) -> tuple[nn.Module, int]:
        """Return the network and the length of its features.

        The length is measured, because `num_features` is not correct for every model.
        """
        try:
            network = _create(self.model, self.config, self.channels, self.size)
            features = _features(network, self.model, self.channels, self.size)
        except UsageError:
            raise
        except Exception as error:  # timm's models raise any exception for a size or a number of channels
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise UsageError(
                f"timm:{self.model} cannot take {self.channels} x {self.size} x {self.size} images ({reason}); "
                f"its usual size is {self.config.input_size[-1]} pixels{self._other_size()}"
            ) from error
        if features.ndim != 2:
            raise UsageError(f"timm:{self.model} gives features of shape {tuple(features.shape[1:])}, not a vector")
        return network.train(), features.shape[1]

    def _other_size(self) -> str:
        """Return advice on the nearest size that the model accepts, for messages."""
        near = self.nearest_size(self.size, model=self.model)
        return f"; use --set input.size={near}" if near != self.size else ""

    def _pretrained(self) -> dict[str, Tensor]:
        """Return the pretrained weights for three channels and this image size."""
        try:
            return _create(self.model, self.config, 3, self.size, pretrained=True).state_dict()
        except (OSError, RuntimeError) as error:
            raise LenskitError(
                f"timm's weights of {self.model} cannot be loaded ({str(error).strip().splitlines()[0]}): "
                "download them elsewhere and use weights=FILE"
            ) from error

    def _fitted(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the state with position embeddings interpolated to this image size."""
        state = without_prefix(state, self.network)
        network: Any = self.network
        given, wanted = state.get("pos_embed"), getattr(network, "pos_embed", None)
        if given is not None and isinstance(wanted, Tensor) and given.ndim == 3 and given.shape != wanted.shape:
            tokens = 0 if network.no_embed_class else network.num_prefix_tokens
            grid = list(network.patch_embed.grid_size)
            state["pos_embed"] = resample_abs_pos_embed(given, grid, num_prefix_tokens=tokens)
        return state


@cache
def _nearest_size(size: int, model: str) -> int:
    """Return the nearest size that a model accepts; `size` if none is found.

    Sizes are tried without weights.
    """
    config, patch = _config(model), 1
    for near in sizes_near(size, config.input_size[-1]):
        if near % patch:
            continue
        # timm's models raise any exception; some cannot be built without weights.
        with suppress(Exception), torch.device("meta"):
            network = _create(model, config, 3, near)
            patch = max(_patches(network), default=1)
            _features(network, model, 3, near)
            return near
    return size


def _features(network: nn.Module, model: str, channels: int, size: int) -> Tensor:
    """Return a network's features of one black image."""
    _check_patches(network, model, size)
    with torch.no_grad():
        return network.eval()(torch.zeros(1, channels, size, size))


def _create(model: str, config: Any, channels: int, size: int, *, pretrained: bool = False) -> nn.Module:
    # Only models of a fixed size accept the argument; timm drops arguments that are None.
    fixed = size if config.fixed_input_size else None
    return timm.create_model(model, pretrained=pretrained, in_chans=channels, num_classes=0, img_size=fixed)


def _config(model: str) -> Any:
    """Return timm's configuration of a model, such as its image size."""
    if model.partition(":")[0] in SOURCES:
        try:
            config: Any = timm.create_model(model, num_classes=0).pretrained_cfg
        except Exception as error:  # a hub, a folder or its config.json can make timm raise any exception
            raise LenskitError(f"timm cannot open {model}: {reason(error)}") from error
        return SimpleNamespace(**{name: config.get(name) for name in CONFIG})
    if not timm.is_model(model):
        hint = meant(model, timm.list_models(), "timm.list_models() lists all models")
        raise UsageError(f"timm {timm.__version__} has no model {model!r}: {hint}")
    try:
        return timm.get_pretrained_cfg(model)
    except RuntimeError as error:
        name, _, tag = model.partition(".")
        tags = ", ".join(timm.list_pretrained(f"{name}.*")) or "none"
        raise UsageError(f"timm has no weights {tag!r} of {name}: it has {tags}") from error


def _patches(network: nn.Module) -> list[int]:
    """Return the patch height in pixels of each layer that cuts images into patches."""
    return [layer.patch_size[0] for layer in network.modules() if isinstance(layer, PatchEmbed)]


def _check_patches(network: nn.Module, model: str, size: int) -> None:
    """Check that the size is a multiple of the patches; timm would cut off the rest.

    Raises:
        UsageError: Part of the image would be cut off.
    """
    for patch in _patches(network):
        if rest := size % patch:
            below, above = size - rest, size - rest + patch
            sizes = f"{below} or {above}" if below else f"{above}"
            raise UsageError(
                f"timm:{model} takes sizes that are multiples of {patch} pixels, the images have {size}: "
                f"resize them to {sizes}, for example with --set input.size={above}"
            )
