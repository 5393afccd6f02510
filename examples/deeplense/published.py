"""What DeepLense published of unsupervised detectors, and our figures beside it.

Alexander et al. 2020 (https://arxiv.org/abs/2008.12731) and the authors' slides.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lenskit.run import provenance
from lenskit_evaluation.tables import to_markdown

TOGETHER = "all anomalies"

Figures = Mapping[str, Mapping[str, float]]

PUBLISHED: Mapping[str, Mapping[str, Figures]] = {
    "a": {
        "aae": {
            "AUC": {TOGETHER: 0.93207, "spherical": 0.893, "vortex": 0.974},
            "W1": {"none": 0.22117, "spherical": 0.252, "vortex": 0.276},
            "MSE": {"none": 1.28e-4, "spherical": 1.73e-4, "vortex": 2.08e-4},
        },
        "vae": {"AUC": {TOGETHER: 0.89910}, "W1": {"none": 0.22533}},
        "dcae": {"AUC": {TOGETHER: 0.73034}, "W1": {"none": 0.26566}},
        "rbm": {"AUC": {TOGETHER: 0.51540}, "W1": {"none": 1.27070}, "MSE": {"none": 0.0573}},
        "one-class SVM": {"AUC": {TOGETHER: 0.54482}},
        "resnet18": {"AUC": {TOGETHER: 0.996}},
    },
    "b": {
        "aae": {
            "AUC": {TOGETHER: 0.76943, "spherical": 0.730, "vortex": 0.812},
            "W1": {"none": 0.15563},
            "MSE": {"none": 1.06e-4},
        },
        "vae": {"AUC": {TOGETHER: 0.73545}, "W1": {"none": 0.16617}},
        "dcae": {"AUC": {TOGETHER: 0.66992}, "W1": {"none": 0.23653}},
        "rbm": {"AUC": {TOGETHER: 0.50870}, "W1": {"none": 1.25804}, "MSE": {"none": 0.0475}},
        "one-class SVM": {"AUC": {TOGETHER: 0.52221}},
    },
}
"""By model, detector, figure and class. W1 and MSE are means over test images of a class."""

COLUMNS = (
    ("AUC", TOGETHER, ".3f"),
    ("AUC", "spherical", ".3f"),
    ("AUC", "vortex", ".3f"),
    ("W1", "none", ".3f"),
    ("MSE", "none", ".2e"),
)
"""Figure, class and format of the columns that have the published ones beside them."""


def outcome(
    size: str, settings: Mapping[str, Any], seed: int, results: Mapping[str, Mapping[str, Any]], work: Path
) -> dict[str, Any]:
    """All that is known, for programs.

    Args:
        size: Its name.
        settings: What it stands for.
        seed: Seed of everything.
        results: `results.json` of `lenskit anomaly`, by model.
        work: Folder of the runs, `MODEL/RUN`.
    """
    here = provenance()
    trained = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(work.glob("?/*/provenance.json"))]
    return {
        "size": size,
        "settings": settings,
        "seed": seed,
        "trained on": sorted({device for each in trained for device in each["devices"]}),
        "cores": os.cpu_count(),
        "python": here["python"],
        "packages": here["packages"],
        "models": {
            model: {
                "images": found["settings"]["images"],
                "detectors": {name: _figures(each) for name, each in found["detectors"].items()},
                "published": PUBLISHED[model],
                "differences": found["differences"],
            }
            for model, found in results.items()
        },
    }


def _figures(detector: Mapping[str, Any]) -> dict[str, Any]:
    """Figure by class, each with its interval, as `PUBLISHED` has them."""
    areas = {group: figures["auc"] for group, figures in detector["figures"].items()}
    return {"AUC": areas, **detector["errors"]}


def markdown(told: Mapping[str, Any], notes: str) -> str:
    """The same for people.

    Args:
        told: What `outcome` gave.
        notes: What the differences mean, in Markdown.
    """
    size = told["settings"]
    batches = f"batches of {size['batch_size']}" if size["batch_size"] else "batches as in the recipes"
    versions = ", ".join(
        f"{name} {told['packages'][name]}" for name in ("lenskit-ssl", "torch") if name in told["packages"]
    )
    parts = [
        f"# DeepLense's table, size `{told['size']}`",
        f"`python examples/deeplense/published_table.py --size {told['size']}`. Detectors learned from "
        f"{size['train']:,} images without substructure (epochs: {size['epochs']}; {batches}), `resnet18` from "
        f"{size['labelled']:,} of all classes with labels. Seed {told['seed']}; trained on "
        f"{', '.join(told['trained on'])}, {told['cores']} cores; Python {told['python']}, {versions}.",
        "In brackets are 95 % bootstrap intervals over the test images, of one training. W1 and MSE are of images "
        "without substructure.",
    ]
    for model, found in told["models"].items():
        counts = ", ".join(f"{count:,} {name}" for name, count in found["images"].items())
        parts += [f"## Model {model.upper()}", f"Judged on {counts}.", to_markdown(table(found)).rstrip()]
        if line := _noise(found):
            parts.append(line)
    return "\n\n".join([*parts, *([notes.strip()] if notes.strip() else [])]) + "\n"


def table(found: Mapping[str, Any]) -> list[dict[str, str]]:
    """A row a detector: each figure, and the published one beside it."""
    rows = []
    for name, figures in found["detectors"].items():
        published = found["published"].get(name, {})
        row = {"detector": name}
        for figure, group, digits in COLUMNS:
            ours, theirs = figures.get(figure, {}).get(group), published.get(figure, {}).get(group)
            title = f"{figure} {group}"
            row[title] = "-" if ours is None else _with_interval(ours, digits)
            row[f"{title}, published"] = "-" if theirs is None else f"{theirs:{digits}}"
        rows.append(row)
    return _without_empty(rows)


def _with_interval(estimate: Mapping[str, float], digits: str) -> str:
    value, low, high = (f"{estimate[part]:{digits}}" for part in ("value", "low", "high"))
    return f"{value} ({low} to {high})"


def _without_empty(rows: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    """Columns in which there is something."""
    columns = [name for name in rows[0] if any(row[name] != "-" for row in rows)]
    return [{name: row[name] for name in columns} for row in rows]


def _noise(found: Mapping[str, Any]) -> str:
    """The published error of the AAE bounds the noise of its images; ours does that of ours."""
    ours = found["detectors"].get("aae", {}).get("MSE", {}).get("none")
    if ours is None:
        return ""
    published = found["published"]["aae"]["MSE"]["none"]
    return (
        f"The AAE's mean squared error of images without substructure is {ours['value']:.2e}, published "
        f"{published:.2e}: {ours['value'] / published:.2g} times. So the noise's standard deviation is at most about "
        f"{ours['value'] ** 0.5:.3f} of full scale here, {published**0.5:.3f} there."
    )
