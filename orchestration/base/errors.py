"""The two kinds of failure that Northstar reports in words instead of a stack trace.

Belongs here: the base classes that the command line maps to exit codes. Does not belong here: the messages, which are written
where the fault is found and name the file, the source and the column or key at fault.
"""


class NorthstarError(Exception):
    """A failure whose message is complete: what happened, where, and what stands unchanged. Exit code 1."""


class UserError(NorthstarError):
    """The user's mistake (a wrong argument, setting or folder); nothing was changed. Exit code 2."""
