"""The errors that a user can cause and mend.

Everything that is the user's to put right is raised as one of these with one line that says what was wrong and what
would be right. The command line prints that line and exits with the error's status; from Python they are ordinary
exceptions.
"""


class LenskitError(Exception):
    """Something that was asked for could not be done (exit status 1)."""

    status = 1


class UsageError(LenskitError, ValueError):
    """What was asked for makes no sense: an unknown name, a wrong value (exit status 2)."""

    status = 2
