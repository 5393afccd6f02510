"""Compare supervised and self-supervised training for N labelled lenses.

    python examples/real_lenses/labels.py --data "fits-folder:slacs?pixel_scale=0.05" --work runs/scoreboard

There are two encoders for each N, with labelled lenses from the recipe `hst-lens`. The first encoder is trained on the
N lenses with the method `supervised` and predicts with the head from this training. It is trained on as many images as
the rows of the scoreboard; the N lenses are repeated. The second encoder is the row `VICReg, lens-fixed` of the
scoreboard, which was trained on pairs without labels. A ridge regression on its features is fitted to the same N
lenses. Both encoders predict the radii of the same real images. The labels of the real images are never used for
training.

The script writes `docs/results/real-lenses-labels-SIZE.json` and `.md`. It uses the VICReg run of the scoreboard if
`--work` is the same folder and the run exists. After an interruption, the same command resumes the work. The content of
the file `real-lenses-labels-SIZE.notes.md` is added below the table.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from figures import RADIUS, Array, Guess, columns, judged, parser_of, words, write_table
from scoreboard import LEARNED, ROWS, SIZES, Row, Size, folder_of, keep, read, train
from torch import Tensor

import lenskit
from lenskit.config import Config
from lenskit.data.readers import data_name, open_dataset
from lenskit.data.stored import StoredLenses
from lenskit.evaluation import simulated_split, to_best_device
from lenskit.layers import read_recipe
from lenskit.run import Run
from lenskit.store.plan import Plan
from lenskit.store.simulate import simulate
from lenskit_evaluation.regression import fit_linear_probe

AMOUNTS = {"small": (100, 1000, 10_000), "full": (100, 1000, 10_000), "smoke": (64,)}
"""Numbers of labelled lenses for each size."""

SUPERVISED, PAIRS = "supervised", "VICReg, lens-fixed"
WAYS = {SUPERVISED: "supervised", PAIRS: "pairs without labels, and a head"}


def main() -> None:
    """Train the missing encoders, and write the table of all finished encoders."""
    arguments = parser_of(__doc__, SIZES).parse_args()
    size = SIZES[arguments.size]
    for seed in arguments.seeds:
        for count in AMOUNTS[arguments.size]:
            for way in WAYS:
                make(way, count, arguments.work / f"seed-{seed}", seed, arguments.data, size)
    write(arguments, size)


def make(way: str, count: int, work: Path, seed: int, data: str, size: Size) -> None:
    """Train and evaluate an encoder with some labelled lenses, unless finished.

    Args:
        way: One of `WAYS`.
        count: Number of labelled lenses.
        work: Folder of the results of this seed.
        seed: Random seed of the training and of the labelled lenses.
        data: Real images with labels, `[READER:]PATH`.
        size: Numbers of lenses and size of the network.
    """
    done = work / f"labels-{count}" / f"{folder_of(way)}.json"
    if done.is_file():
        return
    store = labelled(count, work, seed, size)
    if way == PAIRS:
        path = work / folder_of(PAIRS) / "run"
        train(ROWS[PAIRS], path, seed, size)
        guess = with_head(Run(path), store)
    else:
        path = done.parent / "run"
        epochs = max(1, round(size.lenses / count))
        train(Row("labels", {"train.lenses": None, "train.epochs": epochs}), path, seed, size, data=f"zarr:{store}")
        guess = supervised(Run(path))
    images = Run(path).encoder().open(data, measures=True)
    simulator = configuration(size).build("simulator")
    keep(done, judged(guess, images, simulated_split(simulator, 1, size.held_out, seed=0).test))


def configuration(size: Size) -> Config:
    """Return the recipe's simulator, pairs and training, for images of a size."""
    pixels = {"simulator": {"pixels": size.pixels}}
    return Config.resolve(read_recipe(LEARNED), pixels, only=("simulator", "pairs", "train"))


def labelled(count: int, work: Path, seed: int, size: Size) -> Path:
    """Write or complete a store of labelled lenses.

    A smaller store contains the first lenses of a larger store.
    """
    path = work / f"labels-{count}" / "lenses.zarr"
    simulate(Plan.of(configuration(size), lenses=count, seed=seed), path)
    return path


def with_head(run: Run, store: Path) -> Guess:
    """Return the predictor of a ridge regression on the features of a run.

    The regression is fitted to the lenses of a store.
    """
    encoder = to_best_device(run.encoder())

    def embed(images: Tensor) -> Array:
        return encoder.embed(images).astype(np.float64)

    lenses = StoredLenses(open_dataset(f"zarr:{store}"))
    features = np.concatenate([embed(read.images) for read in lenses.chunks()])
    probe = fit_linear_probe(features, lenses.values()[RADIUS][:, None], [RADIUS])
    return lambda images: probe.predict(embed(images))[:, 0]


def supervised(run: Run) -> Guess:
    """Return the predictor of a supervised run, with the head from its training."""
    encoder, method = run.encoder(), run.method().eval()

    @torch.inference_mode()
    def guess(images: Tensor) -> Array:
        radii = [method.predict(encoder.prepare(part.float()))[RADIUS] for part in images.cpu().split(256)]
        return torch.cat(radii).double().numpy()

    return guess


def write(arguments: argparse.Namespace, size: Size) -> None:
    """Write the table of all finished encoders."""
    rows, kept = [], {}
    for count in AMOUNTS[arguments.size]:
        for way, title in WAYS.items():
            found = read(sorted(arguments.work.glob(f"seed-*/labels-{count}/{folder_of(way)}.json")))
            if found:
                kept[f"{way}, {count}"] = found
                figures = words([columns(one["truth"], one) for one in found])
                figures.pop("told from simulations")
                rows.append({"labelled lenses": f"{count:,}", "learning": title} | figures)
    head = (
        f"# Labelled simulated lenses and real ones, size `{arguments.size}`\n\n"
        "`python examples/real_lenses/labels.py`. Encoders `"
        f"{size.backbone}` on the scenes of the recipe `{LEARNED}`. Supervised: {size.lenses:,} images of the labelled "
        f"lenses, again and again. Pairs: `{PAIRS}` on {size.lenses:,} lenses without labels, and a ridge regression "
        "on features of the labelled ones. Of several seeds: their mean, the lowest and the highest.\n\n"
    )
    told = {"size": asdict(size), "data": data_name(arguments.data), "rows": kept}
    write_table(arguments.out / f"real-lenses-labels-{arguments.size}", head, rows, told)


if __name__ == "__main__":
    try:
        main()
    except lenskit.LenskitError as error:
        raise SystemExit(f"Error: {error}") from None
