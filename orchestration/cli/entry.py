"""The command line: the group of all commands, and the handling of faults.

Belongs here: the list of commands, and exit codes. Does not belong here: a command (a module per group).
"""

import sys
import traceback
from typing import TYPE_CHECKING

import click

from orchestration.base.errors import NorthstarError, UserError
from orchestration.cli import landing, models, nights, releases, service
from orchestration.cli.console import ERR
from orchestration.config.loading import load

if TYPE_CHECKING:
    pass


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="northstar")
def cli() -> None:
    """Turn landed product events into validated, versioned growth marts, every night."""


# In the order in which the reference lists them.
for _command in (
    landing.simulate,
    landing.import_,
    nights.nightly,
    nights.backfill,
    nights.rebuild,
    nights.prepare,
    releases.releases,
    releases.rollback,
    releases.publish,
    models.models,
    releases.diff,
    releases.status,
    releases.query,
    service.ui,
):
    cli.add_command(_command)


def main() -> None:
    """Run the command line; faults of users and machines end in a message and an exit code, anything else is a bug."""
    try:
        code = cli(standalone_mode=False)
    except (click.exceptions.Abort, KeyboardInterrupt):
        ERR.print("interrupted", markup=False)
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except UserError as error:
        ERR.print(str(error), markup=False)
        sys.exit(2)
    except NorthstarError as error:
        ERR.print(str(error), markup=False)
        sys.exit(1)
    except (OSError, MemoryError) as error:
        ERR.print(f"{_machine_fault(error)}{_keep_details()}", markup=False)
        sys.exit(1)
    except _database_errors() as error:
        ERR.print(f"DuckDB: {str(error).strip().splitlines()[0]}{_keep_details()}", markup=False)
        sys.exit(1)
    sys.exit(code if isinstance(code, int) else 0)


def _database_errors() -> tuple[type[Exception], ...]:
    """DuckDB's errors, if this process has imported DuckDB: the import takes 0.1 s."""
    duckdb = sys.modules.get("duckdb")
    return () if duckdb is None else (duckdb.Error,)


def _machine_fault(error: OSError | MemoryError) -> str:
    """Describe a fault of the machine in one line."""
    if isinstance(error, MemoryError):
        return "the process is out of memory; lower memory_limit in northstar.toml, or give the machine more"
    return f"{error.filename or 'a file or connection'}: {error.strerror or error}"


def _keep_details() -> str:
    """Append the stack trace of the current error to the home's log; returns a text that names the file."""
    try:
        log = load().home / "logs" / "last_error.txt"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(traceback.format_exc(), encoding="utf-8")
    except (OSError, NorthstarError):
        return ""
    return f" (details in {log})"
