"""`lenskit package`: a folder with an encoder and its calibrated head."""

from __future__ import annotations

import copy
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from annotated_types import Ge
from torch import Tensor

from lenskit.evaluation import (
    Array,
    Embeddings,
    Encoder,
    EncoderRun,
    LensSet,
    OnLenses,
    Rows,
    Run,
    Split,
    StoredLenses,
    check_folder,
    check_output,
    data_name,
    is_halved,
    to_best_device,
    without_folders,
)
from lenskit.plugin import LenskitError, Parameter, UsageError, at_most
from lenskit.toolbox import write_atomically
from lenskit_evaluation.finetune.model import FineTuned, Predicted
from lenskit_evaluation.head import Head, averaged, predict
from lenskit_evaluation.intervals import Intervals
from lenskit_evaluation.metrics import score
from lenskit_evaluation.outliers import fit_outlier_detector
from lenskit_evaluation.predict import fine_tuned
from lenskit_evaluation.regression import LinearProbe, fit_linear_probe
from lenskit_evaluation.transfer.labels import common

log = logging.getLogger("lenskit")

WEIGHTS, CARD, HEAD = "model.safetensors", "encoder.json", EncoderRun.head_file

LEVELS = {"half_width_68": 0.68, "half_width_95": 0.95}
"""Fields of the card that hold half-widths of intervals, and the probabilities of these intervals."""


class Package(OnLenses):
    """Write an encoder and its calibrated head to a folder for distribution.

    A plugin can distribute the folder.

    The weights are rounded to float16, which halves the file size. The head is a ridge regression on the features of
    the rounded encoder, so the metrics on the card describe the rounded weights. The head is fitted to lenses of the
    run's simulator or of --data, and its intervals are calibrated on held-out lenses of the same kind. Therefore
    `lenskit predict FOLDER IMAGES` needs no simulation. The intervals are valid for lenses of this kind only: use
    --judge to test the head on real lenses.

    Args:
        output: Folder to write, with `encoder.json`, `model.safetensors` and `head.safetensors`.
        lenses: Number of lenses to fit the head to.
        test_lenses: Number of held-out lenses to calibrate the intervals on.
        parameter: Parameter that the head predicts; may be repeated. By default the headline parameters.
        model: Name of a model that `lenskit finetune RUN` trained. The encoder and the head of this model replace the
            run's encoder and the ridge regression.
        average: Whether the head averages over the eight orientations of an image, which takes eight times as long.
        head: Whether to fit a head.
        half: Whether to round the weights to float16.
        judge: Stored images with labels, `[READER:]PATH`, for example real lenses. The scores of the head on these
            images are added to the card.
        summary: One line that describes the encoder.
        licence: Licence of the weights.
        options: Options of every evaluation on lenses.
    """

    embeddings: ClassVar[bool] = False
    files: ClassVar[tuple[str, ...]] = ()
    short: ClassVar[dict[str, str]] = {"output": "-o"}

    def __init__(
        self,
        *,
        output: str,
        lenses: Annotated[int, Ge(50), at_most(10**9)] = 3000,
        test_lenses: Annotated[int, Ge(50), at_most(10**9)] = 2000,
        parameter: list[str] | None = None,
        model: str | None = None,
        average: bool = False,
        head: bool = True,
        half: bool = True,
        judge: str | None = None,
        summary: str | None = None,
        licence: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(lenses=lenses, test_lenses=test_lenses, **options)
        if judge and not head:
            raise UsageError("--judge tests the head: omit --no-head")
        self.output, self.parameter, self.model, self.average = output, parameter or [], model, average
        self.head, self.half, self.judge, self.summary, self.licence = head, half, judge, summary, licence

    def __call__(self, runs: Sequence[Run | Embeddings], inputs: Sequence[str] = ()) -> Path:
        """Write the folder and return its path."""
        if len(runs) != 1 or not isinstance(runs[0], Run):
            raise UsageError(f"package takes one run, got {len(runs)}")
        run, folder = runs[0], Path(self.output)
        check_folder(folder)
        for name in (CARD, WEIGHTS, HEAD):
            # The files do not record the settings of the command that wrote them, so any older file needs --overwrite.
            check_output(folder / name, ours=lambda path: False)
        tuned = fine_tuned(run, self.model) if self.model else None
        encoder = tuned.encoder if tuned else run.encoder()
        encoder = rounded(encoder) if self.half else encoder
        encoder.card = self._card(run, encoder)
        head = None
        if self.head:
            encoder = to_best_device(encoder)
            head, results = self._fitted(run, encoder, tuned)
            encoder.card |= {"head": _head_card(head, self.options()), "results": results}
        encoder.save(folder, half=self.half)
        if head:
            write_atomically(folder / HEAD, head.to_bytes())
        else:
            (folder / HEAD).unlink(missing_ok=True)
        size = sum((folder / name).stat().st_size for name in (CARD, WEIGHTS, HEAD) if (folder / name).exists())
        large = f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.0f} kB"
        log.info("the encoder is in %s (%s); `lenskit predict %s IMAGES` uses it", folder, large, folder)
        return folder

    def _card(self, run: Run, encoder: Encoder) -> dict[str, Any]:
        """Return the encoder's card with training data, summary and licence.

        The head and the results of an older package are removed.
        """
        card = dict(encoder.card)
        sections = run.config.sections
        if "simulator" in sections:
            card["simulator"] = without_folders(sections["simulator"])
            card.setdefault("trained_on", f"lenses of simulator {sections['simulator']['name']}")
        elif "data" in sections:
            card.setdefault("trained_on", f"stored images, {Path(sections['data']['path']).name}")
        for key, value in (("summary", self.summary), ("licence", self.licence)):
            if value:
                card[key] = value
        for key in ("head", "results"):
            card.pop(key, None)
        return card

    def _fitted(self, run: Run, encoder: Encoder, tuned: FineTuned | None) -> tuple[Head, list[dict[str, Any]]]:
        """Return the head and its scores on the calibration lenses and on --judge."""
        lenses = self.judged_on(run)
        judged = encoder.open(self.judge, measures=True) if self.judge else None
        split = lenses.embed({"": encoder})[""]
        parameters = self._parameters(split, tuned)
        names = [parameter.name for parameter in parameters]
        if tuned:
            linear = linear_of(tuned, names)
        else:
            units = [parameter.unit for parameter in parameters]
            linear = fit_linear_probe(split.train.features, split.train.columns(names), names, units)

        def embed(images: Tensor) -> Array:
            return encoder.embed(images).astype(np.float64)

        def guess(rows: Rows, side: LensSet) -> Array:
            """Return predictions (n, parameters) from features that are already computed."""
            if not self.average:
                return linear.predict(rows.features)
            parts = [predict(linear, parameters, True, embed, read.images.cpu()) for read in side.chunks()]
            return np.concatenate([_columns(part, names) for part in parts])

        expected = guess(split.test, lenses.test)
        truth = split.test.columns(names)
        where = data_name(self.data) if self.data else f"simulator {self.simulator or run.config.name('simulator')}"
        data = " ".join([where, *without_folders(self.set)])
        about = {"data": data, "lenses": len(split.train), "calibrated_on": len(split.test), "seed": self.seed}
        outliers = fit_outlier_detector(split.train.features, split.test.features)
        head = Head(linear, tuple(parameters), Intervals.fit(truth, expected), outliers, self.average, about)
        results = _results(data, parameters, truth, expected, None, self.seed)
        if judged is not None:
            shared = {p.name for p in common(str(self.judge), judged.parameters, parameters)}
            real = StoredLenses(judged)
            predictions = _columns(head.predict(embed, (read.images for read in real.chunks())), names)
            values = real.values()
            missing = np.full(len(predictions), np.nan)
            labels = np.stack([values[name] if name in shared else missing for name in names], 1)
            results += _results(data_name(str(self.judge)), parameters, labels, predictions, head, self.seed)
        return head, results

    def _parameters(self, split: Split, tuned: FineTuned | None) -> list[Parameter]:
        """Return the parameters that the head predicts.

        Raises:
            UsageError: The lenses have no labels of a parameter, or a parameter cannot be averaged over orientations.
        """
        possible = {p.name: p for p in split.continuous if np.isfinite(split.train.values[p.name]).sum() >= 2}
        if tuned:
            wanted = [target.name for target in tuned.continuous]
        else:
            wanted = self.parameter or [p.name for p in possible.values() if p.headline] or list(possible)
        for name in wanted:
            if name not in possible:
                raise UsageError(f"the lenses have no parameter {name!r}; they have {', '.join(possible) or 'none'}")
        if not wanted:
            raise UsageError("the lenses have no parameter that a head can predict: use --no-head")
        chosen = [possible[name] for name in dict.fromkeys(wanted)]
        if self.average and (left := [p.name for p in chosen if p not in averaged(chosen)]):
            raise UsageError(f"{', '.join(left)} cannot be averaged over orientations: omit --average")
        return chosen


def rounded(encoder: Encoder) -> Encoder:
    """Return a copy of an encoder with weights rounded to float16.

    The weights are still stored as float32.

    Raises:
        LenskitError: A weight is too large for float16.
    """
    encoder = copy.deepcopy(encoder).cpu()
    for name, tensor in encoder.backbone.state_dict().items():
        if is_halved(tensor):
            if not tensor.half().isfinite().all():
                raise LenskitError(f"{name} has weights too large for float16: use --no-half")
            tensor.copy_(tensor.half())
    return encoder


def linear_of(tuned: FineTuned, names: Sequence[str]) -> LinearProbe:
    """Return the head of a fine-tuned model as a linear map.

    The map computes the continuous targets `names` from features.
    """
    starts = np.cumsum([0, *tuned.widths])
    numbers = [i for i, target in enumerate(tuned.targets) if target.name in names]
    rows, units = [int(starts[i]) for i in numbers], tuple(tuned.targets[i].unit for i in numbers)
    weight, bias, spread, center, mean, scale = (
        tensor.detach().double().cpu().numpy()
        for tensor in (tuned.head.weight, tuned.head.bias, tuned.spread, tuned.center, tuned.mean, tuned.scale)
    )
    coef = weight[rows] * spread[numbers, None]
    intercept = bias[rows] * spread[numbers] + center[numbers]
    return LinearProbe(mean, scale, coef, intercept, np.zeros(len(rows)), tuple(names), units)


def _columns(found: Predicted, names: Sequence[str]) -> Array:
    return np.stack([found.values[name] for name in names], 1)


def _head_card(head: Head, options: dict[str, Any]) -> dict[str, Any]:
    """Return the description of a head for the card.

    The description lists the parameters with the half-widths of the intervals, and the data of the fit.
    """
    widths = {field: head.half_width(level) for field, level in LEVELS.items()}
    parameters = []
    for number, parameter in enumerate(head.parameters):
        own = {field: width[parameter.name] for field, width in widths.items()}
        finite = {field: round(width, 6) for field, width in own.items() if np.isfinite(width)}
        # Standardised features have a mean of zero, so the intercept is the mean prediction.
        mean = {} if options["model"] else {"mean": round(float(head.linear.intercept[number]), 6)}
        parameters.append({"name": parameter.name, "unit": parameter.unit, **mean, **finite})
    return {"parameters": parameters, "average_over_orientations": head.average, **head.about}


def _results(
    on: str, parameters: Sequence[Parameter], truth: Array, found: Array, head: Head | None, seed: int
) -> list[dict[str, Any]]:
    """Return the scores of predictions (n, parameters).

    Parameters with fewer than three labels are left out.
    """
    records = []
    for number, parameter in enumerate(parameters):
        finite = np.isfinite(truth[:, number])
        if finite.sum() < 3:
            continue
        one = score(truth[finite, number], found[finite, number], seed=seed)
        figures = {"r2": one.r2, "mae": one.mae, "bias": one.bias, "spearman": one.spearman}
        record = {"on": on, "parameter": parameter.name, "unit": parameter.unit, "n": int(finite.sum())}
        record |= {name: round(each.value, 4) for name, each in figures.items() if np.isfinite(each.value)}
        if head:
            error = np.abs(truth - found)[finite, number]
            for name, level in (("within_68", 0.68), ("within_95", 0.95)):
                record[name] = round(float(np.mean(error <= head.half_width(level)[parameter.name])), 4)
        records.append(record)
    return records
