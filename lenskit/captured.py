"""Capture of the text that code prints or logs."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any


class _Stream:
    """Stream that first stores text and later passes it on.

    Handlers of loggers may keep a reference to it after the capture.
    """

    def __init__(self, stream: Any, texts: list[str]) -> None:
        self._stream, self._texts = stream, texts
        self.keeps = True

    def write(self, text: str) -> int:
        if not self.keeps:
            return int(self._stream.write(text))
        self._texts.append(str(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def captured() -> Iterator[list[str]]:
    """Capture output, errors, warnings and logs of Python code.

    The handlers of the root logger are restored afterwards, so that a `logging.basicConfig` of the code has no effect.

    Yields:
        The texts, in their order.
    """
    texts: list[str] = []
    streams = [_Stream(stream, texts) for stream in (sys.stdout, sys.stderr)]
    handlers, level = _set_root()  # without handlers, warnings go to standard error
    try:
        with redirect_stdout(streams[0]), redirect_stderr(streams[1]):
            yield texts
    finally:
        _set_root(handlers, level)
        for stream in streams:
            stream.keeps = False


def _set_root(handlers: Iterable[Any] = (), level: int | None = None) -> tuple[list[Any], int | None]:
    """Change the root logger, and return its old handlers and level.

    If `logging` is not imported yet, nothing is changed, because the import takes time.
    """
    if "logging" not in sys.modules:
        return [], None
    root = sys.modules["logging"].getLogger()
    before = root.handlers[:], root.level
    root.handlers[:] = handlers
    if level is not None:
        root.setLevel(level)
    return before
