"""Simulate a store of lenses on a Dask cluster, and check it.

    python examples/dask/simulate.py lenses.zarr --lenses 2000 --workers 4
    python examples/dask/simulate.py /shared/lenses.zarr --scheduler tcp://scheduler:8786 --simulator hst

All other options are those of `lenskit simulate`. The same command resumes a store that is not complete.
"""

from __future__ import annotations

import argparse
import logging
import subprocess
import sys
from contextlib import ExitStack

import dask.array
from dask.distributed import Client, LocalCluster


def lenskit(*arguments: str) -> None:
    """Run a command of lenskit, and stop if it fails."""
    status = subprocess.run([sys.executable, "-m", "lenskit.cli", *arguments], check=False).returncode
    if status:
        raise SystemExit(status)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0], allow_abbrev=False)
    parser.add_argument("out", help="store to create or to resume, on a disk that all workers see")
    parser.add_argument("--lenses", default="2000", help="number of lenses")
    parser.add_argument("--workers", type=int, default=2, help="processes of a cluster on this machine")
    parser.add_argument("--scheduler", help="address of a running cluster, in place of one on this machine")
    given, options = parser.parse_known_args()

    with ExitStack() as stack:
        address = given.scheduler
        if address is None:
            # One thread per process: each worker renders one chunk at a time.
            local = LocalCluster(
                n_workers=given.workers,
                threads_per_worker=1,
                dashboard_address="127.0.0.1:0",
                silence_logs=logging.ERROR,
            )
            address = stack.enter_context(local).scheduler_address
        lenskit("simulate", "--lenses", given.lenses, "--out", given.out, "--dask", address, *options)
        lenskit("data", "check", given.out)

        # The workers also read the store: a chunk of lenses is a task.
        stack.enter_context(Client(address))
        images = dask.array.from_zarr(given.out, component="images")
        faintest, brightest = dask.compute(images.min(), images.max())
        print(f"{images.shape[0]} lenses, pixels from {faintest:.3g} to {brightest:.3g}")


if __name__ == "__main__":  # LocalCluster starts processes that import this file
    main()
