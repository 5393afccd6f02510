"""Train two steps of every combination of components: `python tests/combinations/run.py --help`.

`make combinations` runs it. The only other options are the sizes of a run. The encoder of each run is opened and embeds
images. What is done is kept in a file, one line a combination: a second call goes on, and tries again what failed.

The components that do not go together are in `SENSELESS`; docs/methods.md has them as a table.
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
"""Names, and nothing for the method's own."""
SIMULATORS = ("hst", "euclid-challenge", "deeplense-a")
METHODS = tuple(r.name for r in registry().of_kind("method") if r.is_bundled)

ONE_VIEW = frozenset({"mae", "dcae", "vae", "aae", "supervised", "rbm", "refit"})

TRAINED, REFUSED, FAILED = "trained", "refused", "FAILED"
MARKS = {TRAINED: "yes", REFUSED: "-", FAILED: "FAILED", "": ""}


@dataclass(frozen=True)
class Combination:
    """Names of components; no name of pairs for the method's own."""

    method: str
    backbone: str
    pairs: str
    simulator: str

    def sections(self) -> dict[str, dict[str, Any]]:
        """The layer of a configuration that names these components."""
        return {kind: {"name": name} for kind, name in asdict(self).items() if name}


@dataclass(frozen=True)
class Senseless:
    """Components that do not go together.

    Attributes:
        method: The methods, for the table.
        other: What they do not go with, for the table.
        says: A part of the error's line.
        when: Whether a combination is such a one.
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
    """The table of docs/methods.md."""
    rows = [f"| {part.method} | {part.other} | {part.says} |" for part in SENSELESS]
    return "\n".join(["| method | does not go with | the error says |", "|---|---|---|", *rows])


def refusals(combination: Combination) -> list[str]:
    """What the errors say by which a combination may be refused; empty if it makes sense."""
    return [part.says for part in SENSELESS if part.when(combination)]


def combinations(
    methods: Sequence[str] = METHODS,
    backbones: Sequence[str] = BACKBONES,
    pairs: Sequence[str] = PAIRS,
    simulators: Sequence[str] = SIMULATORS,
) -> Iterator[Combination]:
    """All combinations; pairs of two views are left out where they are the method's own."""
    for simulator, method, pair, backbone in itertools.product(simulators, methods, pairs, backbones):
        if pair or method in ONE_VIEW:
            yield Combination(method, backbone, pair, simulator)


def covering(pool: Sequence[Combination]) -> list[Combination]:
    """Some combinations in which every two names that occur together in a pool do: greedily, the first of the best."""
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
        trial: Does something with the layer that has them.

    Returns:
        `status`, and the error's line as `said`.
    """
    from lenskit.errors import UsageError

    try:
        trial(combination.sections())
    except Exception as error:  # a failure is what is looked for
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
    """The outcomes: a row for each method with its pairs, a column for each simulator with each backbone."""
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
    """Print the matrix, and the lines of failures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("combinations.jsonl"), help="what is done")
    parser.add_argument("--table", type=Path, help="file for the matrix, in Markdown")
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
            gc.collect()  # a run holds its weights several times
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
