"""Terminal output of every verb at 80 and 100 columns, for inspection by a person.

    python -m tests.captures OUT [VERB...]

Every verb runs on tiny runs in a pseudo-terminal. For each verb and width the program writes `OUT/VERB-WIDTH.txt` with
the lines that the terminal shows at the end. The runs that verbs read are in `OUT/work`. The program takes about ten
minutes on two cores. It is not a test.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

WIDTHS = (80, 100)
HEIGHT = 50
TOYS = Path(__file__).resolve().parent / "toys"

TINY = (
    "--recipe quickstart --backbone tiny --lenses 256 --epochs 2 --overwrite "
    "--set monitor.probe_every=8 --set monitor.probe_lenses=64 --set monitor.log_every=2"
)
FEW = "--lenses 200 --test-lenses 100"
VERBS = {
    "train": f"train {TINY} --out runs/a",
    "train-other": f"train {TINY} --pairs default --out runs/b",
    "train-error": "train --recipe quickstart --simulator hstt --out runs/c",
    "simulate": "simulate --recipe quickstart --pairs single --lenses 60 --chunk 8 --out lenses.zarr --overwrite",
    "simulate-101": "simulate --simulator hst --pairs single --set simulator.pixels=101 --lenses 20 --out cutouts.zarr "
    "--overwrite",
    "help": "--help",
    "list": "list",
    "plugins": "plugins",
    "info": "info hst",
    "info-encoder": "info hst-lens",
    "doctor": "doctor",
    "runs": "runs",
    "runs-compare": "runs compare runs/a runs/b",
    "data-info": "data info lenses.zarr",
    "data-check": "data check lenses.zarr",
    "show": "show --data lenses.zarr -o lenses.png --overwrite",
    "render": "render lenses.csv --simulator hst -o rendered.npy --overwrite",
    "benchmark": "benchmark --recipe quickstart --batches 3 --bare",
    "probe": f"probe runs/a runs/b {FEW} --seeds 2 --overwrite",
    "invariance": f"invariance runs/a runs/b {FEW} --overwrite",
    "transfer": f"transfer runs/a --data lenses.zarr {FEW} --overwrite",
    "finetune": "finetune runs/a --target theta_E --labels 40 --test-lenses 40 --epochs 2 --overwrite",
    "predict": "predict hst-lens cutouts.zarr -o radii.csv --overwrite",
    "predict-run": "predict runs/a lenses.zarr -o radii-a.csv --overwrite",
    "package": f"package runs/a -o tiny {FEW} --overwrite",
    "embed": "embed runs/a --lenses 64 -o features.npz --overwrite",
    "umap": f"umap runs/a runs/b {FEW} --overwrite",
    "explore": "explore runs/a --lenses 100 --overwrite",
    "neighbours": "neighbours runs/a lenses.zarr --lenses 100 --overwrite",
    "anomaly": "anomaly runs/a --simulator substructure --set simulator.pixels=110 --lenses 60 --train-lenses 60 "
    "--overwrite",
    "export": "export runs/a --format onnx --out exported --overwrite",
    "report": "report runs/a runs/b --output report.html --overwrite",
}
"""Command lines by the name of the capture; commands come after those whose files they read."""

SEQUENCE = re.compile(r"\x1b\[([?0-9;]*)([A-Za-z])|\x1b\][^\x07]*\x07")


def shown(output: str, width: int) -> str:
    """Return the lines that a terminal shows after an output.

    Carriage returns, line wraps, cursor movements and erasures are applied.
    """
    lines: list[list[str]] = [[]]
    row = column = place = 0
    while place < len(output):
        if match := SEQUENCE.match(output, place):
            place = match.end()
            count = int(match[1]) if (match[1] or "").isdecimal() else 1
            if match[2] == "A":
                row = max(row - count, 0)
            elif match[2] == "K":
                lines[row] = [] if match[1] == "2" else lines[row][:column]
            continue
        sign = output[place]
        place += 1
        if sign == "\r":
            column = 0
            continue
        if sign == "\n" or column == width:
            row, column = row + 1, 0
            lines += [[]] * (row == len(lines))
        if sign == "\n":
            continue
        line = lines[row]
        line += " " * (column + 1 - len(line))
        line[column] = sign
        column += 1
    return "\n".join("".join(line).rstrip() for line in lines)


def output_of(arguments: list[str], width: int, folder: Path) -> str:
    """Return the output of a command line in a folder to a terminal of some width."""
    near, far = pty.openpty()
    fcntl.ioctl(far, termios.TIOCSWINSZ, struct.pack("HHHH", HEIGHT, width, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    found = os.pathsep.join(filter(None, [str(TOYS), environment.get("PYTHONPATH")]))
    environment |= {"TERM": "xterm-256color", "PYTHONPATH": found}
    command = [sys.executable, "-m", "lenskit.cli", *arguments]
    with subprocess.Popen(command, stdin=far, stdout=far, stderr=far, cwd=folder, env=environment):
        os.close(far)
        parts = []
        while True:
            try:
                part = os.read(near, 65536)
            except OSError:  # Linux: the other side is closed
                break
            if not part:
                break
            parts.append(part)
    os.close(near)
    return b"".join(parts).decode(errors="replace").replace("\r\n", "\n")


def main() -> None:
    """Write the captures."""
    out = Path(sys.argv[1]).resolve()
    work = out / "work"
    work.mkdir(parents=True, exist_ok=True)
    (work / "lenses.csv").write_text("name,theta_E\na,1.2\nb,0.9\n")
    for name in sys.argv[2:] or VERBS:
        for width in WIDTHS:
            output = output_of(VERBS[name].split(), width, work)
            text = f"$ lenskit {VERBS[name]}\n{shown(output, width)}\n"
            (out / f"{name}-{width}.txt").write_text(text)
        print(name, flush=True)


if __name__ == "__main__":
    main()
