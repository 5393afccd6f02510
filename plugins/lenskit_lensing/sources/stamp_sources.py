"""Galaxies as sources, prepared once and cached on disk.

The preparation of a catalogue takes minutes, and its images take a gigabyte. They are written to a file in the user's
cache, and memory-mapped, so that all processes of a machine share them.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import logging
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from lenskit.plugin import LenskitError, UsageError
from lenskit.toolbox import cache_folder, counted, write_atomically
from lenskit_lensing.sources.preparation import Part, Prepared, each_prepared, processes_for
from lenskit_lensing.sources.stamp_file import StampWriter, read_stamps

if TYPE_CHECKING:
    from torch import Tensor

VERSION = 1
"""Version of the preparation. Increase it with every change, so that files of older versions are not used."""

SIZE = 96
"""Side of prepared images in pixels. Larger galaxies are reduced.

With LenSiam's cuts a quarter of the galaxies is reduced, as with 128 pixels. Half-light radii change by less than
0.1 %. A reduced galaxy still has more pixels within its half-light radius than most galaxies that are not reduced.
"""

SMALLEST = 16
"""Minimum side of a cutout and of a prepared image in pixels."""

MISSING = 0.01
"""Maximum fraction of missing stamps of a complete catalogue."""

log = logging.getLogger("lenskit")


@dataclass(frozen=True)
class StampSources:
    """Images of galaxies on an empty sky.

    Args:
        images: (k, size, size) float16. Each has a maximum of one and the centroid of its galaxy in the centre. Border
            pixels are zero, and no pixel is negative. They are mapped from a file and must not be changed.
        half_light: (k,) float32, radius in pixels of the circle with half of the light.
        flux: (k,) float32, sum of each image.
        rows: (k,) int64, index of each galaxy in its catalogue, from 0.
    """

    images: Tensor
    half_light: Tensor
    flux: Tensor
    rows: Tensor


def stamp_sources(
    name: str,
    parts: Sequence[Part],
    *,
    files: Iterable[Path],
    cuts: Mapping[str, Any],
    size: int,
    reasons: Mapping[str, int],
) -> StampSources:
    """Return the sources of a catalogue, from the cache or newly prepared.

    Without a usable cache folder, the sources are prepared for this process only.

    Args:
        name: Name of the catalogue in messages.
        parts: Parts of the catalogue.
        files: All files that are read. If the name, size or time of a file changes, the catalogue is prepared again.
        cuts: All other options of the preparation.
        size: Side of the prepared images in pixels.
        reasons: Reasons for skipping stamps, with the number skipped before the parts are read.

    Raises:
        UsageError: More than the fraction `MISSING` of the stamps is missing, or no galaxy is left.
        LenskitError: The disk is full.
    """
    about = [(path.name, (status := path.stat()).st_size, status.st_mtime_ns) for path in files]
    identity = json.dumps([VERSION, size, dict(cuts), about], sort_keys=True)
    digest = hashlib.blake2b(identity.encode(), digest_size=16).hexdigest()
    work = _Preparation(name, parts, size, digest, reasons)
    path = cache_folder() / f"stamps-{digest}.safetensors"
    tensors = read_stamps(path, digest)
    if tensors is not None:
        log.info("%s: %d galaxies, prepared before, from %s", name, len(tensors["images"]), path)
        return StampSources(**tensors)
    try:
        with _alone(path):
            tensors = read_stamps(path, digest)  # another process may have prepared it
            if tensors is None:
                work.into(path)
                tensors = read_stamps(path, digest)
    except _NoFolder as error:
        log.warning("%s; stamps are prepared for this process alone; to keep them, set LENSKIT_CACHE", error)
        with tempfile.TemporaryDirectory() as folder:  # mapped data stay valid when the file is removed
            path = Path(folder, path.name)
            work.into(path)
            tensors = read_stamps(path, digest)
    if tensors is None:
        raise LenskitError(f"{path} cannot be read back; set LENSKIT_CACHE to a different folder")
    return StampSources(**tensors)


class _NoFolder(Exception):
    """Error of an unusable cache."""


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Lock a preparation, so that other processes wait for it and use its result."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.with_suffix(".lock").open("wb")
    except OSError as error:
        raise _NoFolder(f"{path.parent}: {error.strerror}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.info("waiting for another process, which prepares %s", path)
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError as error:
            raise _NoFolder(f"{path.parent}: no locks ({error.strerror})") from error
        yield


@dataclass
class _Preparation:
    """Preparation of a catalogue into a file."""

    name: str
    parts: Sequence[Part]
    size: int
    digest: str
    reasons: Mapping[str, int]

    def into(self, path: Path) -> None:
        """Write the file atomically."""
        total = sum(map(len, self.parts))
        processes = processes_for(total)
        log.info("%s: stamps are prepared, once, in %d process(es), and kept as %s", self.name, processes, path)
        try:
            with counted("stamps", total) as advance, closing(each_prepared(self.parts, processes)) as results:
                write_atomically(path, lambda file: self._write(file, results, advance))
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise LenskitError(
                f"{path}: {error.strerror} while stamps were prepared; set LENSKIT_CACHE to a different folder"
            ) from error

    def _write(self, file: IO[bytes], results: Iterable[Prepared], advance: Callable[[int], object]) -> None:
        total = sum(map(len, self.parts))
        writer, seen = StampWriter(file, self.size), 0
        left_out, missing = Counter(self.reasons), list[str]()
        for part, result in zip(self.parts, results, strict=True):
            missing += result.missing
            if len(missing) > MISSING * total:
                raise UsageError(f"{self.name}: {missing[0]}; use the complete catalogue")
            for row, image, radius in zip(result.rows, result.images, result.half_light, strict=True):
                writer.add(image, half_light=radius, row=seen + row)
            left_out += result.left_out
            seen += result.seen
            advance(len(part))

        left_out = Counter(dict.fromkeys(self.reasons, 0) | left_out)  # adding drops zeros
        count = writer.count + len(missing) + sum(left_out.values())
        account = ", ".join(f"{number} {reason}" for reason, number in left_out.items())
        if not writer.count:
            raise UsageError(f"{self.name}: none of {count} galaxies is left ({account}); use wider cuts")
        log.info("%s: %d of %d galaxies; left out %s", self.name, writer.count, count, account)
        if missing:
            log.warning("%s: %d stamps are missing and left out; the first: %s", self.name, len(missing), missing[0])
        writer.finish(self.digest, self.name)
