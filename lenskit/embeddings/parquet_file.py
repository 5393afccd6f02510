"""Embeddings as a Parquet table: features are lists of one length, the card is in the schema's metadata."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lenskit.embeddings.table import FEATURES, Table, card_of
from lenskit.errors import LenskitError
from lenskit.reading.limits import check_bytes
from lenskit.reading.whole import first_inexact
from lenskit.records import parse_json

KEY = b"lenskit"
GROUP_BYTES = 2**26
"""A row group has about so many bytes."""
READ_ROWS = 2**13


def check() -> None:
    """Raises if there is no pyarrow.

    Raises:
        LenskitError: saying how to get it.
    """
    if find_spec("pyarrow") is None:
        raise LenskitError("Parquet needs pyarrow: pip install 'lenskit-ssl[parquet]', or write .zarr")


def holds(path: Path) -> bool:
    """Whether what is there has our card or a column of features: another table is somebody's."""
    import pyarrow
    from pyarrow.parquet import read_schema

    try:
        schema = read_schema(path)
    except (pyarrow.ArrowException, OSError):
        return False
    return KEY in (schema.metadata or {}) or FEATURES in schema.names


def card(path: Path) -> Any:
    """Metadata of the file."""
    from pyarrow.parquet import read_schema

    return json.loads((read_schema(path).metadata or {}).get(KEY, b"null"))


def strangers(path: Path, table: Table) -> list[str]:
    """Nothing: it is one file."""
    return []


def write(path: Path, parts: Iterator[Table], rows: int) -> None:
    """Rows are gathered to groups, of which memory holds one."""
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
                # Features are different in each row, which a dictionary of them would only double.
                writer = ParquetWriter(path, schema, use_dictionary=others, write_page_checksum=True)
            held.append(pyarrow.table([_cells(part.columns[field.name]) for field in schema], schema=schema))
            if sum(each.nbytes for each in held) >= GROUP_BYTES:
                writer.write_table(pyarrow.concat_tables(held))
                held = []
        if held:
            writer.write_table(pyarrow.concat_tables(held))
    finally:
        if writer is not None:
            writer.close()


def _schema(part: Table) -> Any:
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


def read(path: Path) -> Table:
    """All columns are read, some rows at a time, so that there is little in memory beside them."""
    check()
    import pyarrow
    from pyarrow.parquet import ParquetFile

    try:
        with ParquetFile(path, page_checksum_verification=True) as file:
            metadata = file.schema_arrow.metadata or {}
            parts: dict[str, list[NDArray[Any]]] = {name: [] for name in file.schema_arrow.names}
            size = rows = 0
            for batch in file.iter_batches(READ_ROWS):
                for name in parts:
                    parts[name].append(_array(name, batch.column(name)))
                    size += parts[name][-1].nbytes
                rows += batch.num_rows
                check_bytes(path, size * file.metadata.num_rows // rows)
    except (pyarrow.ArrowException, NotImplementedError) as error:
        raise ValueError(str(error)) from None
    if not file.metadata.num_rows:
        raise ValueError("it has no rows")
    card = parse_json(metadata.get(KEY, b"{}"), f"{path}: its metadata", None)
    return Table(card_of(card, str(path)), {name: np.concatenate(each) for name, each in parts.items()})


def _array(name: str, cells: Any) -> NDArray[Any]:
    import pyarrow
    import pyarrow.compute

    kind = cells.type
    if pyarrow.types.is_integer(kind) and cells.null_count:
        # pyarrow makes float64 of them, whatever digits are lost.
        whole = cells.drop_null().to_numpy(zero_copy_only=False)
        if first_inexact(whole, np.float64) is not None:
            return np.asarray(cells.to_pylist(), object)
    if not (pyarrow.types.is_fixed_size_list(kind) or pyarrow.types.is_list(kind) or pyarrow.types.is_large_list(kind)):
        return np.asarray(cells.to_numpy(zero_copy_only=False))
    lengths = pyarrow.compute.unique(pyarrow.compute.list_value_length(cells))
    if len(lengths) != 1 or not lengths[0].as_py():
        raise ValueError(f"the lists in column {name} are not all of one length")
    return np.asarray(cells.flatten().to_numpy(zero_copy_only=False)).reshape(len(cells), -1)
