"""Time of `lenskit --help` and `lenskit list` with 30 third-party plugins.

    python tests/benchmarks/startup.py

Times include the start of the Python interpreter. `python -c pass` is timed too, as a measure of the load of the
machine.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PLUGINS = 30
PROCESSES = 21
LENSKIT = str(Path(sys.executable).with_name("lenskit"))
COMMANDS = {
    "python -c pass": ([sys.executable, "-c", "pass"], None),
    "lenskit --help": ([LENSKIT, "--help"], 0.15),
    "lenskit list": ([LENSKIT, "list"], 0.3),
}

HOOKS = '''"""Components of this plugin."""

from lenskit.plugin import Component, hookimpl


@hookimpl
def lenskit_methods():
    return [Component(f"method-NUMBER-{i}", "nowhere:Method", "One of many") for i in range(3)]


@hookimpl
def lenskit_evaluations():
    return [Component("evaluation-NUMBER", "nowhere:Evaluation", "One of many")]
'''


def install(folder: Path, number: int) -> None:
    """Write the installed files of a distribution with one plugin of four components."""
    module = f"lenskit_third_party_{number}"
    (folder / f"{module}.py").write_text(HOOKS.replace("NUMBER", str(number)))
    info = folder / f"lenskit_ssl_third_party_{number}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: lenskit-ssl-third-party-{number}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[lenskit.plugins]\nthird-party-{number} = {module}\n")


def seconds(command: list[str]) -> float:
    """Return the wall-clock time of a process in seconds."""
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    """Measure the times and print the table."""
    with tempfile.TemporaryDirectory() as folder:
        for number in range(PLUGINS):
            install(Path(folder), number)
        os.environ |= {"PYTHONPATH": folder, "PYTHONPYCACHEPREFIX": f"{folder}/cache"}
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        rounds = [[seconds(command) for command, _ in COMMANDS.values()] for _ in range(PROCESSES + 1)]
    # The first round compiles the modules. The commands alternate, so that other work on the machine affects all.
    columns = zip(*rounds[1:], strict=True)
    print(f"{PLUGINS} plugins of third parties, {PROCESSES} processes each")
    print(f"{'':16}  median  fastest  budget")
    for (name, (_, budget)), times in zip(COMMANDS.items(), columns, strict=True):
        allowed = f"{budget:.2f} s" if budget else ""
        print(f"{name:16}  {statistics.median(times):.3f} s  {min(times):.3f} s  {allowed}")


if __name__ == "__main__":
    main()
