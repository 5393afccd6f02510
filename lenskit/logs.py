"""Log records as text: the format of a line, and the handler of the screen."""

from __future__ import annotations

import logging
import sys

from lenskit.terminal import width_of, wrapped
from lenskit.words import escaped, shortened

LONGEST = 2000
"""Characters of a line, at most."""


class OneLine(logging.Formatter):
    """Writes each record in one line without control characters, and not without end; a traceback stands below it."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        return shortened(escaped(super().formatMessage(record)), LONGEST)


class Screen(logging.Handler):
    """Writes records to stderr as it is then, so that they stand above a progress bar; a terminal's at its width."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record."""
        try:
            sys.stderr.write(wrapped(self.format(record), width_of(sys.stderr)) + "\n")
            sys.stderr.flush()
        except Exception:  # as in logging.StreamHandler: a log that fails stops no work
            self.handleError(record)
