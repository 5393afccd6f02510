"""Working folders, in which a repeated command resumes the work."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lenskit.files import write_atomically


def remember(settings: Mapping[str, Any], work: Path) -> None:
    """Write the settings into a working folder.

    If the folder has different settings, exit with a message.
    """
    path = work / "settings.json"
    wanted = json.loads(json.dumps(settings))
    if path.is_file():
        held = json.loads(path.read_text(encoding="utf-8"))
        if other := [name for name in wanted | held if wanted.get(name) != held.get(name)]:
            differences = ", ".join(f"{name} {held.get(name)}, not {wanted.get(name)}" for name in other)
            sys.exit(f"{work} was made with {differences}: choose a different --work")
        return
    work.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(wanted, indent=1) + "\n")
