"""The batch scripts at a small size, with stand-ins for the commands of SLURM."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lenskit.run import Run
from lenskit.toolbox import Store

ROOT = Path(__file__).resolve().parents[3]
SCRIPTS = ROOT / "examples" / "slurm"

COMMANDS = {
    "srun": 'while [[ $1 == -* ]]; do shift; done\nexec "$@"',
    "scontrol": 'echo "$@" >> scontrol.calls',
    "lenskit": f'exec {sys.executable} -m lenskit.cli "$@"',
}
"""The stand-in `srun` executes its arguments."""

Job = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """Start a script with arguments and environment variables, as one task of a job."""
    for name, text in COMMANDS.items():
        command = tmp_path / "bin" / name
        command.parent.mkdir(exist_ok=True)
        command.write_text(f"#!/bin/bash\n{text}\n")
        command.chmod(0o755)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("SLURM_")}
    path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
    ours = {"PATH": path, "SLURM_JOB_ID": "4711", "SLURM_NTASKS": "1", "SLURM_CPUS_PER_TASK": "1"}

    def start(script: str, *arguments: str, **variables: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(["bash", SCRIPTS / script, *arguments], env=inherited | ours | variables)

    return start


@pytest.mark.slow
def test_an_array_fills_one_store_and_another_array_the_rest(job: Job, tmp_path: Path) -> None:
    def array(tasks: int) -> None:
        options = ("--simulator", "blobs", "--chunk", "2")
        jobs = [
            job("simulate.sbatch", *options, OUT="lenses.zarr", LENSES="8", SLURM_ARRAY_TASK_ID=str(task))
            for task in range(tasks)
        ]
        assert [each.wait() for each in jobs] == [0] * tasks

    array(2)
    store = Store("lenses.zarr")
    assert store.missing() == []
    chunk = Path("lenses.zarr/images/c.1.0.0.0.0")
    content = chunk.read_bytes()
    chunk.unlink()
    assert len(store.missing()) == 1
    array(1)
    assert chunk.read_bytes() == content


@pytest.mark.slow
def test_a_training_that_gets_the_signal_is_requeued_and_goes_on(job: Job) -> None:
    variables = {"RUN": "runs/toys", "RECIPE": "toys"}
    first = job("train.sbatch", "--accelerator", "cpu", **variables, TOYS_SIGNAL="SIGUSR1:0")
    assert first.wait() == 138
    assert Path("scontrol.calls").read_text() == "requeue 4711\n"
    assert not Run(Path("runs/toys")).finished
    assert job("train.sbatch", **variables).wait() == 0
    assert Run(Path("runs/toys")).finished
    assert Path("scontrol.calls").read_text() == "requeue 4711\n"


def test_the_page_has_the_same_script() -> None:
    """docs/how-to/scale.md shows `train.sbatch`."""
    (shown,) = re.findall(r"```bash\n(.*?)```", (ROOT / "docs" / "how-to" / "scale.md").read_text(), re.DOTALL)
    assert shown == (SCRIPTS / "train.sbatch").read_text()
