"""Train two steps of every combination of components.

Usage: `python tests/combinations/run.py --help`; `make combinations` runs it. All options except the sizes of a run
have their defaults. The encoder of each run is opened and embeds images. Results are appended to a file, one line for
each combination. A second call skips combinations that are done, and repeats failed ones.

Components that do not fit together are in `SENSELESS`; docs/guides/methods.md has them as a table.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import json
import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from lenskit.registry import registry

BACKBONES = ("resnet18", "resnet101", "timm:vit_tiny_patch16_224", "timm:convnext_atto")
PAIRS = ("", "lens-fixed", "default")
"""Names of pairs; the empty name stands for the method's default pairs."""
SIMULATORS = ("hst", "euclid-challenge", "deeplense-a")
METHODS = tuple(r.name for r in registry().of_kind("method") if r.is_bundled)

ONE_VIEW = frozenset({"mae", "dcae", "vae", "aae", "supervised", "rbm", "refit"})

TRAINED, REFUSED, FAILED = "trained", "refused", "FAILED"
MARKS = {TRAINED: "yes", REFUSED: "-", FAILED: "FAILED", "": ""}


@dataclass(frozen=True)
class Combination:
    """Names of components; empty `pairs` are the method's default pairs."""

    method: str
    backbone: str
    pairs: str
    simulator: str

    def sections(self) -> dict[str, dict[str, Any]]:
        """Return the configuration layer with these components."""
        return {kind: {"name": name} for kind, name in asdict(self).items() if name}


@dataclass(frozen=True)
class Senseless:
    """Rule for components that do not fit together.

    Attributes:
        method: The methods, for the table.
        other: Components that do not fit to them, for the table.
        says: A part of the error message.
        when: Function that returns whether the rule applies to a combination.
    """

    method: str
    other: str
    says: str
    when: Callable[[Combination], bool]


SENSELESS = (
    Senseless(
        ", ".join(f"`{method}`" for method in METHODS if method in ONE_VIEW),
        "pairs of two views: `lens-fixed`, `default`",
        "takes 1 view(s) of each lens",
        lambda c: c.method in ONE_VIEW and c.pairs != "",
    ),
    Senseless(
        "`mae`",
        "a network that is no ViT",
        "needs a ViT",
        lambda c: c.method == "mae" and "vit" not in c.backbone,
    ),
    Senseless(
        "`rbm`",
        "another backbone than `rbm-hidden`",
        "learns the weights of its own hidden layer",
        lambda c: c.method == "rbm",
    ),
    Senseless(
        "`refit`",
        "a simulator without one macro model and one PSF: `euclid-challenge`, `hst` with its defaults",
        "macro model",
        lambda c: c.method == "refit" and c.simulator != "deeplense-a",
    ),
    Senseless(
        "`refit`",
        "a backbone that does not take the simulator's size: a ViT of 16-pixel patches and 150 pixels",
        "as they are simulated",
        lambda c: c.method == "refit" and "vit" in c.backbone,
    ),
)


def senseless_table() -> str:
    """Return the table for docs/guides/methods.md."""
    rows = [f"| {part.method} | {part.other} | {part.says} |" for part in SENSELESS]
    return "\n".join(["| method | does not work with | error message |", "|---|---|---|", *rows])


def refusals(combination: Combination) -> list[str]:
    """Return parts of the error messages for a combination; empty if it is valid."""
    return [part.says for part in SENSELESS if part.when(combination)]


def combinations(
    methods: Sequence[str] = METHODS,
    backbones: Sequence[str] = BACKBONES,
    pairs: Sequence[str] = PAIRS,
    simulators: Sequence[str] = SIMULATORS,
) -> Iterator[Combination]:
    """Yield all combinations.

    The method's default pairs are left out for methods with two views, because they are pairs of the list, too.
    """
    for simulator, method, pair, backbone in itertools.product(simulators, methods, pairs, backbones):
        if pair or method in ONE_VIEW:
            yield Combination(method, backbone, pair, simulator)


def covering(pool: Sequence[Combination]) -> list[Combination]:
    """Choose combinations that contain every two names that occur together in a pool.

    The choice is greedy: the next combination is the first one with the most new pairs of names.
    """
    wanted = {pair for combination in pool for pair in _two(combination)}
    chosen = []
    while wanted:
        best = max(pool, key=lambda combination: len(wanted & _two(combination)))
        chosen.append(best)
        wanted -= _two(best)
    return chosen


def _two(combination: Combination) -> set[tuple[tuple[str, str], ...]]:
    return set(itertools.combinations(asdict(combination).items(), 2))


def outcome(combination: Combination, trial: Callable[[dict[str, dict[str, Any]]], None]) -> dict[str, str]:
    """Try a combination.

    Args:
        combination: The names.
        trial: Function that uses the configuration layer of the combination.

    Returns:
        `status`, and the error message as `said`.
    """
    from lenskit.errors import UsageError

    try:
        trial(combination.sections())
    except Exception as error:  # every error is a result
        said = " ".join(str(error).split())
        refused = isinstance(error, UsageError) and any(part in said for part in refusals(combination))
        return {
            "status": REFUSED if refused else FAILED,
            "said": said if refused else f"{type(error).__name__}: {said}",
        }
    return {"status": FAILED if refusals(combination) else TRAINED, "said": ""}


def train(layer: dict[str, dict[str, Any]], lenses: int, batch_size: int) -> None:
    """Train a run, open its encoder and embed images."""
    import torch

    from lenskit.config import Config
    from lenskit.training import runner

    config = Config.resolve(layer, {"train": {"lenses": lenses, "epochs": 1, "batch_size": batch_size}})
    with tempfile.TemporaryDirectory() as folder:
        run = runner.train(config, Path(folder) / "run", progress=False)
        if run.stopped_by:
            raise KeyboardInterrupt
        encoder = run.encoder()
    assert encoder.embed(torch.randn(2, *encoder.fixed_shape)).shape == (2, encoder.features)


def matrix(done: Mapping[Combination, Mapping[str, str]]) -> str:
    """Return the table of results.

    It has a row for each method with its pairs, and a column for each simulator with each backbone.
    """
    columns = list(dict.fromkeys((c.simulator, c.backbone) for c in done))
    rows = sorted({(METHODS.index(c.method), c.pairs) for c in done})
    lines = [
        ["method", "pairs", *(f"{simulator}, {backbone}" for simulator, backbone in columns)],
        ["---"] * (len(columns) + 2),
    ]
    for number, pairs in rows:
        cells = [
            MARKS[done.get(Combination(METHODS[number], backbone, pairs, simulator), {}).get("status", "")]
            for simulator, backbone in columns
        ]
        lines.append([METHODS[number], pairs or "its own", *cells])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> int:
    """Print the table, and a line for each failure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("combinations.jsonl"), help="file of the results")
    parser.add_argument("--table", type=Path, help="file for the table, in Markdown")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    parser.add_argument("--backbones", nargs="+", default=BACKBONES)
    parser.add_argument("--simulators", nargs="+", default=SIMULATORS)
    parser.add_argument("--lenses", type=int, default=8)
    parser.add_argument("--batch-size", type=int, default=4)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.getLogger("lenskit").setLevel(logging.ERROR)
    done: dict[Combination, dict[str, str]] = {}
    if arguments.out.exists():
        for line in arguments.out.read_text().splitlines():
            record = json.loads(line)
            result = {name: record.pop(name) for name in ("status", "said")}
            done[Combination(**record)] = result
    trial = partial(train, lenses=arguments.lenses, batch_size=arguments.batch_size)
    wanted = list(combinations(arguments.methods, arguments.backbones, PAIRS, arguments.simulators))
    with arguments.out.open("a") as file:
        for number, combination in enumerate(wanted, 1):
            if done.get(combination, {}).get("status") in (TRAINED, REFUSED):
                continue
            done[combination] = result = outcome(combination, trial)
            gc.collect()  # frees memory, because a run holds its weights several times
            print(json.dumps(asdict(combination) | result), file=file, flush=True)
            names = " ".join(filter(None, asdict(combination).values()))
            print(f"{number}/{len(wanted)} {names}: {result['status']} {result['said']}", flush=True)
    table = matrix({combination: done[combination] for combination in wanted})
    print(f"\n{table}")
    if arguments.table:
        arguments.table.write_text(f"{table}\n")
    failed = [combination for combination in wanted if done[combination]["status"] == FAILED]
    for combination in failed:
        print(f"{' '.join(asdict(combination).values())}: {done[combination]['said']}")
    print(f"{len(wanted)} combinations, {len(failed)} failed")
    return bool(failed)


if __name__ == "__main__":
    raise SystemExit(main())
