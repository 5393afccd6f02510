"""`lenskit predict`: parameters of images, to a table."""

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
"""The models that are no fine-tuned ones."""

RADIUS = "theta_E"
"""Parameter that rings are drawn of."""


class Model(Protocol):
    """What predicts.

    Attributes:
        encoder: Says which images it takes.
        classes: Names of the classes of each class label.
        measures: Whether it predicts anything else, which pixels of another size would make wrong.
        outliers: The distance from the images that it was fitted to, if that is known.
        unlike: What the column is called that says whether an image is unlike these.
    """

    encoder: Encoder
    classes: Mapping[str, Sequence[str]]
    measures: bool
    outliers: OutlierDetector | None
    unlike: str

    def predict(self, images: Iterator[Tensor]) -> Predicted: ...

    def half_width(self, level: float) -> dict[str, float]: ...


class Predict(Evaluation):
    """Parameters of images, with intervals and a warning flag, as a CSV table.

    An encoder that comes with a fitted head (`lenskit list encoders`, `lenskit package`) needs nothing else. Of a run,
    the linear probe that `lenskit probe RUN` fitted is applied to the images; or, by its name, a model that `lenskit
    finetune RUN` made; or the head of a run of the method `supervised` (--model head).

    For each parameter there are `NAME`, `NAME_low` and `NAME_high`; the interval holds the truth of the stated share of
    lenses like those that the model was judged on, and promises nothing of images unlike them. For a class label
    there are `NAME`, the likeliest class, and the probability of each, `NAME_p_CLASS`. `unlike_simulations`
    (`unlike_training` for a fine-tuned model) is 1 for an image whose features are farther from those of the images
    that the model was fitted to than 99 % of others like these are: do not trust its row. `distance` is that distance,
    over the one at which the flag is raised. A head has neither intervals nor that flag.

    Args:
        output: File to write, or a folder for `predictions.csv`; without it the table is printed.
        level: Share of lenses whose truth lies in its interval.
        model: `shipped`, the head that comes with an encoder; `probe` (or `probe-2`, the folder of another outcome);
            `head`; or the name of a fine-tuned model, a folder of RUN/evaluations/finetune, or the path of such a
            folder. By default `shipped` if there is one, and else `probe`.
        rings: PNG file for a picture of the first images, each with a ring of its predicted theta_E.
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
        """Returns the table's rows, and writes or prints it."""
        (run,) = runs
        path = None if self.output is None else in_folder(self.output, "predictions.csv")
        if path:
            # A table says nothing of who wrote it.
            check_output(path, ours=lambda there: False)
        picture = None if self.rings is None else Path(self.rings)
        if picture:
            if picture.suffix != ".png":
                raise UsageError(f"--rings takes the name of a PNG file, got {self.rings}")
            # What options name counts as an input, this one too; a file that lenskit drew is replaced.
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
        what = model.unlike.replace("_", " the ").replace("training", "training images")
        log.info("%d images are in %s%s", len(rows), path, f"; {flagged} of them are {what}" if model.outliers else "")
        return rows

    def _draw_rings(
        self, path: Path, datasets: Sequence[Dataset], rows: Sequence[Mapping[str, str]], model: Model
    ) -> None:
        """Draw the first images with rings of their predicted Einstein radii."""
        from lenskit_evaluation.rings import MOST, draw_rings

        scale = next((each for each in (*(d.pixel_scale for d in datasets), model.encoder.pixel_scale) if each), None)
        if RADIUS not in rows[0]:
            raise UsageError(f"--rings draws {RADIUS}, and the model predicts {', '.join(list(rows[0])[1:])}")
        if scale is None:
            raise UsageError('--rings needs the size of a pixel: say it, as in "READER:PATH?pixel_scale=0.05"')
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
    """The model of a run that predicts.

    Args:
        run: The run.
        name: `shipped`, `probe`, `head`, or the name or the folder of a fine-tuned model; by default `shipped` if there
            is a head that comes with the encoder, and else `probe`.

    Raises:
        LenskitError: if the run has not been probed, or what it holds is damaged.
        UsageError: if there is no such model.
    """
    name = name or (SHIPPED if run.head else PROBE)
    if name == SHIPPED:
        return _Shipped(run)
    folder = run.place("finetune")
    there = sorted(path.parent.name for path in folder.glob(f"*/{MODEL}"))
    probes = sorted(path.name for path in run.place(PROBE).parent.glob(f"{PROBE}-*")) if name not in there else []
    if re.fullmatch(rf"{PROBE}-\d+", name) and name not in [*there, *probes]:
        raise UsageError(f"{run.path} has no {name}: it has {', '.join([PROBE, *probes])}")
    if name == PROBE or (re.fullmatch(rf"{PROBE}-\d+", name) and name not in there):
        try:
            return _Probe(run, name)
        except LenskitError as error:
            raise LenskitError(f"{error}{f', or use --model {there[0]}' if there else ''}") from None
    if name == SUPERVISED:
        return _Head(run)
    return _FineTuned(fine_tuned(run, name))


def fine_tuned(run: Run, name: str) -> FineTuned:
    """The fine-tuned model of a run.

    Args:
        run: The run.
        name: Its name or its folder.

    Raises:
        UsageError: if there is none.
        LenskitError: if it is damaged.
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
    """The head that comes with an encoder."""

    unlike: str = "unlike_training"
    measures: bool = True

    def __init__(self, run: Run) -> None:
        if run.head is None:
            raise UsageError(f"{run.name} comes with no head: `lenskit package` makes an encoder that has one")
        self.head = Head.load(run.head)
        if about := self.head.about:
            log.info("head fitted to %s lenses of %s", about.get("lenses", "some"), about.get("data", "its encoder"))
        self.classes: Mapping[str, Sequence[str]] = {}
        self.encoder = to_best_device(run.encoder())
        self.outliers: OutlierDetector | None = self.head.outliers
        if self.encoder.features != len(self.head.linear.mean):
            raise LenskitError(
                f"{run.head} is the head of another encoder: it takes {len(self.head.linear.mean)} features, and "
                f"{run.name} gives {self.encoder.features}"
            )

    def predict(self, images: Iterator[Tensor]) -> Predicted:
        return self.head.predict(lambda part: self.encoder.embed(part).astype(np.float64), images)

    def half_width(self, level: float) -> dict[str, float]:
        return self.head.half_width(level)


class _Probe:
    """The linear probe."""

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
    """A fine-tuned model."""

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
    """The head that a supervised run was trained with, on its own backbone."""

    unlike: str = "unlike_training"
    measures: bool = True
    outliers: OutlierDetector | None = None

    def __init__(self, run: Run) -> None:
        self.encoder = run.encoder()
        method = run.method()
        name = run.config.name("method")
        if not isinstance(method, Predictor):
            raise UsageError(
                f"--model head is for runs that were trained to predict; the method of {run.path} is {name}: "
                f"use the probe, or `lenskit finetune {run.path}`"
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
    """Stored images that a model takes."""
    encoder = model.encoder
    dataset = encoder.open(data, measures=model.measures)
    if encoder.image_shape and tuple(dataset.image_shape) != encoder.image_shape:
        there, wanted = (" x ".join(map(str, shape)) for shape in (dataset.image_shape, encoder.image_shape))
        raise UsageError(f"{data} has images of {there}, but the model takes {wanted}")
    if not len(dataset):
        raise LenskitError(f"{data} holds no images")
    return dataset
