"""The two kinds of failure that Northstar reports as a message instead of a stack trace.

Belongs here: the base classes that the command line maps to exit codes. Does not belong here: the messages; the code that finds
a fault writes them and names the file, the source and the column or key.
"""


class NorthstarError(Exception):
    """A failure with a complete message: what happened, where, and what remains unchanged. Exit code 1."""


class UserError(NorthstarError):
    """The user's mistake (a wrong argument, setting or folder); nothing was changed. Exit code 2."""
