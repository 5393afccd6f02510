"""Run directory.

run.toml            the resolved configuration: `lenskit train --config DIR/run.toml` repeats the run
provenance.json     identity of the run; versions, plugin distributions, command, device, git revision of the working
                    directory
metrics.jsonl       a line of metrics every few batches
checkpoints/        last.ckpt, from which the run resumes
encoder/            the encoder: model.safetensors and encoder.json
best/               the best encoder by the probes during training, if the run has probes
evaluations/        one folder per evaluation
run.lock            locked by the training process
train.log           log of the training
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from lenskit.asked import asked
from lenskit.checkpoint import LAST, load_method
from lenskit.config import Config
from lenskit.embeddings import embed
from lenskit.encoder import Encoder, find_device
from lenskit.encoder_card import read_card
from lenskit.errors import LenskitError, UsageError
from lenskit.figures import read_figures
from lenskit.files import write_atomically
from lenskit.identity import new_id, recorded_id
from lenskit.inference import Answer, apply_method, lens_set_of
from lenskit.kinds.method import Method
from lenskit.kinds.simulator import Simulator
from lenskit.layers import read_layer
from lenskit.owned_run import check_run_free, empty_run
from lenskit.provenance import not_installed, provenance
from lenskit.registry import registry
from lenskit.run_files import ORIGIN, RUN

log = logging.getLogger("lenskit")

MARKS = ("run.toml", "run.toml.part")
"""Files that mark a directory as a run. An earlier version left the second file if it was killed at the start."""


BEST = "best"
"""Folder of the encoder with the best score in the probes during training."""


class Run:
    """Existing run directory.

    Args:
        path: The directory; or its folder `best`, for the same run with the best encoder in place of the last encoder.
        config: Configuration of a run that this process, or the first of several processes, creates. No file is then
            read.

    Raises:
        UsageError: The path is not a run directory.
        LenskitError: The configuration lacks a section.
    """

    def __init__(self, path: Path | str, config: Config | None = None) -> None:
        self.path = Path(path)
        self.best = config is None and self.path.name == BEST and (self.path.parent / "run.toml").is_file()
        if self.best:
            self.path = self.path.parent
        self.config = config or self._read_config()
        self.is_there: Callable[[], bool] = self.path.is_dir
        """Function that returns whether the directory still exists. During training it also detects a replacement."""
        self.stopped_by = 0
        """Number of the signal that stopped the training in this process, or 0."""

    def _read_config(self) -> Config:
        if not self.path.is_dir():
            raise UsageError(f"there is no run directory {self.path}")
        if not (self.path / "run.toml").is_file():
            raise UsageError(f"{self.path} is no run directory: it has no run.toml")
        file = self.path / "run.toml"
        layer = read_layer(file)
        for section in ("train", "method", "backbone", "pairs", "data" if "data" in layer else "simulator"):
            # Missing options would otherwise get default values, which may differ from those of the training.
            if section not in layer or layer[section] == {}:
                raise LenskitError(f"{file} is damaged: it has no section {section!r}; restore it from a copy")
        try:
            return Config.resolve(layer)
        except UsageError as error:
            if gone := not_installed(self.path, layer):
                raise UsageError(gone) from error
            raise

    @classmethod
    def create(cls, path: Path, config: Config, overwrite: bool = False, recipe: str | None = None) -> Run:
        """Create a run directory and record the name of the recipe, if any.

        `run.toml` marks the directory as a run. It is written first and removed last, so an interrupted creation or
        removal can be resumed or overwritten.

        Raises:
            UsageError: The directory exists and `overwrite` is not set, or it is not a run.
            LenskitError: The directory cannot be written.
        """
        check_run_free(path, overwrite)
        origin = {"id": new_id()} | provenance() | {"recipe": recipe and registry().recorded("recipe", recipe)}
        try:
            empty_run(path)
            path.mkdir(parents=True, exist_ok=True)
            write_atomically(path / RUN, config.to_toml())
            write_atomically(path / ORIGIN, json.dumps(origin, indent=2) + "\n")
        except OSError as error:
            raise LenskitError(f"the run directory {path} cannot be created: {error.strerror}") from error
        return cls(path, config)

    @property
    def name(self) -> str:
        """Name in tables: that of the folder, with a suffix for the best encoder."""
        name = self.path.name or str(self.path)
        return f"{name}-{BEST}" if self.best else name

    @property
    def id(self) -> str:
        """Identity of the run and its encoder.

        It does not change when the run is resumed, moved or copied.

        It is created with the run and recorded in `provenance.json`. Runs of earlier versions have the digest of that
        file instead. The identity of the best encoder ends with `-best`.
        """
        origin = self.path / ORIGIN
        identity = recorded_id(origin if origin.is_file() else self.path / RUN)
        return f"{identity}-{BEST}" if self.best else identity

    @property
    def key(self) -> Path:
        """Path that identifies the run and its encoder, the last or the best."""
        return self.path.resolve() / (BEST if self.best else "")

    @property
    def title(self) -> str:
        """Path of the run in messages, which commands accept."""
        return str(self.path / BEST if self.best else self.path)

    @property
    def address(self) -> str:
        """Text from which `open_run` opens the run in any working directory."""
        return str(self.key)

    @property
    def head(self) -> Path | None:
        """File of the fitted head of an encoder; None for a run."""
        return None

    @property
    def checkpoint(self) -> Path:
        """Path of the checkpoint from which the run resumes. It may not exist yet."""
        return self.path / LAST

    def check_there(self) -> None:
        """Check that the directory still exists, because a write would recreate it.

        Raises:
            LenskitError: The directory does not exist.
        """
        if not self.is_there():
            raise LenskitError(
                f"the run directory {self.path} was removed or moved while it was in use: nothing more is written "
                "there; put it back and continue with --resume, or train again"
            )

    @property
    def finished(self) -> bool:
        """Whether all batches are done."""
        if not (self.path / "encoder" / "encoder.json").exists():
            return False
        trained = read_card(self.path / "encoder").get("trained")
        return trained is not None and trained["batches"] == trained["of"]

    def place(self, evaluation: str) -> Path:
        """Return the output folder of an evaluation, in the run or in `--output`.

        The folder may not exist.
        """
        own = self.path / "evaluations" / (BEST if self.best else "") / evaluation
        return asked().place(self.key, evaluation) or own

    def folder(self, evaluation: str) -> Path:
        """Return the output folder of an evaluation, and create it if necessary."""
        self.check_there()
        folder = self.place(evaluation)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def encoder(self, which: Literal["last", "best"] | None = None) -> Encoder:
        """Return the trained encoder, in eval mode, on the CPU.

        Args:
            which: `last` is the encoder at the end of training, `best` the best encoder by the probes during training.
                The default is the last, or the best for a run that was opened as `RUN/best`.

        Raises:
            LenskitError: The run has not saved an encoder yet.
        """
        best = self.best if which is None else which == BEST
        return Encoder.load(self.path / (BEST if best else "encoder"))

    def method(self) -> Method:
        """Return the trained method, in eval mode, on the CPU, with backbone and heads.

        With `train.ema` all weights are averages, as in the encoder.

        Raises:
            LenskitError: The run has no checkpoint, or was opened as `RUN/best`, which has only a backbone.
        """
        if self.best:
            raise LenskitError(
                f"{self.path}/best has only a backbone: the method, with its projections, is in {self.path}"
            )
        return load_method(self.path, self.config)

    def embed(
        self, images: Any = 1000, *, seed: int = 0, split: str = "embed", batch_size: int = 256, device: str = "auto"
    ) -> tuple[NDArray[np.float32], dict[str, NDArray[np.float64]]]:
        """Return features of images, like `lenskit embed`.

        Args:
            images: An array or tensor (n, C, H, W); or `[READER:]PATH` of stored images, or a dataset, with the first
                image of each lens; or a number of lenses to simulate with the simulator of the run.
            seed: Seed of simulated lenses.
            split: Split of simulated lenses; training uses `train`.
            batch_size: Images per batch.
            device: `cpu`, `cuda`, ...; `auto` selects a GPU if there is one.

        Returns:
            Features (n, d), and the values (n,) of each recorded parameter; no values for an array.

        Raises:
            UsageError: The encoder cannot take the images, or features are not finite.
            LenskitError: There is no encoder yet, or images have pixels that are not finite.
        """
        encoder = self.encoder().to(find_device(device))
        lenses = lens_set_of(encoder, self.simulator, images, seed, split)
        (embeddings,) = embed({"run": encoder}, lenses, batch_size=batch_size).values()
        return np.asarray(embeddings.features), embeddings.values

    def score(
        self, images: Any = 1000, *, seed: int = 0, split: str = "embed", batch_size: int = 256, device: str = "auto"
    ) -> tuple[NDArray[np.float64], dict[str, NDArray[np.float64]]]:
        """Return anomaly scores of images by the method of the run.

        The arguments are those of `embed`. The seed also seeds torch's generator during scoring. Bundled methods do not
        use this generator, so their scores do not depend on the seed.

        Returns:
            Scores (n,), higher is more anomalous, and the values (n,) of each recorded parameter; no values for an
            array.

        Raises:
            UsageError: The network of the run cannot take the images.
            LenskitError: The method has no score, or there is only a backbone.
        """
        missing = "does not score images; an evaluation may score them: see `lenskit list evaluations`"
        return self._apply("score", missing, images, seed, split, batch_size, device)

    def reconstruct(
        self, images: Any = 1000, *, seed: int = 0, split: str = "embed", batch_size: int = 256, device: str = "auto"
    ) -> tuple[NDArray[np.float32], dict[str, NDArray[np.float64]]]:
        """Reconstruct images with the method of the run; arguments as in `score`.

        Returns:
            Images (n, channels, height, width) on the scale of the preprocessed images `run.encoder().prepare(images)`,
            and the values (n,) of each recorded parameter.

        Raises:
            UsageError: The network of the run cannot take the images.
            LenskitError: The method cannot reconstruct, or there is only a backbone.
        """
        return self._apply("reconstruct", "does not reconstruct images", images, seed, split, batch_size, device)

    def _apply(
        self, what: Answer, missing: str, images: Any, seed: int, split: str, batch_size: int, device: str
    ) -> tuple[NDArray[Any], dict[str, NDArray[np.float64]]]:
        where = find_device(device)
        with torch.random.fork_rng():  # the initial weights are random, before the saved ones are loaded
            method, encoder = self.method().to(where), self.encoder().to(where)
            torch.manual_seed(seed)
            lenses = lens_set_of(encoder, self.simulator, images, seed, split)
            missing = f"the method of {self.path}, {self.config.name('method')}, {missing}"
            return apply_method(method, encoder, lenses, what, batch_size, missing)

    @property
    def metrics(self) -> dict[str, list[Any]]:
        """Columns of the metrics of the run, ready for a data frame.

        Each column has one entry per line of `metrics.jsonl`, None if the line lacks it.
        """
        path = self.path / "metrics.jsonl"
        figures = read_figures(path)
        for fault in figures.faults[:1]:
            log.warning("%s is damaged: %s; %d lines are left out", path, fault, len(figures.faults))
        lines = figures.lines
        names = dict.fromkeys(name for line in lines for name in line)
        return {name: [line.get(name) for line in lines] for name in names}

    def simulator(self, name: str | None = None, **options: Any) -> Simulator:
        """Return the simulator of the run, or a named one, with some options changed.

        Raises:
            UsageError: The run was trained on stored images, and no simulator is named.
        """
        return self.simulator_config(name, **options).build("simulator")

    def simulator_config(self, name: str | None = None, **options: Any) -> Config:
        """Return the configuration of the simulator that `simulator` returns.

        Raises:
            UsageError: See `simulator`.
        """
        if name is None and "simulator" not in self.config.sections:
            raise UsageError(f"{self.path} was trained on stored images: pass --data PATH or --simulator NAME")
        own = self.config.sections["simulator"] if name is None else {"name": name}
        return Config.resolve({"simulator": own | options}, only=("simulator",))
