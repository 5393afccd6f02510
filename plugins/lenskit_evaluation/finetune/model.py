"""Fine-tuned model: an encoder with a linear head, its file and its predictions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.nn import functional as F

from lenskit.evaluation import Array, Encoder, EncoderCard
from lenskit.plugin import LenskitError, Parameter
from lenskit.toolbox import (
    ParameterRecord,
    Record,
    load_tensors,
    parameters_of,
    parse_json,
    save_tensors,
    write_atomically,
)
from lenskit_evaluation.intervals import Intervals
from lenskit_evaluation.outliers import OutlierDetector

FORMAT = 1
MODEL, CARD = "model.safetensors", "card.json"


@dataclass(frozen=True)
class Predicted:
    """Predictions of a model for n images.

    Attributes:
        features: (n, features).
        values: Array of each target by name: predicted values (n,) of a continuous target in its unit, or probabilities
            (n, classes) of a class label.
    """

    features: Array
    values: dict[str, Array]


class FineTuned(nn.Module):
    """Encoder with a linear layer that predicts parameters of an image.

    Continuous targets are predicted in units of their standard deviation. Class labels are predicted by a softmax with
    one output per class. Features are standardised by their mean and standard deviation before fine-tuning, so that the
    same learning rate of the head suits all encoders. The weights of the head start at zero, so that the initial
    prediction is the mean label.

    Args:
        encoder: The encoder.
        targets: Parameters to predict.
        card: Additional facts about the model, as plain values.
    """

    mean: Tensor
    scale: Tensor
    center: Tensor
    spread: Tensor

    def __init__(self, encoder: Encoder, targets: Sequence[Parameter], card: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self.encoder, self.targets, self.card = encoder, list(targets), dict(card or {})
        self.widths = [len(target.classes) or 1 for target in targets]
        self.head = nn.Linear(encoder.features, sum(self.widths))
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        for name, length, value in (
            ("mean", encoder.features, 0.0), ("scale", encoder.features, 1.0),
            ("center", len(targets), 0.0), ("spread", len(targets), 1.0),
        ):  # fmt: skip
            self.register_buffer(name, torch.full((length,), value))
        self.intervals: Intervals | None = None
        """Intervals of the continuous targets, from residuals of images that were not used in training."""
        self.outliers: OutlierDetector | None = None
        """Detector of images that are far from the training images."""

    @property
    def continuous(self) -> list[Parameter]:
        """Targets that are not class labels."""
        return [target for target in self.targets if not target.classes]

    def standardise(self, features: Tensor, labels: Tensor) -> None:
        """Standardise features (n, features) and continuous labels (n, targets).

        The mean and the standard deviation are stored in the model.
        """
        spread = features.std(0, correction=0)
        self.mean.copy_(features.mean(0))
        # Constant features may differ by float32 rounding; dividing by that difference would amplify the rounding.
        self.scale.copy_(torch.where(spread > 1e-6 * self.mean.abs().cpu(), spread, 1.0))
        for i, target in enumerate(self.targets):
            if not target.classes:
                self.center[i], self.spread[i] = labels[:, i].mean(), labels[:, i].std(correction=0)

    def forward(self, images: Tensor) -> Tensor:
        """Return the outputs (n, outputs) of images (n, C, H, W) in any unit."""
        return self.outputs(self.encoder(images))

    def outputs(self, features: Tensor) -> Tensor:
        """Return the outputs (n, outputs) of features (n, features)."""
        return self.head((features - self.mean) / self.scale)

    def loss(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Return the mean loss over the targets.

        The loss of a continuous target is the squared error in units of the standard deviation. The loss of a class
        label is the cross-entropy.

        Args:
            outputs: (n, outputs).
            labels: (n, targets).
        """
        losses = []
        for i, (target, part) in enumerate(zip(self.targets, outputs.split(self.widths, 1), strict=True)):
            if target.classes:
                losses.append(F.cross_entropy(part, labels[:, i].long()))
            else:
                losses.append(F.mse_loss(part[:, 0], (labels[:, i] - self.center[i]) / self.spread[i]))
        return torch.stack(losses).mean()

    @torch.inference_mode()
    def predict(self, images: Iterable[Tensor], batch_size: int = 256) -> Predicted:
        """Return the predictions for images, in eval mode.

        Args:
            images: Chunks of images (n, C, H, W), in any unit.
            batch_size: Maximum number of images in a batch of the network.

        Raises:
            LenskitError: There are no images.
        """
        self.eval()
        device = self.head.weight.device
        features, outputs = [], []
        for chunk in images:
            for part in chunk.split(batch_size):
                features.append(self.encoder(part.to(device)))
                outputs.append(self.outputs(features[-1]).cpu())
        if not outputs:
            raise LenskitError("there are no images to predict from")
        values: dict[str, Array] = {}
        for i, (target, part) in enumerate(zip(self.targets, torch.cat(outputs).split(self.widths, 1), strict=True)):
            if target.classes:
                values[target.name] = part.double().softmax(1).numpy()
            else:
                values[target.name] = (part[:, 0] * self.spread[i].cpu() + self.center[i].cpu()).double().numpy()
        return Predicted(torch.cat(features).cpu().double().numpy(), values)

    def half_width(self, level: float) -> dict[str, float]:
        """Return half the width of the confidence interval of each continuous target.

        Args:
            level: Probability that the interval contains the true value.
        """
        if self.intervals is None or not self.continuous:
            return {}
        widths = np.asarray(self.intervals.half_width(level)).tolist()
        return dict(zip([target.name for target in self.continuous], widths, strict=True))

    def files(self) -> dict[str, bytes | str]:
        """Return the contents of `model.safetensors` and of `card.json` by name.

        The first file holds the complete model. The second repeats the card of the model as readable text.
        """
        card = self.card | {
            "format": FORMAT,
            "targets": [asdict(target) for target in self.targets],
            "encoder": self.encoder.card,
        }
        tensors = {name: value.detach().cpu().contiguous() for name, value in self.state_dict().items()}
        for name, part in (("intervals", self.intervals), ("outliers", self.outliers)):
            if part is not None:
                tensors |= {f"{name}.{key}": torch.as_tensor(value) for key, value in vars(part).items()}
        return {MODEL: save_tensors(tensors, {"card": json.dumps(card)}), CARD: json.dumps(card, indent=2) + "\n"}

    def save(self, folder: Path) -> None:
        """Write `files` into a folder."""
        for name, content in self.files().items():
            write_atomically(folder / name, content)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a model that `save` wrote, on the CPU and in eval mode.

        Raises:
            LenskitError: The folder has no model, or the file is damaged.
        """
        card = read_card(folder)
        tensors, _ = load_tensors(folder / MODEL, "fine-tune again, or restore it")
        model = cls(Encoder.untrained(card["encoder"], seed=0), parameters_of(card["targets"]), card)
        parts = {name: _pop(tensors, name) for name in ("intervals", "outliers")}
        try:
            model.load_state_dict(tensors)
        except RuntimeError as error:
            reason = " ".join(str(error).split())[:300]
            raise LenskitError(f"the weights in {folder / MODEL} do not fit its card: {reason}") from None
        if parts["intervals"]:
            model.intervals = Intervals(**parts["intervals"])
        if parts["outliers"]:
            model.outliers = OutlierDetector(**parts["outliers"])
        return model.eval()


def read_card(folder: Path) -> dict[str, Any]:
    """Read the card of the model in a folder.

    Raises:
        LenskitError: The folder has no model, or the file is damaged or has an unknown format.
    """
    path = folder / MODEL
    if not path.is_file():
        raise LenskitError(f"{folder} holds no fine-tuned model: {MODEL} is missing")
    try:
        with safe_open(path, "pt") as file:
            text = (file.metadata() or {}).get("card", "null")
    except (SafetensorError, OSError) as error:
        raise LenskitError(f"{path} is damaged: {error}") from None
    raw = parse_json(text, f"{path} is damaged: its card", None)
    if not isinstance(raw, dict) or raw.get("format") != FORMAT:
        raise LenskitError(f"{path} is not a fine-tuned model of format {FORMAT}")
    card: dict[str, Any] = parse_json(text, f"{path} is damaged: its card", _Card)
    return card


class _Card(Record):
    """Fields of a model's card that are checked."""

    targets: list[ParameterRecord]
    encoder: EncoderCard


def _pop(tensors: dict[str, Tensor], name: str) -> dict[str, Any]:
    """Remove and return the arrays of a part; 0-d arrays become numbers."""
    keys = [key for key in tensors if key.startswith(f"{name}.")]
    arrays = {key.removeprefix(f"{name}."): tensors.pop(key).numpy() for key in keys}
    return {key: array if array.ndim else array.item() for key, array in arrays.items()}
