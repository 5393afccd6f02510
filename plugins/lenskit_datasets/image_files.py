"""Base class of readers of image files: selection, names, classes and labels."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from annotated_types import Gt
from numpy.typing import NDArray
from torch import Tensor

from lenskit.plugin import LenskitError, Parameter, UsageError, at_most
from lenskit.toolbox import too_many_files
from lenskit_datasets.folders import check_names, look_through, matching, stem
from lenskit_datasets.labels import LABELS, find_table, read_labels
from lenskit_datasets.pixels import common_shape
from lenskit_datasets.reader import Reader


class ImageFiles(Reader):
    """Images in files: one file, a folder of files, or a folder for each class.

    At the start only headers are read; images are read when they are needed.

    Args:
        path: File or folder.
        pattern: Pattern of the image files in the folder, such as `train/*/*`. By default all files of the supported
            kinds, in the folder and its subfolders. The class is the folder below the last folder that all files share.
        size: Height and width in pixels of the central part to use. By default the entire image; then all images must
            have the same size.
        pixel_scale: Size of a pixel in arcsec.
        label: Name of the class label; empty for no label.
        classes: Names of the classes, in the order of their numbers; other classes are left out. By default all, sorted
            by name.
        labels: CSV file with labels. Its first column is the name of the image, its numeric columns are parameters. By
            default `labels.csv` in the folder, if there is one.
        columns: Columns of parameters that have different names in the table, such as `{theta_E = "b_SIE"}`.
    """

    endings: ClassVar[tuple[str, ...]]
    """Endings of the files that are read, in lower case."""

    general = True

    def __init__(
        self,
        path: str | Path,
        *,
        pattern: str | None = None,
        size: Annotated[int, Gt(0), at_most(10**6)] | None = None,
        pixel_scale: Annotated[float, Gt(0)] | None = None,
        label: str = "class",
        classes: list[str] | None = None,
        labels: str | None = None,
        columns: dict[str, str] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._root, self._size, self.pixel_scale = Path(path), size, pixel_scale
        files = self._find(pattern)
        self._base = _base(self._root, files)
        if classes is not None:
            self._check_classes(classes, files)
            files = [file for file in files if self._class(file) in classes]
        shapes = [self._sound(self.shape_of, file) for file in files]
        self.image_shape = common_shape([shape[1:] for shape in shapes], files, size)
        self._files, self._counts = files, np.asarray([shape[0] for shape in shapes])
        self._ends = np.cumsum(self._counts)
        self.names = self._named()
        of_class = self._class_label(label, classes)
        if of_class[0] and pattern is None and classes is None:
            self._check_level()
        of_table = self._table(labels, columns or {})
        for parameter in of_table[0]:
            if of_class[0] and parameter.name == label:
                raise UsageError(f"{label} is both the class label and a column of the labels: use label=NAME")
        self.parameters = [*of_class[0], *of_table[0]]
        self._labels = np.concatenate([of_class[1], of_table[1]], 1)

    @abstractmethod
    def shape_of(self, file: Path) -> tuple[int, int, int, int]:
        """Return the number of images, channels, height and width from a file's header.

        Raises:
            Exception: Of any type, if the file cannot be read.
        """

    @abstractmethod
    def images_of(self, file: Path) -> NDArray[Any]:
        """Return the images of a file, (n, channels, height, width), of any real dtype.

        Files of many images may be mapped into memory.

        Raises:
            Exception: Of any type, if the file cannot be read.
        """

    def read(self, index: Sequence[int]) -> tuple[Tensor, dict[str, Tensor]]:
        """Read images and parameters; see `Dataset.read`.

        Raises:
            LenskitError: A file cannot be read, has changed since the start, or has no image.
        """
        images = np.empty((len(index), 1, *self.image_shape), np.float32)
        files = np.searchsorted(self._ends, np.asarray(index, np.int64), "right")
        last, stored = -1, np.empty(0)
        # One file after the other, each closed before the next: the number of open files is limited.
        for place in np.argsort(files, kind="stable"):
            i = int(files[place])
            if i != last:
                last, stored = i, self._sound(self.images_of, self._files[i])
            row = int(index[place] - self._ends[i] + self._counts[i])
            name = f"{self._files[i]}[{row}]" if self._counts[i] > 1 else str(self._files[i])
            images[place, 0] = self.clean(self._one(stored, row, name), name, self.names[index[place]], self._size)
        return torch.from_numpy(images), self.read_parameters(index)

    def read_parameters(self, index: Sequence[int]) -> dict[str, Tensor]:
        """Return parameters without reading images; see `Dataset.read_parameters`."""
        labels = torch.from_numpy(self._labels[np.asarray(index, int)])
        # A subclass may add parameters after these.
        return {parameter.name: column for parameter, column in zip(self.parameters, labels.T, strict=False)}

    def _one(self, images: NDArray[Any], row: int, name: str) -> NDArray[Any]:
        channels, height, width = self.image_shape
        shape = images.shape[1:]
        if row >= len(images) or shape[0] != channels or shape[1] < height or shape[2] < width:
            raise LenskitError(f"{name} is missing: the file has changed since it was opened")
        return images[row]

    def _find(self, pattern: str | None) -> list[Path]:
        """Return the files, sorted by name."""
        if self._root.is_file():
            return [self._root]
        if not self._root.is_dir():
            raise UsageError(f"there is no file or folder {self._root}; this reader takes {self.accepts}")
        listing = matching(self._root, pattern) if pattern else look_through(self._root)
        listing.tell(self._root)
        files = listing.ending(self.endings)
        if not files:
            wanted = f"no file of the pattern {pattern}" if pattern else "no file"
            raise UsageError(f"there is {wanted} in {self._root} that ends in {', '.join(self.endings)}")
        here = [file for file in files if file.parent == self._root]
        if here and len(here) < len(files):
            raise UsageError(
                f"{self._root} holds images itself (such as {here[0].name}) and in folders (such as "
                f"{next(file for file in files if file.parent != self._root).relative_to(self._root)}): "
                "choose with a pattern, such as pattern=* or pattern=*/*"
            )
        return files

    def _name(self, file: Path) -> str:
        relative = file.relative_to(self._root) if file != self._root else Path(file.name)
        return stem(relative.as_posix(), self.endings)

    def _named(self) -> list[str]:
        """Return a name per image: the file's, with a number if it has several images."""
        names = [self._name(file) for file in self._files]
        check_names(self._root, names)
        if (self._counts == 1).all():
            return names
        return [f"{name}/{row}" for name, count in zip(names, self._counts, strict=True) for row in range(count)]

    def _class(self, file: Path) -> str | None:
        """Return the class of a file's images: the folder below the common folder."""
        parts = file.relative_to(self._base).parts
        return parts[0] if len(parts) > 1 else None

    def _are_classes(self, found: Sequence[str | None]) -> bool:
        """Whether the names of folders are classes, rather than names of lenses."""
        images: Counter[str | None] = Counter()
        for name, count in zip(found, self._counts, strict=True):
            images[name] += count
        return None not in images and (len(images) == 1 or max(images.values()) > 1)

    def _check_classes(self, classes: Sequence[str], files: Sequence[Path]) -> None:
        there = sorted({name for file in files if (name := self._class(file)) is not None})
        for name in classes:
            if name not in there:
                raise UsageError(f"there is no class {name!r} in {self._root}; it has {', '.join(there) or 'none'}")
        if len(set(classes)) < len(classes):
            raise UsageError(f"classes must name each class once; got {', '.join(classes)}")

    def _check_level(self) -> None:
        """Check that only one level of folders or files can be the classes.

        In train/ring/a.png, for example, the class could be `train` or `ring`.

        Raises:
            UsageError: Two levels of folders, or folders and files of many images, could be the classes. A pattern
                resolves this.
        """
        placed = [file.relative_to(self._base).parts for file in self._files]
        prefix = self._base.relative_to(self._root).parts if self._root.is_dir() else ()
        deep = next((parts for parts in placed if len(parts) > 2), None)
        if deep and len({parts[1] for parts in placed if len(parts) > 2}) > 1:
            outer, inner = ("/".join([*prefix, *start, *"*" * (len(deep) - len(start))]) for start in ((), deep[:1]))
            raise UsageError(
                f"which level is the class? {self._root} has {'/'.join([*prefix, *deep])}: "
                f"use pattern={inner} if it is {deep[1]}, pattern={outer} if it is {deep[0]}, label= for none"
            )
        arrays = [parts for parts, n in zip(placed, self._counts, strict=True) if len(parts) == 2 and n > 1]
        names = Counter(name for _, name in arrays)
        if len(names) > 1 and max(names.values()) > 1:
            top, name = arrays[0]
            raise UsageError(
                f"which level is the class? {self._root} has {'/'.join([*prefix, top, name])}, with many images: "
                f"open {self._base / top} if it is {name}, use pattern={'/'.join([*prefix, '*/*'])} if it is {top}, "
                "label= for none"
            )

    def _class_label(self, label: str, classes: Sequence[str] | None) -> tuple[list[Parameter], NDArray[np.float32]]:
        """Return the class label, if there is one, and its values (images, 0 or 1)."""
        class_names = [self._class(file) for file in self._files]
        if not label or (classes is None and not self._are_classes(class_names)):
            return [], np.zeros((len(self.names), 0), np.float32)
        order = tuple(classes or sorted({name for name in class_names if name is not None}))
        numbers = np.asarray([order.index(name) for name in class_names if name is not None], np.float32)
        return [Parameter(label, classes=order)], np.repeat(numbers, self._counts)[:, None]

    def _table(self, labels: str | None, columns: dict[str, str]) -> tuple[list[Parameter], NDArray[np.float32]]:
        """Return the parameters and values of a table of labels, if there is one."""
        folder = self._root if self._root.is_dir() else self._root.parent
        table = find_table(folder, labels)
        if table is None:
            if columns:
                raise UsageError(f"columns are given, but no table of labels: there is no {folder / LABELS}")
            return [], np.zeros((len(self.names), 0), np.float32)
        parameters, values = read_labels(table, self.names, columns, self.endings)
        return list(parameters), values

    def _sound(self, read: Any, file: Path) -> Any:
        """Return `read(file)`; convert exceptions to errors that name the file."""
        try:
            return read(file)
        except LenskitError:
            raise
        except FileNotFoundError as error:
            raise LenskitError(f"{file} is missing") from error
        except Exception as error:  # a decoder can raise any exception for a damaged file
            message = f"{file} cannot be read: {' '.join(str(error).split())[:200]}"
            raise too_many_files(error) or LenskitError(message) from error


def _base(root: Path, files: Sequence[Path]) -> Path:
    """Return the folder that contains the class folders.

    It is below the root if a pattern leads there.
    """
    if root.is_file():
        return root.parent
    base = Path(os.path.commonpath([file.parent for file in files]))
    return base.parent if base != root and all(file.parent == base for file in files) else base
