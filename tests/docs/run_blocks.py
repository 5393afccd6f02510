"""Run the code blocks of the documentation at small sizes.

    python -m tests.docs.run_blocks                       # all pages; `make test-docs`
    python -m tests.docs.run_blocks docs/how-to/probe.md

The blocks of a page run in order in an empty folder, with the files that the page declares (`given.py`), and those that
it shows: a block with a path in its first line, such as `# snapshot.toml`, is written to that path. Blocks of the shell
run in bash, where `lenskit` has small sizes (`small.py`). Blocks in Python share their names. The program prints a line
per page, and ends with the status 1 if a block fails.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.docs.blocks import PAGES, ROOT, Block, blocks_of, given_to
from tests.docs.given import SMALL, Given
from tests.docs.small import shrink

SECONDS = 900
"""Limit of a page."""


def run_page(page: Path) -> None:
    """Run the blocks of a page in the working folder."""
    shrink()
    names: dict[str, Any] = {"__name__": "__main__"}
    for block in blocks_of(page.read_text(encoding="utf-8")):
        if block.file:
            Path(block.file).parent.mkdir(parents=True, exist_ok=True)
            Path(block.file).write_text(block.text, encoding="utf-8")
        if not block.runs:
            continue
        place = f"{page.relative_to(ROOT)}:{block.line}"
        print(f"--- {place}", flush=True)
        if block.language == "sh":
            done = subprocess.run(["bash", "-euo", "pipefail", "-c", block.text], stdin=subprocess.DEVNULL, check=False)
            if done.returncode:
                sys.exit(f"{place}: the commands ended with the status {done.returncode}")
        else:
            try:
                exec(compile("\n" * (block.line - 1) + block.text, str(page), "exec"), names)
            except Exception:
                traceback.print_exc()
                sys.exit(f"{place}: the code raised an error")


def check_page(page: Path, work: Path, given: Given) -> str | None:
    """Run the blocks of a page in a process, and return the output of a failure."""
    folder = work / page.relative_to(ROOT).with_suffix("")
    folder.mkdir(parents=True)
    for path, content in given_to(page.read_text(encoding="utf-8")).items():
        given.put(content, folder / path)
    programs = work / "bin"
    environment = os.environ | {
        "PATH": os.pathsep.join([str(programs), str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
        "OMP_NUM_THREADS": "1",
        "MPLBACKEND": "agg",
    }
    command = [sys.executable, "-m", "tests.docs.run_blocks", "--here", str(page)]
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired as expired:
        return f"{expired.stdout}{expired.stderr}\nafter {SECONDS} s the page was not done"
    return done.stdout + done.stderr if done.returncode else None


def line_of(page: Path, blocks: list[Block], seconds: float, failed: bool) -> str:
    """Return the number of blocks that ran, and the reasons of the others."""
    ran = sum(block.runs for block in blocks)
    reasons = [block.reason for block in blocks if block.reason]
    kept = f"; not run: {len(reasons)} ({', '.join(sorted(set(reasons)))})" if reasons else ""
    return f"{'FAILED' if failed else 'ok':6s} {page.relative_to(ROOT)}: {ran} blocks in {seconds:.0f} s{kept}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("pages", nargs="*", type=Path, help="pages; by default README.md and all pages of docs/")
    parser.add_argument("--jobs", type=int, default=2, help="pages at a time")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    pages = [page.resolve() for page in options.pages] or PAGES
    if options.here:
        run_page(pages[0])
        return
    failures = 0
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        (work / "bin").mkdir()
        program = work / "bin" / "lenskit"
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{SMALL}" "$@"\n')
        program.chmod(0o755)
        given = Given(work / "given")

        def judge(page: Path) -> str | None:
            blocks, start = blocks_of(page.read_text(encoding="utf-8")), time.monotonic()
            failed = check_page(page, work, given) if any(block.runs for block in blocks) else None
            print(line_of(page, blocks, time.monotonic() - start, failed is not None), flush=True)
            return failed

        with ThreadPoolExecutor(options.jobs) as pool:
            for output in pool.map(judge, pages):
                if output is not None:
                    failures += 1
                    print(output, file=sys.stderr, flush=True)
    sys.exit(failures > 0)


if __name__ == "__main__":
    main()
