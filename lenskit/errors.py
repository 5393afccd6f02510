"""Errors that a user can cause and correct.

Each has a message of one line: the fault, its place, and the text to type. The command line prints this line and exits
with the error's status. In Python they are ordinary exceptions.
"""

from __future__ import annotations

import difflib
import errno
import os
from collections.abc import Iterable


class LenskitError(Exception):
    """Error that a user can cause and correct (exit status 1)."""

    status = 1


class UsageError(LenskitError, ValueError):
    """Invalid request: an unknown name or a wrong value (exit status 2)."""

    status = 2


def meant(name: str, names: Iterable[str], otherwise: str = "") -> str:
    """Return `did you mean A or B?` with similar names, or else `otherwise`.

    Args:
        name: The unknown name.
        names: The known names.
        otherwise: Text to return if no known name is similar.
    """
    nearest = " or ".join(difflib.get_close_matches(name, [*names], n=3))
    return f"did you mean {nearest}?" if nearest else otherwise


def near(name: str, names: Iterable[str]) -> str:
    """Return the hint ` (did you mean A or B?)`; empty if no name is similar."""
    hint = meant(name, names)
    return f" ({hint})" if hint else ""


def too_many_files(error: BaseException) -> LenskitError | None:
    """Return an error to raise instead if too many files are open, or else None.

    The message names no file, because any file would have failed.
    """
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        return LenskitError(
            f"too many files are open ({os.strerror(error.errno).lower()}): raise the limit, for example with "
            "ulimit -n 4096"
        )
    return None
