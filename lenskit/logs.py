"""How records are logged."""

from __future__ import annotations

import logging

from lenskit.words import escaped


class OneLine(logging.Formatter):
    """Writes each record in one line without control characters; a traceback stands below it."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        return escaped(super().formatMessage(record))
