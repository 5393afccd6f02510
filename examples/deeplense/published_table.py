"""Reproduce the table of unsupervised detectors of DeepLense.

    python examples/deeplense/published_table.py --size small --work runs/deeplense-small          two CPU cores
    python examples/deeplense/published_table.py --size full --work runs/deeplense --device cuda   a GPU

The simulations follow the description in the publication. The script trains the recipes
`deeplense-{a,b}-{aae,vae,dcae,rbm,refit,resnet18}` on Models A and B. It evaluates the runs with `lenskit anomaly` on
held-out images, together with a one-class SVM and principal components. It writes `docs/results/deeplense-SIZE.json`
and `.md`, with the published metrics next to our metrics.

The sizes `small` and `medium` train on live images, each used once. The size `full` trains on the same number of stored
images as the original. Each finished store, run and evaluation is stored in `--work`. After an interruption, the same
command resumes the work. `--models`, `--methods` and `--seeds` choose a part of the table to compute; the table shows
all finished parts.

`aae-100`, `aae-400`, ... are AAEs with 100, 400, ... updates, for the plot of AUC against updates.

The file `docs/results/deeplense-SIZE.notes.md` is written by hand; the script adds its content below the table.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from curve import draw_curve
from kept import remember
from published import markdown, outcome

import lenskit
from lenskit.config import Config
from lenskit.files import write_atomically
from lenskit.run import Run
from lenskit.store.plan import Plan
from lenskit.store.simulate import simulate as make_store

MODELS = ("a", "b")
METHODS = ("aae", "vae", "dcae", "rbm", "refit", "resnet18")
SUPERVISED = "resnet18"
REFIT = "refit"
CLASSES = ("none", "spherical", "vortex")


@dataclass(frozen=True)
class Size:
    """Numbers of images, epochs and seeds.

    Attributes:
        train: Number of images without substructure to train the detectors on.
        labelled: Number of images to train the ResNet on, with about the same number of each class.
        test: Approximate number of test images of each class.
        epochs: Number of epochs of the detectors.
        batch_size: Images per batch; by default the number in the recipe.
        live: Whether images are simulated during training, each used once.
        refit: Number of images to train `refit` on.
        seeds: Number of training seeds, unless the command line lists them.
        curve: Numbers of updates of additional AAEs.
        fitted: Number of training images that the baselines are fitted to.
        supervised: Overrides of options in the recipe of the ResNet.
        simulator: Overrides of options of the simulators.
    """

    train: int
    labelled: int
    test: int
    epochs: int
    batch_size: int | None = None
    live: bool = False
    refit: int = 25_000
    seeds: int = 1
    curve: tuple[int, ...] = ()
    fitted: int = 2000
    supervised: Mapping[str, Any] = field(default_factory=dict)
    simulator: Mapping[str, Any] = field(default_factory=dict)


FAST = {
    "train.epochs": 1, "train.batch_size": 20,
    "optimizer.lr": 3e-4, "optimizer.lr_batch": 0, "optimizer.warmup_epochs": 0.05,
}  # fmt: skip
"""Options of a ResNet that is trained for a single epoch."""

SIZES = {
    "full": Size(train=25_000, labelled=75_000, test=2500, epochs=500, fitted=5000),
    "medium": Size(
        train=500_000, labelled=100_000, test=1000, epochs=1, batch_size=20, live=True, refit=25_000, fitted=5000,
        supervised=FAST, simulator={"pixels": 100},
    ),
    "small": Size(
        train=45_020, labelled=25_440, test=160, epochs=1, batch_size=20, live=True, refit=16_660, seeds=3,
        curve=(100, 400, 800), fitted=3000, supervised=FAST, simulator={"pixels": 100},
    ),
    "smoke": Size(
        train=16, labelled=48, test=8, epochs=1, batch_size=8, fitted=48, refit=16, curve=(1,), live=True,
        supervised={"train.epochs": 1, "train.batch_size": 8}, simulator={"pixels": 32},
    ),
}  # fmt: skip


def main() -> None:
    """Compute missing runs and evaluations, and write the table of all finished ones."""
    arguments = parsed()
    size: Size = arguments.size_of
    work: Path = arguments.work
    remember(asdict(size), work)
    for model in arguments.models:
        folder = work / model
        test = folder / "test.zarr"
        simulate(model, test, CLASSES, "test", size.test * len(CLASSES), size)
        for seed in arguments.seeds:
            for method in arguments.methods:
                store = None if size.live else stored(model, folder, method, size)
                train(model, method, store, folder / f"seed-{seed}" / method, seed, size, arguments.device)
            judge(folder / f"seed-{seed}", test, seed, size)
    write(work, arguments)


def stored(model: str, folder: Path, method: str, size: Size) -> Path:
    """Return the training store of a method; simulate the store if it is missing."""
    if method == SUPERVISED:
        simulate(model, folder / "labelled.zarr", CLASSES, "labelled", size.labelled, size)
        return folder / "labelled.zarr"
    simulate(model, folder / "normal.zarr", CLASSES[:1], "train", size.train, size)
    return folder / "normal.zarr"


def parsed() -> argparse.Namespace:
    """Parse the command line and determine the size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=SIZES, required=True)
    parser.add_argument("--work", type=Path, required=True, help="folder for stores, runs and intermediate results")
    parser.add_argument("--out", type=Path, default=Path("docs/results"), help="folder of the table")
    parser.add_argument("--device", default="auto", help="cpu, cuda or auto")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--methods", nargs="+", help="some of aae, aae-UPDATES, vae, dcae, rbm, refit, resnet18")
    parser.add_argument("--seeds", nargs="+", type=int, help="training seeds; by default those of the size")
    parser.add_argument("--train", type=int, help="training images of the detectors; by default those of the size")
    parser.add_argument("--labelled", type=int, help="training images of the ResNet; by default those of the size")
    parser.add_argument("--test", type=int, help="test images of each class; by default those of the size")
    parser.add_argument("--epochs", type=int, help="epochs of the detectors; by default those of the size")
    arguments = parser.parse_args()
    changed = {name: getattr(arguments, name) for name in ("train", "labelled", "test", "epochs")}
    changed = {name: value for name, value in changed.items() if value is not None}
    if any(value < 1 for value in changed.values()):
        parser.error(f"{', '.join(f'--{name}' for name in changed)} must be 1 or more")
    arguments.size_of = size = replace(SIZES[arguments.size], **changed)
    possible = [*METHODS, *(f"aae-{updates}" for updates in size.curve)]
    arguments.methods = arguments.methods or possible
    if unknown := [name for name in arguments.methods if name not in possible]:
        parser.error(f"--methods: {', '.join(unknown)} is not one of {', '.join(possible)}")
    arguments.seeds = list(range(size.seeds)) if arguments.seeds is None else arguments.seeds
    return arguments


def simulate(model: str, store: Path, classes: tuple[str, ...], split: str, lenses: int, size: Size) -> None:
    """Write or complete a store, as `lenskit simulate` does."""
    section = {"name": f"deeplense-{model}", "classes": list(classes), **size.simulator}
    config = Config.resolve({"simulator": section, "pairs": {"name": "single"}}, only=("simulator", "pairs"))
    plan = Plan.of(config, lenses=lenses, seed=0, split=split)
    print(f"{store}: {lenses} lenses", flush=True)
    # A worker process takes seconds to start, which is only worthwhile for several chunks.
    make_store(plan, store, workers=min(os.cpu_count() or 1, 1 + plan.chunks // 4))


def train(model: str, method: str, store: Path | None, out: Path, seed: int, size: Size, device: str) -> None:
    """Train a run, or resume it; skip a finished run."""
    accelerator = {"cuda": "gpu"}.get(device, device)
    start = time.perf_counter()
    if (out / "run.toml").is_file():
        if Run(out).finished:
            return
        run = lenskit.resume(out, accelerator=accelerator)
    else:
        run = lenskit.train(
            f"deeplense-{model}-{method.partition('-')[0]}",
            data=None if store is None else f"zarr:{store}",
            seed=seed,
            accelerator=accelerator,
            set=options_of(method, size),
            out=out,
        )
    print(f"{out}: {time.perf_counter() - start:.0f} s", flush=True)
    if not run.finished:
        sys.exit(f"{out} was stopped: repeat the command to resume it")


def options_of(method: str, size: Size) -> dict[str, Any]:
    """Return the overrides of the recipe of a method for a size."""
    options: dict[str, Any] = {"monitor.probe_every": 0}
    if "pixels" in size.simulator:
        options["input.size"] = size.simulator["pixels"]
    if size.live:
        options |= {f"simulator.{name}": value for name, value in size.simulator.items()}
    if method == SUPERVISED:
        return options | {"train.lenses": size.labelled} | dict(size.supervised)
    name, _, updates = method.partition("-")
    lenses = size.refit if name == REFIT else int(updates) * (size.batch_size or 1) if updates else size.train
    options |= {"train.lenses": lenses, "train.epochs": 1 if name == REFIT or updates else size.epochs}
    return options | ({"train.batch_size": size.batch_size} if size.batch_size else {})


def judge(folder: Path, test: Path, seed: int, size: Size) -> None:
    """Evaluate all finished runs of a model and a seed on the same images.

    If this evaluation is already finished, do nothing.
    """
    names = [*METHODS, *(f"aae-{updates}" for updates in size.curve)]
    runs = [folder / name for name in names if (folder / name / "run.toml").is_file()]
    runs = [path for path in runs if Run(path).finished]
    done = folder / "judged.json"
    names = [path.name for path in runs]
    if done.is_file() and json.loads(done.read_text(encoding="utf-8"))["runs"] == names:
        return
    lenskit.evaluate(
        "anomaly",
        runs,
        data=f"zarr:{test}",
        lenses=size.test * len(CLASSES),
        train_lenses=size.fitted,
        seed=seed,
        output=folder / "anomaly",
        overwrite=True,
    )
    found = json.loads((folder / "anomaly" / "results.json").read_text(encoding="utf-8"))
    write_atomically(done, json.dumps({"runs": names, "results": found}, indent=1) + "\n")


def write(work: Path, arguments: argparse.Namespace) -> None:
    """Write the table of all finished evaluations, and the plot of the AUC."""
    results: dict[str, dict[str, Any]] = {}
    for model in MODELS:
        for path in sorted((work / model).glob("seed-*/judged.json")):
            seed = path.parent.name.removeprefix("seed-")
            results.setdefault(model, {})[seed] = json.loads(path.read_text(encoding="utf-8"))["results"]
    told = outcome(arguments.size, asdict(arguments.size_of), results, work)
    path = arguments.out / f"deeplense-{arguments.size}"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path.with_suffix(".json"), json.dumps(told, indent=1) + "\n")
    drawn = draw_curve(told, path.with_suffix(".png"))
    notes = path.with_suffix(".notes.md")
    text = markdown(told, notes.read_text(encoding="utf-8") if notes.is_file() else "", drawn)
    write_atomically(path.with_suffix(".md"), text)
    print(text)
    print(f"{path}.md")


if __name__ == "__main__":
    try:
        main()
    except lenskit.LenskitError as error:
        sys.exit(f"Error: {error}")
