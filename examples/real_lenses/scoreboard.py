"""Einstein radii of real lenses, measured with encoders that learned from simulations: which step buys how much.

    python examples/real_lenses/scoreboard.py --data "fits-folder:slacs?pixel_scale=0.05" --work runs/scoreboard

Each row trains an encoder with the recipe `hst-lens`, but for what the row says, and has `lenskit transfer` judge it on
the images, whose labels no row ever sees: a ridge regression is fitted to features of simulated lenses, and predicts
the images. Rows stand in groups: the input, the scenes, and the way of learning. It writes
`docs/results/real-lenses-SIZE.json` and `.md`. Each run and evaluation is kept in `--work` when it is done: after a
stop, the same command makes what is missing, and `--rows` makes some of them; the table shows all that is done.

The meaning of the differences is written by hand, in `real-lenses-SIZE.notes.md`, which stands below the table.
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

import numpy as np
from scipy.stats import spearmanr

import lenskit
from lenskit.files import write_atomically
from lenskit.provenance import provenance
from lenskit.run import Run
from lenskit_evaluation.baselines import RANDOM
from lenskit_evaluation.tables import to_markdown

RADIUS = "theta_E"
OUTLIER = 0.15
"""Fractional error of an outlier."""

RECIPE, WIDE = "recipe", "wide"
PRIORS = {RECIPE: (), WIDE: ("theta_E=uniform(0.5, 2.2)",)}
"""The priors of theta_E under which the regression is fitted: the recipe's, and a wider one."""

UNTRAINED, CONSTANT = RANDOM, "the best constant"


@dataclass(frozen=True)
class Row:
    """An encoder of the table.

    Attributes:
        group: What the row varies: `input`, `scenes` or `learning`.
        set: Options that differ from the recipe's.
        pairs: Images of a lens that a method learns from.
        method: Method that learns.
        plain: Whether the scenes are those of `hst` without the recipe's.
    """

    group: str
    set: Mapping[str, Any] = field(default_factory=dict)
    pairs: str | None = None
    method: str | None = None
    plain: bool = False


SMOOTH = {
    "simulator.wide_fraction": 0.0, "simulator.disc_fraction": 0.0, "simulator.light_twist": "0",
    "simulator.light_m3": "0", "simulator.light_m4": "0", "simulator.neighbours": "0",
}  # fmt: skip
"""Scenes without the structure of real galaxies, with sources near the lens."""

ROWS: Mapping[str, Row] = {
    "unsharp+multipole": Row("input"),
    "asinh": Row("input", {"input.stretch": "asinh"}),
    "unsharp": Row("input", {"input.stretch": "unsharp"}),
    "multipole": Row("input", {"input.stretch": "multipole"}),
    "light tells theta_E": Row(
        "scenes", {"simulator.light_radius_unit": "theta_E", "simulator.light_radius": "uniform(0.5, 2.6)"}
    ),
    "smooth galaxies": Row("scenes", SMOOTH),
    "LenSiam's scenes": Row("scenes", plain=True),
    "SimSiam, crops": Row("learning", pairs="default", method="simsiam"),
    "SimSiam, lens-fixed": Row("learning", pairs="lens-fixed", method="simsiam"),
    "VICReg, lens-fixed": Row("learning", pairs="lens-fixed", method="vicreg"),
    "LeJEPA, lens-fixed": Row("learning", pairs="lens-fixed", method="lejepa"),
}
"""All rows. The first is the recipe as it is. Rows without a method are supervised."""


@dataclass(frozen=True)
class Size:
    """Amounts.

    Attributes:
        lenses: Simulated lenses that an encoder learns from, each seen once.
        backbone: Network.
        fitted: Simulated lenses that the regression is fitted to.
        held_out: Simulated lenses that give intervals.
    """

    lenses: int
    backbone: str
    fitted: int = 3000
    held_out: int = 1000


SIZES = {
    "small": Size(25_600, "timm:resnet10t"),
    "full": Size(2_000_000, "resnet18", 10_000, 5000),
    "smoke": Size(64, "timm:resnet10t", 64, 64),
}


def main() -> None:
    """Make what is missing, and write the table of what there is."""
    arguments = parsed()
    size = SIZES[arguments.size]
    for seed in arguments.seeds:
        for name in arguments.rows:
            folder = arguments.work / f"seed-{seed}" / _folder(name)
            train(ROWS[name], folder / "run", seed, size)
            judge(folder, arguments, size)
    write(arguments, size)


def parsed() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="real images with labels, [READER:]PATH")
    parser.add_argument("--work", type=Path, required=True, help="folder for runs and what is done so far")
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--out", type=Path, default=Path("docs/results"), help="folder of the table")
    parser.add_argument("--rows", nargs="+", default=list(ROWS), help=f"some of: {', '.join(ROWS)}")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    arguments = parser.parse_args()
    if unknown := [name for name in arguments.rows if name not in ROWS]:
        parser.error(f"--rows: {', '.join(unknown)} is none of {', '.join(ROWS)}")
    return arguments


def train(row: Row, out: Path, seed: int, size: Size) -> None:
    """Train a run, or go on with it; one that is finished is left alone."""
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
        run = lenskit.train(
            None if row.plain else "hst-lens",
            simulator="hst" if row.plain else None,
            method=row.method or ("supervised" if row.plain else None),
            pairs=row.pairs,
            seed=seed,
            set=options | (PLAIN if row.plain else {}),
            out=out,
        )
    print(f"{out}: {time.perf_counter() - start:.0f} s", flush=True)
    if not run.finished:
        sys.exit(f"{out} was stopped: the same command goes on with it")


PLAIN = {
    "simulator.pixels": 101, "input.stretch": "unsharp+multipole", "input.size": 64, "train.batch_size": 64,
    "train.ema": 0.998, "optimizer.lr": 1e-3, "optimizer.lr_batch": 0,
    "method.targets": ["theta_E", "e1", "e2", "gamma1", "gamma2"],
}  # fmt: skip
"""The recipe without its scenes."""


def judge(folder: Path, arguments: argparse.Namespace, size: Size) -> None:
    """Judge a run under each prior, unless that is done."""
    for prior, options in PRIORS.items():
        done = folder / f"{prior}.json"
        if done.is_file():
            continue
        found = lenskit.evaluate(
            "transfer",
            [folder / "run"],
            data=arguments.data,
            labels=[RADIUS],
            lenses=size.fitted,
            test_lenses=size.held_out,
            set=list(options),
            overwrite=True,
        )
        told = {"truth": found.truth[RADIUS].tolist(), "encoders": {}}
        for encoder, one in found.findings[RADIUS].items():
            gap = found.gaps.get(encoder)
            told["encoders"]["run" if encoder == str(folder / "run") else encoder] = {
                "prediction": one.prediction.tolist(),
                "simulated R2": one.simulated and one.simulated.r2.value,
                "coverage": {f"{level:.0%}": share.value for level, share in one.coverage.items()},
                "told from simulations": gap and gap.auc.value,
            }
        write_atomically(done, json.dumps(told, indent=1) + "\n")


def write(arguments: argparse.Namespace, size: Size) -> None:
    """Write the table of all that is judged."""
    rows: list[dict[str, str]] = []
    kept: dict[str, Any] = {"size": asdict(size), "data": arguments.data, "made with": provenance(), "rows": {}}
    for name, row in ROWS.items():
        seeds = sorted(arguments.work.glob(f"seed-*/{_folder(name)}"))
        found = {prior: _read([seed / f"{prior}.json" for seed in seeds]) for prior in PRIORS}
        if not found[RECIPE]:
            continue
        kept["rows"][name] = found
        rows.append({"group": row.group, "encoder": name} | _figures(found, "run"))
        if not rows[1:]:
            for other in (UNTRAINED, CONSTANT):
                rows.append({"group": "-", "encoder": other} | _figures(found, other))
    path = arguments.out / f"real-lenses-{arguments.size}"
    notes = path.with_suffix(".notes.md")
    head = (
        f"# Einstein radii of real lenses, size `{arguments.size}`\n\n"
        "`python examples/real_lenses/scoreboard.py`. Encoders learned from "
        f"{size.lenses:,} simulated lenses with `{size.backbone}`, but for what the row says as the recipe `hst-lens`. "
        "A ridge regression on features of simulated lenses predicts the images; no label of theirs was used. "
        "Of several seeds: their mean, the lowest and the highest. The best constant is the median of the labels.\n\n"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path.with_suffix(".json"), json.dumps(kept, indent=1) + "\n")
    text = head + to_markdown(rows) + "\n" + (f"\n{notes.read_text(encoding='utf-8')}" if notes.is_file() else "")
    write_atomically(path.with_suffix(".md"), text)
    print(text)


def _read(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """What there is of files."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths if path.is_file()]


def _figures(found: Mapping[str, list[dict[str, Any]]], encoder: str) -> dict[str, str]:
    """The columns of a row."""
    told: dict[str, list[float]] = {}
    for one in found[RECIPE]:
        truth, of = np.array(one["truth"]), one["encoders"][encoder]
        error = np.array(of["prediction"]) - truth
        figures = {
            "R2, simulations": of["simulated R2"],
            "rank correlation": spearmanr(truth, of["prediction"])[0] if encoder != CONSTANT else None,
            "MAE [arcsec]": np.abs(error).mean(),
            "median error [%]": 100 * np.median(np.abs(error) / truth),
            "bias [arcsec]": error.mean(),
            f"outliers above {OUTLIER:.0%} [%]": 100 * (np.abs(error) > OUTLIER * truth).mean(),
            "in 68 % [%]": of["coverage"] and 100 * of["coverage"]["68%"],
            "in 95 % [%]": of["coverage"] and 100 * of["coverage"]["95%"],
            "told from simulations": of["told from simulations"],
        }
        for name, value in figures.items():
            told.setdefault(name, []).append(np.nan if not value and value != 0 else float(value))
    for one in found[WIDE]:
        error = np.array(one["encoders"][encoder]["prediction"]) - np.array(one["truth"])
        told.setdefault("MAE, wide prior", []).append(float(np.abs(error).mean()))
        told.setdefault("bias, wide prior", []).append(float(error.mean()))
    return {name: _words(values, 0 if "[%]" in name else 3) for name, values in told.items()}


def _words(values: list[float], digits: int) -> str:
    if not np.isfinite(values).all():
        return "-"
    text = f"{np.mean(values):.{digits}f}"
    return text if len(values) == 1 else f"{text} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def _folder(name: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in name)


if __name__ == "__main__":
    try:
        main()
    except lenskit.LenskitError as error:
        sys.exit(f"Error: {error}")
