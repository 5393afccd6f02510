"""Content of embedding files in every format: named columns and a card."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from lenskit.checksums import card_checksum
from lenskit.errors import LenskitError
from lenskit.kinds.parameter import Parameter, ParameterRecord, parameters_of
from lenskit.reading.whole import first_inexact
from lenskit.records import Record, checked

BACKBONE, PROJECTION = "backbone", "projection"
"""Names of the representations that `lenskit embed` writes."""

FORMAT = "lenskit-embeddings"
VERSION = 1

FEATURES, NAMES, LENS, VIEW = "features", "names", "lens", "view"
OWN = (FEATURES, PROJECTION, NAMES, LENS, VIEW, "about", "image", "feature")
"""Column names that a parameter cannot have, because some format reserves them."""

log = logging.getLogger("lenskit")


class _Card(Record):
    """Metadata of a file that `lenskit embed` or `Embeddings.save` wrote."""

    representations: list[str]
    parameters: list[ParameterRecord]
    about: dict[str, Any]


@dataclass(frozen=True)
class FeatureTable:
    """Rows of an embedding file.

    Attributes:
        card: Metadata of the file as JSON values; empty if lenskit did not write the file.
        columns: Arrays (n,) or (n, d) by name; features may be a `StoredMatrix`.
    """

    card: dict[str, Any]
    columns: dict[str, Any]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    @property
    def parameters(self) -> dict[str, Parameter]:
        """Parameters by the names of their columns."""
        parameters = parameters_of(self.card.get("parameters", ()))
        return {column_name(parameter.name): parameter for parameter in parameters}


def card_of(found: Any, where: str) -> dict[str, Any]:
    """Return the checked card of a file; empty if lenskit did not write the file.

    Args:
        found: Attributes of a group, or parsed JSON.
        where: Name of the file in messages.

    Raises:
        LenskitError: lenskit wrote the file, but the card is damaged or of a different version.
    """
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        return {}
    if found.get("format_version") != VERSION:
        raise LenskitError(
            f"{where} has format version {found.get('format_version')!r:.40}, this lenskit reads {VERSION}"
        )
    card: dict[str, Any] = checked(found, where, _Card)
    if card.pop("checksum", checksum := card_checksum(card)) != checksum:
        log.warning(
            "%s: the checksum of its metadata is wrong. Unless somebody edited the metadata, the file is damaged: "
            "restore it, or repeat lenskit embed",
            where,
        )
    return card


def arguments(table: FeatureTable, path: Path) -> dict[str, Any]:
    """Return the arguments of `Embeddings` for a table.

    Args:
        table: Content of a file.
        path: The file, for messages.

    Raises:
        LenskitError: The table has no features.
    """
    card, columns = table.card, dict(table.columns)
    wanted = card.get("representations", [BACKBONE, PROJECTION])
    features = {name: columns.pop(feature_column(name)) for name in wanted if feature_column(name) in columns}
    if not features or (not card and BACKBONE not in features):
        raise LenskitError(f"{path} holds no embeddings: it has no column `features`, but {_listed(columns)}")
    names, lens, view = (columns.pop(name, None) for name in (NAMES, LENS, VIEW))
    parameters = table.parameters
    values = {}
    for column, value in columns.items():
        array = np.asarray(value)
        if array.dtype.kind in "iu" and (long := first_inexact(array.ravel(), np.float64)) is not None:
            log.warning(
                "%s: the column %s holds %d, which float64 cannot represent, and is left out", path, column, long
            )
        elif column in parameters or array.dtype.kind in "fiub":
            values[parameters[column].name if column in parameters else column] = value
        else:
            log.warning("%s: the column %s holds no numbers, and is left out", path, column)
    return {
        "features": features,
        "values": values,
        "parameters": list(parameters.values()),
        "lens": lens,
        "view": view,
        "names": None if names is None else [str(name) for name in np.asarray(names).tolist()],
        "about": card.get("about", {}),
    }


def column_name(parameter: str) -> str:
    """Return the name of a parameter's column.

    A reserved name, or a name that begins with `.` or `_`, gets the prefix `parameter_`. In all other names, special
    characters are percent-encoded.
    """
    return f"parameter_{parameter}" if parameter in OWN or parameter[:1] in "._" else quote(parameter, safe="")


def feature_column(representation: str) -> str:
    """Return the name of the column of a representation."""
    return FEATURES if representation == BACKBONE else representation


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "nothing"
