"""Goes on with a run that was stopped or killed."""

from __future__ import annotations

import logging
import os
import pickle
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from lenskit.checksums import Damaged, check_archive
from lenskit.config import Config
from lenskit.data.source import simulator_of, source_of
from lenskit.encoder import Encoder, is_as_written, read_card
from lenskit.errors import LenskitError, UsageError
from lenskit.kinds.method import Method
from lenskit.lock import held
from lenskit.records import Record, checked
from lenskit.registry import registry
from lenskit.run import Run
from lenskit.training.ema import Averaging, averaged
from lenskit.training.processes import is_first, let_first_speak
from lenskit.training.runner import Job, build
from lenskit.words import reason

log = logging.getLogger("lenskit")

FREE: Mapping[str, frozenset[str]] = {
    "train": frozenset(
        {"accelerator", "devices", "num_nodes", "strategy", "channels_last", "compile", "checkpoint_every"}
    ),
    "input": frozenset({"keep", "workers"}),
    "data": frozenset({"path"}),
}
"""What may change while a run is stopped: on what it trains, where its data lie, how often it saves. So may all that is
watched, and what only says how a backbone starts. Not the epochs: rates would have fallen otherwise from the start."""


class _Named(Record):
    name: str


class _Sections(Record):
    method: _Named
    backbone: _Named


class _Saved(Record):
    """Metadata of a checkpoint."""

    config: _Sections
    batches: int


def resume(path: Path, *, progress: bool = True, **devices: Any) -> Run:
    """Goes on with a run that was stopped or killed; it ends as if it had not been.

    Args:
        path: The run directory.
        progress: Whether to draw a progress bar.
        devices: `accelerator`, `devices`, `num_nodes` and `strategy`, where they are others than before.

    Raises:
        LenskitError: if there is nothing to resume, the checkpoint is not this run's, or the run's configuration was
            changed in more than `FREE`.
    """
    let_first_speak()
    run = Run(path)
    changed = {key: value for key, value in devices.items() if value is not None}
    if fixed := changed.keys() - FREE["train"]:
        raise UsageError(
            f"a run goes on as it is: {', '.join(sorted(fixed))} cannot be changed, but "
            f"{', '.join(sorted(FREE['train']))}"
        )
    config = Config.resolve(run.config.sections, {"train": changed}) if changed else run.config
    if not os.path.lexists(run.checkpoint):
        return build(config).fit(run, None, progress)
    state = read_checkpoint(run)
    job = build(_without_start(config))
    if state["batches"] >= job.budget.batches:
        log.info("%s is finished: all %d batches are done", path, job.budget.batches)
        if is_first():
            _mend_encoder(run, job)
        return run
    return job.fit(run, state["batches"], progress)


def _mend_encoder(run: Run, job: Job) -> None:
    """Saves the encoder of a finished run again, if it is damaged: the checkpoint has it, too."""
    try:
        run.encoder("last")
        if is_as_written(run.path / "encoder"):
            return
    except LenskitError as error:
        log.warning("%s", error)
    checkpoint = torch.load(run.checkpoint, map_location="cpu", weights_only=True, mmap=True)
    job.method.on_load_checkpoint(checkpoint)
    job.method.load_state_dict(checkpoint["state_dict"])
    if job.settings.ema:
        averaging = Averaging(job.encoder, job.method, job.settings.ema)
        averaging.load_state_dict(checkpoint["callbacks"][averaging.state_key])
    job.encoder.card["trained"] = {"batches": job.budget.batches, "of": job.budget.batches}
    with held(run.path):
        job.encoder.save(run.path / "encoder")
    log.info("the encoder was saved again, from %s", run.checkpoint)


def _without_start(config: Config) -> Config:
    """The configuration without what says how its backbone starts: a checkpoint has its weights, and the file that it
    started from may be gone."""
    start = registry().find("backbone", config.name("backbone")).load().start_options
    backbone = {key: value for key, value in config.sections["backbone"].items() if key not in start}
    return Config.resolve(config.sections | {"backbone": backbone})


def read_checkpoint(run: Run) -> dict[str, Any]:
    """What a run's checkpoint says of itself.

    Raises:
        LenskitError: if it cannot be read without running code in it, or is of another method or backbone.
        UsageError: if it is of another configuration.
    """
    file = run.path / "run.toml"
    remedy = f"restore it from a copy, or train anew: lenskit train --config {file} --out ANOTHER"
    wrong = f"{run.checkpoint} is no checkpoint of lenskit, or is damaged:"
    try:
        check_archive(run.checkpoint, remedy)
        state = torch.load(run.checkpoint, map_location="cpu", weights_only=True, mmap=True)["lenskit"]
    except Damaged as error:
        raise LenskitError(f"{wrong} {error.told}") from None
    except (pickle.UnpicklingError, OSError, RuntimeError, KeyError, TypeError, IndexError) as error:
        raise LenskitError(f"{wrong} {reason(error)}; {remedy}") from None
    checked(state, f"{wrong} it", _Saved)
    for section in ("method", "backbone"):
        saved, wanted = state["config"][section]["name"], run.config.name(section)
        if saved != wanted:
            raise LenskitError(f"{run.checkpoint} is of the {section} {saved!r}, but {file} says {wanted!r}")
    # Resolved, because the checkpoint may be older than some options.
    if changes := changed_fields(Config.resolve(state["config"]), run.config):
        more = f" and {len(changes) - 6} more" if len(changes) > 6 else ""
        raise UsageError(
            f"{file} was changed since its checkpoint was saved: {', '.join(changes[:6])}{more}; put back what it was "
            f"to go on, or train anew: lenskit train --config {file} --out ANOTHER"
        )
    return state


def load_method(run: Run) -> Method:
    """The method of a run as its checkpoint has it, in eval mode, on the CPU: its weights, or their average with
    `train.ema`.

    Raises:
        LenskitError: if there is no checkpoint, or it does not fit.
    """
    if run.best:
        raise LenskitError(f"{run.path}/best has only a backbone: the method, with its projections, is in {run.path}")
    if not run.checkpoint.is_file():
        raise LenskitError(f"{run.path} has no checkpoint: without {run.checkpoint} there is only its encoder")
    read_checkpoint(run)
    config = _without_start(run.config)
    encoder = Encoder.untrained(read_card(run.path / "encoder"))
    method: Method = config.build("method", encoder.backbone)
    if type(method).simulated is not Method.simulated:
        simulator = config.build("simulator") if "simulator" in config.sections else simulator_of(source_of(config))
        method.simulated(simulator, encoder.preprocess)
    checkpoint = torch.load(run.checkpoint, map_location="cpu", weights_only=True, mmap=True)
    weights = checkpoint["state_dict"] | averaged(checkpoint)
    try:
        method.on_load_checkpoint(checkpoint)
        if weights.keys() != method.state_dict().keys():
            # Layers that a method makes of what is recorded of the lenses, and does not make from a checkpoint (those
            # of before did not say enough): only the lenses tell.
            method = build(config).method
        method.load_state_dict(weights)
    except RuntimeError as error:
        raise LenskitError(f"{run.checkpoint} does not fit the method of {run.path}: {reason(error)}") from None
    return method.float().eval()


def changed_fields(before: Config, after: Config) -> list[str]:
    """What differs between two configurations beside what may: `train.epochs (was 3, is 5)`; of components that were
    replaced, the names."""
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
    """Options by name; those in a table by the table's name and theirs."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{key}.")
        else:
            yield above + key, value


def _told(values: Mapping[str, Any], key: str) -> str:
    return repr(values[key]) if key in values else "not set"
