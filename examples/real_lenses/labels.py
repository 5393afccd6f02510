"""What labelled simulated lenses are worth: learned from them alone, or a head on features of pairs without labels.

    python examples/real_lenses/labels.py --data "fits-folder:slacs?pixel_scale=0.05" --work runs/scoreboard

For N labelled lenses of the recipe `hst-lens` there are two encoders. One is trained on them, with the method
`supervised`, and predicts with its own head; it sees as many images as all rows of the scoreboard, which is the same N
again and again. The other is that of the scoreboard's row `VICReg, lens-fixed`, which learned from pairs without
labels; a ridge regression on its features is fitted to the same N lenses. Both predict the same real images, whose
labels neither sees.

It writes `docs/results/real-lenses-labels-SIZE.json` and `.md`. With the scoreboard's `--work` its run of VICReg is
taken if it is there. After a stop, the same command makes what is missing. Notes in `real-lenses-labels-SIZE.notes.md`
stand below the table.
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
"""Labelled lenses."""

SUPERVISED, PAIRS = "supervised", "VICReg, lens-fixed"
WAYS = {SUPERVISED: "supervised", PAIRS: "pairs without labels, and a head"}


def main() -> None:
    """Make what is missing, and write the table of what there is."""
    arguments = parser_of(__doc__, SIZES).parse_args()
    size = SIZES[arguments.size]
    for seed in arguments.seeds:
        for count in AMOUNTS[arguments.size]:
            for way in WAYS:
                make(way, count, arguments.work / f"seed-{seed}", seed, arguments.data, size)
    write(arguments, size)


def make(way: str, count: int, work: Path, seed: int, data: str, size: Size) -> None:
    """Train and judge an encoder with some labelled lenses, but for what is done already.

    Args:
        way: One of `WAYS`.
        count: Labelled lenses.
        work: Folder of the seed.
        seed: Seed of the training and of the labelled lenses.
        data: Real images with labels, `[READER:]PATH`.
        size: Amounts.
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
    """Return the recipe's simulator and pairs, in this size."""
    pixels = {"simulator": {"pixels": size.pixels}}
    return Config.resolve(read_recipe(LEARNED), pixels, only=("simulator", "pairs", "train"))


def labelled(count: int, work: Path, seed: int, size: Size) -> Path:
    """Make a store of labelled lenses, or what of it is missing; a smaller one holds the first lenses of a larger."""
    path = work / f"labels-{count}" / "lenses.zarr"
    simulate(Plan.of(configuration(size), lenses=count, seed=seed), path)
    return path


def with_head(run: Run, store: Path) -> Guess:
    """Fit a ridge regression on a run's features to the lenses of a store."""
    encoder = to_best_device(run.encoder())

    def embed(images: Tensor) -> Array:
        return encoder.embed(images).astype(np.float64)

    lenses = StoredLenses(open_dataset(f"zarr:{store}"))
    features = np.concatenate([embed(read.images) for read in lenses.chunks()])
    probe = fit_linear_probe(features, lenses.values()[RADIUS][:, None], [RADIUS])
    return lambda images: probe.predict(embed(images))[:, 0]


def supervised(run: Run) -> Guess:
    """Return the predictions of the head that a run was trained with."""
    encoder, method = run.encoder(), run.method().eval()

    @torch.inference_mode()
    def guess(images: Tensor) -> Array:
        radii = [method.predict(encoder.prepare(part.float()))[RADIUS] for part in images.cpu().split(256)]
        return torch.cat(radii).double().numpy()

    return guess


def write(arguments: argparse.Namespace, size: Size) -> None:
    """Write the table of all that is judged."""
    rows, kept = [], {}
    for count in AMOUNTS[arguments.size]:
        for way, said in WAYS.items():
            found = read(sorted(arguments.work.glob(f"seed-*/labels-{count}/{folder_of(way)}.json")))
            if found:
                kept[f"{way}, {count}"] = found
                figures = words([columns(one["truth"], one) for one in found])
                figures.pop("told from simulations")
                rows.append({"labelled lenses": f"{count:,}", "learning": said} | figures)
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
