"""`python -m orchestration.reference [--check] [FOLDER]` writes the generated pages, or says which are stale."""

import sys
from pathlib import Path

import click

from orchestration.base.errors import NorthstarError, UserError
from orchestration.config.loading import load
from orchestration.config.project import PROJECT
from orchestration.landing.contract import CONTRACT
from orchestration.reference.generation import pages, stale, write
from orchestration.reference.landing import LANDING_MACRO, landing_macro
from orchestration.warehouse import dbt


@click.command()
@click.option("--check", is_flag=True, help="Write nothing; exit 1 when a page is stale.")
@click.argument("folder", type=click.Path(path_type=Path), default=PROJECT)
def main(folder: Path, *, check: bool) -> None:
    """Write the generated pages of the project in FOLDER."""
    try:
        configured = load()
        # The macro first: the manifest depends on it.
        changed = set() if check else set(write(folder, {LANDING_MACRO: landing_macro(CONTRACT.values())}))
        dbt.prepare(configured)
        current = pages(configured)
        if check:
            outdated = stale(folder, current)
            for path in outdated:
                click.echo(f"{path} is stale; run `make docs`", err=True)
            sys.exit(1 if outdated else 0)
        changed |= set(write(folder, current))
        for path in current:
            click.echo(f"{path}: {'written' if path in changed else 'current'}")
    except NorthstarError as error:
        click.echo(str(error), err=True)
        sys.exit(2 if isinstance(error, UserError) else 1)


if __name__ == "__main__":
    main()
