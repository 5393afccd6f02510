"""Format of log records."""

from __future__ import annotations

import logging

from lenskit.words import escaped, shortened

LONGEST = 2000
"""Characters of a line, at most."""


class OneLine(logging.Formatter):
    """Writes each record in one line without control characters, and not without end; a traceback stands below it."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        return shortened(escaped(super().formatMessage(record)), LONGEST)
