"""Measure Einstein radii of real lenses with encoders trained on simulations.

    python examples/real_lenses/scoreboard.py --data "fits-folder:slacs?pixel_scale=0.05" --work runs/scoreboard

For each row of the table, an encoder is trained with one change of the recipe `hst-lens`, to show the effect of this
change. `lenskit transfer` evaluates the encoder on the real images: a ridge regression is fitted to features of
simulated lenses and predicts the radii of the real images. The labels of the real images are never used for training.
The changes are in three groups: the input, the scenes, and the learning.

The script writes `docs/results/real-lenses-SIZE.json` and `.md`. Each finished run and evaluation is stored in
`--work`. After an interruption, the same command resumes the work. `--rows` chooses the rows to compute; the table
shows all finished rows. The file `real-lenses-SIZE.notes.md` is written by hand; the script adds its content below the
table.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from figures import RADIUS, columns, parser_of, words, write_table
from zooms import judge_zoomed

import lenskit
from lenskit.data.readers import data_name
from lenskit.encoders.encoder_run import open_run
from lenskit.files import write_atomically
from lenskit.layers import read_recipe
from lenskit.options import options_of
from lenskit.registry import registry
from lenskit.run import Run
from lenskit_evaluation.baselines import BASELINES, BEST_CONSTANT, RANDOM

LEARNED = "hst-lens"
"""Recipe that each row of the table changes."""

RECIPE, WIDE = "recipe", "wide"
PRIORS = {RECIPE: (), WIDE: ("theta_E=uniform(0.5, 2.2)",)}
"""Priors of theta_E for the simulated lenses of the regression: the prior of the recipe, and a wider prior."""


@dataclass(frozen=True)
class Row:
    """Encoder in a row of the table.

    Attributes:
        group: Subject of the change: `input`, `scenes` or `learning`.
        set: Overrides of options of the recipe.
        pairs: Pair strategy of the method.
        method: Training method.
        plain: Whether to use the defaults of the simulator `hst` instead of the scenes of the recipe.
        zooms: Magnifications of copies of an image. The encoder of the first row predicts from each copy, and the row
            is the median of these predictions.
        encoder: Name of a published encoder, which is not trained. Missing weights are downloaded.
        painted: Whether simulated arcs are added to cutouts of real galaxies.
    """

    group: str
    set: Mapping[str, Any] = field(default_factory=dict)
    pairs: str | None = None
    method: str | None = None
    plain: bool = False
    zooms: tuple[float, ...] = ()
    encoder: str | None = None
    painted: bool = False


SMOOTH = {
    "simulator.wide_fraction": 0.0, "simulator.disc_fraction": 0.0, "simulator.light_twist": "0",
    "simulator.light_m3": "0", "simulator.light_m4": "0", "simulator.neighbours": "0",
}  # fmt: skip
"""Overrides for scenes without the structure of real galaxies, and with sources close to the lens."""

ROWS: Mapping[str, Row] = {
    "unsharp+multipole": Row("input"),
    "asinh": Row("input", {"input.stretch": "asinh"}),
    "unsharp": Row("input", {"input.stretch": "unsharp"}),
    "multipole": Row("input", {"input.stretch": "multipole"}),
    "median over zooms": Row("input", zooms=(0.9, 1.0, 1.1)),
    "light tells theta_E": Row(
        "scenes", {"simulator.light_radius_unit": "theta_E", "simulator.light_radius": "uniform(0.5, 2.6)"}
    ),
    "smooth galaxies": Row("scenes", SMOOTH),
    "LenSiam's scenes": Row("scenes", plain=True),
    "injection": Row("scenes", painted=True),
    "SimSiam, crops": Row("learning", pairs="default", method="simsiam"),
    "SimSiam, lens-fixed": Row("learning", pairs="lens-fixed", method="simsiam"),
    "VICReg, lens-fixed": Row("learning", pairs="lens-fixed", method="vicreg"),
    "LeJEPA, lens-fixed": Row("learning", pairs="lens-fixed", method="lejepa"),
    "efficientnet-lite0": Row("learning", encoder="efficientnet-lite0"),
}
"""All rows. The first row is the recipe without changes. Rows without a method use supervised training."""

FIRST = next(iter(ROWS))


@dataclass(frozen=True)
class Size:
    """Numbers of lenses and the size of the network.

    Attributes:
        lenses: Number of simulated lenses for the training, each used once.
        backbone: Network.
        fitted: Number of simulated lenses for the regression.
        held_out: Number of held-out simulated lenses, which calibrate the intervals.
        pixels: Height and width of images; larger real images are cropped.
        expander: Width of the expander of VICReg, if it differs from the paper.
    """

    lenses: int
    backbone: str
    fitted: int = 3000
    held_out: int = 1000
    pixels: int = 101
    expander: int | None = None


SIZES = {
    "small": Size(25_600, "timm:resnet10t", expander=1024),
    "full": Size(2_000_000, "resnet18", 10_000, 5000),
    "smoke": Size(64, "timm:resnet10t", 50, 50, 41, 64),
}


def main() -> None:
    """Compute missing runs and evaluations, and write the table of all finished rows."""
    arguments = parsed()
    size = SIZES[arguments.size]
    for seed in arguments.seeds:
        for name in arguments.rows:
            make(name, arguments.work / f"seed-{seed}", seed, arguments, size)
    write(arguments, size)


def parsed() -> argparse.Namespace:
    """Parse the command line."""
    parser = parser_of(__doc__, SIZES)
    parser.add_argument("--rows", nargs="+", default=list(ROWS), help=f"some of: {', '.join(ROWS)}")
    parser.add_argument(
        "--stamps", help="cutouts of real galaxies without lensed arcs, [READER:]PATH, for the row injection"
    )
    arguments = parser.parse_args()
    if unknown := [name for name in arguments.rows if name not in ROWS]:
        parser.error(f"--rows: {', '.join(unknown)} is not one of {', '.join(ROWS)}")
    return arguments


def make(name: str, work: Path, seed: int, arguments: argparse.Namespace, size: Size) -> None:
    """Train and evaluate a row; skip the parts that are finished.

    Args:
        name: Name of the row.
        work: Folder of the results of this seed.
        seed: Random seed of the training.
        arguments: Arguments of the command line.
        size: Numbers of lenses and size of the network.
    """
    row, folder = ROWS[name], work / folder_of(name)
    if row.encoder:
        judge_foreign(row.encoder, folder, arguments, size)
    elif row.zooms:
        run = work / folder_of(FIRST) / "run"
        train(ROWS[FIRST], run, seed, size)
        judge_zooms(row, run, folder, arguments, size)
    elif row.painted and not arguments.stamps:
        print(f"{name}: skipped: add cutouts of galaxies without lensed arcs, --stamps [READER:]PATH", flush=True)
    else:
        train(row, folder / "run", seed, size, stamps=arguments.stamps)
        judge(folder / "run", folder, arguments.data, size)


def train(row: Row, out: Path, seed: int, size: Size, *, stamps: str | None = None, data: str | None = None) -> None:
    """Train a run, or resume it; skip a finished run.

    Args:
        row: Row of the table.
        out: Folder of the run.
        seed: Random seed of the training.
        size: Numbers of lenses and size of the network.
        stamps: Cutouts of real galaxies that arcs are added to, `[READER:]PATH`.
        data: Stored lenses to train on instead of simulated lenses, `[READER:]PATH`.
    """
    start = time.perf_counter()
    if (out / "run.toml").is_file():
        if Run(out).finished:
            return
        run = lenskit.resume(out)
    else:
        options: dict[str, Any] = {
            "train.lenses": size.lenses, "train.epochs": 1, "optimizer.warmup_epochs": 0.05,
            "backbone.name": size.backbone, "monitor.probe_every": 0, **row.set,
        }  # fmt: skip
        if row.method == "vicreg" and size.expander:
            options |= {"method.hidden_dim": size.expander, "method.projection_dim": size.expander}
        if not data:
            options |= {"simulator.pixels": size.pixels}
        scenes = "injection" if row.painted else "hst" if row.plain else None
        run = lenskit.train(
            None if row.plain else LEARNED,
            simulator=scenes,
            method=row.method or ("supervised" if row.plain else None),
            pairs=row.pairs,
            data=data,
            seed=seed,
            set=options | (PLAIN if row.plain else {}) | (painted(str(stamps)) if row.painted else {}),
            out=out,
        )
    print(f"{out}: {time.perf_counter() - start:.0f} s", flush=True)
    if not run.finished:
        sys.exit(f"{out} was stopped: repeat the command to resume it")


PLAIN = {
    "input.stretch": "unsharp+multipole", "input.size": 64, "train.batch_size": 64,
    "train.ema": 0.998, "optimizer.lr": 1e-3, "optimizer.lr_batch": 0,
    "method.targets": ["theta_E", "e1", "e2", "gamma1", "gamma2"],
}  # fmt: skip
"""Options of the recipe, except the options of the scenes."""


def painted(stamps: str) -> dict[str, Any]:
    """Return the options of the simulator `injection`.

    Options that `injection` and `hst` have in common come from the recipe.

    Args:
        stamps: Cutouts of real galaxies, `[READER:]PATH`.
    """
    known = {option.name for option in options_of(registry().find("simulator", "injection").load())}
    # The cutouts already contain noise, so they need no exposure time.
    shared = known & recipe_scenes().keys() - {"exposure_time", "pixels"}
    return {f"simulator.{name}": recipe_scenes()[name] for name in sorted(shared)} | {"simulator.galaxies": stamps}


def recipe_scenes() -> dict[str, Any]:
    """Return the options of the simulator `hst` in the recipe."""
    return {name: value for name, value in read_recipe(LEARNED)["simulator"].items() if name != "name"}


def judge(
    subject: Path | str, folder: Path, data: str, size: Size, simulator: str | None = None, options: Sequence[str] = ()
) -> None:
    """Evaluate a run or an encoder with each prior; skip finished priors.

    Args:
        subject: Run, or name of an encoder.
        folder: Folder for the metrics.
        data: Real images with labels, `[READER:]PATH`.
        size: Numbers of lenses and size of the network.
        simulator: Simulator of the lenses for the regression; by default, the run's.
        options: Options of this simulator, `OPTION=VALUE`.
    """
    for prior, changed in PRIORS.items():
        done = folder / f"{prior}.json"
        if done.is_file():
            continue
        found = lenskit.evaluate(
            "transfer",
            [subject],
            data=data,
            labels=[RADIUS],
            lenses=size.fitted,
            test_lenses=size.held_out,
            simulator=simulator,
            set=[*options, *changed],
            output=folder / "transfer",
            overwrite=True,
        )
        told = {"truth": found.truth[RADIUS].tolist(), "encoders": {}}
        for encoder, one in found.findings[RADIUS].items():
            gap = found.gaps.get(encoder)
            told["encoders"][encoder if encoder in BASELINES else "run"] = {
                "prediction": one.prediction.tolist(),
                "simulated R2": one.simulated and one.simulated.r2.value,
                "coverage": {f"{level:.0%}": share.value for level, share in one.coverage.items()},
                "told from simulations": gap and gap.auc.value,
            }
        keep(done, told)


def judge_foreign(name: str, folder: Path, arguments: argparse.Namespace, size: Size) -> None:
    """Evaluate a published encoder on the scenes of the recipe.

    If the weights are not available, print the reason.
    """
    if all((folder / f"{prior}.json").is_file() for prior in PRIORS):
        return
    try:
        encoder = open_run(name).encoder()
    except lenskit.LenskitError as error:
        print(f"{name}: skipped: {error}", flush=True)
        return
    data = arguments.data
    if encoder.image_shape is None:  # The encoder takes entire frames, but simulated frames are smaller.
        data += f"{'&' if '?' in data else '?'}size={size.pixels}"
    scenes = [f"{option}={value}" for option, value in (recipe_scenes() | {"pixels": size.pixels}).items()]
    judge(name, folder, data, size, read_recipe(LEARNED)["simulator"]["name"], scenes)


def judge_zooms(row: Row, run: Path, folder: Path, arguments: argparse.Namespace, size: Size) -> None:
    """Evaluate the median over zoomed copies with each prior; skip finished priors."""
    for prior, changed in PRIORS.items():
        done = folder / f"{prior}.json"
        if done.is_file():
            continue
        try:
            found = judge_zoomed(Run(run), arguments.data, row.zooms, changed, size.fitted, size.held_out)
        except lenskit.UsageError as error:
            print(f"{folder.name}: skipped: {error}", flush=True)
            return
        keep(done, {"truth": found.pop("truth"), "encoders": {"run": found}})


def keep(path: Path, told: Mapping[str, Any]) -> None:
    """Write intermediate results as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(told, indent=1) + "\n")


def write(arguments: argparse.Namespace, size: Size) -> None:
    """Write the table of all finished rows."""
    rows: list[dict[str, str]] = []
    kept: dict[str, Any] = {"size": asdict(size), "data": data_name(arguments.data), "rows": {}}
    others = [RANDOM, BEST_CONSTANT]
    for name, row in ROWS.items():
        seeds = sorted(arguments.work.glob(f"seed-*/{folder_of(name)}"))
        found = {prior: read([seed / f"{prior}.json" for seed in seeds]) for prior in PRIORS}
        if not found[RECIPE]:
            continue
        kept["rows"][name] = found
        rows.append({"group": row.group, "encoder": name} | _figures(found, "run"))
        while others and others[0] in found[RECIPE][0]["encoders"]:
            other = others.pop(0)
            rows.append({"group": "-", "encoder": other} | _figures(found, other))
    head = (
        f"# Einstein radii of real lenses, size `{arguments.size}`\n\n"
        "`python examples/real_lenses/scoreboard.py`. Encoders with the backbone "
        f"`{size.backbone}` were trained on {size.lenses:,} simulated lenses with the recipe `{LEARNED}`, changed as "
        "each row states. A ridge regression on features of simulated lenses predicts the labels of the images, "
        "without use of these labels. For several seeds, figures are their mean, the lowest and the highest value. The "
        "best constant is the median of the labels.\n\n"
    )
    write_table(arguments.out / f"real-lenses-{arguments.size}", head, rows, kept)


def read(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """Return the content of the JSON files that exist."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths if path.is_file()]


def _figures(found: Mapping[str, list[dict[str, Any]]], encoder: str) -> dict[str, str]:
    """Return the cells of a row."""
    by_prior = {
        prior: [columns(one["truth"], one["encoders"][encoder], constant=encoder == BEST_CONSTANT) for one in seeds]
        for prior, seeds in found.items()
    }
    wide = [{f"{name}, wide prior": one[f"{name} [arcsec]"] for name in ("MAE", "bias")} for one in by_prior[WIDE]]
    return words(by_prior[RECIPE]) | (words(wide) if wide else {})


def folder_of(name: str) -> str:
    """Return the name of a row's folder."""
    return "".join(letter if letter.isalnum() else "-" for letter in name)


if __name__ == "__main__":
    try:
        main()
    except lenskit.LenskitError as error:
        sys.exit(f"Error: {error}")
