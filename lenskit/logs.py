"""Format of log records, and the handler that writes them to the screen."""

from __future__ import annotations

import logging
import sys

from lenskit.terminal import width_of, wrapped
from lenskit.words import escaped, shortened

LONGEST = 2000
"""Largest number of characters of a line."""


class OneLine(logging.Formatter):
    """Formatter that writes the message of a record in one line.

    Control characters are escaped, and a line is cut at `LONGEST` characters. A traceback follows below the line.
    """

    def formatMessage(self, record: logging.LogRecord) -> str:
        return shortened(escaped(super().formatMessage(record)), LONGEST)


class Screen(logging.Handler):
    """Handler that writes records to stderr, wrapped at the width of a terminal.

    Each record goes to the current `sys.stderr`, which a progress bar replaces so that lines appear above the bar.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record."""
        try:
            sys.stderr.write(wrapped(self.format(record), width_of(sys.stderr)) + "\n")
            sys.stderr.flush()
        except Exception:  # as in logging.StreamHandler: an error of the log must not stop the work
            self.handleError(record)
