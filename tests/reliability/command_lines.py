"""Random command lines, most with one or two mistakes."""

from __future__ import annotations

import random
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import click
import world
from process import Ended, call

SKELETONS: tuple[str, ...] = (
    "train --recipe toys --out out/run",
    f"train --recipe toys --method simsiam {world.SMALL} --out out/run",
    "train --recipe toys --data mine/images --out out/run",
    "train --recipe toys --data image-folder:mine/pictures --batch-size 2 --out out/run",
    "train --recipe toys --overwrite --out made/run",
    "train --resume made/run",
    "train --recipe toys --print-config",
    "simulate --recipe toys --lenses 6 --chunk 3 --workers 1 --out out/store.zarr",
    "simulate --recipe toys --lenses 6 --workers 1 --out out/fits --format fits",
    "simulate --recipe toys --lenses 6 --workers 1 --out out/store.h5",
    "simulate --workers 1 --out made/store.zarr",
    "render mine/lenses.csv --simulator blobs -o out/lenses.h5",
    "render mine/lenses.csv --simulator blobs -o out/pngs",
    "show --recipe toys --lenses 2 -o out/pairs.png",
    "show --data mine/images --lenses 2 -o out/pairs.pdf",
    "runs made",
    "runs compare made/run made/simsiam",
    "data info mine/images",
    "data check mine/images",
    "data info made/store.zarr",
    "data check made/store.zarr",
    "benchmark --recipe toys --batches 1",
    "export made/run -o out/export",
    "list",
    "list methods --json",
    "info simsiam",
    "info lens-fixed+blur",
    "plugins",
    "doctor",
    "embed made/run --data mine/images -o out/features.npz",
    "embed made/run --lenses 8 -o out/features.zarr",
    "predict made/run mine/images/blob00.fits -o out/table.csv",
    "package made/run --data mine/images -o out/package",
    "note made/run",
    "crowding made/run",
    "anomaly --scores mine/scores.csv",
    "neighbours made/run mine/images/blob01.fits --archive made/features.npz",
    "probe made/run --data mine/images",
    "transfer made/run --data mine/images",
    "umap made/run --data mine/images",
    "report made/run made/simsiam -o out/report.html",
    "finetune made/run --data mine/images --target width --labels 6",
    "evaluate note made/run",
)
"""Valid command lines; some need more images than there are."""

NUMBERS: tuple[str, ...] = (
    "0", "-1", "1", "2", "3", "5", "7", "8", "16", "0.5", "1.5", "-0.0", "1_000", "nan", "inf", "-inf", "1e-300",
    "1e-3", "1e30",
    "1e300", "1e400", str(2**31), str(2**63), str(2**64), "9" * 400, "0x10", "1e2", "1,5", "١", "",
)  # fmt: skip
PATHS: tuple[str, ...] = (
    "mine", "mine/images", "mine/notes.txt", "mine/broken.fits", "mine/empty.csv", "mine/half.toml", "mine/deep.json",
    "mine/nothing", "mine/lost.fits", "mine/lenses.csv", "mine/scores.csv", "mine/stack.npy", "mine/pictures",
    f"mine/{world.HOSTILE}", "fits-folder:mine/images", "nobody:mine/images", "mine/images?size=4", "mine/images?", "?",
    ":", "made", "made/run", "made/run/best", "made/run/run.toml", "made/run/encoder",
    "made/run/checkpoints/last.ckpt",
    "made/store.zarr", "made/features.npz", "made/store.zarr/images", "out", "out/new", "out/new.png", "out/new.npz",
    "out/new.csv", "out/a/b/c", "out/new.xyz", ".", "..", "../keep.txt", "not/there", "mine/images/blob00.fits", "",
)  # fmt: skip
"""Paths on the desk; only `../keep.txt` is outside."""
NAMES: tuple[str, ...] = (
    "auto", "cpu", "cuda", "tpu", "train", "test", "asinh", "linear", "zscale", "peak", "simsiam", "byol", "mae",
    "rbm", "restless",
    "lens-fixed", "default+blur", "single", "multi-crop", "+", "a+", "blobs", "marked", "hst", "tiny", "resnet18",
    "timm:",
    "timm:vit_tiny_patch16_224", "toys", "toys@nobody", "@", "probe", "width", "theta_E", "sgd", "adamw",
    "bf16-mixed", "npz",
    "uniform(1, 2)", "uniform(2, 1)", "uniform(nan, 1)", "normal(1, -1)", "normal(1, 0.1)", "uniform(", "choice()",
)  # fmt: skip
ODD: tuple[str, ...] = (
    " ", "true", "none", "null", "[]", "[1, 2]", "{}", "{a = 1}", "x" * 300, "y" * 5000, "[bold]b[/bold]", "[/]",
    "\x1b[31mred",
    "a\nb", "a\rb", "a\tb", "ä🦭", "\u202egnp.exe", "$x$", "$\\frac{", "<script>alert(1)</script>", "a=b", "a.b=c",
    "%s", "{0}",
    "'", '"', "`id`", "-", "--", "-h", "--help", "\udcff",
)  # fmt: skip
VALUES = (*NUMBERS, *PATHS, *NAMES, *ODD)

LEFT_OUT = {"--dask", "--num-nodes", "--devices", "--logger", "--workers", "--strategy"}
"""Options that a random line gets only with absurd values, because valid ones start other processes."""
ABSURD = ("", "-1", "nan", "1e30", str(2**64), "9" * 400, "a\nb", "[bold]b[/bold]")

LONGEST = 500
"""Maximum number of characters of a message: 400 of the message, and one or two paths."""
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@dataclass
class Tally:
    """Outcome of the command lines of a verb."""

    lines: int = 0
    done: int = 0
    refused: int = 0
    interrupted: int = 0
    faults: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Vocabulary:
    """Parts of command lines.

    Attributes:
        flags: Long options of each verb with suitable values; no values for a flag.
        settings: `SECTION.OPTION` of every component with suitable values.
        likely: The settings of the components in `SKELETONS`.
    """

    flags: dict[str, list[tuple[str, tuple[str, ...]]]]
    settings: list[tuple[str, tuple[str, ...]]]
    likely: list[tuple[str, tuple[str, ...]]]


def draw(rng: random.Random, words: Vocabulary) -> list[str]:
    """Draw one command line.

    Args:
        rng: Random number generator.
        words: Parts of command lines, from `vocabulary`.
    """

    def value(suited: tuple[str, ...]) -> str:
        return rng.choice(suited if rng.random() < 0.8 else VALUES)

    line = rng.choice(SKELETONS).split()
    for _ in range(rng.choice((1, 1, 1, 1, 2, 3))):
        verb, places = line[0] if line else "", range(1, len(line))
        change = rng.choice(("value", "value", "option", "option", "set", "set", "set", "drop", "insert", "double"))
        if change == "value" and places:
            place = rng.choice([at for at in places if not line[at].startswith("-")] or places)
            known = next((group for group in (NUMBERS, PATHS, NAMES) if line[place] in group), (*PATHS, *NAMES))
            line[place] = rng.choice(ABSURD) if line[place - 1] in LEFT_OUT else value(known)
        elif change == "option" and words.flags.get(verb):
            flag, suited = rng.choice(words.flags[verb])
            line += [flag, *([rng.choice(ABSURD) if flag in LEFT_OUT else value(suited)] if suited else [])]
        elif change == "set":
            name, suited = rng.choice(words.likely if rng.random() < 0.7 else words.settings)
            line += ["--set", f"{name}={value(suited)}"]
        elif change == "drop" and line:
            del line[rng.randrange(len(line))]
        elif change == "insert":
            line.insert(rng.randrange(len(line) + 1), rng.choice(VALUES))
        elif change == "double" and places:
            place = rng.choice(places)
            line.insert(place, line[place])
    return line


def vocabulary() -> Vocabulary:
    """Return the options of all verbs and the settings of training and components."""
    from lenskit import settings as training
    from lenskit.cli.main import cli
    from lenskit.options import options_of
    from lenskit.registry import registry

    context = click.Context(cli)
    flags = {
        verb: [
            (name, _suited(part.type.name) if not getattr(part, "is_flag", False) else ())
            for part in command.params
            for name in part.opts
            if name.startswith("--")
        ]
        for verb in cli.list_commands(context)
        if (command := cli.get_command(context, verb))
    }
    components = {
        "simulator": "simulator",
        "pairs": "pairs",
        "method": "method",
        "backbone": "backbone",
        "data": "dataset",
    }
    found = [
        (record.name, f"{section}.{option.name}", _suited(option.takes))
        for section, kind in components.items()
        for record in registry().of_kind(kind)
        for option in options_of(record.load())
    ]
    for section, table in (
        ("train", training.TrainSettings),
        ("input", training.InputSettings),
        ("monitor", training.MonitorSettings),
        ("optimizer", training.OptimizerSettings),
    ):
        found += [("", f"{section}.{option.name}", _suited(option.takes)) for option in options_of(table)]
    bad = ("train.devices", "train.num_nodes", "monitor.loggers", "input.workers", "train.strategy")
    used = ("", "blobs", "default", "restless", "simsiam", "tiny", "fits-folder")
    return Vocabulary(
        flags,
        [(name, suited) for _, name, suited in found if name not in bad],
        [(name, suited) for component, name, suited in found if component in used and name not in bad],
    )


def _suited(takes: str) -> tuple[str, ...]:
    """Return values for a type of option, which is a description or click's name."""
    if any(word in takes for word in ("int", "float", "distribution")):
        return NUMBERS
    return ("true", "false") if takes.startswith("bool") else (*PATHS, *NAMES)


def faults_of(ended: Ended) -> Iterator[str]:
    """Yield descriptions of faults in the end of a command line."""
    if "Traceback (most recent call last)" in ended.err + ended.out:
        yield "traceback"
    if ended.status not in (0, 1, 2, 130):
        yield f"status {ended.status}"
    last = ended.err.splitlines()[-1] if ended.err.strip() else ""
    if ended.status in (1, 2) and not (last.startswith("lenskit: ") or ended.out):
        yield "no message"
    if ended.status in (1, 2) and last.startswith("lenskit: ") and len(last) > LONGEST:
        yield f"message of {len(last)} characters"
    if any(CONTROL.search(line) for line in (ended.err + ended.out).splitlines()):
        yield "control characters printed"


def try_lines(desk: Path, count: int, seed: int, share: tuple[int, int] = (0, 1)) -> dict[str, Tally]:
    """Run each command line in a separate process, and restore the desk after each.

    Args:
        desk: Folder from `world.build`.
        count: Number of lines.
        seed: Random seed. Line `n` of a seed is the same on every machine with the same components.
        share: (remainder, divisor): only lines whose number has this remainder are run.

    Returns:
        The results by verb.
    """
    words = vocabulary()
    tallies: dict[str, Tally] = {}
    keep = desk.parent / "keep.txt"
    before, made = world.state(desk / world.MINE), world.times(desk / world.MADE)
    for number in range(share[0], count, share[1]):
        line = draw(random.Random(f"{seed}/{number}"), words)
        tally = tallies.setdefault(line[0] if line and line[0] in words.flags else "(none)", Tally())
        ended = call(line, desk)
        after = world.state(desk / world.MINE)
        faults = list(faults_of(ended))
        if lost := [path for path, digest in before.items() if after.get(path) != digest]:
            faults.append(f"changed {lost[0]}")
        if keep.read_text() != "above the desk\n":
            faults.append("changed a file above the desk")
        tally.lines += 1
        tally.done += ended.status == 0
        tally.refused += ended.status in (1, 2)
        tally.interrupted += ended.interrupted
        found = [f"line {number} of seed {seed}: {fault}: lenskit {line!r}"[:2000] for fault in faults]
        tally.faults += found
        for fault in found:
            print(fault, file=sys.stderr, flush=True)
        if any("changed" in fault for fault in faults):
            break  # the user's files are changed, so that later lines would fail, too
        if world.restore(desk, before, after, made):
            made = world.times(desk / world.MADE)
    return tallies
