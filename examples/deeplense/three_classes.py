"""Classify three classes of substructure from self-supervised features.

    python examples/deeplense/three_classes.py --size small --work runs/three-classes          two CPU cores
    python examples/deeplense/three_classes.py --size full --work runs/three-classes-full      a GPU

The script trains SimSiam, BYOL and VICReg on Models I to III without labels, on default pairs and on pairs that share
lens and substructure. It trains a supervised ResNet on the same number of images. Two classifiers predict the classes
of held-out lenses: a logistic regression on frozen features, fitted to labelled lenses, and the fine-tuned encoder.
The script writes `docs/results/three-classes-SIZE.json` and `.md` with the area under the ROC curve of each class
against the rest, next to the published values. Runs and metrics are stored in `--work`. After an interruption, the
same command resumes the work.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from kept import remember
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import lenskit
from lenskit.evaluation import to_markdown
from lenskit.files import write_atomically
from lenskit.provenance import provenance
from lenskit.run import Run
from lenskit_evaluation.anomaly.bootstrap import resample_ranks
from lenskit_evaluation.anomaly.scored import Truth

CLASSES = ("none", "spherical", "vortex")
COLUMNS = {"vortex": "axion", "spherical": "cdm", "none": "no_sub"}
"""Our names and the published names of the classes, in the order of the published table."""

PAIRS = ("default", "substructure-fixed")

PUBLISHED: Mapping[str, Mapping[str, tuple[float, float, float]]] = {
    "ResNet-50, supervised (published)": {"1": (0.97, 0.96, 1.0), "2": (0.98, 0.92, 0.98), "3": (0.96, 0.95, 0.99)},
    "rotation pretext (published)": {"1": (0.92, 0.91, 1.0), "2": (0.99, 0.99, 1.0), "3": (1.0, 0.99, 1.0)},
    "BYOL (published)": {"1": (0.95, 0.93, 1.0), "2": (1.0, 0.98, 1.0), "3": (0.98, 0.92, 0.98)},
}
"""Published AUC of axion, cdm and no_sub by detector and model (ML4SCI 2023)."""


@dataclass(frozen=True)
class Size:
    """Numbers of images, and the network.

    Attributes:
        models: Models of the table.
        methods: Self-supervised methods.
        backbone: Network of all rows.
        pixels: Height and width that images are resized to.
        batches: Number of batches of a training.
        batch_size: Lenses per batch.
        labelled: Number of labelled lenses for the logistic regression and for fine-tuning.
        test: Number of test lenses.
        epochs: Epochs of fine-tuning.
    """

    models: tuple[str, ...]
    methods: tuple[str, ...]
    backbone: str
    pixels: int
    batches: int
    batch_size: int
    labelled: int
    test: int
    epochs: int


SIZES = {
    "full": Size(("1", "2", "3"), ("simsiam", "byol", "vicreg"), "resnet50", 64, 35_000, 256, 30_000, 15_000, 30),
    "medium": Size(("1", "2", "3"), ("simsiam", "byol", "vicreg"), "resnet18", 64, 2000, 64, 5000, 3000, 10),
    "small": Size(("1",), ("simsiam",), "resnet18", 64, 400, 32, 1500, 1500, 5),
    "smoke": Size(("2",), ("simsiam",), "resnet18", 16, 2, 4, 40, 40, 1),
}


def main() -> None:
    """Compute missing runs and metrics, and write the table of all finished runs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=SIZES, required=True)
    parser.add_argument("--work", type=Path, required=True, help="folder for runs and intermediate results")
    parser.add_argument("--out", type=Path, default=Path("docs/results"), help="folder of the table")
    parser.add_argument("--accelerator", default="auto", help="cpu, gpu or auto")
    arguments = parser.parse_args()
    size = SIZES[arguments.size]
    remember(asdict(size), arguments.work)
    for model in size.models:
        for method in size.methods:
            for pairs in PAIRS:
                row = f"{method}, {pairs} pairs"
                trained(arguments, size, model, row, {"method": method, "pairs": pairs})
        trained(arguments, size, model, "supervised", {"method": "supervised", "pairs": "single"})
    write(arguments, size)


def trained(arguments: argparse.Namespace, size: Size, model: str, row: str, given: Mapping[str, str]) -> None:
    """Train and evaluate a run; skip the parts that are finished."""
    out = arguments.work / model / row.replace(", ", "-").replace(" ", "-")
    figures = out.with_suffix(".json")
    if figures.is_file():
        return
    if not (out / "run.toml").is_file():
        options = {
            "train.lenses": size.batches * size.batch_size, "train.epochs": 1, "train.batch_size": size.batch_size,
            "simulator.classes": list(CLASSES), "input.size": size.pixels, "input.stretch": "linear",
            "input.normalise": "peak", "monitor.probe_every": 0,
        }  # fmt: skip
        if given["method"] == "supervised":
            options["method.targets"] = "substructure"
        run = lenskit.train(
            simulator=f"deeplense-{model}", backbone=size.backbone, **given, seed=0,
            accelerator=arguments.accelerator, set=options, out=out,
        )  # fmt: skip
    else:
        run = lenskit.resume(out, accelerator=arguments.accelerator)
    if not run.finished:
        sys.exit(f"{out} was stopped: repeat the command to resume it")
    write_atomically(figures, json.dumps(judged(run, size), indent=1) + "\n")


def judged(run: Run, size: Size) -> dict[str, Any]:
    """Return the AUC after a linear fit and after fine-tuning.

    `linear` is the AUC of each class against the rest for a logistic regression, and `finetuned` is the mean over
    classes after fine-tuning.
    """
    features, values = run.embed(size.labelled, split="labelled")
    test, truth = run.embed(size.test, split="judged")
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    model.fit(features, values["substructure"].astype(int))
    lenskit.evaluate(
        "finetune", [run], target=["substructure"], labels=size.labelled, test_lenses=size.test, epochs=size.epochs,
        random=False, output=run.path.with_name(f"{run.path.name}-finetune"), overwrite=True,
    )  # fmt: skip
    return {"linear": areas(model.predict_proba(test), truth["substructure"].astype(int)), "finetuned": tuned(run)}


def areas(probability: NDArray[np.float64], truth: NDArray[np.int64]) -> dict[str, dict[str, float]]:
    """Return the AUC of each class against the rest, with 95 % intervals."""
    found = {}
    for number, name in enumerate(CLASSES):
        alone = Truth(("rest", name), (truth == number).astype(np.int64), "rest")
        ranked = resample_ranks(alone, {"": probability[:, number]}, {"": (name,)}, levels=())
        estimate = ranked[""][""].estimates()[0]
        found[name] = {"value": estimate.value, "low": estimate.low, "high": estimate.high}
    return found


def tuned(run: Run) -> dict[str, float]:
    """Return the mean over classes of the AUC against the rest after fine-tuning."""
    path = run.path.with_name(f"{run.path.name}-finetune") / "results.json"
    found = json.loads(path.read_text(encoding="utf-8"))
    return dict(_auc(found))


def _auc(found: Any) -> Mapping[str, float]:
    """Return the first entry `roc_auc` at any depth of the results, or nothing."""
    if isinstance(found, Mapping):
        if isinstance(found.get("roc_auc"), Mapping):
            return found["roc_auc"]
        found = list(found.values())
    for each in found if isinstance(found, list) else ():
        if auc := _auc(each):
            return auc
    return {}


def write(arguments: argparse.Namespace, size: Size) -> None:
    """Write the table as JSON and as Markdown."""
    done: dict[str, dict[str, Any]] = {}
    for model in size.models:
        for path in sorted((arguments.work / model).glob("*.json")):
            done.setdefault(model, {})[path.stem] = json.loads(path.read_text(encoding="utf-8"))
    here = provenance()
    told = {
        "size": arguments.size, "settings": asdict(size), "cores": os.cpu_count(), "python": here["python"],
        "packages": here["packages"], "models": done, "published": PUBLISHED,
    }  # fmt: skip
    parts = [
        f"# Three classes of substructure, size `{arguments.size}`",
        f"`python examples/deeplense/three_classes.py --size {arguments.size}`. {size.backbone}, images resized to "
        f"{size.pixels} pixels, {size.batches:,} batches of {size.batch_size} live lenses, seed 0. Linear: a logistic "
        f"regression on features of {size.labelled:,} labelled lenses. Fine-tuned: the whole encoder on the same "
        f"number of lenses, mean over the classes. The figures are areas under the ROC curve of a class against the "
        f"rest on {size.test:,} lenses, with 95 % intervals over the lenses.",
    ]
    for model, rows in done.items():
        table = [
            {
                "row": name,
                **{f"{COLUMNS[group]} ({group})": _with_interval(found["linear"][group]) for group in COLUMNS},
                "fine-tuned, mean": _with_interval(found["finetuned"]),
            }
            for name, found in rows.items()
        ]
        table += [
            {
                "row": name,
                **{f"{COLUMNS[g]} ({g})": f"{v:.2f}" for g, v in zip(COLUMNS, figures[model], strict=True)},
                "fine-tuned, mean": "-",
            }
            for name, figures in PUBLISHED.items()
        ]
        parts += [f"## Model {'I' * int(model)}", to_markdown(table).rstrip()]
    path = arguments.out / f"three-classes-{arguments.size}"
    path.parent.mkdir(parents=True, exist_ok=True)
    notes = path.with_suffix(".notes.md")
    if notes.is_file():
        parts.append(notes.read_text(encoding="utf-8").strip())
    write_atomically(path.with_suffix(".json"), json.dumps(told, indent=1) + "\n")
    write_atomically(path.with_suffix(".md"), "\n\n".join(parts) + "\n")
    print(f"{path}.md")


def _with_interval(estimate: Mapping[str, float]) -> str:
    if not estimate:
        return "-"
    return f"{estimate['value']:.3f} ({estimate['low']:.3f} to {estimate['high']:.3f})"


if __name__ == "__main__":
    try:
        main()
    except lenskit.LenskitError as error:
        sys.exit(f"Error: {error}")
