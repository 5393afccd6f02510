"""Format of features: a Parquet table."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lenskit.plugin import FeatureFormat, LenskitError
from lenskit.toolbox import FeatureTable, check_bytes, first_inexact, parse_json

FEATURES = "features"
KEY = b"lenskit"
GROUP_BYTES = 2**26
"""Approximate number of bytes of a row group."""
READ_ROWS = 2**13


class ParquetFormat(FeatureFormat):
    """One Parquet table; features are lists of equal length.

    The card is in the metadata of the schema.
    """

    endings = (".parquet",)

    def check_installed(self) -> None:
        if find_spec("pyarrow") is None:
            raise LenskitError("Parquet needs pyarrow: pip install 'lenskit-ssl[parquet]', or write .zarr")

    def has_features(self) -> bool:
        import pyarrow
        from pyarrow.parquet import read_schema

        try:
            schema = read_schema(self.path)
        except (pyarrow.ArrowException, OSError):
            return False
        return KEY in (schema.metadata or {}) or FEATURES in schema.names

    def feature_card(self) -> Any:
        from pyarrow.parquet import read_schema

        return parse_json((read_schema(self.path).metadata or {}).get(KEY, b"null"), f"{self.path}: its metadata", None)

    def write_features(self, parts: Iterator[FeatureTable], rows: int) -> None:
        """Write the rows in groups, to hold only one group in memory."""
        import pyarrow
        from pyarrow.parquet import ParquetWriter

        schema: Any = None
        writer: Any = None
        held: list[Any] = []
        try:
            for part in parts:
                if writer is None:
                    schema = _schema(part)
                    lists = [field.name for field in schema if pyarrow.types.is_fixed_size_list(field.type)]
                    others = [field.name for field in schema if field.name not in lists]
                    # Features differ in each row, so a dictionary would only double their size.
                    writer = ParquetWriter(self.path, schema, use_dictionary=others, write_page_checksum=True)
                held.append(pyarrow.table([_cells(part.columns[field.name]) for field in schema], schema=schema))
                if sum(each.nbytes for each in held) >= GROUP_BYTES:
                    writer.write_table(pyarrow.concat_tables(held))
                    held = []
            if held:
                writer.write_table(pyarrow.concat_tables(held))
        finally:
            if writer is not None:
                writer.close()

    def read_features(self, card: dict[str, Any]) -> dict[str, Any]:
        """Read all columns, a batch of rows at a time, to use little additional memory."""
        import pyarrow
        from pyarrow.parquet import ParquetFile

        try:
            with ParquetFile(self.path, page_checksum_verification=True) as file:
                parts: dict[str, list[NDArray[Any]]] = {name: [] for name in file.schema_arrow.names}
                size = rows = 0
                for batch in file.iter_batches(READ_ROWS):
                    for name in parts:
                        parts[name].append(_array(name, batch.column(name)))
                        size += parts[name][-1].nbytes
                    rows += batch.num_rows
                    check_bytes(self.path, size * file.metadata.num_rows // rows)
        except (pyarrow.ArrowException, NotImplementedError) as error:
            raise ValueError(str(error)) from None
        if not file.metadata.num_rows:
            raise ValueError("it has no rows")
        return {name: np.concatenate(arrays) for name, arrays in parts.items()}


def _schema(part: FeatureTable) -> Any:
    import pyarrow

    fields = []
    for column, value in part.columns.items():
        array = np.asarray(value[:0])
        kind = pyarrow.string() if array.dtype == object else pyarrow.from_numpy_dtype(array.dtype)
        kind = pyarrow.list_(kind, array.shape[1]) if array.ndim == 2 else kind
        parameter = part.parameters.get(column)
        told = {"unit": parameter.unit, "symbol": parameter.symbol, "group": parameter.group} if parameter else None
        fields.append(pyarrow.field(column, kind, metadata=told))
    return pyarrow.schema(fields, metadata={KEY: json.dumps(part.card)})


def _cells(value: Any) -> Any:
    import pyarrow

    array = np.asarray(value)
    if array.ndim == 1:
        return pyarrow.array(array)
    flat = pyarrow.array(np.ascontiguousarray(array).reshape(-1))
    return pyarrow.FixedSizeListArray.from_arrays(flat, array.shape[1])


def _array(name: str, cells: Any) -> NDArray[Any]:
    import pyarrow
    import pyarrow.compute

    kind = cells.type
    if pyarrow.types.is_integer(kind) and cells.null_count:
        # pyarrow would convert these to float64 and lose digits.
        whole = cells.drop_null().to_numpy(zero_copy_only=False)
        if first_inexact(whole, np.float64) is not None:
            return np.asarray(cells.to_pylist(), object)
    if not (pyarrow.types.is_fixed_size_list(kind) or pyarrow.types.is_list(kind) or pyarrow.types.is_large_list(kind)):
        return np.asarray(cells.to_numpy(zero_copy_only=False))
    lengths = pyarrow.compute.unique(pyarrow.compute.list_value_length(cells))
    if len(lengths) != 1 or not lengths[0].as_py():
        raise ValueError(f"the lists in column {name} have different lengths")
    return np.asarray(cells.flatten().to_numpy(zero_copy_only=False)).reshape(len(cells), -1)
