"""`northstar`: each command one call into the rooms, and what it says to people.

Belongs here: arguments, progress, tables, exit codes (0 done, 1 the night failed, 2 the user's mistake, 130 interrupted), one
module per group of commands. Does not belong here: any work. Everything heavy is imported inside the command that needs it:
`northstar --help` answers at once.
"""

from orchestration.cli.entry import cli, main

__all__ = ["cli", "main"]
