"""Recall and time of each index of `lenskit neighbours`.

    python tests/benchmarks/neighbours.py [--images 2000] [--features 16]

Features are Gaussian, which is harder than features of a network, because these vary in few directions. The first
search includes the time of compilation. The benchmark fails if a second search with the same seed finds other
neighbours.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from lenskit_evaluation.neighbours.search import search


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--features", type=int, default=16)
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    archive = rng.normal(3, 2, (arguments.images, arguments.features)).astype(np.float32)
    queries = rng.normal(3, 2, (100, arguments.features)).astype(np.float32)
    exact, _ = search(archive, queries, 8)
    for index in ("faiss", "pynndescent"):
        rows = exact
        for turn in ("first", "again"):
            start, before = time.perf_counter(), rows
            rows, _ = search(archive, queries, 8, index=index)  # type: ignore[arg-type]
            wall = time.perf_counter() - start
            recall = np.mean([np.isin(a, b).mean() for a, b in zip(exact, rows, strict=True)])
            print(f"{index}, {turn}: {recall:.3f} of the 8 nearest of {arguments.images}, {wall:.2f} s", flush=True)
        np.testing.assert_array_equal(rows, before)


if __name__ == "__main__":
    main()
