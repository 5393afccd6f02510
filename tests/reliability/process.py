"""Command lines in forked processes."""

from __future__ import annotations

import os
import resource
import select
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

GRACE = 60
"""Seconds until an interrupted process is killed."""


@dataclass(frozen=True)
class Ended:
    """End of a process.

    Attributes:
        status: Exit status, or minus the number of the signal that ended the process.
        out: Standard output.
        err: Standard error.
        interrupted: Whether the process was interrupted after its time limit.
    """

    status: int
    out: str
    err: str
    interrupted: bool


def call(arguments: Sequence[str], folder: Path, *, seconds: float = 20) -> Ended:
    """Run a command line of lenskit in a folder, with an interrupt after a time limit."""

    def work() -> int:
        from lenskit.cli.main import run

        sys.argv = ["lenskit", *arguments]
        return run(list(arguments))

    return forked(work, folder, seconds=seconds)


def forked(work: Callable[[], int], folder: Path, *, seconds: float) -> Ended:
    """Call a function in a forked process in a folder, and wait for its end.

    The process is interrupted after `seconds`, and killed `GRACE` seconds later; then its status is -9.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if not pid:
            _become(out.fileno(), err.fileno(), folder)
            os._exit(_status(work))
        interrupted = False
        descriptor = os.pidfd_open(pid)
        try:
            if not select.select([descriptor], [], [], seconds)[0]:
                interrupted = True
                os.kill(pid, signal.SIGINT)
                if not select.select([descriptor], [], [], GRACE)[0]:
                    os.killpg(pid, signal.SIGKILL)
        finally:
            os.close(descriptor)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        _end_group(pid)
        return Ended(status, _text(out), _text(err), interrupted)


def _become(out: int, err: int, folder: Path) -> None:
    """Give this process its own group, output files and resource limits."""
    os.setpgid(0, 0)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(out, 1)
    os.dup2(err, 2)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", errors="backslashreplace", closefd=False)
    sys.stderr = os.fdopen(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 30, 1 << 30))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    data = 10 << 30
    resource.setrlimit(resource.RLIMIT_DATA, (data, data))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    os.chdir(folder)


def _status(work: Callable[[], int]) -> int:
    """Return the exit status of the interpreter for a function."""
    try:
        status = work()
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 1
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return status


def _end_group(leader: int) -> None:
    """Kill the remaining processes of a group."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            os.killpg(leader, signal.SIGKILL)
        except ProcessLookupError:
            return
        time.sleep(0.01)


def _text(file: tempfile._TemporaryFileWrapper) -> str:
    file.seek(0)
    return file.read().decode("utf-8", "backslashreplace")
