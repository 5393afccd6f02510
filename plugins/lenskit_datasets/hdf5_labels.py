"""Labels in an HDF5 file: their data sets, units, classes and values."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lenskit.plugin import LenskitError, Parameter, UsageError
from lenskit.toolbox import check_bytes, first_inexact, hdf5_item, is_angle, listed, theta_E_columns, unit_in
from lenskit_datasets.hdf5_attributes import read_attributes
from lenskit_datasets.labels import as_float32, labelled

log = logging.getLogger("lenskit")


@dataclass(frozen=True)
class Label:
    """Data set with a value for each lens.

    Attributes:
        name: Full name of the data set.
        parameter: Description of the values.
        factor: Factor that converts the values to the parameter's unit.
    """

    name: str
    parameter: Parameter
    factor: float = 1.0

    def read(self, path: Path, file: Any) -> NDArray[np.float32]:
        """Return all values, (lenses,) or (lenses, views).

        Class labels are numbers. Unknown values are NaN.

        Args:
            path: Path of the file.
            file: The same file, opened.

        Raises:
            LenskitError: The values are in another file, or need more memory than the limit.
        """
        data, place = hdf5_item(file, self.name), f"{path}: {self.name}"
        check_bytes(path, data.size * data.dtype.itemsize, self.name)
        return as_float32(_values(place, data, self.parameter) * self.factor, place)


class Labels:
    """Search for the labels of the images of a file.

    Args:
        path: Path of the file.
        file: The same file, opened.
        images: Full name of the data set of images.
        shapes: Allowed shapes of labels: (lenses,) and (lenses, views).
    """

    def __init__(self, path: Path, file: Any, images: str, shapes: Sequence[tuple[int, ...]]) -> None:
        self._path, self._file, self._images, self._shapes = path, file, hdf5_item(file, images), shapes

    def find(self, labels: Sequence[str] | None, columns: Mapping[str, str]) -> list[Label]:
        """Return the named labels, or by default all in the group of the images.

        Args:
            labels: Names of data sets: full names, or names within the group of the images.
            columns: Data sets of parameters that have different names in the file.

        Raises:
            UsageError: A named data set is missing, or is not a label.
            LenskitError: A named data set is in another file, or needs more memory than the limit.
        """
        named = {name.rpartition("/")[2]: self._beside(name) for name in labels or ()}
        if len(named) < len(labels or ()):
            raise UsageError(f"two of the labels {', '.join(labels or ())} have the same name: rename one with columns")
        named |= {name: self._beside(column) for name, column in columns.items()}
        for name, full in named.items():
            if not is_there(self._file, full):
                raise UsageError(f"{self._path} has no data set {full} for {name}; it has {told(self._file)}")
            if why := self._why_not(full):
                raise UsageError(f"{self._path}: {full} is not a label: it {why}")
        chosen = self._unnamed(set(columns.values())) | named if labels is None else named
        if "theta_E" not in chosen and len(similar := theta_E_columns(chosen)) == 1:
            chosen = {"theta_E" if name == similar[0] else name: full for name, full in chosen.items()}
        return [self._label(name, full) for name, full in chosen.items()]

    def _unnamed(self, others: set[str]) -> dict[str, str]:
        """Return the labels in the group of the images; warn about similar data sets."""
        chosen, shapes, reasons = {}, {}, {}
        for name in self._images.parent:
            full = self._beside(name)
            if name in others or not is_there(self._file, full):  # a broken link
                continue
            try:
                data, why = hdf5_item(self._file, full), self._why_not(full)
            except LenskitError as error:
                reason = str(error).removeprefix(f"{self._file.filename}: ").removeprefix(f"{full} ")
                reasons[full] = reason.partition(": ")[0]
                continue
            if not why:
                chosen[name] = full
            elif self._may_be_label(data):
                reasons[full] = why
            elif is_dataset(data) and data != self._images and data.shape[:1] == self._shapes[0]:
                shapes[full] = data.shape
        if shapes:
            log.warning(
                "%s: left out, because these data sets do not have one number or text for each lens: %s%s",
                self._path, listed(f"{name} {shape}" for name, shape in shapes.items()), self._views_hint(shapes),
            )  # fmt: skip
        if reasons:
            each = [f"{name} {reason}" for name, reason in reasons.items()]
            more = f"; and {len(each) - 6} more" if len(each) > 6 else ""
            log.warning("%s: data sets are left out: %s%s", self._path, "; ".join(each[:6]), more)
        return chosen

    def _views_hint(self, others: Mapping[str, tuple[int, ...]]) -> str:
        images = self._images
        view = images.ndim == 4 and images.shape[1] > 1 and images.shape[:2] in others.values()
        return f"; use views=true if {images.name.strip('/')} has {images.shape[1]} views rather than channels" * view

    def _beside(self, name: str) -> str:
        """Return the full name of a data set from its name in the images' group."""
        beside = f"{self._images.parent.name.strip('/')}/{name}".strip("/")
        return beside if is_there(self._file, beside) else name

    def _may_be_label(self, data: Any) -> bool:
        readable = is_dataset(data) and (data.dtype.kind in "fiub" or _is_text(data))
        return readable and data.shape in self._shapes and data.name != self._images.name

    def _why_not(self, full: str) -> str:
        """Return why a data set is not a label, as text that follows its name; else empty."""
        data = hdf5_item(self._file, full)
        if not self._may_be_label(data):
            return f"does not have one number or text for each of {self._shapes[0][0]} lenses"
        check_bytes(self._path, data.size * data.dtype.itemsize, full)
        if _is_text(data):
            try:
                _texts(data)
            except UnicodeDecodeError:
                return "holds text that is not in UTF-8"
        try:
            attributes = read_attributes(data)
        except ValueError as error:
            return str(error)
        named, stated = unit_in(full.rpartition("/")[2]), attributes.unit
        if is_angle(named) and is_angle(stated) and named != stated:
            return f"is in {named} by its name, and in {stated} by its attribute"
        plain = data.dtype.kind in "iu" and not _is_enum(data) and not (attributes.identity or attributes.classes)
        if plain and (long := first_inexact(data[...], np.float32)) is not None:
            return f"holds whole numbers too large for float32, such as {long} (the attribute identity=true keeps them)"
        return ""

    def _label(self, name: str, full: str) -> Label:
        data = hdf5_item(self._file, full)
        attributes = read_attributes(data)
        parameter, factor = labelled(name, full.rpartition("/")[2], attributes.unit)
        parameter = replace(
            parameter,
            symbol=parameter.symbol if attributes.symbol is None else attributes.symbol,
            group=attributes.group or ("lens" if data.ndim == 1 else "image"),
            classes=_classes(data, attributes.classes),
            identity=attributes.identity,
        )
        return Label(full, parameter, factor)


def is_there(file: Any, name: str) -> bool:
    """Whether a file has an item with this name, or a link to a different file."""
    try:
        hdf5_item(file, name)
    except KeyError:
        return False
    except LenskitError:
        return True
    return True


def is_dataset(item: Any) -> bool:
    """Whether an item of a file is a data set."""
    import h5py

    return isinstance(item, h5py.Dataset)


def told(file: Any) -> str:
    """Return the names and shapes of the data sets of a file, as text."""
    datasets: list[str] = []
    file.visititems(lambda name, item: datasets.append(f"{name} {item.shape}") if is_dataset(item) else None)
    more = f" and {len(datasets) - 20} more" if len(datasets) > 20 else ""
    return (", ".join(datasets[:20]) or "none") + more


def _is_text(data: Any) -> bool:
    import h5py

    return h5py.check_string_dtype(data.dtype) is not None


def _is_enum(data: Any) -> bool:
    import h5py

    return h5py.check_enum_dtype(data.dtype) is not None


def _texts(data: Any) -> NDArray[np.str_]:
    return data.asstr("utf-8")[...].astype(str)


def _classes(data: Any, named: tuple[str, ...]) -> tuple[str, ...]:
    """Return the class names of a label.

    Names of an enumeration are in the order of their numbers, texts are sorted, and numbers have names in an attribute.
    """
    import h5py

    if (numbers := h5py.check_enum_dtype(data.dtype)) is not None:
        return tuple(sorted(numbers, key=numbers.__getitem__))
    if _is_text(data):
        return tuple(filter(None, np.unique(_texts(data)).tolist()))
    return named


def _values(what: str, data: Any, parameter: Parameter) -> NDArray[np.float64]:
    """Return all values; class labels as numbers."""
    import h5py

    if _is_text(data):
        texts = _texts(data)
        numbered = np.searchsorted(np.asarray(parameter.classes, str), texts)
        return np.where(texts == "", np.nan, numbered)
    values = data[...]
    if parameter.classes:
        members = h5py.check_enum_dtype(data.dtype) or {}
        numbers = np.array(sorted(members.values()) or range(len(parameter.classes)))
        places = np.searchsorted(numbers, values).clip(max=len(numbers) - 1)
        matches = numbers[places] == values
        if nameless := np.count_nonzero(~matches & (values == values)):
            log.warning("%s: %d values belong to no class and are unknown", what, nameless)
        return np.where(matches, places, np.nan)
    if parameter.identity and values.dtype.kind in "iu" and first_inexact(values, np.float32) is not None:
        log.info("%s: the identity numbers are too large for float32 and are numbered from 0 instead", what)
        things = values[values >= 0]
        return np.where(values < 0, -1, np.searchsorted(np.unique(things), values)).astype(np.float64)
    return values.astype(np.float64)
