"""The batch script of docs/how-to/scale.md starts, requeues and resumes a run."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "how-to" / "scale.md").read_text()

SRUN = """#!/bin/bash
echo "$@" >> calls
[[ $* == *--out* ]] && mkdir -p shared/runs/lensiam && touch shared/runs/lensiam/run.toml
exit $SRUN_STATUS
"""


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """Return the batch script, next to SLURM commands that only record their calls."""
    script = re.search(r"```bash\n(.*?)```", PAGE, re.DOTALL)
    assert script
    (tmp_path / "job.sh").write_text(script[1].replace("/shared/", "shared/"))
    for name, text in (("srun", SRUN), ("scontrol", '#!/bin/bash\necho scontrol "$@" >> calls\n')):
        command = tmp_path / "bin" / name
        command.parent.mkdir(exist_ok=True)
        command.write_text(text)
        command.chmod(0o755)
    return tmp_path / "job.sh"


def submit(job: Path, status: int) -> int:
    path = f"{job.parent / 'bin'}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "SRUN_STATUS": str(status), "SLURM_JOB_ID": "4711"}
    return subprocess.run(["bash", job], cwd=job.parent, env=environment, check=False).returncode


def test_a_job_starts_a_run_requeues_itself_and_goes_on(job: Path) -> None:
    assert [submit(job, status) for status in (138, 143, 0)] == [138, 143, 0]
    train = "--kill-on-bad-exit=1 lenskit train"
    assert (job.parent / "calls").read_text().splitlines() == [
        f"{train} --recipe lensiam --out shared/runs/lensiam",
        "scontrol requeue 4711",
        f"{train} --resume shared/runs/lensiam",
        f"{train} --resume shared/runs/lensiam",
    ]
