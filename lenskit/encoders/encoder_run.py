"""An encoder in place of a run, so that evaluations judge it as they judge runs."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

from lenskit.asked import asked
from lenskit.config import Config
from lenskit.destinations import working_folder
from lenskit.download import CARD, digest_of
from lenskit.encoder import Encoder
from lenskit.encoder_card import read_card
from lenskit.encoders.named import NamedEncoder, find_named, not_named
from lenskit.errors import LenskitError, UsageError
from lenskit.identity import digest
from lenskit.kinds.method import Method
from lenskit.kinds.simulator import Simulator
from lenskit.run import BEST, Run


class _NoConfig(Config):
    """The configuration of an encoder: the simulator that it was trained on, if its card names one."""

    def build(self, section: str, *given: Any) -> Any:
        self._require(section)
        return super().build(section, *given)

    def name(self, section: str) -> str:
        self._require(section)
        return super().name(section)

    def _require(self, section: str) -> None:
        if section not in self.sections:
            raise UsageError(f"an encoder has no configuration, so it has no section {section!r}: give a run")


class EncoderRun(Run):
    """An encoder's folder, taken as a run that has nothing but this encoder.

    Results go to `NAME-evaluations/EVALUATION` in the working folder, or where `--output` says.

    Args:
        source: The encoder of a plugin, or the folder of any.

    Raises:
        LenskitError: if the encoder cannot be had, or its card is damaged.
    """

    head_file: ClassVar[str] = "head.safetensors"
    """Name of the file of a fitted head in the folder."""

    def __init__(self, source: NamedEncoder | Path) -> None:
        if isinstance(source, NamedEncoder):
            self.path, self._options, self._name, self._title = source.folder, source.options, source.name, source.title
        else:
            self.path, self._options, self._name, self._title = source, {}, source.resolve().name, str(source)
        self._address = self._title if self._options else str(self.path.resolve())
        self.card = read_card(self.path)
        simulator = self.card.get("simulator")
        self.best = False
        self.config = _NoConfig({"simulator": simulator} if simulator else {})
        self.is_there = self.path.is_dir
        self.stopped_by = 0

    @property
    def name(self) -> str:
        """Its name, as that of a folder."""
        return self._name.replace(":", "-").replace(os.sep, "-")

    @property
    def title(self) -> str:
        return self._title

    @cached_property
    def id(self) -> str:
        """Digest of the weights, the backbone and its options, and the preprocessing of images."""
        weights = self.path / "model.safetensors"
        card = {"backbone": self.card["backbone"] | self._options, "input": self.card["input"]}
        return digest(card, digest_of(weights) if weights.is_file() else "")

    @property
    def key(self) -> Path:
        return self.path.resolve() / self.name if self._options else self.path.resolve()

    @property
    def address(self) -> str:
        return self._address

    @property
    def head(self) -> Path | None:
        path = self.path / self.head_file
        return path if path.is_file() else None

    @property
    def finished(self) -> bool:
        return True

    def place(self, evaluation: str) -> Path:
        return asked().place(self.key, evaluation) or working_folder(self.path, evaluation, self.name)

    def encoder(self, which: Literal["last", "best"] | None = None) -> Encoder:
        return Encoder.load(self.path, self._options)

    def method(self) -> Method:
        raise LenskitError(f"{self.title} is an encoder without the method that trained it: give a run")

    def simulator(self, name: str | None = None, **options: Any) -> Simulator:
        if name is None and "simulator" not in self.config.sections:
            raise UsageError(f"{self.title} does not say which simulator it was trained on: say --simulator or --data")
        return super().simulator(name, **options)


def open_run(text: str | Path) -> Run:
    """Open a run directory, an encoder's folder, or the encoder of a plugin by its name.

    Args:
        text: Path or name. What is there as a path is meant before an encoder of that name.

    Raises:
        UsageError: if it is none of these.
        LenskitError: if it is damaged, or the encoder cannot be had.
    """
    text, path = str(text), Path(text)
    if named := find_named(text):
        return EncoderRun(named)
    best_of_run = path.name == BEST and (path.parent / "run.toml").is_file()
    if (path / CARD).is_file() and not best_of_run:
        return EncoderRun(path)
    if not os.path.lexists(path) and (hint := not_named(text)):
        raise UsageError(f"there is no run directory {text}{hint}")
    return Run(path)
