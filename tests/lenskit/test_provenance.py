"""The origin of a result names the revision of the project that it was made in."""

from __future__ import annotations

import subprocess
from pathlib import Path

from lenskit.provenance import provenance


def test_provenance_names_the_revision_of_the_project(tmp_path: Path) -> None:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    for command in (["init", "-q"], [*identity, "commit", "-q", "--allow-empty", "-m", "first"]):
        subprocess.run(["git", *command], check=True)
    head = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    assert provenance()["git"] == head
