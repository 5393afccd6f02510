"""Desk: a folder with a user's files and lenskit's files, to try command lines on."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import numpy as np
from astropy.io import fits
from PIL import Image
from process import call

MINE, MADE, OUT = "mine", "made", "out"
"""Folders of the desk: the user's files, lenskit's files, and new files."""

SMALL = "--set method.hidden_dim=8 --set method.projection_dim=8 --set method.predictor_dim=4"
"""Options that reduce SimSiam to kilobytes."""

HOSTILE = "[red]x \x1b[31m$x$.fits"
"""Name of a file with markup, an escape sequence and half a formula."""


def build(folder: Path) -> Path:
    """Make the desk in a folder.

    Returns:
        The desk. No command line may change `mine` in the desk and `keep.txt` in its parent folder.
    """
    desk = folder / "desk"
    for part in (MINE, MADE, OUT):
        (desk / part).mkdir(parents=True)
    (folder / "keep.txt").write_text("above the desk\n")
    mine, rng = desk / MINE, np.random.default_rng(0)
    (mine / "images").mkdir()
    rows = ["name,width,kind"]
    for number in range(12):
        fits.writeto(mine / "images" / f"blob{number:02}.fits", _blob(rng, 1 + number / 6))
        rows.append(f"blob{number:02},{1 + number / 6},{'ab'[number % 2]}")
    (mine / "images" / "labels.csv").write_text("\n".join(rows) + "\n")
    for kind in ("plain", "odd"):
        (mine / "pictures" / kind).mkdir(parents=True)
        for number in range(3):
            picture = np.clip(80 * _blob(rng, 2) + 40, 0, 255).astype(np.uint8)
            Image.fromarray(picture).save(mine / "pictures" / kind / f"{number}.png")
    np.save(mine / "stack.npy", np.stack([_blob(rng, 2) for _ in range(5)]))
    fits.writeto(mine / HOSTILE, _blob(rng, 2))
    (mine / "lenses.csv").write_text("name,width\na,1.5\nb,2.5\n")
    (mine / "scores.csv").write_text("name,label,score\n" + "".join(f"{i},{i % 2},{i / 10}\n" for i in range(20)))
    (mine / "broken.fits").write_bytes(b"SIMPLE  =                    T" + bytes(100))
    (mine / "empty.csv").write_text("")
    (mine / "notes.txt").write_text("mine\n")
    (mine / "half.toml").write_text("[train]\nlenses = \n")
    (mine / "deep.json").write_text("[" * 20_000)
    (mine / "nothing").mkdir()
    (mine / "lost.fits").symlink_to("not-there.fits")
    for line in (
        "train --recipe toys --out made/run",
        f"train --recipe toys --method simsiam {SMALL} --out made/simsiam",
        "simulate --recipe toys --lenses 12 --chunk 4 --workers 1 --out made/store.zarr",
        "embed made/run --data mine/images -o made/features.npz",
    ):
        ended = call(line.split(), desk, seconds=120)
        assert ended.status == 0, (line, ended)
    shutil.copytree(desk / MADE, folder / "pristine", symlinks=True)
    return desk


def _blob(rng: np.random.Generator, width: float) -> np.ndarray:
    x = np.arange(12) - 5.5
    blob = np.exp(-(x**2 + x[:, None] ** 2) / (2 * width**2))
    return (blob + 0.05 * rng.standard_normal((12, 12))).astype(np.float32)


def state(folder: Path) -> dict[str, str]:
    """Return the digest of each file in a folder by path.

    The value of a link is its target, and the value of a folder is `folder`.
    """
    found = {}
    for parent, folders, files in os.walk(folder):
        for name in [*folders, *files]:
            path = Path(parent, name)
            if path.is_symlink():
                found[str(path)] = f"-> {os.readlink(path)}"
            else:
                found[str(path)] = "folder" if path.is_dir() else hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def times(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Return size, time and inode number of each file and folder in a folder by path.

    One of them changes with every write.
    """
    found = {}
    for parent, folders, files in os.walk(folder):
        for name in [*folders, *files]:
            status = os.lstat(os.path.join(parent, name))
            found[os.path.join(parent, name)] = (status.st_size, status.st_mtime_ns, status.st_ino)
    return found


def restore(desk: Path, before: dict[str, str], mine: dict[str, str], made: dict[str, tuple[int, int, int]]) -> bool:
    """Restore the desk after a command line.

    New files are removed, and lenskit's files are copied again if they changed.

    Args:
        desk: The desk.
        before: The `state` of the user's files before the command line.
        mine: Their state after it.
        made: The `times` of lenskit's files before it.

    Returns:
        Whether lenskit's files were copied again.
    """
    shutil.rmtree(desk / OUT, ignore_errors=True)
    (desk / OUT).mkdir()
    for path in sorted(mine.keys() - before.keys(), key=len, reverse=True):
        target = Path(path)
        if target.is_dir() and not target.is_symlink():
            shutil.rmtree(target, ignore_errors=True)
        else:
            target.unlink(missing_ok=True)
    for child in desk.iterdir():
        if child.name not in (MINE, MADE, OUT):
            shutil.rmtree(child) if child.is_dir() and not child.is_symlink() else child.unlink()
    if times(desk / MADE) == made:
        return False
    shutil.rmtree(desk / MADE, ignore_errors=True)
    shutil.copytree(desk.parent / "pristine", desk / MADE, symlinks=True)
    return True
