"""Small part of `make reliability`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

RUN = Path(__file__).with_name("run.py")


@pytest.mark.slow
def test_nothing_goes_wrong() -> None:
    counts = ["--lines", "40", "--kills", "8", "--flips", "4", "--records", "14"]
    done = subprocess.run([sys.executable, RUN, *counts, "--seed", "1"], capture_output=True, text=True)
    assert done.stdout, done.stderr
    found = json.loads(done.stdout)
    assert found.keys() == {"lines", "kills", "flips", "records"}
    assert not [fault for part in found.values() for tally in part.values() for fault in tally["faults"]]
    assert done.returncode == 0, done.stderr
