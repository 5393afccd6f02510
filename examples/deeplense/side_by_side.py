"""Compare the unsupervised detectors of lenskit with the detectors of DeepLense.

The detectors of DeepLense come from the authors' package. Both sides use the same images.

    pip install --target original --no-deps unsupervised-lensing==0.1.2 googledrivedownloader==0.4.0
    pip install --target original requests
    python examples/deeplense/side_by_side.py --original original --work runs/side-by-side

`--no-deps` is necessary because the package pins torch 1.6 and numpy 1.18, which do not exist for current versions of
Python. The package imports `googledrivedownloader`, and version 0.4.0 of `googledrivedownloader` imports `requests`.
The package is not changed: `original.py` calls public functions of the package in a separate process.
docs/guides/deeplense.md lists the parts of the package that do not run, with the reasons.

Images are simulated once and stored as numpy arrays, which the package and lenskit (`deeplense-npy`) read. Both sides
are trained from scratch on the same images, with the same numbers of epochs and of threads, in batches of 100. The
adversarial autoencoder of the package requires this batch size. Images/s are measured for the training alone, which
includes saving the weights after each epoch. They come from the progress bar of the package and from the metrics of our
run. Each finished training is stored in `--work`. After an interruption, the same command resumes the work.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from comparison import Compared, compare_auc, compare_normal
from kept import remember
from numpy.typing import NDArray
from original import warm_up

import lenskit.training.runner  # imported here so that the import is not timed
from lenskit.config import Config
from lenskit.data.simulated import SimulatedLenses
from lenskit.evaluation import show, to_markdown
from lenskit.files import write_atomically
from lenskit.provenance import provenance
from lenskit_evaluation.anomaly.reconstructions import errors
from lenskit_evaluation.anomaly.scored import Truth

METHODS = ("aae", "vae", "dcae", "rbm")
CLASSES = ("none", "spherical", "vortex")
BATCH = 100
PIXELS = 150
SIDES = ("ours", "theirs")

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Settings:
    """Settings that determine the results.

    Attributes:
        train: Number of training images.
        test: Number of test images of each class.
        epochs: Number of epochs.
        threads: Number of CPU threads for each side.
        device: Device for both sides, `cpu` or `cuda`.
    """

    train: int
    test: int
    epochs: int
    threads: int
    device: str


@dataclass(frozen=True)
class Cell:
    """Training of a method by one side, with one seed, on images of one model."""

    model: str
    method: str
    side: str
    seed: int

    def __str__(self) -> str:
        return f"{self.model}-{self.method}-{self.side}-{self.seed}"


def main() -> None:
    """Run the missing trainings, and print the table."""
    arguments = parsed()
    settings = Settings(arguments.train, arguments.test, arguments.epochs, arguments.threads, arguments.device)
    torch.set_num_threads(settings.threads)
    warm_up(settings.device)
    work: Path = arguments.work
    remember(asdict(settings), work)
    failed: dict[str, str] = {}
    for model in arguments.models:
        make_images(model, settings, work)
        for method in arguments.methods:
            for seed in range(arguments.seeds):
                # The sides alternate, so that any load on the machine affects both sides.
                for side in SIDES:
                    cell = Cell(model, method, side, seed)
                    if not (work / f"{cell}.npz").is_file():
                        why = fill(cell, settings, work, arguments.original, arguments.limit)
                        failed |= {str(cell): why} if why else {}
    for cell_name, why in failed.items():
        print(f"{cell_name} did not run: {why}")
    rows, worse = [], []
    for model in arguments.models:
        for method in arguments.methods:
            found = compared(model, method, range(arguments.seeds), settings, work)
            if found:
                rows.append(row_of(model, method, found))
                worse += [
                    f"{method} on {model.upper()}, {name}" for name, each in found.items() if each.verdict == "worse"
                ]
    title = (
        f"{settings.train} training images, {settings.epochs} epochs, batches of {BATCH}, {arguments.seeds} seeds; "
        f"{settings.test} test images a class; {settings.device}, {settings.threads} threads"
    )
    show(rows, title)
    print(f"significantly worse: {'; '.join(worse) or 'nowhere'}")
    if arguments.out and rows:
        write(rows, title, worse, settings, arguments)


def parsed() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--original", type=Path, help="folder with the installed package; by default the environment of lenskit"
    )
    parser.add_argument("--work", type=Path, required=True, help="folder for images, runs and intermediate results")
    parser.add_argument("--out", type=Path, help="also write the table to OUT.json and OUT.md")
    parser.add_argument("--models", nargs="+", choices=("a", "b"), default=["a", "b"])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--train", type=int, default=500, help="training images; a multiple of 100")
    parser.add_argument("--test", type=int, default=500, help="test images of each class; a multiple of 100")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--limit", type=float, default=3600, help="time limit of a training of the package, in seconds")
    arguments = parser.parse_args()
    for name in ("train", "test"):
        if getattr(arguments, name) <= 0 or getattr(arguments, name) % BATCH:
            parser.error(f"--{name} must be a multiple of {BATCH}, the batch size of the package")
    if min(arguments.epochs, arguments.seeds, arguments.threads) < 1:
        parser.error("--epochs, --seeds and --threads must be 1 or more")
    arguments.original = arguments.original and arguments.original.resolve()
    arguments.work = arguments.work.resolve()
    return arguments


def make_images(model: str, settings: Settings, work: Path) -> None:
    """Simulate missing training and test images, and labels of the test images.

    The images have the shape (batches, 100, 1, 150, 150).
    """
    train, test, labels = (work / f"{model}-{name}.npy" for name in ("train", "test", "labels"))
    if labels.is_file():
        return
    images, _ = simulation(model, CLASSES[:1], "train", settings.train)
    save(train, images)
    images, label = simulation(model, CLASSES, "test", settings.test * len(CLASSES))
    # Shuffled, because the package always uses batch norm in training mode, with the statistics of each test batch.
    order = np.random.default_rng(0).permutation(len(images))
    save(test, images[order])
    np.save(labels, label[order])


def simulation(model: str, classes: tuple[str, ...], split: str, count: int) -> tuple[NDArray[np.float32], Array]:
    """Simulate `count` images (n, 1, 150, 150), and return them with class numbers.

    All classes have about the same number of images.
    """
    section = {"name": f"deeplense-{model}", "classes": list(classes)}
    simulator = Config.resolve({"simulator": section}, only=("simulator",)).build("simulator")
    chunks = [*SimulatedLenses(simulator, seed=0, split=split, index=count).chunks(BATCH)]
    return (
        torch.cat([read.images for read in chunks]).float().numpy(),
        torch.cat([read.values["substructure"] for read in chunks]).numpy(),
    )


def save(path: Path, images: NDArray[np.float32]) -> None:
    """Save images in the shape that the package takes (batches, 100, 1, 150, 150)."""
    np.save(path, images.reshape(-1, BATCH, *images.shape[1:]))


def fill(cell: Cell, settings: Settings, work: Path, original: Path | None, limit: float) -> str:
    """Train a detector, score the test images, and save the outcome.

    Return an error as one line, or an empty text.
    """
    train, test = work / f"{cell.model}-train.npy", work / f"{cell.model}-test.npy"
    print(f"{cell} ...", flush=True)
    try:
        if cell.side == "ours":
            outcome = ours(cell, settings, train, test, work / "runs" / str(cell))
        else:
            outcome = theirs(cell, settings, train, test, original, limit)
    except subprocess.TimeoutExpired:
        return f"it took more than {limit:g} s"
    except subprocess.CalledProcessError as error:
        return (error.stderr.strip() or str(error)).splitlines()[-1]
    part = work / f"{cell}.part.npz"
    np.savez(part, **outcome)
    part.replace(work / f"{cell}.npz")
    return ""


def ours(cell: Cell, settings: Settings, train: Path, test: Path, out: Path) -> dict[str, Any]:
    """Train with lenskit; return seconds, and score, MSE and W1 of test images.

    `seconds` is the training time; `scores`, `MSE` and `W1` have the shape (n,).
    """
    run = lenskit.train(
        f"deeplense-{cell.model}-{cell.method}",
        data=f"deeplense-npy:{train}",
        lenses=settings.train,
        epochs=settings.epochs,
        batch_size=BATCH,
        seed=cell.seed,
        accelerator="gpu" if settings.device == "cuda" else "cpu",
        set={"monitor.probe_every": 0},
        out=out,
        overwrite=True,
        progress=False,
    )
    # Each entry of the metrics contains the rate since the previous entry.
    batches, rates = np.array(run.metrics["batches"]), np.array(run.metrics["rate"])
    seconds = (np.diff(batches, prepend=0) * BATCH / rates).sum()
    images = flat(test)
    scores, _ = run.score(images, batch_size=BATCH, device=settings.device)
    made, _ = run.reconstruct(images, batch_size=BATCH, device=settings.device)
    return {"seconds": seconds, "scores": scores} | fidelity(images, made)


def theirs(
    cell: Cell, settings: Settings, train: Path, test: Path, original: Path | None, limit: float
) -> dict[str, Any]:
    """Train with the original package; return the same values as `ours`."""
    paths = [str(original)] if original else []
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([*paths, *filter(None, [os.environ.get("PYTHONPATH")])]),
        "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1",
        "TQDM_BAR_FORMAT": "{elapsed_s} ",
        "OMP_NUM_THREADS": str(settings.threads),
    }
    driver = Path(__file__).with_name("original.py")
    given = {"epochs": settings.epochs, "seed": cell.seed, "threads": settings.threads, "device": settings.device}
    options = [part for name, value in given.items() for part in (f"--{name}", str(value))]
    command = [sys.executable, str(driver), cell.method, str(train), str(test), *options]
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True, timeout=limit)
        outcome = np.load(Path(folder) / "outcome.npz")
        made = np.load(Path(folder) / "results" / "Recon_samples.npy")
    return {"seconds": outcome["seconds"], "scores": outcome["errors"]} | fidelity(flat(test), made)


def flat(path: Path) -> NDArray[np.float32]:
    """Load an array of batches as images (n, 1, 150, 150)."""
    return np.load(path).reshape(-1, 1, PIXELS, PIXELS)


def fidelity(images: NDArray[np.float32], made: NDArray[np.float32]) -> dict[str, Array]:
    """Return MSE and W1 (n,) of reconstructions, as in `lenskit anomaly`.

    Both sides use this function.
    """
    return {name: each.numpy() for name, each in errors(torch.from_numpy(images), torch.from_numpy(made)).items()}


def compared(model: str, method: str, seeds: range, settings: Settings, work: Path) -> dict[str, Compared] | None:
    """Return the compared metrics by name, or None if a training is missing."""
    paths = {side: [work / f"{Cell(model, method, side, seed)}.npz" for seed in seeds] for side in SIDES}
    if not all(path.is_file() for each in paths.values() for path in each):
        return None
    cells = {side: [np.load(path) for path in each] for side, each in paths.items()}
    truth = Truth(CLASSES, np.load(work / f"{model}-labels.npy").astype(np.int64), CLASSES[0])

    def figure(name: str) -> tuple[Array, Array]:
        one, other = (np.stack([np.asarray(cell[name], np.float64) for cell in cells[side]]) for side in SIDES)
        return one, other

    rates = [settings.train * settings.epochs / seconds for seconds in figure("seconds")]
    spread = np.subtract.outer(*rates)
    return {
        "AUC": compare_auc(truth, *figure("scores")),
        "W1": compare_normal(truth, *figure("W1")),
        "MSE": compare_normal(truth, *figure("MSE")),
        # A few timings are too few to resample: the interval is the range of the differences of all pairs.
        "images/s": Compared(rates[0].mean(), rates[1].mean(), spread.min(), spread.max(), higher_is_better=True),
    }


def row_of(model: str, method: str, found: dict[str, Compared]) -> dict[str, Any]:
    """Return a row of the table."""
    row: dict[str, Any] = {"images": model.upper(), "method": method}
    for name, each in found.items():
        digits = {"AUC": ".3f", "W1": ".3f", "MSE": ".2e", "images/s": ".0f"}[name]
        row[f"{name}: ours, theirs"] = f"{each.ours:{digits}}, {each.theirs:{digits}}"
        if name == "images/s":
            row["times as fast"] = f"{each.ours / each.theirs:.2f}"
            continue
        interval = f"{each.difference:{digits}} ({each.low:{digits}} to {each.high:{digits}})"
        row[f"{name}: ours - theirs"] = f"{interval} {each.verdict}".strip()
    return row


def write(rows: list[dict[str, Any]], title: str, worse: list[str], settings: Settings, arguments: Any) -> None:
    """Write the table as JSON and as Markdown."""
    known = provenance()
    origin = {name: known[name] for name in ("python", "packages", "devices", "git")}
    told = {"title": title, "settings": asdict(settings), "seeds": arguments.seeds, "provenance": origin}
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    outcome = json.dumps(told | {"table": rows, "significantly worse": worse}, indent=1) + "\n"
    write_atomically(arguments.out.with_suffix(".json"), outcome)
    table = f"{title}.\n\n{to_markdown(rows)}\nSignificantly worse: {'; '.join(worse) or 'nowhere'}.\n"
    write_atomically(arguments.out.with_suffix(".md"), table)


if __name__ == "__main__":
    try:
        main()
    except lenskit.LenskitError as error:
        sys.exit(f"Error: {error}")
