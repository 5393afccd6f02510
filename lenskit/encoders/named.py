"""Encoders by name: the encoder that a text means."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lenskit.encoder import Encoder
from lenskit.errors import near
from lenskit.found import Record
from lenskit.naming import parse
from lenskit.registry import registry

log = logging.getLogger("lenskit")


@dataclass(frozen=True)
class NamedEncoder:
    """An encoder that a plugin brings.

    Attributes:
        record: How it was announced.
        argument: The part of its name behind a colon, empty if there is none.
    """

    record: Record
    argument: str = ""

    @property
    def name(self) -> str:
        """Its name without the distribution."""
        return f"{self.record.name}:{self.argument}" if self.argument else self.record.name

    @property
    def title(self) -> str:
        """Its name as a user types it, which means no other encoder."""
        return f"{self.record.recorded}:{self.argument}" if self.argument else self.record.recorded

    @property
    def options(self) -> dict[str, Any]:
        """Options of the backbone that its name states."""
        return {str(self.record.component.argument): self.argument} if self.argument else {}

    @property
    def folder(self) -> Path:
        """Its folder, downloaded if need be.

        Raises:
            LenskitError: if it cannot be had.
        """
        return self.record.load()

    def load(self) -> Encoder:
        """Opens it.

        Raises:
            LenskitError: if it cannot be had, or is damaged.
        """
        return Encoder.load(self.folder, self.options)


def find_named(text: str) -> NamedEncoder | None:
    """The encoder that a text names, or None if it names none or is a path.

    A path that is there wins over an encoder of that name, and that is logged. `NAME@DISTRIBUTION` means the encoder.

    Raises:
        UsageError: if the name is one of several encoders, or lacks a part behind a colon.
    """
    name, _, argument = parse(text)
    brought = [record for record in registry().of_kind("encoder") if record.name == name]
    if not brought:
        return None
    if os.path.lexists(text):
        log.warning(
            "%s is the path here, and an encoder has that name, too: %s means the encoder",
            text, brought[0].qualified,
        )  # fmt: skip
        return None
    return NamedEncoder(registry().find("encoder", text), argument)


def not_named(text: str) -> str:
    """The end of a complaint about a path that is not there: that it is no encoder's name either, and near names."""
    if os.sep in text or not text:
        return ""
    names = [record.typed for record in registry().of_kind("encoder")]
    return f", and no encoder is called that{near(text, names)}; `lenskit list encoders` shows all"
