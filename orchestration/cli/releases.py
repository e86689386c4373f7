"""Commands on releases: `releases`, `rollback`, `publish`, `diff`, `status` and `query`."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click
from rich.table import Table
from rich.text import Text

from orchestration.base.counts import counted
from orchestration.base.errors import UserError
from orchestration.cli.console import ERR, OUT, SHARE, WIDE, progress
from orchestration.cli.home import prepare_home, specs_of, store_of
from orchestration.config.loading import load
from orchestration.config.settings import Settings

if TYPE_CHECKING:
    from orchestration.publishing.release import Release


@click.command()
def releases() -> None:
    """List the releases, newest first."""
    table = Table("release", "data through", "published", "marts", "rows", "model", "restatements", box=None)
    for release in store_of(load()).releases():
        manifest = release.manifest
        table.add_row(
            f"{release.release_id}{' (current)' if release.is_current else ''}",
            str(manifest.data_through),
            f"{manifest.published_at:%Y-%m-%d %H:%M:%S} UTC",
            str(len(manifest.marts)),
            f"{sum(mart.rows for mart in manifest.marts.values()):,}",
            manifest.model_version or "none",
            "" if manifest.changes is None else str(manifest.changes),
        )
    WIDE.print(table)


@click.command()
@click.argument("release_id")
def rollback(release_id: str) -> None:
    """Make an older release the current one, in PostgreSQL too where it is published to."""
    from orchestration.publishing.lock import WriterLock

    settings = load()
    with WriterLock(settings.home, "rollback") as lock:
        store = store_of(settings)
        release = store.rollback(release_id, lock)
        OUT.print(f"current is {release.release_id}, data through {release.manifest.data_through}", markup=False)
        if settings.postgres_url is not None:
            from orchestration.night.postgres import publish_release

            prepare_home(settings)
            published = publish_release(settings, store, release)
            OUT.print(f"PostgreSQL: {published.release_id} {published.action}", markup=False)
            for note in published.notes:
                OUT.print(f"  {note}", markup=False)


@click.command()
def publish() -> None:
    """Bring PostgreSQL to the current release, where a night could not."""
    from orchestration.night import postgres
    from orchestration.night.run import Night

    settings = load()
    if settings.postgres_url is None:
        raise UserError("no PostgreSQL database is configured; set NORTHSTAR_POSTGRES_URL or publish.postgres_url")
    prepare_home(settings)
    with progress(), Night(settings, purpose="publish") as night:
        postgres.publish(night)


@click.command()
@click.argument("before")
@click.argument("after")
@click.option("--limit", type=click.IntRange(0), default=20, show_default=True, help="Moved figures to list, the largest first.")
@click.option("--fail-over", type=SHARE, default=None, help="Exit 1 when a figure of a closed period moved by more (5% or 0.05).")
def diff(before: str, after: str, limit: int, fail_over: float | None) -> int:
    """Compare two releases: rows and columns by mart, and the figures of closed periods that moved."""
    from orchestration.publishing.comparison import diff as comparison

    settings = load()
    store = store_of(settings)
    for release_id in (before, after):
        store.release(release_id)  # Before reading the project, which may take a while, so that a wrong id fails at once.
    found = comparison.diff(store, before, after, specs_of(settings))
    table = Table("mart", "added", "removed", "changed", "unchanged", "columns", box=None)
    for mart in found.marts:
        rows, schema = mart.rows, Text("; ".join(change.detail for change in mart.schema) or "same")
        if isinstance(rows, str):
            table.add_row(mart.mart, *[""] * 4, Text(f"cannot be compared: {rows}"))
        else:
            table.add_row(mart.mart, *(f"{n:,}" for n in (rows.added, rows.removed, rows.changed, rows.unchanged)), schema)
    WIDE.print(table)
    if found.moves and limit:
        moves = Table("\nmart", "\nperiod", "\nseries", "\nmeasure", "\nbefore", "\nafter", "\nmoved", box=None)
        for move in found.moves[:limit]:
            rate = f"{move.change_rate:+.1%}" if move.before else "from nothing"
            period, figures = f"{move.period} {move.period_start}", (_figure(move.before), _figure(move.after))
            moves.add_row(move.mart, period, Text(move.series), move.measure, *figures, rate)
        WIDE.print(moves)
    shown = f", the {limit:,} largest are shown" if 0 < limit < len(found.moves) else ""
    OUT.print(f"\n{counted(len(found.moves), 'figure')} of closed periods moved{shown}", markup=False)
    if fail_over is None or not (beyond := found.beyond(fail_over)):
        return 0
    ERR.print(
        f"{counted(len(beyond), 'figure')} of closed periods moved by more than {100 * fail_over:.10g} % of what they were",
        markup=False,
    )
    return 1


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:,.4f}".rstrip("0").rstrip(".")


@click.command()
def status() -> int:
    """Say how old the current release is; exit 1 when it is too old, cannot be read, or is not what PostgreSQL has."""
    settings = load()
    store = store_of(settings)
    age = store.age(datetime.now(UTC))
    current = store.current()
    assert current is not None  # noqa: S101  (age raises when there is none)
    store.check_readable(current)
    limit = settings.max_release_age
    OUT.print(
        f"release {current.release_id}, data through {current.manifest.data_through}, published {_hours(age)} ago"
        f" (limit {settings.config.max_release_age})",
        markup=False,
    )
    is_elsewhere = True
    if settings.postgres_url is not None:
        is_elsewhere = _postgres_status(settings, current)
    return 1 if age > limit or not is_elsewhere else 0


def _postgres_status(settings: Settings, current: "Release") -> bool:
    """Print the release that PostgreSQL has; return whether it is the current one."""
    from orchestration.night import postgres

    database = postgres.target(settings)
    assert database is not None  # noqa: S101  (a URL is configured)
    published = database.published()
    if published == current.release_id:
        OUT.print(f"{database.place} has it too", markup=False)
        return True
    had = f"release {published}" if published else "no release"
    OUT.print(f"{database.place} has {had}; `northstar publish` brings it to the current one", markup=False)
    return False


@click.command()
@click.argument("sql")
def query(sql: str) -> None:
    """Run one SELECT against the current release, read-only."""
    connection = store_of(load()).query(sql)
    try:
        names = [str(column[0]) for column in connection.description]
        table = Table(box=None)
        for name in names:
            table.add_column(Text(name))
        while rows := connection.fetchmany(1_000):
            for row in rows:
                # As plain text: data may look like markup.
                table.add_row(*(Text("" if value is None else str(value)) for value in row))
    finally:
        connection.close()
    WIDE.print(table)


def _hours(age: timedelta) -> str:
    hours, seconds = divmod(int(age.total_seconds()), 3600)
    return f"{hours} h {seconds // 60} min"
