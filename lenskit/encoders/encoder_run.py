"""Encoders with the interface of a run, for evaluations."""

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
    """Configuration of an encoder: the simulator of its training images, if known."""

    def build(self, section: str, *given: Any) -> Any:
        self._require(section)
        return super().build(section, *given)

    def name(self, section: str) -> str:
        self._require(section)
        return super().name(section)

    def _require(self, section: str) -> None:
        if section not in self.sections:
            raise UsageError(f"an encoder has no configuration, so it has no section {section!r}: use a run")


class EncoderRun(Run):
    """Encoder with the interface of a run.

    Results go to `NAME-evaluations/EVALUATION` in the working directory, or to the folder of `--output`.

    Args:
        source: The encoder of a plugin, or the folder of any encoder.

    Raises:
        LenskitError: The encoder cannot be downloaded or found, or its card is damaged.
    """

    head_file: ClassVar[str] = "head.safetensors"
    """Name of the file with a fitted head."""

    def __init__(self, source: NamedEncoder | Path) -> None:
        if isinstance(source, NamedEncoder):
            self.path, self._name, self._title = source.folder, source.name, source.title
            self._argument, self._options = source.argument, source.options
        else:
            self.path, self._name, self._title = source, source.resolve().name, str(source)
            self._argument, self._options = "", {}
        self._address = self._title if self._options else str(self.path.resolve())
        self.card = read_card(self.path)
        simulator = self.card.get("simulator")
        self.best = False
        self.config = _NoConfig({"simulator": simulator} if simulator else {})
        self.is_there = self.path.is_dir
        self.stopped_by = 0

    @property
    def name(self) -> str:
        """Name that is valid as a folder name."""
        return self._name.replace(":", "-").replace(os.sep, "-")

    @property
    def title(self) -> str:
        return self._title

    @cached_property
    def id(self) -> str:
        """Digest of weights, backbone with options, and preprocessing of images."""
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
        return Encoder.load(self.path, self._argument)

    def method(self) -> Method:
        raise LenskitError(f"{self.title} is an encoder without the method that trained it: use a run")

    def simulator(self, name: str | None = None, **options: Any) -> Simulator:
        if name is None and "simulator" not in self.config.sections:
            raise UsageError(f"the card of {self.title} names no simulator: pass --simulator NAME or --data PATH")
        return super().simulator(name, **options)


def open_run(text: str | Path) -> Run:
    """Open a run directory, the folder of an encoder, or an encoder of a plugin.

    Args:
        text: Path or name. A path that exists takes precedence over an encoder of the same name.

    Raises:
        UsageError: The text is none of these.
        LenskitError: The run or encoder is damaged, or the encoder cannot be downloaded.
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
