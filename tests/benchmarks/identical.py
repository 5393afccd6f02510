"""Comparison of parameters, images and trained weights of two commits by sha256.

    python tests/benchmarks/identical.py                # the working tree: prints its digests
    python tests/benchmarks/identical.py COMMIT         # a commit and the working tree: exits with 1 if they differ

The script uses only command lines, so it can compare commits before and after a change of the code structure. Rounding
of floating-point numbers depends on the processor, so this is not a test: both commits run on the same machine, one
after the other, on one thread.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
DIGESTS = "--digests"
"""Argument of the process that runs the commands."""

SIMULATED = {
    "hst": "--simulator hst --set simulator.pixels=48 --pairs lens-fixed",
    "hst-lens": "--recipe hst-lens --pairs lens-fixed-dihedral",
    "hst with the noise of an instrument": "--simulator hst --set simulator.noise=instrument --pairs source-fixed",
    "euclid-challenge": "--simulator euclid-challenge --pairs single",
    "substructure": "--simulator substructure --pairs instrument-only",
    "deeplense-a": "--simulator deeplense-a --pairs single",
}
"""Flags of `lenskit simulate`."""

SMALL = "--simulator hst --set simulator.pixels=32 --lenses 24 --epochs 1 --batch-size 8"
TRAINED = {
    "simsiam": f"{SMALL} --set method.projection_dim=32 --set method.hidden_dim=32",
    "default pairs, byol, averaged weights": f"{SMALL} --pairs default --method byol --set train.ema=0.9",
    "vicreg, in parts": f"{SMALL} --pairs lens-fixed+noise --method vicreg --set train.accumulate=2",
    "supervised": f"{SMALL} --method supervised --set input.stretch=unsharp",
    "aae": f"{SMALL} --simulator deeplense-a --set simulator.pixels=32 --method aae",
    "stored": "--data hst.zarr --lenses 4 --epochs 2 --batch-size 2",
}
"""Flags of `lenskit train`."""


def main() -> None:
    """Print the digests of the working tree; with a commit, compare with its digests."""
    if sys.argv[1:] == [DIGESTS]:
        print(json.dumps(digests()))
        return
    ours = digests_of(ROOT)
    print(json.dumps(ours, indent=1), flush=True)
    if sys.argv[1:]:
        with worktree(sys.argv[1]) as folder:
            theirs = digests_of(folder)
        differing = [name for name in ours | theirs if ours.get(name) != theirs.get(name)]
        print(f"{len(ours) - len(differing)} of {len(ours)} are identical to those of {sys.argv[1]}")
        sys.exit(f"these differ: {', '.join(differing)}" if differing else 0)


def digests_of(tree: Path) -> dict[str, str]:
    """Return the digests of the output files of the code in a folder."""
    environment = os.environ | {"PYTHONPATH": f"{tree}:{tree / 'plugins'}", "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, DIGESTS]
        told = subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.PIPE)
    found: dict[str, str] = json.loads(told.stdout)
    return found


def digests() -> dict[str, str]:
    """Run all commands in the working directory; return the digests of their output."""
    from lenskit.cli.main import run

    found: dict[str, str] = {}
    for what, flags in SIMULATED.items():
        out = Path("hst.zarr" if what == "hst" else "other.zarr")
        line = f"simulate {flags} --lenses 4 --seed 3 --workers 1 --overwrite --out {out}"
        assert run(line.split()) == 0, line
        for array in sorted(path for path in out.iterdir() if path.is_dir()):
            found[f"{what}: {array.name}"] = digest(array)
    for what, flags in TRAINED.items():
        line = f"train {flags} --seed 3 --accelerator cpu --overwrite --out run"
        assert run(line.split()) == 0, line
        found[f"{what}: weights"] = digest(Path("run/encoder/model.safetensors"))
    return found


def digest(path: Path) -> str:
    """Return the sha256 of a file, or of the files in a folder except descriptions."""
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    contents = [file.read_bytes() for file in files if file.name != "zarr.json"]
    return hashlib.sha256(b"".join(contents)).hexdigest()


@contextmanager
def worktree(commit: str) -> Iterator[Path]:
    """Check a commit out into a temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tree"
        subprocess.run(["git", "worktree", "add", "--detach", path, commit], cwd=ROOT, check=True, capture_output=True)
        try:
            yield path
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", path], cwd=ROOT, check=True)


if __name__ == "__main__":
    main()
