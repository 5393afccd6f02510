"""Linear head of an encoder, with calibrated intervals and an outlier flag."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from lenskit.evaluation import Array
from lenskit.plugin import LenskitError, Parameter
from lenskit.toolbox import (
    Damaged,
    ParameterRecord,
    Record,
    load_tensors,
    orient_images,
    orient_values,
    parameters_of,
    parse_json,
    reason,
    save_tensors,
)
from lenskit_evaluation.finetune.data import ORIENTATIONS
from lenskit_evaluation.finetune.model import Predicted
from lenskit_evaluation.intervals import Intervals
from lenskit_evaluation.outliers import OutlierDetector
from lenskit_evaluation.regression import LinearProbe

FORMAT = 1

Embed = Callable[[Tensor], Array]
"""Function from images (n, C, H, W) to features (n, features)."""


class _About(Record):
    """Metadata in the header of `head.safetensors`."""

    format: int
    parameters: list[ParameterRecord]
    average: bool
    about: dict[str, Any]


@dataclass(frozen=True)
class Head:
    """Linear map from features to parameters, calibrated on held-out lenses.

    Attributes:
        linear: Linear map from features to parameters.
        parameters: Predicted parameters.
        intervals: Residuals of the calibration lenses, for the intervals.
        outliers: Detector of images that differ from the lenses of the fit.
        average: Whether to average predictions over the eight orientations of an image. Predictions for rotated and
            mirrored images are transformed back first.
        about: Data, and numbers of lenses for the fit and for the calibration, as plain values.
    """

    linear: LinearProbe
    parameters: tuple[Parameter, ...]
    intervals: Intervals
    outliers: OutlierDetector
    average: bool = False
    about: Mapping[str, Any] = field(default_factory=dict)

    PARTS: ClassVar[Mapping[str, type]] = {"linear": LinearProbe, "intervals": Intervals, "outliers": OutlierDetector}

    def predict(self, embed: Embed, images: Iterable[Tensor]) -> Predicted:
        """Predict the parameters of images.

        Args:
            embed: Function that computes features of images.
            images: Batches of images (n, C, H, W), square if predictions are averaged over orientations.

        Raises:
            LenskitError: There are no images.
        """
        predicted = [predict(self.linear, self.parameters, self.average, embed, part) for part in images]
        if not predicted:
            raise LenskitError("there are no images to predict from")
        names = [parameter.name for parameter in self.parameters]
        values = {name: np.concatenate([each.values[name] for each in predicted]) for name in names}
        return Predicted(np.concatenate([each.features for each in predicted]), values)

    def half_width(self, level: float) -> dict[str, float]:
        """Return the half-widths of intervals, by parameter.

        Args:
            level: Probability that an interval contains the true value.
        """
        widths = np.asarray(self.intervals.half_width(level)).tolist()
        return dict(zip([parameter.name for parameter in self.parameters], widths, strict=True))

    def to_bytes(self) -> bytes:
        """Return the content of the file `head.safetensors`."""
        tensors = {}
        for name in self.PARTS:
            part = getattr(self, name)
            for key in _arrays(type(part)):
                tensors[f"{name}.{key}"] = torch.from_numpy(np.ascontiguousarray(getattr(part, key)))
        about = {
            "format": FORMAT,
            "parameters": [asdict(parameter) for parameter in self.parameters],
            "average": self.average,
            "about": dict(self.about),
        }
        return save_tensors(tensors, {"head": json.dumps(about)})

    @classmethod
    def load(cls, path: Path) -> Self:
        """Load a head from a file with the content of `to_bytes`.

        Raises:
            LenskitError: The file cannot be read, is damaged or is not a head.
        """
        try:
            tensors, metadata = load_tensors(path, "get a new copy of the encoder")
        except Damaged:
            raise
        except OSError as error:
            raise LenskitError(f"{path} cannot be read: {error.strerror}") from None
        if "head" not in metadata:
            raise LenskitError(f"{path} is not the head of an encoder: its header has no entry 'head'")
        about = parse_json(metadata["head"], f"{path}: its header", _About)
        if about["format"] != FORMAT:
            raise LenskitError(f"{path} has format {about['format']}, but this version of lenskit reads {FORMAT}")
        parameters = parameters_of(about["parameters"])
        words = {"names": tuple(p.name for p in parameters), "units": tuple(p.unit for p in parameters)}
        try:
            parts = {name: _part(kind, name, tensors, words) for name, kind in cls.PARTS.items()}
            head = cls(parameters=parameters, average=about["average"], about=about["about"], **parts)
            head.linear.predict(np.zeros((1, len(head.linear.mean))))
            head.outliers.distance(np.zeros((1, len(head.linear.mean))))
            if {len(parameters)} != {
                len(head.linear.coef),
                len(head.linear.intercept),
                head.intervals.residuals.shape[1],
            }:
                raise ValueError("its parts have different numbers of parameters")
        except (KeyError, ValueError, IndexError, LenskitError) as error:
            raise LenskitError(f"{path} is not a complete head of an encoder: {reason(error)}") from None
        return head


def predict(
    linear: LinearProbe, parameters: Iterable[Parameter], average: bool, embed: Embed, images: Tensor
) -> Predicted:
    """Predict parameters of images with a linear map.

    Args:
        linear: Linear map from features to parameters.
        parameters: Parameters in the order of the map.
        average: Whether to average over the eight orientations of the images.
        embed: Function that computes features of images.
        images: (n, C, H, W).

    Returns:
        The features of the images in their original orientation, and the predictions.
    """
    parameters = list(parameters)
    ways = ORIENTATIONS if average else ORIENTATIONS[:1]
    total, features = None, None
    for quarters, mirrored in ways:
        turn, mirror = torch.full((len(images),), quarters), torch.full((len(images),), mirrored)
        embedded = embed(orient_images(images, turn, mirror) if average else images)
        features = embedded if features is None else features
        values = {p.name: torch.from_numpy(v) for p, v in zip(parameters, linear.predict(embedded).T, strict=True)}
        if average:
            # A reflection followed by a rotation is its own inverse; a rotation alone needs the opposite rotation.
            values = orient_values(values, turn if mirrored else (4 - turn) % 4, mirror, parameters)
        stack = torch.stack([values[p.name] for p in parameters], 1)
        total = stack if total is None else total + stack
    assert total is not None
    assert features is not None
    mean = (total / len(ways)).numpy()
    return Predicted(features, {p.name: mean[:, i] for i, p in enumerate(parameters)})


def averaged(parameters: Iterable[Parameter]) -> list[Parameter]:
    """Return the parameters that can be averaged over orientations.

    These are all parameters except angles, and except vector components if the partner component is missing.
    """
    parameters = list(parameters)
    names = {parameter.name for parameter in parameters}
    return [p for p in parameters if not p.is_angle and (not p.turns or p.partner in names)]


def _arrays(kind: type) -> list[str]:
    """Return the names of the fields of a part that are arrays or numbers."""
    return [each.name for each in fields(kind) if each.name not in ("names", "units")]


def _part(kind: type, name: str, tensors: Mapping[str, Tensor], words: Mapping[str, Any]) -> Any:
    arrays = {key: tensors[f"{name}.{key}"].numpy() for key in _arrays(kind)}
    plain = {key: value if value.ndim else value.item() for key, value in arrays.items()}
    return kind(**plain, **{each.name: words[each.name] for each in fields(kind) if each.name in words})
