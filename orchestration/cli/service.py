"""The command that serves: `ui`."""

from typing import TYPE_CHECKING

import click

from orchestration.cli.console import OUT
from orchestration.cli.home import prepare_home
from orchestration.config.loading import load

if TYPE_CHECKING:
    pass


@click.command()
@click.option("--port", type=click.IntRange(1, 65535), default=3000, show_default=True, help="Port on the loopback interface.")
def ui(port: int) -> int:
    """Serve Dagster on the loopback interface, with the daemon that runs the schedule."""
    from orchestration.serving import serve

    settings = load()
    prepare_home(settings)
    OUT.print(f"Dagster on http://127.0.0.1:{port} (Ctrl-C ends it)", markup=False)
    return serve(port)
