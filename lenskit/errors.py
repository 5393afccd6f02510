"""The errors that a user can cause and mend.

Everything that is the user's to put right is raised as one of these with one line that says what was wrong and what
would be right. The command line prints that line and exits with the error's status; from Python they are ordinary
exceptions.
"""

from __future__ import annotations

import difflib
import errno
import os
from collections.abc import Iterable


class LenskitError(Exception):
    """Something that was asked for could not be done (exit status 1)."""

    status = 1


class UsageError(LenskitError, ValueError):
    """What was asked for makes no sense: an unknown name, a wrong value (exit status 2)."""

    status = 2


def meant(name: str, names: Iterable[str], otherwise: str = "") -> str:
    """Return `did you mean A or B?` with the names that come near one, or another text if there are none."""
    nearest = " or ".join(difflib.get_close_matches(name, [*names], n=3))
    return f"did you mean {nearest}?" if nearest else otherwise


def near(name: str, names: Iterable[str]) -> str:
    """Return the hint ` (did you mean A or B?)`, to be put into a sentence; empty if no name comes near."""
    hint = meant(name, names)
    return f" ({hint})" if hint else ""


def too_many_files(error: BaseException) -> LenskitError | None:
    """The error to raise instead if the system lets this process open no more files; no file is to blame for it."""
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        return LenskitError(
            f"no more files may be open at a time ({os.strerror(error.errno).lower()}): raise the limit, as with "
            "ulimit -n 4096"
        )
    return None
