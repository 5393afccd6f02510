"""A probe that was fitted to simulated lenses, applied to stored images with labels."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np

from lenskit.plugin import Dataset, Encoder, LenskitError, Parameter, stored, write_atomically
from lenskit_evaluation.features import Array, embed_all, open_images
from lenskit_evaluation.fitted import FittedProbe
from lenskit_evaluation.metrics import Score, score
from lenskit_evaluation.plots import truth_against_prediction
from lenskit_evaluation.probe_report import without_nan
from lenskit_evaluation.tables import show, to_csv

log = logging.getLogger("lenskit")

LEVEL = 0.68
"""Probability of the intervals that are drawn."""


@dataclass(frozen=True)
class Target:
    """Stored images, and the labels that a probe predicts too."""

    data: str
    dataset: Dataset
    parameters: list[Parameter]


def open_target(data: str, encoder: Encoder, parameters: Sequence[Parameter]) -> Target:
    """Opens stored images with labels, before any work is done.

    Args:
        data: `[READER:]PATH`.
        encoder: Whose size of image is wanted.
        parameters: What will be predicted.

    Raises:
        LenskitError: if the images have no label among these, or one in another unit.
    """
    dataset = open_images(data, encoder, measures=True)
    return Target(data, dataset, _common(data, dataset, parameters))


def judge_on(
    target: Target,
    encoders: Mapping[str, Encoder],
    fitted: Mapping[str, FittedProbe],
    folders: Sequence[Path],
    *,
    seed: int,
) -> dict[str, dict[str, Score]]:
    """Predicts the labels of stored images, says how good that is, and draws it.

    Args:
        target: The images.
        encoders: The encoders by name.
        fitted: The probe of each.
        folders: Where `target.json`, `target.csv` and `target_PARAMETER.png` of the first encoders are written.
        seed: Seed of the bootstrap.

    Returns:
        For each parameter that has labels, the score of each encoder, and of the best constant.
    """
    dataset, common = target.dataset, target.parameters
    embedded = embed_all(encoders, stored(dataset))
    predictions = {name: fitted[name].predict(embedded.features[name]) for name in encoders}
    outside = {name: fitted[name].outliers.is_outlier(embedded.features[name]) for name in encoders}

    found: dict[str, dict[str, Score]] = {}
    for parameter in common:
        truth = embedded.parameters[parameter.name]
        # The median of the very labels: no constant has a smaller mean absolute error.
        constant = float(np.nanmedian(truth))
        scores = {name: score(truth, predictions[name][parameter.name], seed=seed) for name in encoders}
        found[parameter.name] = scores | {"constant": score(truth, np.full_like(truth, constant), seed=seed)}
        show(
            _table(parameter, found[parameter.name], outside),
            f"{parameter.name} of {target.data}, ridge (95 % interval)",
        )
        for name, folder in zip(encoders, folders, strict=False):
            figure = truth_against_prediction(
                truth, predictions[name][parameter.name], scores[name], symbol=parameter.symbol, unit=parameter.unit,
                constant=constant, half_width=fitted[name].half_width(LEVEL)[parameter.name], names=dataset.names,
            )  # fmt: skip
            path = folder / f"target_{parameter.name}.png"
            write_atomically(path, partial(figure.savefig, format="png", dpi=120))
            log.info("picture: %s", path)
    plain = {p: {name: asdict(s) for name, s in scores.items()} for p, scores in found.items()}
    lines = _images(dataset, common, embedded.parameters, predictions, outside)
    for folder in folders:
        write_atomically(folder / "target.json", json.dumps(without_nan(plain), indent=1) + "\n")
        write_atomically(folder / "target.csv", to_csv(lines))
    return found


def _common(data: str, dataset: Dataset, parameters: Sequence[Parameter]) -> list[Parameter]:
    """The parameters that are both predicted and known."""
    labels = {parameter.name: parameter for parameter in dataset.parameters}
    common = [parameter for parameter in parameters if parameter.name in labels]
    if not common:
        predicted = ", ".join(parameter.name for parameter in parameters)
        raise LenskitError(f"{data} has labels {', '.join(labels) or '(none)'}, but the probe predicts {predicted}")
    for parameter in common:
        unit = labels[parameter.name].unit
        if unit != parameter.unit:
            raise LenskitError(
                f"{parameter.name} is in {unit or 'no unit'} in {data}, but the probe predicts it in "
                f"{parameter.unit or 'no unit'}"
            )
    return common


def _table(
    parameter: Parameter, scores: Mapping[str, Score], outside: Mapping[str, np.ndarray]
) -> list[dict[str, str]]:
    unit = f" [{parameter.unit}]" if parameter.unit else ""
    return [
        {
            "encoder": name,
            "images": str(s.n),
            "rank correlation": str(s.spearman),
            f"mean absolute error{unit}": str(s.mae),
            f"bias{unit}": str(s.bias),
            "R2": str(s.r2),
            "unlike the simulations": f"{outside[name].sum()} of {len(outside[name])}" if name in outside else "-",
        }
        for name, s in scores.items()
    ]


def _images(
    dataset: Dataset,
    parameters: Sequence[Parameter],
    truth: Mapping[str, Array],
    predictions: Mapping[str, Mapping[str, Array]],
    outside: Mapping[str, np.ndarray],
) -> list[dict[str, str]]:
    """A row for each image and encoder."""
    lines = []
    for encoder, predicted in predictions.items():
        for number, name in enumerate(dataset.names):
            line = {"name": name, "encoder": encoder, "unlike_simulations": str(int(outside[encoder][number]))}
            for p in parameters:
                line[p.name] = f"{truth[p.name][number]:.5g}"
                line[f"{p.name}_predicted"] = f"{predicted[p.name][number]:.5g}"
            lines.append(line)
    return lines
