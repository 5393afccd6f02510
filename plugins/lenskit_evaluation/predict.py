"""`lenskit predict`: predict parameters of images, as a table."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, ClassVar, Protocol

import numpy as np
import torch
from annotated_types import Gt, Lt
from torch import Tensor

from lenskit.evaluation import Array, Encoder, Run, StoredLenses, asked, check_output, in_folder, to_best_device, to_csv
from lenskit.plugin import Dataset, Evaluation, LenskitError, Predictor, UsageError, meant
from lenskit.toolbox import write_atomically, write_picture
from lenskit_evaluation.finetune.model import MODEL, FineTuned, Predicted
from lenskit_evaluation.head import Head
from lenskit_evaluation.outliers import OutlierDetector
from lenskit_evaluation.probe.saved_probe import FittedProbe

log = logging.getLogger("lenskit")

PROBE, SUPERVISED, SHIPPED = "probe", "head", "shipped"
"""Names of the models that are not fine-tuned: probe, head of a supervised run, and head of a packaged encoder."""

RADIUS = "theta_E"
"""Parameter that gives the radius of the rings."""


class Model(Protocol):
    """Model that predicts parameters of images.

    Attributes:
        encoder: Encoder; its card states which images the model takes.
        classes: Names of the classes by class label.
        measures: Whether the model predicts continuous parameters. These are wrong for images with a different pixel
            size.
        outliers: Detector of images that differ from the training images of the model; None if the model has none.
        unlike: Name of the column that flags such images.
    """

    encoder: Encoder
    classes: Mapping[str, Sequence[str]]
    measures: bool
    outliers: OutlierDetector | None
    unlike: str

    def predict(self, images: Iterator[Tensor]) -> Predicted: ...

    def half_width(self, level: float) -> dict[str, float]: ...


class Predict(Evaluation):
    """Predict parameters of images, with intervals and a flag, as a CSV table.

    An encoder with a head (`lenskit list encoders`, `lenskit package`) needs no further fit. For a run, the default
    model is the linear probe that `lenskit probe RUN` fitted. `--model` chooses a model that `lenskit finetune RUN`
    trained, or the head of a run with the method `supervised` (`--model head`).

    Each continuous parameter has the columns `NAME`, `NAME_low` and `NAME_high`. The interval contains the true value
    for a share `--level` of the lenses, if the lenses have the same distribution as the test lenses of the model. It is
    not valid for different images. Each class label has the columns `NAME`, the most probable class, and
    `NAME_p_CLASS`, the probability of each class.

    The column `unlike_simulations` (`unlike_training` for all models except the probe) warns of outliers. If it is 1,
    do not trust this row: the image is farther from the training images, in the features, than 99 % of held-out images.
    `distance` is the distance from the training images divided by the threshold of the flag. `--model head` has neither
    intervals nor this flag.

    Args:
        output: File to write, or folder for `predictions.csv`; by default the table is printed.
        level: Share of lenses for which the interval contains the true value.
        model: Model to use. `shipped`: the head that is distributed with an encoder. `probe` (or `probe-2`, the folder
            of a second probe): the linear probe. `head`: the head of a supervised run. Or a fine-tuned model, by name
            in RUN/evaluations/finetune or by the path of the folder. By default `shipped` if the encoder has a head,
            otherwise `probe`.
        rings: PNG file to write: the first images with rings at the predicted theta_E.
    """

    inputs: ClassVar[str | None] = "IMAGES"
    files: ClassVar[tuple[str, ...]] = ()
    short: ClassVar[dict[str, str]] = {"output": "-o"}

    def __init__(
        self,
        *,
        output: str | None = None,
        level: Annotated[float, Gt(0), Lt(1)] = 0.68,
        model: str | None = None,
        rings: str | None = None,
    ) -> None:
        self.output, self.level, self.model, self.rings = output, level, model, rings

    def __call__(self, runs: Sequence[Run], inputs: Sequence[str] = ()) -> list[dict[str, str]]:
        """Write or print the table, and return its rows."""
        (run,) = runs
        path = None if self.output is None else in_folder(self.output, "predictions.csv")
        if path:
            # A CSV table has no mark that shows which command wrote it.
            check_output(path, ours=lambda there: False)
        picture = None if self.rings is None else Path(self.rings)
        if picture:
            if picture.suffix != ".png":
                raise UsageError(f"--rings takes the name of a PNG file, got {self.rings}")
            # Every path in an option counts as an input, also this path; a picture by lenskit may be overwritten.
            check_output(picture, inputs=[each for each in asked().inputs if each != picture], flag="--rings")
        model = open_model(run, self.model)
        datasets = [_open(data, model) for data in inputs]
        rows = [row for dataset in datasets for row in self._rows(dataset, model)]
        if picture:
            self._draw_rings(picture, datasets, rows, model)
        if path is None:
            sys.stdout.write(to_csv(rows))
            return rows
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, to_csv(rows))
        flagged = sum(row.get(model.unlike) == "1" for row in rows)
        flag = model.unlike.replace("_", " the ").replace("training", "training images")
        log.info(
            "predictions for %d images are in %s%s",
            len(rows),
            path,
            f"; {flagged} of them are {flag}" if model.outliers else "",
        )
        return rows

    def _draw_rings(
        self, path: Path, datasets: Sequence[Dataset], rows: Sequence[Mapping[str, str]], model: Model
    ) -> None:
        """Plot the first images with rings at the predicted Einstein radii."""
        from lenskit_evaluation.rings import MOST, draw_rings

        scale = next((each for each in (*(d.pixel_scale for d in datasets), model.encoder.pixel_scale) if each), None)
        if RADIUS not in rows[0]:
            raise UsageError(f"--rings needs {RADIUS}, but the model predicts {', '.join(list(rows[0])[1:])}")
        if scale is None:
            raise UsageError('--rings needs the pixel size in arcsec: use "READER:PATH?pixel_scale=0.05"')
        images: list[Tensor] = []
        for dataset in datasets:
            images += StoredLenses(dataset).read(range(min(len(dataset), MOST - len(images)))).images
            if len(images) == MOST:
                break
        first = rows[: len(images)]
        radius, names = [float(row[RADIUS]) for row in first], [row["name"] for row in first]
        width = model.half_width(self.level).get(RADIUS)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_picture(draw_rings(images, radius, width, names=names, pixel_scale=scale), path, 110)
        log.info("picture: %s", path)

    def _rows(self, dataset: Dataset, model: Model) -> list[dict[str, str]]:
        predicted = model.predict(read.images for read in StoredLenses(dataset).chunks())
        widths = model.half_width(self.level)
        distance = model.outliers.distance(predicted.features) / model.outliers.threshold if model.outliers else None
        rows = []
        for number, name in enumerate(dataset.names):
            row = {"name": name}
            for parameter, values in predicted.values.items():
                value = values[number]
                if parameter in model.classes:
                    names = model.classes[parameter]
                    row[parameter] = names[int(np.argmax(value))]
                    if np.ndim(value):
                        row |= {f"{parameter}_p_{name}": f"{p:.4f}" for name, p in zip(names, value, strict=True)}
                    continue
                row[parameter] = f"{value:.5g}"
                if parameter in widths:
                    width = widths[parameter]
                    row |= {f"{parameter}_low": f"{value - width:.5g}", f"{parameter}_high": f"{value + width:.5g}"}
            if distance is not None:
                row |= {"distance": f"{distance[number]:.3g}", model.unlike: str(int(not distance[number] <= 1))}
            rows.append(row)
        return rows


def open_model(run: Run, name: str | None = None) -> Model:
    """Load a model of a run that predicts parameters.

    Args:
        run: The run.
        name: `shipped`, `probe`, `head`, or the name or the folder of a fine-tuned model; by default `shipped` if the
            encoder has a head, otherwise `probe`.

    Raises:
        LenskitError: The run has no probe yet, or the file of the model is damaged.
        UsageError: The run has no model with this name.
    """
    name = name or (SHIPPED if run.head else PROBE)
    if name == SHIPPED:
        return _Shipped(run)
    folder = run.place("finetune")
    there = sorted(path.parent.name for path in folder.glob(f"*/{MODEL}"))
    probes = sorted(path.name for path in run.place(PROBE).parent.glob(f"{PROBE}-*")) if name not in there else []
    if re.fullmatch(rf"{PROBE}-\d+", name) and name not in [*there, *probes]:
        raise UsageError(f"{run.path} has no {name}; it has {', '.join([PROBE, *probes])}")
    if name == PROBE or (re.fullmatch(rf"{PROBE}-\d+", name) and name not in there):
        try:
            return _Probe(run, name)
        except LenskitError as error:
            raise LenskitError(f"{error}{f', or use --model {there[0]}' if there else ''}") from None
    if name == SUPERVISED:
        return _Head(run)
    return _FineTuned(fine_tuned(run, name))


def fine_tuned(run: Run, name: str) -> FineTuned:
    """Load a fine-tuned model of a run.

    Args:
        run: The run.
        name: Name or folder of the model.

    Raises:
        UsageError: The run has no model with this name.
        LenskitError: The file of the model is damaged.
    """
    folder = run.place("finetune")
    there = sorted(path.parent.name for path in folder.glob(f"*/{MODEL}"))
    if name not in there and (Path(name) / MODEL).is_file():
        return FineTuned.load(Path(name))
    if name not in there:
        hint = meant(name, there, f"it has {', '.join(there)}" if there else f"`lenskit finetune {run.path}` makes one")
        raise UsageError(f"{run.path} has no fine-tuned model {name!r}: {hint}")
    return FineTuned.load(folder / name)


class _Shipped:
    """Head that was distributed with an encoder."""

    unlike: str = "unlike_training"
    measures: bool = True

    def __init__(self, run: Run) -> None:
        if run.head is None:
            raise UsageError(f"{run.name} has no head: `lenskit package` makes an encoder with a head")
        self.head = Head.load(run.head)
        if about := self.head.about:
            log.info("head fitted to %s lenses of %s", about.get("lenses", "some"), about.get("data", "unknown data"))
        self.classes: Mapping[str, Sequence[str]] = {}
        self.encoder = to_best_device(run.encoder())
        self.outliers: OutlierDetector | None = self.head.outliers
        if self.encoder.features != len(self.head.linear.mean):
            raise LenskitError(
                f"{run.head} is the head of a different encoder: it takes {len(self.head.linear.mean)} features, but "
                f"{run.name} has {self.encoder.features}"
            )

    def predict(self, images: Iterator[Tensor]) -> Predicted:
        return self.head.predict(lambda part: self.encoder.embed(part).astype(np.float64), images)

    def half_width(self, level: float) -> dict[str, float]:
        return self.head.half_width(level)


class _Probe:
    """Linear probe that `lenskit probe` fitted."""

    unlike: str = "unlike_simulations"
    measures: bool = True

    def __init__(self, run: Run, name: str) -> None:
        self._probe = FittedProbe.load(run.place(name), run.title)
        if about := self._probe.about:
            log.info("probe fitted to %(lenses)s lenses of %(data)s, seed %(seed)s", about)
        self.classes: Mapping[str, Sequence[str]] = {}
        self.encoder = to_best_device(run.encoder())
        self.outliers: OutlierDetector | None = self._probe.outliers

    def predict(self, images: Iterator[Tensor]) -> Predicted:
        features = np.concatenate([self.encoder.embed(part) for part in images]).astype(np.float64)
        return Predicted(features, self._probe.predict(features))

    def half_width(self, level: float) -> dict[str, float]:
        return self._probe.half_width(level)


class _FineTuned:
    """Model that `lenskit finetune` trained."""

    unlike: str = "unlike_training"

    def __init__(self, model: FineTuned) -> None:
        self.encoder = to_best_device(model.encoder)
        self._model = model.to(next(self.encoder.parameters()).device)
        self.outliers = model.outliers
        self.classes: Mapping[str, Sequence[str]] = {t.name: t.classes for t in model.targets if t.classes}
        self.measures = bool(model.continuous)

    def predict(self, images: Iterator[Tensor]) -> Predicted:
        return self._model.predict(images)

    def half_width(self, level: float) -> dict[str, float]:
        return self._model.half_width(level)


class _Head:
    """Head of a supervised run, with the backbone from the same training."""

    unlike: str = "unlike_training"
    measures: bool = True
    outliers: OutlierDetector | None = None

    def __init__(self, run: Run) -> None:
        self.encoder = run.encoder()
        method = run.method()
        name = run.config.name("method")
        if not isinstance(method, Predictor):
            raise UsageError(
                f"--model head is for runs of a method that predicts parameters, but the method of {run.path} is "
                f"{name}: use --model probe, or `lenskit finetune {run.path}`"
            )
        self._method = method.to("cuda" if torch.cuda.is_available() else "cpu")
        self.classes: Mapping[str, Sequence[str]] = {}

    @torch.inference_mode()
    def predict(self, images: Iterator[Tensor]) -> Predicted:
        device = next(self._method.parameters()).device
        parts: dict[str, list[Array]] = {}
        features = []
        for chunk in images:
            for part in chunk.split(256):
                prepared = self.encoder.preprocess(part.to(device))
                features.append(self._method.embed(prepared).double().cpu().numpy())
                for name, value in self._method.predict(prepared).items():
                    parts.setdefault(name, []).append(value.double().cpu().numpy())
        return Predicted(np.concatenate(features), {name: np.concatenate(values) for name, values in parts.items()})

    def half_width(self, level: float) -> dict[str, float]:
        return {}


def _open(data: str, model: Model) -> Dataset:
    """Open stored images, and check that the model takes images of this size."""
    encoder = model.encoder
    dataset = encoder.open(data, measures=model.measures)
    if encoder.image_shape and tuple(dataset.image_shape) != encoder.image_shape:
        there, wanted = (" x ".join(map(str, shape)) for shape in (dataset.image_shape, encoder.image_shape))
        raise UsageError(f"{data} has images of {there}, but the model takes {wanted}")
    if not len(dataset):
        raise LenskitError(f"{data} holds no images")
    return dataset
