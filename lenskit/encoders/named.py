"""Encoders of plugins by name."""

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
    """Encoder of a plugin.

    Attributes:
        record: Record of the encoder in the registry.
        argument: Part of the name after a colon; empty without a colon.
    """

    record: Record
    argument: str = ""

    @property
    def name(self) -> str:
        """Name without the distribution."""
        return f"{self.record.name}:{self.argument}" if self.argument else self.record.name

    @property
    def title(self) -> str:
        """Unambiguous name that a user can type."""
        return f"{self.record.recorded}:{self.argument}" if self.argument else self.record.recorded

    @property
    def options(self) -> dict[str, Any]:
        """Options of the backbone that the name of the encoder contains."""
        return {str(self.record.component.argument): self.argument} if self.argument else {}

    @property
    def folder(self) -> Path:
        """Folder of the encoder, which is downloaded if it is not in the cache.

        Raises:
            LenskitError: The encoder cannot be downloaded or found.
        """
        return self.record.load()

    def load(self) -> Encoder:
        """Load the encoder.

        Raises:
            LenskitError: The encoder cannot be downloaded or found, or is damaged.
        """
        return Encoder.load(self.folder, self.argument)


def find_named(text: str) -> NamedEncoder | None:
    """Return the encoder with this name; None if there is none.

    A path that exists takes precedence over an encoder of the same name, with a warning. `NAME@DISTRIBUTION` always
    means the encoder.

    Raises:
        UsageError: Several encoders have the name, or the name lacks a part after a colon.
    """
    name, _, argument = parse(text)
    records = [record for record in registry().of_kind("encoder") if record.name == name]
    if not records:
        return None
    if os.path.lexists(text):
        log.warning(
            "%s is both a path and the name of an encoder; using the path. For the encoder, type %s",
            text, records[0].qualified,
        )  # fmt: skip
        return None
    return NamedEncoder(registry().find("encoder", text), argument)


def not_named(text: str) -> str:
    """Return text for the error about a missing path that is not an encoder's name.

    The text suggests similar names.
    """
    if os.sep in text or not text:
        return ""
    names = [record.typed for record in registry().of_kind("encoder")]
    return f", and no encoder has that name{near(text, names)}; `lenskit list encoders` lists all encoders"
