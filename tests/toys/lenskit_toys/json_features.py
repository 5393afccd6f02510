"""A format of features: one JSON file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from lenskit.plugin import FeatureFormat
from lenskit.toolbox import FeatureTable


class JsonFeatures(FeatureFormat):
    """One JSON file with the card and a list for each column."""

    endings = (".fjson",)

    def has_features(self) -> bool:
        return self.path.is_file() and '"features"' in self.path.read_text(errors="replace")

    def feature_card(self) -> Any:
        return json.loads(self.path.read_text())["card"]

    def write_features(self, parts: Iterator[FeatureTable], rows: int) -> None:
        tables = list(parts)
        columns = {
            name: np.concatenate([np.asarray(table.columns[name]) for table in tables]).tolist()
            for name in tables[0].columns
        }
        self.path.write_text(json.dumps({"card": tables[0].card, "columns": columns}))

    def read_features(self, card: dict[str, Any]) -> dict[str, Any]:
        columns = json.loads(self.path.read_text())["columns"]
        return {name: np.array(values) for name, values in columns.items()}
