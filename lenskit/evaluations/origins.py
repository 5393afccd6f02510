"""Origins of the images of evaluations, as plain values for the results file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lenskit.data.readers import absolute_spec, find_reader
from lenskit.evaluations.subjects import simulator_options
from lenskit.identity import digest
from lenskit.kinds.dataset import Dataset
from lenskit.run import Run


def stored_origin(data: str, dataset: Dataset) -> dict[str, Any]:
    """Return the origin of stored images.

    The origin has the reader, the path, the options of the reader, and, if known, the configuration that simulated the
    images.

    Args:
        data: `[READER:]PATH[?OPTION=VALUE&...]`.
        dataset: The images.
    """
    data = absolute_spec(data)
    reader, path = find_reader(data)
    origin: dict[str, Any] = {"reader": reader, "path": str(path)}
    if options := data.removeprefix(f"{reader}:{path}"):
        origin["options"] = options
    if dataset.configuration:
        origin["simulated"] = dict(dataset.configuration)
    return origin


def simulated_origin(run: Run, simulator: str | None, changes: Sequence[str], seed: int) -> dict[str, Any]:
    """Return the origin of simulated lenses.

    The origin has the simulator, the digest of its options, and the seed.

    Args:
        run: The run whose simulator is the default.
        simulator: Name of a simulator; None for the default.
        changes: Changed options, `OPTION=VALUE` each.
        seed: Random seed of the lenses.
    """
    section = run.simulator_config(simulator, **simulator_options(changes)).sections["simulator"]
    return {"simulator": section["name"], "options": digest(section), "seed": seed}
