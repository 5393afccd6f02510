"""DeepLense's published table of unsupervised detectors, made anew on simulations of its description.

    python examples/deeplense/published_table.py --size small --work runs/deeplense-small          two CPU cores
    python examples/deeplense/published_table.py --size full --work runs/deeplense --device cuda   a GPU

It simulates training and test images of Models A and B to stores, trains the recipes `deeplense-{a,b}-{aae,vae,dcae,
rbm,resnet18}` on them, judges them by `lenskit anomaly` on images that none has seen, with one-class SVM and principal
components beside them, and writes `docs/results/deeplense-SIZE.json` and `.md` with the published figures in the next
column. Each store, run and evaluation is kept in `--work` when it is done, and a run that was cut short goes on: after
a stop, the same command makes what is missing. With `--models` and `--methods` it does a part of the table at a time;
the table shows all that is done.

What the differences mean is written by hand, in `docs/results/deeplense-SIZE.notes.md`, which stands below the table.
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

from kept import remember
from published import markdown, outcome

import lenskit
from lenskit.config import Config
from lenskit.files import write_atomically
from lenskit.run import Run
from lenskit.store.plan import Plan
from lenskit.store.simulate import simulate as make_store

MODELS = ("a", "b")
METHODS = ("aae", "vae", "dcae", "rbm", "resnet18")
SUPERVISED = "resnet18"
CLASSES = ("none", "spherical", "vortex")
SEED = 0


@dataclass(frozen=True)
class Size:
    """How much of everything there is.

    Attributes:
        train: Images without substructure that the detectors learn from.
        labelled: Images of all classes together, about as many of each, that the ResNet learns from.
        test: Images of each class that all are judged on, about.
        epochs: How often the detectors see each image.
        batch_size: Images a batch; nothing is as the recipe has it.
        fitted: Training images that baselines are fitted to.
        supervised: Options of the ResNet that are not its recipe's.
        simulator: Options of the simulators that are not their defaults.
    """

    train: int
    labelled: int
    test: int
    epochs: int
    batch_size: int | None = None
    fitted: int = 2000
    supervised: Mapping[str, Any] = field(default_factory=dict)
    simulator: Mapping[str, Any] = field(default_factory=dict)


SIZES = {
    "full": Size(train=25_000, labelled=75_000, test=2500, epochs=500, fitted=5000),
    "small": Size(
        train=1000, labelled=3000, test=500, epochs=6, batch_size=20, fitted=1000,
        supervised={"train.epochs": 4, "train.batch_size": 50, "input.size": 64},
    ),
    "smoke": Size(
        train=16, labelled=48, test=8, epochs=1, batch_size=8, fitted=48,
        supervised={"train.epochs": 1, "train.batch_size": 8}, simulator={"pixels": 32},
    ),
}  # fmt: skip


def main() -> None:
    """Makes what is missing, and writes the table of what there is."""
    arguments = parsed()
    size: Size = arguments.size_of
    work: Path = arguments.work
    remember(asdict(size), work)
    for model in arguments.models:
        folder = work / model
        stores = {name: folder / f"{name}.zarr" for name in ("normal", "labelled", "test")}
        simulate(model, stores["normal"], CLASSES[:1], "train", size.train, size)
        if SUPERVISED in arguments.methods:
            simulate(model, stores["labelled"], CLASSES, "labelled", size.labelled, size)
        simulate(model, stores["test"], CLASSES, "test", size.test * len(CLASSES), size)
        for method in arguments.methods:
            store = stores["labelled" if method == SUPERVISED else "normal"]
            train(model, method, store, folder / method, size, arguments.device)
        judge(folder, stores["test"], size)
    write(work, arguments)


def parsed() -> argparse.Namespace:
    """What the command line says, and the size that follows from it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=SIZES, required=True)
    parser.add_argument("--work", type=Path, required=True, help="folder for stores, runs and what is done so far")
    parser.add_argument("--out", type=Path, default=Path("docs/results"), help="folder of the table")
    parser.add_argument("--device", default="auto", help="cpu, cuda or auto")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--train", type=int, help="images that detectors learn from, in place of the size's")
    parser.add_argument("--labelled", type=int, help="images that the ResNet learns from, in place of the size's")
    parser.add_argument("--test", type=int, help="test images of each class, in place of the size's")
    parser.add_argument("--epochs", type=int, help="epochs of the detectors, in place of the size's")
    arguments = parser.parse_args()
    changed = {name: getattr(arguments, name) for name in ("train", "labelled", "test", "epochs")}
    changed = {name: value for name, value in changed.items() if value is not None}
    if any(value < 1 for value in changed.values()):
        parser.error(f"{', '.join(f'--{name}' for name in changed)} must be 1 or more")
    arguments.size_of = replace(SIZES[arguments.size], **changed)
    return arguments


def simulate(model: str, store: Path, classes: tuple[str, ...], split: str, lenses: int, size: Size) -> None:
    """Makes a store, or what of it is missing, as `lenskit simulate` does."""
    section = {"name": f"deeplense-{model}", "classes": list(classes), **size.simulator}
    config = Config.resolve({"simulator": section, "pairs": {"name": "single"}}, only=("simulator", "pairs"))
    plan = Plan.of(config, lenses=lenses, seed=SEED, split=split)
    print(f"{store}: {lenses} lenses", flush=True)
    # A process that helps takes some seconds to start.
    make_store(plan, store, workers=min(os.cpu_count() or 1, 1 + plan.chunks // 4))


def train(model: str, method: str, store: Path, out: Path, size: Size, device: str) -> None:
    """Trains a run, or goes on with it; one that is finished is left alone."""
    accelerator = {"cuda": "gpu"}.get(device, device)
    start = time.perf_counter()
    if (out / "run.toml").is_file():
        if Run(out).finished:
            return
        run = lenskit.resume(out, accelerator=accelerator)
    else:
        run = lenskit.train(
            f"deeplense-{model}-{method}",
            data=f"zarr:{store}",
            seed=SEED,
            accelerator=accelerator,
            set=options_of(method, size),
            out=out,
        )
    print(f"{out}: {time.perf_counter() - start:.0f} s", flush=True)
    if not run.finished:
        sys.exit(f"{out} was stopped: the same command goes on with it")


def options_of(method: str, size: Size) -> dict[str, Any]:
    """What of a recipe is otherwise at this size."""
    options: dict[str, Any] = {"monitor.probe_every": 0}
    if "pixels" in size.simulator:
        options["input.size"] = size.simulator["pixels"]
    if method == SUPERVISED:
        return options | {"train.lenses": size.labelled} | dict(size.supervised)
    options |= {"train.lenses": size.train, "train.epochs": size.epochs}
    return options | ({"train.batch_size": size.batch_size} if size.batch_size else {})


def judge(folder: Path, test: Path, size: Size) -> None:
    """Judges all finished runs of a model on the same images, unless that is done."""
    runs = [folder / method for method in METHODS if (folder / method / "run.toml").is_file()]
    runs = [path for path in runs if Run(path).finished]
    done = folder / "judged.json"
    names = [path.name for path in runs]
    if done.is_file() and json.loads(done.read_text(encoding="utf-8"))["runs"] == names:
        return
    lenskit.evaluate(
        "anomaly", runs, data=f"zarr:{test}", lenses=size.test * len(CLASSES), train_lenses=size.fitted, seed=SEED
    )
    found = json.loads((runs[0] / "evaluations" / "anomaly" / "results.json").read_text(encoding="utf-8"))
    write_atomically(done, json.dumps({"runs": names, "results": found}, indent=1) + "\n")


def write(work: Path, arguments: argparse.Namespace) -> None:
    """The table of all that is judged, for programs and for people."""
    judged = {model: path for model in MODELS if (path := work / model / "judged.json").is_file()}
    results = {model: json.loads(path.read_text(encoding="utf-8"))["results"] for model, path in judged.items()}
    told = outcome(arguments.size, asdict(arguments.size_of), SEED, results, work)
    path = arguments.out / f"deeplense-{arguments.size}"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path.with_suffix(".json"), json.dumps(told, indent=1) + "\n")
    notes = path.with_suffix(".notes.md")
    text = markdown(told, notes.read_text(encoding="utf-8") if notes.is_file() else "")
    write_atomically(path.with_suffix(".md"), text)
    print(text)
    print(f"{path}.md")


if __name__ == "__main__":
    try:
        main()
    except lenskit.LenskitError as error:
        sys.exit(f"Error: {error}")
