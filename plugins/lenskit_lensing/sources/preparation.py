"""Preparation of stamps as sources: part by part, in processes of one thread each.

The processes are separate programs that receive parts and return the results. Unlike those of `multiprocessing` they
work wherever a simulator is built (in a worker of a cluster, in a notebook, in a script without `__main__`), and do not
import torch.
"""

from __future__ import annotations

import math
import os
import pickle
import signal
import subprocess
import sys
from collections import Counter, deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lenskit.plugin import LenskitError
from lenskit_lensing.sources.stamps import Image, centred, half_light_radius

WORTH_A_PROCESS = 300
"""Number of stamps whose preparation takes as long as starting a process."""

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass
class Prepared:
    """Prepared stamps of one part of a catalogue.

    Args:
        size: Side of the images in pixels.
        images: (size, size) each, with a maximum of one, because a sum of one would leave few bits of float16.
        half_light: Half-light radius of each in pixels.
        rows: Index of each in its catalogue.
        left_out: Number of skipped stamps by reason.
        missing: One line for each missing entry of the catalogue.
        seen: Number of stamps in this part, if `rows` counts from the beginning of the part; 0 if `rows` counts from
            the beginning of the catalogue.
    """

    size: int
    images: list[NDArray[np.float16]] = field(default_factory=list)
    half_light: list[float] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    missing: list[str] = field(default_factory=list)
    seen: int = 0

    def add(self, row: int, galaxy: Image) -> None:
        """Add a galaxy on an empty sky: no pixel is negative, some are positive."""
        image = centred(galaxy, self.size)
        self.images.append((image / image.max()).astype(np.float16))
        self.half_light.append(half_light_radius(image))
        self.rows.append(row)


class Part(Protocol):
    """Part of a catalogue. It is sent to another process, so it holds no pixels."""

    def __len__(self) -> int:
        """Number of stamps, or of files of stamps, for the progress bar."""

    def __call__(self) -> Prepared:
        """Read and prepare the stamps."""


def processes_for(stamps: int) -> int:
    """Return the number of processes that are worth starting."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, math.ceil(stamps / WORTH_A_PROCESS)))


def each_prepared(parts: Sequence[Part], processes: int) -> Generator[Prepared]:
    """Yield the results of parts in order; few of them are in memory at a time.

    Raises:
        LenskitError: A part is invalid, or a process was killed.
    """
    if processes == 1:
        yield from (part() for part in parts)
        return
    with ThreadPoolExecutor(processes) as threads, ExitStack() as stack:
        idle: SimpleQueue[subprocess.Popen[bytes]] = SimpleQueue()
        for _ in range(processes):
            process = stack.enter_context(_start())
            stack.callback(process.terminate)
            idle.put(process)
        pending: deque[Future[Prepared]] = deque()
        for part in parts:
            pending.append(threads.submit(_sent, part, idle))
            if len(pending) == 2 * processes:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def _start() -> subprocess.Popen[bytes]:
    program = "from lenskit_lensing.sources.preparation import serve; serve()"
    environment = os.environ | dict.fromkeys(THREADS, "1") | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    )


def _sent(part: Part, idle: SimpleQueue[subprocess.Popen[bytes]]) -> Prepared:
    """Prepare a part in the next idle process."""
    process = idle.get()
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        pickle.dump(part, process.stdin)
        process.stdin.flush()
        result: Any = pickle.load(process.stdout)
    except (EOFError, OSError, pickle.UnpicklingError) as error:
        raise LenskitError(
            "a process that prepared stamps ended too early, perhaps for lack of memory; the next attempt starts from"
            " the beginning"
        ) from error
    finally:
        idle.put(process)
    if isinstance(result, Exception):
        raise result
    return result


def serve() -> None:
    """Prepare parts from standard input until there are no more; write the results."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes, and the parent ends the others
    results, sys.stdout = sys.stdout.buffer, sys.stderr
    while True:
        try:
            part = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        try:
            result = part()
        except Exception as error:
            result = error
        try:
            pickle.dump(result, results)
            results.flush()
        except BrokenPipeError:
            os._exit(1)  # the parent is gone; without this the interpreter's flush would print an error
