"""Time and memory of `lenskit umap` for many images.

    python tests/benchmarks/umap.py [--images 100000] [--features 512] [--set "--components 0"]

Time and memory are those of the entire process, including compilation. The features are synthetic, but similar to
features of a network: a few directions have most of the variance, and no feature is negative. The map is fitted to
three quarters of the images and shows the others. Use an otherwise idle machine, or two cores with `taskset -c 0,1`.
With `--threads`, the benchmark also measures UMAP alone, on all cores without a seed and on one core with a seed.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from lenskit.embeddings import Embeddings
from lenskit.kinds.parameter import Parameter

LIBRARY = """
import sys, time, warnings
sys.path.pop(0)  # the folder of this file, which is also named umap
import numpy as np, umap
from sklearn.decomposition import PCA
x = PCA(50, random_state=0).fit_transform(np.load(sys.argv[1])["features"])
options = {"random_state": 0, "n_jobs": 1} if sys.argv[2] == "seeded" else {"n_jobs": -1}
for name in ("first, with compilation", "again"):
    start, busy = time.perf_counter(), time.process_time()
    umap.UMAP(n_neighbors=15, low_memory=True, **options).fit(x)
    wall, used = time.perf_counter() - start, time.process_time() - busy
    print(f"  UMAP alone, {sys.argv[2]}, {name}: {wall:.0f} s, {used:.0f} s of processor time", flush=True)
"""


def make(path: Path, images: int, features: int) -> None:
    """Write a file of embeddings."""
    rng = np.random.default_rng(0)
    hidden = rng.uniform(-1, 1, (images, 8)).astype(np.float32)
    mixed = np.tanh(hidden @ rng.normal(size=(8, 64)).astype(np.float32)) @ rng.normal(size=(64, features)) / 8
    noisy = mixed + 0.1 * rng.standard_normal((images, features), dtype=np.float32)
    values = {name: hidden[:, i].astype(np.float64) for i, name in enumerate(("theta_E", "e1", "gamma"))}
    parameters = [Parameter("theta_E", "arcsec", r"$\theta_E$"), Parameter("e1"), Parameter("gamma")]
    Embeddings(np.maximum(noisy, 0).astype(np.float32), values, parameters=parameters).save(path)


def measure(command: list[str], folder: Path) -> str:
    """Run a command, and print its time and its peak memory."""
    with (folder / "log").open("wb") as log:
        start = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit((folder / "log").read_text())
    wall, used = time.perf_counter() - start, usage.ru_utime + usage.ru_stime
    return f"{wall:.0f} s, {used:.0f} s of processor time, peak memory {usage.ru_maxrss / 1e6:.2f} GB"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--features", type=int, default=512)
    parser.add_argument("--set", default="", help="further options of lenskit umap")
    parser.add_argument("--threads", action="store_true", help="measure UMAP alone, too, with and without a seed")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        make(folder / "features.npz", arguments.images, arguments.features)
        shown = arguments.images // 4
        options = ["--lenses", str(arguments.images - shown), "--test-lenses", str(shown), *shlex.split(arguments.set)]
        command = [sys.executable, "-m", "lenskit.cli", "umap", "features.npz", *options]
        print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
        print(f"lenskit umap, {arguments.images} x {arguments.features}: {measure(command, folder)}")
        for seed in ("seeded", "threaded") if arguments.threads else ():
            subprocess.run([sys.executable, "-c", LIBRARY, "features.npz", seed], cwd=folder, check=True)


if __name__ == "__main__":
    main()
