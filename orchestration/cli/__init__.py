"""`northstar`: each command is one call into the rooms, plus its output.

Belongs here: arguments, progress, tables, exit codes (0 done, 1 the night failed, 2 the user's mistake, 130 interrupted), one
module per group of commands. Does not belong here: any work. Heavy modules are imported inside the commands that need them, so
that `northstar --help` answers at once.
"""

from orchestration.cli.entry import cli, main

__all__ = ["cli", "main"]
