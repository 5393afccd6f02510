"""Speed and memory of reading a Zarr store for training.

    python tests/benchmarks/store.py [--pairs 8192] [--folder DIR]

The store contains noise: pairs of images of 110 x 110 pixels, float32, in the format of `lenskit simulate`. The
benchmark times the training set alone: shuffled batches of 128 pairs on the host (`StoredTrainingSet.fetch`), from the
second window on. The reference is `np.fromfile` on the chunks of the store, one after the other, on one thread, without
checksums and shuffling. In both cases the files are in the cache of the operating system, if it is large enough. All
variants alternate in one process, and the best of several rounds counts.

Memory is the peak of a separate process that reads the store once, minus the peak for a store of a single chunk. It
should be the same for a store of half the size.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from lenskit.chosen import build
from lenskit.config import Config
from lenskit.data.readers import open_dataset
from lenskit.data.training_set import Share, StoredTrainingSet
from lenskit.preprocessing.preprocess import Preprocess
from lenskit.store.plan import Plan
from lenskit.store.zarr_format import ZarrFormat

BATCH, ROUNDS, WORKERS = 128, 3, (0, 1, 2)


def make(path: Path, pairs: int) -> Path:
    """Write a store of `pairs` pairs of noise."""
    plan = Plan.of(Config.resolve(), lenses=pairs)
    store = ZarrFormat(path)
    store.create(plan)
    rng = np.random.default_rng(0)
    for chunk in range(plan.chunks):
        shape = (len(plan.lenses_of(chunk)), *plan.shape[1:])
        images = rng.standard_normal(shape, dtype=np.float32)
        store.write(plan, chunk, images, rng.standard_normal((*shape[:2], len(plan.parameters))))
    store.finish(plan)
    return path


def read_plainly(path: Path) -> int:
    """Read all files of the store; return the number of images in them."""
    files = sorted((path / "images").glob("c.*"))
    return sum(np.fromfile(file, np.float32, count=file.stat().st_size // 4).size for file in files) // 110**2


def stream(path: Path, workers: int, keep: str = "disk") -> int:
    """Read the store once in batches; return the number of images."""
    source = StoredTrainingSet(
        open_dataset(str(path)), build("pairs", "lens-fixed", {}), Preprocess(), 0, keep=keep, workers=workers
    )
    images = 0
    for batch in range(-(-len(source.dataset) // BATCH)):
        images += 2 * len(source.fetch(Share(BATCH).of_batch(batch))["images"])
    source.close()
    return images


def measure(work: Callable[[], int]) -> tuple[float, float]:
    """Return images per second, and microseconds of CPU time per image (all threads)."""
    start, busy = time.perf_counter(), time.process_time()
    images = work()
    return images / (time.perf_counter() - start), (time.process_time() - busy) / images * 1e6


def peak_memory(path: Path) -> float:
    """Return the peak memory in MB of a process with two workers that reads a store."""
    answer = subprocess.run([sys.executable, __file__, "--read", str(path)], capture_output=True, text=True, check=True)
    return float(answer.stdout.split()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=8192, help="pairs in the store, about 0.1 MB each")
    parser.add_argument(
        "--folder", type=Path, help="folder for the stores, which are kept; by default a temporary folder"
    )
    parser.add_argument("--read", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.read:
        stream(arguments.read, 2)
        # The peak of getrusage is not used, because it starts at the peak of the parent process.
        status = Path("/proc/self/status").read_text()
        print(float(status.partition("VmHWM:")[2].split()[0]) / 1e3)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        compare(folder, arguments.pairs)


def compare(folder: Path, pairs: int) -> None:
    sizes = (1, pairs // 2, pairs)
    stores = [path if (path := folder / f"{size}.zarr").exists() else make(path, size) for size in sizes]
    works = {"np.fromfile, one thread": lambda: read_plainly(stores[-1])}
    for workers in WORKERS:
        works[f"from disk, {workers} workers"] = lambda workers=workers: stream(stores[-1], workers)
    measured: dict[str, list[tuple[float, float]]] = {name: [] for name in works}
    for _ in range(ROUNDS):
        for name, work in works.items():
            measured[name].append(measure(work))
    best = {name: (max(r for r, _ in rounds), min(t for _, t in rounds)) for name, rounds in measured.items()}
    floor = next(iter(best.values()))
    chunk = open_dataset(str(stores[-1])).chunk
    print(f"{pairs} pairs, {2 * pairs * 110**2 * 4 / 1e9:.2f} GB, chunks of {chunk} pairs")
    for name, (images, busy) in best.items():
        print(
            f"{name:26s} {images:8.0f} images/s, {images / floor[0]:.2f} of the floor; "
            f"{busy:5.1f} us of processor time an image, {busy / floor[1]:4.1f} times the floor"
        )
    least, *memory = map(peak_memory, stores)
    for size, peak in zip(sizes[1:], memory, strict=True):
        print(f"peak memory, {size:6d} pairs  {peak - least:6.0f} MB")


if __name__ == "__main__":
    main()
