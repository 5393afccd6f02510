"""Reading of checkpoints, and their comparison with the configuration of the run."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lenskit.budget import budget_of
from lenskit.checksums import Damaged, check_archive
from lenskit.config import Config
from lenskit.data.training_set import simulator_of, training_set_of
from lenskit.encoder import Encoder
from lenskit.encoder_card import read_card
from lenskit.errors import LenskitError, UsageError
from lenskit.kinds.method import Method
from lenskit.records import Record, checked
from lenskit.registry import registry
from lenskit.words import reason

LAST = Path("checkpoints", "last.ckpt")
"""Checkpoint from which a run resumes, relative to its directory."""

AVERAGE = "Averaging"
"""Key of the averaged weights among the states of callbacks."""

BACKBONE = "backbone."
"""Prefix of the backbone's tensors in a method."""

FREE: Mapping[str, frozenset[str]] = {
    "train": frozenset(
        {"accelerator", "devices", "num_nodes", "strategy", "channels_last", "compile", "checkpoint_every"}
    ),
    "input": frozenset({"keep", "workers"}),
    "data": frozenset({"path"}),
}
"""Options that may change while a run is stopped: hardware, paths of data and checkpoint intervals. `changed_fields`
also allows changes of the section `monitor` and of the initial weights of a backbone. Epochs may not change, because
the learning rate depends on them from the first batch.
"""


class _Named(Record):
    name: str


class _Sections(Record):
    method: _Named
    backbone: _Named


class _Saved(Record):
    """Metadata of a checkpoint."""

    config: _Sections
    batches: int


def read_checkpoint(run: Path, config: Config) -> dict[str, Any]:
    """Read the metadata of a run's checkpoint.

    Args:
        run: The run directory.
        config: Its configuration.

    Raises:
        LenskitError: The checkpoint is damaged, cannot be read without running code from the file, or has a different
            method or backbone.
        UsageError: The configuration was changed after the checkpoint was saved.
    """
    file, path = run / "run.toml", run / LAST
    remedy = f"restore it from a copy, or train again: lenskit train --config {file} --out ANOTHER"
    wrong = f"{path} is no checkpoint of lenskit, or is damaged:"
    try:
        check_archive(path, remedy)
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)["lenskit"]
    except Damaged as error:
        raise LenskitError(f"{wrong} {error.told}") from None
    except (pickle.UnpicklingError, OSError, RuntimeError, KeyError, TypeError, IndexError) as error:
        raise LenskitError(f"{wrong} {reason(error)}; {remedy}") from None
    checked(state, f"{wrong} it", _Saved)
    for section in ("method", "backbone"):
        saved, wanted = registry().recorded(section, state["config"][section]["name"]), config.name(section)
        if saved != wanted:
            raise LenskitError(f"{path} holds the {section} {saved!r}, but {file} names {wanted!r}")
    # The configuration is resolved again, because the checkpoint may be older than some options.
    if changes := changed_fields(Config.resolve(state["config"]), config):
        more = f" and {len(changes) - 6} more" if len(changes) > 6 else ""
        raise UsageError(
            f"{file} was changed since its checkpoint was saved: {', '.join(changes[:6])}{more}; restore the old "
            f"values to resume, or train again: lenskit train --config {file} --out ANOTHER"
        )
    return state


def load_method(run: Path, config: Config) -> Method:
    """Load the method of a run from its checkpoint, in eval mode, on the CPU.

    With `train.ema` the averaged weights are loaded.

    Args:
        run: The run directory.
        config: Its configuration.

    Raises:
        LenskitError: There is no checkpoint, or it does not fit the method.
    """
    path = run / LAST
    if not path.is_file():
        raise LenskitError(f"{run} has no checkpoint {path}, only an encoder")
    read_checkpoint(run, config)
    config = without_start(config)
    encoder = Encoder.untrained(read_card(run / "encoder"))

    def build() -> Method:
        method: Method = config.build("method", encoder.backbone)
        if type(method).simulated is not Method.simulated:
            simulator = (
                config.build("simulator") if "simulator" in config.sections else simulator_of(training_set_of(config))
            )
            method.simulated(simulator, encoder.preprocess)
        return method

    method = build()
    checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    weights = checkpoint["state_dict"] | _averaged(checkpoint)
    try:
        method.on_load_checkpoint(checkpoint)
        if weights.keys() != method.state_dict().keys():
            # Earlier versions did not save the parameters from which some methods build layers.
            method, training_set, settings = build(), training_set_of(config), config.build("train")
            method.budget, method.seed = budget_of(settings, training_set), settings.seed
            method.prepare(training_set.parameters, training_set.values)
        method.load_state_dict(weights)
    except RuntimeError as error:
        raise LenskitError(f"{path} does not fit the method of {run}: {reason(error)}") from None
    return method.float().eval()


def without_start(config: Config) -> Config:
    """Drop the options for the initial weights of the backbone.

    The checkpoint holds all weights, and the file of the initial weights may no longer exist.
    """
    start = registry().find("backbone", config.name("backbone")).load().start_options
    backbone = {key: value for key, value in config.sections["backbone"].items() if key not in start}
    return Config.resolve(config.sections | {"backbone": backbone})


def changed_fields(before: Config, after: Config) -> list[str]:
    """List the changes of a configuration that prevent resuming.

    An entry is `train.epochs (was 3, is 5)`. For a replaced component, only the names are compared.
    """
    changes: list[str] = []
    for section in dict.fromkeys([*before.sections, *after.sections]):
        if section == "monitor":
            continue
        free = FREE.get(section, frozenset())
        if section == "backbone":
            free = registry().find("backbone", after.name("backbone")).load().start_options
        old, new = before.sections.get(section, {}), after.sections.get(section, {})
        if old.get("name") != new.get("name"):
            old, new = ({key: value for key, value in part.items() if key == "name"} for part in (old, new))
        flat_old, flat_new = dict(_flat(old)), dict(_flat(new))
        for key in dict.fromkeys([*flat_old, *flat_new]):
            if key not in free and flat_old.get(key) != flat_new.get(key):
                changes.append(f"{section}.{key} (was {_told(flat_old, key)}, is {_told(flat_new, key)})")
    return changes


def _flat(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield options by their dotted names."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{key}.")
        else:
            yield above + key, value


def _told(values: Mapping[str, Any], key: str) -> str:
    return repr(values[key]) if key in values else "not set"


def _averaged(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the averaged weights of a checkpoint by name; empty if there are none."""
    kept = checkpoint.get("callbacks", {}).get(AVERAGE, {})
    if "rest" not in kept:
        return {}
    return {f"{BACKBONE}{name}": value for name, value in kept["average"].items()} | kept["rest"]
