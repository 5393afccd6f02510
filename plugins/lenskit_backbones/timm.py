"""The image models of timm (https://huggingface.co/docs/timm) without their classifier."""

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
"""Prefixes of models that are not of timm's own list."""

CONFIG = ("classifier", "first_conv", "fixed_input_size", "input_size")
"""Fields of a model's entry that are read."""


class Timm(Backbone):
    """A model of timm; its features are what it hands to its classifier.

    Args:
        channels: Number of channels of the images. Pretrained weights of the first convolution are adapted to it so
            that a grey image gives the same response.
        size: Height and width of the images in pixels. Models that are made for one size are made for this one.
        model: Name of the model in timm, such as `vit_tiny_patch16_224`, with or without the tag of its weights;
            `hf-hub:OWNER/REPO` for one on the Hugging Face Hub, or `local-dir:FOLDER` for one on disk.
        pretrained: Start from the model's pretrained weights, which are downloaded once.
        weights: Start from the weights in this file (`.safetensors`, `.pt` or `.pth`), of this lenskit run, or of
            the encoder of this name (`lenskit list encoders`).
            Absolute position embeddings of another image size are interpolated.

    Raises:
        UsageError: timm has no such model, or it cannot take images of this size.
        LenskitError: The weights do not fit or cannot be had.
    """

    def __init__(
        self, channels: int, size: int, *, model: str, pretrained: bool = False, weights: str | None = None
    ) -> None:
        super().__init__(channels, size)
        if pretrained and weights:
            raise UsageError("pretrained and weights exclude each other: give one")
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
        """Return the nearest size that the model takes; `size` if none is found."""
        return _nearest_size(size, options["model"])

    def forward(self, images: Tensor) -> Tensor:
        """Images (n, channels, height, width) to features (n, `features`)."""
        return self.network(images)

    def as_timm(self) -> tuple[nn.Module, Sequence[str]]:
        return self.network, ()

    def _inputs(self) -> Sequence[str]:
        """The layers that see the image: with branches, or with kernels that are added up, several do."""
        first = self.config.first_conv or ()
        return [first] if isinstance(first, str) else list(first)

    def _build(self) -> tuple[nn.Module, int]:
        """The network and the length of its features, measured: not every model's `num_features` says it."""
        try:
            network = _create(self.model, self.config, self.channels, self.size)
            features = _features(network, self.model, self.channels, self.size)
        except UsageError:
            raise
        except Exception as error:  # a model of timm that cannot take a size or a number of channels raises anything
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise UsageError(
                f"timm:{self.model} cannot take {self.channels} x {self.size} x {self.size} images ({reason}): "
                f"it was made for {self.config.input_size[-1]} pixels{self._other_size()}"
            ) from error
        if features.ndim != 2:
            raise UsageError(f"timm:{self.model} gives features of shape {tuple(features.shape[1:])}, not a vector")
        return network.train(), features.shape[1]

    def _other_size(self) -> str:
        """What to say of the nearest size that the model takes."""
        near = self.nearest_size(self.size, model=self.model)
        return f"; --set input.size={near} would do" if near != self.size else ""

    def _pretrained(self) -> dict[str, Tensor]:
        """The pretrained weights for the three channels that they were made for, at this image size."""
        try:
            return _create(self.model, self.config, 3, self.size, pretrained=True).state_dict()
        except (OSError, RuntimeError) as error:
            raise LenskitError(
                f"timm's weights of {self.model} cannot be had ({str(error).strip().splitlines()[0]}): "
                "download them elsewhere and give the file as weights"
            ) from error

    def _fitted(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """The state with absolute position embeddings interpolated to this image size."""
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
    """The nearest size that a model takes, tried without weights; `size` if none is found."""
    config, patch = _config(model), 1
    for near in sizes_near(size, config.input_size[-1]):
        if near % patch:
            continue
        # Models of timm raise anything; some cannot be made without weights.
        with suppress(Exception), torch.device("meta"):
            network = _create(model, config, 3, near)
            patch = max(_patches(network), default=1)
            _features(network, model, 3, near)
            return near
    return size


def _features(network: nn.Module, model: str, channels: int, size: int) -> Tensor:
    """What a network makes of one image of a size."""
    _check_patches(network, model, size)
    with torch.no_grad():
        return network.eval()(torch.zeros(1, channels, size, size))


def _create(model: str, config: Any, channels: int, size: int, *, pretrained: bool = False) -> nn.Module:
    # Only models made for one size know the argument; timm drops arguments that are None.
    fixed = size if config.fixed_input_size else None
    return timm.create_model(model, pretrained=pretrained, in_chans=channels, num_classes=0, img_size=fixed)


def _config(model: str) -> Any:
    """What timm knows of a model: its usual image size, the name of its classifier."""
    if model.partition(":")[0] in SOURCES:
        try:
            config: Any = timm.create_model(model, num_classes=0).pretrained_cfg
        except Exception as error:  # whatever a hub, a folder or its config.json makes timm raise
            raise LenskitError(f"timm cannot open {model}: {reason(error)}") from error
        return SimpleNamespace(**{name: config.get(name) for name in CONFIG})
    if not timm.is_model(model):
        hint = meant(model, timm.list_models(), "timm.list_models() has them all")
        raise UsageError(f"timm {timm.__version__} has no model {model!r}: {hint}")
    try:
        return timm.get_pretrained_cfg(model)
    except RuntimeError as error:
        name, _, tag = model.partition(".")
        tags = ", ".join(timm.list_pretrained(f"{name}.*")) or "none"
        raise UsageError(f"timm has no weights {tag!r} of {name}: it has {tags}") from error


def _patches(network: nn.Module) -> list[int]:
    """Height in pixels of the patches of each layer that cuts the image into some."""
    return [layer.patch_size[0] for layer in network.modules() if isinstance(layer, PatchEmbed)]


def _check_patches(network: nn.Module, model: str, size: int) -> None:
    """timm would cut off, without a word, what does not fill a patch."""
    for patch in _patches(network):
        if rest := size % patch:
            below, above = size - rest, size - rest + patch
            sizes = f"{below} or {above}" if below else f"{above}"
            raise UsageError(
                f"timm:{model} takes sizes that are multiples of {patch} pixels, the images have {size}: "
                f"resize them to {sizes}, as with --set input.size={above}"
            )
