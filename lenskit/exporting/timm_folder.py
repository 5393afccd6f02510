"""Export of an encoder as a folder that timm loads.

The folder has model.safetensors, config.json and a model card. `config.json` has timm's layout, which
`timm.create_model("local-dir:DIR", pretrained=True)` and the Hugging Face Hub read. Its key `lenskit` has the
encoder's card, with which lenskit opens the folder.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from lenskit.checksums import save_tensors
from lenskit.encoder import Encoder
from lenskit.encoder_card import EncoderCard
from lenskit.errors import LenskitError, UsageError
from lenskit.exporting.card import Facts, readme
from lenskit.records import Record, load_json

TOLERANCE = 1e-5
"""Maximum difference of features due to rounding, as a fraction of the largest feature."""

KEPT = ("crop_mode", "interpolation", "pool_size", "first_conv", "classifier", "fixed_input_size")
"""Keys of timm's entry for the architecture that are also valid for the exported weights."""


def contents(encoder: Encoder, facts: Facts) -> Mapping[str, str | bytes]:
    """Return the names and contents of the files; the model card comes last.

    Raises:
        UsageError: timm has no equivalent network.
        LenskitError: The features of timm's network differ from the encoder's.
    """
    name = encoder.card["backbone"]["name"]
    counterpart = encoder.backbone.as_timm()
    if counterpart is None:
        raise UsageError(f"timm has no network like backbone {name!r}: use --format onnx")
    model, changes = counterpart
    model = model.cpu().eval()
    channels, *size = encoder.preprocess.shape(encoder.fixed_shape)
    _check(encoder, model, (channels, size[0], size[1]))

    pretrained: dict[str, Any] = model.pretrained_cfg  # type: ignore[assignment]
    arguments: dict[str, Any] = {"in_chans": channels}
    if pretrained.get("fixed_input_size"):
        arguments["img_size"] = size[0]
    config = {
        "architecture": pretrained["architecture"],
        "num_classes": 0,
        "num_features": encoder.features,
        "model_args": arguments,
        "pretrained_cfg": {
            **{key: pretrained[key] for key in KEPT if key in pretrained},
            # timm cannot describe the stretch by mean and std. The card tells users to stretch images first.
            "input_size": [channels, *size], "mean": [0.0] * channels, "std": [1.0] * channels, "crop_pct": 1.0,
            "num_classes": 0,
        },
        "lenskit": encoder.card | {"image_shape": list(encoder.fixed_shape), "changes": list(changes)},
    }  # fmt: skip
    architecture = pretrained["architecture"]
    weights = {name: value.detach().contiguous().clone() for name, value in model.state_dict().items()}
    return {
        "model.safetensors": save_tensors(weights, {"format": "pt"}),
        "config.json": json.dumps(config, indent=2) + "\n",
        "README.md": readme(encoder, facts, "timm", architecture=architecture, changes=changes, args=arguments),
    }


@torch.inference_mode()
def _check(encoder: Encoder, model: torch.nn.Module, shape: tuple[int, int, int]) -> None:
    images = torch.randn(2, *shape, generator=torch.Generator().manual_seed(0))
    ours, theirs = encoder.backbone(images), model(images)
    error = float((ours - theirs).abs().max() / ours.abs().max().clamp(min=1e-12))
    if not error <= TOLERANCE:
        raise LenskitError(f"the features of timm's network differ from the encoder's by a fraction of {error:.1g}")


class _Config(Record):
    """Contents of `config.json`."""

    lenskit: EncoderCard


def is_export(folder: Path) -> bool:
    """Whether `lenskit export` wrote the folder for timm.

    Raises:
        LenskitError: The file `config.json` cannot be read.
    """
    return (folder / "config.json").exists() and "lenskit" in load_json(folder / "config.json")


def load_export(folder: Path) -> Encoder:
    """Load the encoder from a folder that `lenskit export` wrote for timm.

    Raises:
        LenskitError: The weights are missing, damaged, or do not fit the backbone.
    """
    card = load_json(folder / "config.json", _Config)["lenskit"]
    card.pop("changes", None)
    # Only the backbone can map timm's names of weights to lenskit's names.
    started = {**card["backbone"], "weights": str(folder / "model.safetensors")}
    encoder = Encoder.untrained({**card, "backbone": started})
    encoder.card = card
    return encoder.eval()
