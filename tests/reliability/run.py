"""Reliability tests with random input.

Usage: `python tests/reliability/run.py --help`. `make reliability` runs 10,000 command lines and 50 kills, and writes
docs/results/reliability.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("lines", "kills", "flips", "records")

PAGE = """# Reliability

`make reliability` writes this page. It draws command lines, kills and damage at random and tries them. The programs are
in `tests/reliability`; a small part of each runs in the test suite.

{when}: lenskit {version}, torch {torch}, Python {python}, {machine}, {cores} cores; seed {seed}, {minutes:.0f} minutes.

## Command lines

{lines_count} command lines, each with one to three random changes, on a desk with a user's files and lenskit's. A line
passes if it ends with status 0, 1, 2 or 130 and without a traceback, if its message is one line of at most {longest}
characters, if no control character is printed, and if all of the user's files are as they were. A line that takes more
than 20 s is interrupted, and has to end then.

{lines}

## Kills

{kills_count} commands, each killed before a file operation drawn at random. The command that a user types next (the
same one, or `--resume`) has to end with the same files as a command that was not killed.

{kills}

## Flipped bits

One bit of a file of weights is flipped. The command that reads the file has to refuse it and to name it.

{flips}

## Records

A TOML or JSON file is replaced or cut, or one value in it is replaced. The command that reads the file has to print one
line, or not to depend on the change.

{records}
{faults}"""


def main() -> int:
    """Run the chosen parts, and return 1 if there was a fault."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=0, help="command lines")
    parser.add_argument("--kills", type=int, default=0, help="killed commands")
    parser.add_argument("--flips", type=int, default=0, help="flipped bits")
    parser.add_argument("--records", type=int, default=0, help="damaged records")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1, help="processes that share the command lines")
    parser.add_argument("--share", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--page", type=Path, help="the page to write, in Markdown")
    arguments = parser.parse_args()
    # Set before the first fork, because threads do not survive a fork.
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", COLUMNS="200")
    sys.path[:0] = [str(ROOT / "tests" / "toys")]
    began = time.monotonic()
    helpers = [_helper(arguments, share) for share in range(1, arguments.jobs)] if not arguments.share else []
    found = try_all(arguments)
    for helper in helpers:
        _add(found, json.loads(helper.communicate()[0]))
    faults = [fault for part in found.values() for tally in part.values() for fault in tally["faults"]]
    if arguments.page:
        arguments.page.write_text(page(found, arguments.seed, (time.monotonic() - began) / 60))
    print(json.dumps(found, indent=1))
    return 1 if faults else 0


def _helper(arguments: argparse.Namespace, share: int) -> subprocess.Popen[str]:
    """Start a process that runs its share of the command lines on its own desk."""
    said = {"lines": arguments.lines, "seed": arguments.seed, "jobs": arguments.jobs, "share": share}
    flags = [part for name, value in said.items() for part in (f"--{name}", str(value))]
    return subprocess.Popen([sys.executable, __file__, *flags], stdout=subprocess.PIPE, text=True)


def _add(found: dict[str, Any], more: dict[str, Any]) -> None:
    """Add the tallies of a helper to the results."""
    for part, tallies in more.items():
        for name, tally in tallies.items():
            known = found.setdefault(part, {}).setdefault(name, {key: type(value)() for key, value in tally.items()})
            for key, value in tally.items():
                known[key] += value


def try_all(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run the chosen parts and return their results as plain values."""
    import world
    from command_lines import try_lines
    from damage import try_flips, try_records
    from kills import try_kills

    import lenskit.api
    import lenskit.training.runner  # noqa: F401  (loaded once for all forked processes)

    tries = dict(zip(PARTS, (try_lines, try_kills, try_flips, try_records), strict=True))
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["LENSKIT_CACHE"] = f"{folder}/cache"
        desk = world.build(Path(folder))
        for part, attempt in tries.items():
            if count := getattr(arguments, part):
                shared = {"share": (arguments.share, arguments.jobs)} if part == "lines" else {}
                tallies = attempt(desk, count, arguments.seed, **shared)
                found[part] = {name: vars(tally) for name, tally in tallies.items()}
    return found


def page(found: dict[str, Any], seed: int, minutes: float) -> str:
    """Return docs/results/reliability.md."""
    import torch
    from command_lines import LONGEST

    import lenskit

    faults = [fault for part in found.values() for tally in part.values() for fault in tally["faults"]]
    told = "".join(f"- `{' '.join(fault.split())[:300]}`\n" for fault in faults[:40])
    return PAGE.format(
        when=date.today().isoformat(),
        version=lenskit.__version__,
        torch=torch.__version__,
        python=platform.python_version(),
        machine=platform.machine(),
        cores=os.cpu_count(),
        seed=seed,
        minutes=minutes,
        longest=LONGEST,
        lines_count=sum(tally["lines"] for tally in found.get("lines", {}).values()),
        kills_count=sum(tally["kills"] for tally in found.get("kills", {}).values()),
        faults=f"\n## Faults\n\n{len(faults)} in all.\n\n{told}" if faults else "",
        **{part: table(found.get(part, {})) for part in PARTS},
    )


def table(tallies: dict[str, dict[str, Any]]) -> str:
    """Return a table of tallies with their sum, one row per name."""
    if not tallies:
        return "Not tried."
    columns = list(next(iter(tallies.values())))
    rows = [[f"`{name}`", *(_number(tally[column]) for column in columns)] for name, tally in sorted(tallies.items())]
    total = ["all", *(sum(row[place] for row in rows) for place in range(1, len(columns) + 1))]
    lines = [["", *columns], ["---", *["--:"] * len(columns)], *rows, total]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def _number(value: Any) -> int:
    return len(value) if isinstance(value, list) else int(value)


if __name__ == "__main__":
    sys.exit(main())
