"""Published metrics of the detectors of DeepLense, in tables next to our metrics.

Sources: Alexander et al. 2020 (https://arxiv.org/abs/2008.12731), and slides of the authors.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lenskit.evaluation import to_markdown
from lenskit.provenance import provenance
from lenskit_evaluation.baselines import ONE_CLASS

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
        ONE_CLASS: {"AUC": {TOGETHER: 0.54482}},
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
        ONE_CLASS: {"AUC": {TOGETHER: 0.52221}},
    },
}
"""Published metrics by model, detector, metric and class. W1 and MSE are means over the test images of a class."""

COLUMNS = (
    ("AUC", TOGETHER, ".3f"),
    ("AUC", "spherical", ".3f"),
    ("AUC", "vortex", ".3f"),
    ("W1", "none", ".3f"),
    ("MSE", "none", ".2e"),
)
"""Metric, class and number format of each column that is compared with the published metrics."""


def outcome(
    size: str, settings: Mapping[str, Any], results: Mapping[str, Mapping[str, Mapping[str, Any]]], work: Path
) -> dict[str, Any]:
    """Return all results as plain values for the JSON file.

    Args:
        size: Name of the size.
        settings: Settings of the size.
        results: Content of `results.json` of `lenskit anomaly`, by model and seed.
        work: Folder of the runs `MODEL/seed-SEED/RUN`.
    """
    here = provenance()
    trained = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(work.glob("?/*/*/provenance.json"))]
    return {
        "size": size,
        "settings": settings,
        "trained on": sorted({device for each in trained for device in each["devices"]}),
        "cores": os.cpu_count(),
        "python": here["python"],
        "packages": here["packages"],
        "models": {
            model: {
                "images": next(iter(seeds.values()))["settings"]["images"],
                "seeds": list(seeds),
                "detectors": over_seeds(list(seeds.values())),
                "published": PUBLISHED[model],
                "by seed": {
                    seed: {
                        "detectors": {name: _figures(each) for name, each in found["detectors"].items()},
                        "differences": found["differences"],
                    }
                    for seed, found in seeds.items()
                },
            }
            for model, seeds in results.items()
        },
    }


def over_seeds(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the metrics of each detector over all seeds.

    For one seed, there are intervals. For several seeds, there are the mean, the lowest and the highest value.
    """
    names = dict.fromkeys(name for found in results for name in found["detectors"])
    merged = {}
    for name in names:
        each = [_figures(found["detectors"][name]) for found in results if name in found["detectors"]]
        merged[name] = each[0] if len(each) == 1 else _merged(each)
        merged[name]["trainings"] = len(each)
    return merged


def _merged(each: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for figure, groups in each[0].items():
        found[figure] = {}
        for group in groups:
            values = [one[figure][group]["value"] for one in each]
            found[figure][group] = {"value": sum(values) / len(values), "low": min(values), "high": max(values)}
    return found


def _figures(detector: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metrics of a detector with intervals, in the layout of `PUBLISHED`."""
    areas = {group: figures["auc"] for group, figures in detector["figures"].items()}
    return {"AUC": areas, **detector["errors"]}


def markdown(told: Mapping[str, Any], notes: str, drawn: bool = False) -> str:
    """Return the results as a page of Markdown.

    Args:
        told: Result of `outcome`.
        notes: Notes on the differences, in Markdown.
        drawn: Whether there is a plot of AUC against updates.
    """
    size = told["settings"]
    batches = f"batches of {size['batch_size']}" if size["batch_size"] else "batches as in the recipes"
    versions = ", ".join(
        f"{name} {told['packages'][name]}" for name in ("lenskit-ssl", "torch") if name in told["packages"]
    )
    seen = "live images, each seen once" if size["live"] else f"stored images, {size['epochs']} epochs"
    pixels = f"; {size['simulator']['pixels']} pixels" if "pixels" in size["simulator"] else ""
    parts = [
        f"# DeepLense's table, size `{told['size']}`",
        f"`python examples/deeplense/published_table.py --size {told['size']}`. Detectors were trained on "
        f"{size['train']:,} images without substructure ({seen}; {batches}{pixels}), `refit` on {size['refit']:,}, "
        f"`resnet18` on {size['labelled']:,} of all classes with labels. Trained on {', '.join(told['trained on'])}, "
        f"{told['cores']} cores; Python {told['python']}, {versions}.",
        "In brackets: the 95 % interval over the test images for one training, the lowest and the highest value for "
        "several trainings. W1 and MSE are those of images without substructure. `refit` uses the simulator's macro "
        "model, PSF and noise, and `resnet18` uses labels: they are in separate groups.",
    ]
    for model, found in told["models"].items():
        counts = ", ".join(f"{count:,} {name}" for name, count in found["images"].items())
        seeds = ", ".join(found["seeds"])
        parts += [f"## Model {model.upper()}", f"Test images: {counts}. Seeds of training: {seeds}."]
        parts += [to_markdown(table(found)).rstrip()]
        if line := _noise(found):
            parts.append(line)
    if drawn:
        parts.append(f"![AUC of the AAE against its updates](deeplense-{told['size']}.png)")
    return "\n\n".join([*parts, *([notes.strip()] if notes.strip() else [])]) + "\n"


GROUPS = {"refit": "macro model known", "resnet18": "labels known"}
"""Groups of rows that use more information than images, by training."""


def _group(name: str) -> int:
    """Return the number of the group of a row.

    The number is 0 for detectors that use images only, otherwise the position in `GROUPS`, from 1.
    """
    training = name.partition(" ")[0]
    return list(GROUPS).index(training) + 1 if training in GROUPS else 0


def table(found: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return a row for each detector, with our metrics and the published metrics."""
    rows = []
    detectors = found["detectors"]
    for name in sorted(detectors, key=_group):
        figures = detectors[name]
        published = found["published"].get(name, {})
        row = {
            "detector": name,
            "group": ["images only", *GROUPS.values()][_group(name)],
            "trainings": str(figures.get("trainings", 1)),
        }
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
    """Remove columns without any metric."""
    columns = [name for name in rows[0] if any(row[name] != "-" for row in rows)]
    return [{name: row[name] for name in columns} for row in rows]


def _noise(found: Mapping[str, Any]) -> str:
    """Return a sentence on the noise of the images.

    The mean squared errors of the AAEs are upper limits of the noise variance.
    """
    ours = found["detectors"].get("aae", {}).get("MSE", {}).get("none")
    if ours is None:
        return ""
    published = found["published"]["aae"]["MSE"]["none"]
    return (
        f"The AAE's mean squared error of images without substructure is {ours['value']:.2e}, "
        f"{ours['value'] / published:.2g} times the published {published:.2e}. This bounds the noise: its standard "
        f"deviation is at most about {ours['value'] ** 0.5:.3f} of full scale here and {published**0.5:.3f} in the "
        "published images."
    )
