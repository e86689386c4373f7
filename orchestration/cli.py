"""`northstar`: each command one call into the rooms, and what it says to people.

Belongs here: arguments, progress, tables, exit codes (0 done, 1 the night failed, 2 the user's
mistake, 130 interrupted). Does not belong
here: any work. Everything heavy is imported inside the command that needs it: `northstar --help` answers at once.
"""

import errno
import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from orchestration.base.errors import NorthstarError, UserError
from orchestration.config.loading import adopt, differing, load, with_values
from orchestration.config.settings import Settings, without_wildcards

if TYPE_CHECKING:
    from dbt.contracts.graph.manifest import Manifest as DbtManifest

    from orchestration.publishing.changes import Shape
    from orchestration.publishing.release import Release
    from orchestration.publishing.store import ReleaseStore

_out = Console(highlight=False, soft_wrap=True)
# A table keeps one line per row, however wide: a terminal scrolls, a pipe cuts.
_wide = Console(highlight=False, width=max(_out.width, 400))
# Refused challengers that `northstar models` shows.
_LAST_REFUSALS = 10
# A full disk, a quota, a limit of the process.
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_NO_COPIES = {"module": "dagster._core.storage.noop_compute_log_manager", "class": "NoOpComputeLogManager"}
_err = Console(stderr=True, highlight=False, soft_wrap=True)


def main() -> None:
    """Run the command line; faults of users and machines end in words and an exit code, anything else is a bug."""
    try:
        code = cli(standalone_mode=False)
    except (click.exceptions.Abort, KeyboardInterrupt):
        _err.print("interrupted", markup=False)
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except UserError as error:
        _err.print(str(error), markup=False)
        sys.exit(2)
    except NorthstarError as error:
        _err.print(str(error), markup=False)
        sys.exit(1)
    except (OSError, MemoryError) as error:
        _err.print(f"{_machine_fault(error)}{_keep_details()}", markup=False)
        sys.exit(1)
    except _database_errors() as error:
        _err.print(f"DuckDB: {str(error).strip().splitlines()[0]}{_keep_details()}", markup=False)
        sys.exit(1)
    sys.exit(code if isinstance(code, int) else 0)


def _database_errors() -> tuple[type[Exception], ...]:
    """DuckDB's errors, where this process has needed DuckDB: the import takes a tenth of a second."""
    duckdb = sys.modules.get("duckdb")
    return () if duckdb is None else (duckdb.Error,)


def _machine_fault(error: OSError | MemoryError) -> str:
    """What the machine, not the user, did wrong, in one line."""
    if isinstance(error, MemoryError):
        return "the process is out of memory; lower memory_limit in northstar.toml, or give the machine more"
    return f"{error.filename or 'a file or connection'}: {error.strerror or error}"


def _keep_details() -> str:
    """Write the stack trace of the error at hand to the home's log; where it stands, in words."""
    try:
        log = load().home / "logs" / "last_error.txt"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(traceback.format_exc(), encoding="utf-8")
    except (OSError, NorthstarError):
        return ""
    return f" (details in {log})"


class _Day(click.ParamType[date]):
    name = "date"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> date:
        try:
            return value if isinstance(value, date) else date.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is no day; write it as 2026-11-21", param, ctx)


class _Share(click.ParamType[float]):
    name = "share"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        text = str(value).strip()
        try:
            share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
        except ValueError:
            share = -1
        # A bare 5 is more likely five per cent than five times.
        if not 0 <= share < float("inf") or (share > 1 and not text.endswith("%")):
            self.fail(f"{value!r} is no share; write it as 5% or 0.05", param, ctx)
        return share


_DAY = _Day()
_SHARE = _Share()
_PATH = click.Path(path_type=Path)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="northstar")
def cli() -> None:
    """Turn landed product events into validated, versioned growth marts, every night."""


@cli.command()
@click.option("--days", type=click.IntRange(1), default=240, show_default=True, help="Arrival days to write.")
@click.option("--users", type=click.IntRange(1), default=2_000, show_default=True, help="Persons who sign up, about.")
@click.option("--seed", type=int, default=7, show_default=True, help="Same seed, same bytes.")
@click.option(
    "--constant-churn",
    type=float,
    default=None,
    help="Probability that a paying account leaves within 30 days, whatever it does.  [default: as planted, by what it does]",
)
@click.option("--end", type=_DAY, default=None, help="Last arrival day.  [default: yesterday]")
@click.option("--out", type=_PATH, default=None, help="Folder to write.  [default: the landing zone]")
@click.option("--if-empty", is_flag=True, help="Do nothing when something has landed already.")
def simulate(
    days: int, users: int, seed: int, constant_churn: float | None, end: date | None, out: Path | None, if_empty: bool
) -> None:
    """Write the landing zone of a made-up company, and what was planted in it beside it in truth.json."""
    from orchestration.simulator import is_empty
    from orchestration.simulator import simulate as run

    settings = load()
    target = out or settings.landing
    if if_empty and not is_empty(target):
        return
    last = end or datetime.now(settings.timezone).date() - timedelta(days=1)
    summary = run(
        target,
        days=days,
        users=users,
        seed=seed,
        end=last,
        timezone=settings.config.reporting_timezone,
        constant_churn=constant_churn,
    )
    rows = ", ".join(f"{count:,} {source}" for source, count in summary.rows.items())
    _out.print(f"simulated {summary.first_day} to {summary.last_day} into {target}: {rows}", markup=False)


@cli.command("import")
@click.argument("adapter")
@click.argument("files", nargs=-1, required=True, type=_PATH)
@click.option("--out", type=_PATH, default=None, help="Folder to write.  [default: the landing zone]")
def import_(adapter: str, files: tuple[Path, ...], out: Path | None) -> None:
    """Bring FILES of an outside shape into the landing contract, by an ADAPTER."""
    from orchestration.adapters import ADAPTERS

    settings = load()
    if adapter not in ADAPTERS:
        shapes = "; ".join(f"{name} ({found.DESCRIPTION})" for name, found in sorted(ADAPTERS.items()))
        raise UserError(f"there is no adapter {adapter!r}; there are {shapes}")
    chosen = ADAPTERS[adapter]
    # The suggestion may name the time zone in which the history's days are to be cut; it is written once the files are in.
    suggested = _adoptable(settings, chosen.SETTINGS)
    timezone = with_values(settings, suggested).config.reporting_timezone
    report = chosen.convert(files, out or settings.landing, timezone=timezone)
    _suggest(settings, adapter, chosen.SETTINGS, suggested)
    written = ", ".join(f"{count:,} {source}" for source, count in report.rows_written.items())
    _out.print(f"{adapter}: {report.rows_read:,} rows read, written to {out or settings.landing}: {written}", markup=False)
    for note in report.notes:
        _out.print(f"  {note}", markup=False)


def _adoptable(settings: Settings, suggested: Mapping[str, Any]) -> Mapping[str, Any]:
    """What an adapter suggests and nobody has configured, where the configuration file is the home's own; else nothing."""
    is_own = settings.config_file in (None, settings.home / "northstar.toml")
    return differing(settings, suggested) if is_own else {}


def _suggest(settings: Settings, adapter: str, suggested: Mapping[str, Any], adopted: Mapping[str, Any]) -> None:
    """Write what is adopted of an adapter's suggestions into the home's configuration file; say what is not."""
    if adopted:
        written = adopt(settings, adapter, adopted)
        _out.print(f"{written}: {adapter} suggests {_in_words(adopted)}", markup=False)
    elif missing := differing(settings, suggested):
        _out.print(f"consider in {settings.config_file}: {_in_words(missing)}", markup=False)


def _in_words(values: Mapping[str, Any]) -> str:
    return "; ".join(f"{key} = {dict(value) if isinstance(value, Mapping) else value!r}" for key, value in values.items())


@cli.command()
@click.option("--as-of", type=_DAY, default=None, help="Build what arrived up to this day.  [default: the newest]")
def nightly(as_of: date | None) -> None:
    """Build and publish everything that landed and is not built yet."""
    from orchestration.night import AS_OF_TAG

    _run_night({AS_OF_TAG: as_of.isoformat()} if as_of else {})


@cli.command()
@click.option("--from", "first", type=_DAY, required=True, help="First arrival day to run again.")
@click.option("--to", "last", type=_DAY, required=True, help="Last arrival day to run again.")
def backfill(first: date, last: date) -> None:
    """Ingest arrival days again and build and publish what follows from them."""
    from orchestration.night import FROM_TAG, TO_TAG

    if first > last:
        raise UserError(f"--from {first} lies after --to {last}")
    _run_night({FROM_TAG: first.isoformat(), TO_TAG: last.isoformat()})


@cli.command()
def rebuild() -> None:
    """Build the warehouse from the lake, from nothing, and publish."""
    from orchestration.night import REBUILD_TAG

    _run_night({REBUILD_TAG: "true"})


@cli.command()
def prepare() -> None:
    """Make what a code location needs before it loads: the dbt manifest and Dagster's home."""
    settings = load()
    _prepare(settings)
    _out.print(f"prepared {settings.home}", markup=False)


@cli.command()
def releases() -> None:
    """List the releases, newest first."""
    table = Table("release", "data through", "published", "marts", "rows", "model", "since the release before", box=None)
    for release in _store(load()).releases():
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
    _wide.print(table)


@cli.command()
@click.argument("release_id")
def rollback(release_id: str) -> None:
    """Make an older release the current one, in PostgreSQL too where it is published to."""
    from orchestration.publishing.lock import WriterLock

    settings = load()
    with WriterLock(settings.home, "rollback") as lock:
        store = _store(settings)
        release = store.rollback(release_id, lock)
        _out.print(f"current is {release.release_id}, data through {release.manifest.data_through}", markup=False)
        if settings.postgres_url is not None:
            from orchestration.night import publish_to_postgres

            _prepare(settings)
            published = publish_to_postgres(settings, store, release)
            _out.print(f"PostgreSQL: {published.release_id} {published.action}", markup=False)
            for note in published.notes:
                _out.print(f"  {note}", markup=False)


@cli.command()
def publish() -> None:
    """Bring PostgreSQL to the current release, where a night could not."""
    from orchestration.night import Night

    settings = load()
    if settings.postgres_url is None:
        raise UserError("no PostgreSQL database is configured; set NORTHSTAR_POSTGRES_URL or publish.postgres_url")
    _prepare(settings)
    with _progress(), Night(settings, purpose="publish") as night:
        night.publish_to_postgres()


@cli.group(invoke_without_command=True)
@click.pass_context
def models(context: click.Context) -> None:
    """List the churn models, the newest champion first; `models rollback` brings an earlier one back."""
    if context.invoked_subcommand is not None:
        return
    from orchestration.model_store import CHURN, ModelStore

    store = ModelStore(load().home, CHURN)
    table = Table("model", "trained through", "promoted", "log-loss", "AUC", box=None)
    for model in store.models():
        metrics = model.card.get("metrics", {})
        table.add_row(
            f"{model.model_id}{' (champion)' if model.is_champion else ''}",
            str(model.card.get("trained_through", "")),
            model.promoted_at or "never",
            *(f"{metrics[name]:.4f}" if metrics.get(name) is not None else "" for name in ("log_loss", "auc")),
        )
    _wide.print(table)
    for refusal in store.refusals()[-_LAST_REFUSALS:]:
        _out.print(f"refused {refusal['model_id']}: {refusal['decision']['reason']}", markup=False)


@models.command("rollback")
@click.argument("model_id", required=False)
def rollback_model(model_id: str | None) -> None:
    """Make an earlier champion score again: the one before, or the one named."""
    from orchestration.churn import load_model
    from orchestration.model_store import CHURN, ModelStore
    from orchestration.publishing.lock import WriterLock

    settings = load()
    with WriterLock(settings.home, "models rollback"):
        chosen = ModelStore(settings.home, CHURN).rollback(model_id, load_model)
    _out.print(f"champion is {chosen}; the next night scores with it", markup=False)


@cli.command()
@click.argument("before")
@click.argument("after")
@click.option("--limit", type=click.IntRange(0), default=20, show_default=True, help="Moved figures to list, the largest first.")
@click.option(
    "--fail-over", type=_SHARE, default=None, help="Exit 1 when a figure of a closed period moved by more (5% or 0.05)."
)
def diff(before: str, after: str, limit: int, fail_over: float | None) -> int:
    """Compare two releases: rows and columns by mart, and the figures of closed periods that moved."""
    from orchestration.publishing import diff as comparison

    settings = load()
    store = _store(settings)
    for release_id in (before, after):
        store.release(release_id)  # Before the project is read, which may take a while: a wrong id is told at once.
    found = comparison.diff(store, before, after, _shapes(settings))
    table = Table("mart", "added", "removed", "changed", "unchanged", "columns", box=None)
    for mart in found.marts:
        rows, schema = mart.rows, Text("; ".join(change.detail for change in mart.schema) or "same")
        if isinstance(rows, str):
            table.add_row(mart.mart, *[""] * 4, Text(f"cannot be compared: {rows}"))
        else:
            table.add_row(mart.mart, *(f"{n:,}" for n in (rows.added, rows.removed, rows.changed, rows.unchanged)), schema)
    _wide.print(table)
    if found.moves and limit:
        moves = Table("\nmart", "\nperiod", "\nseries", "\nmeasure", "\nbefore", "\nafter", "\nmoved", box=None)
        for move in found.moves[:limit]:
            rate = f"{move.change_rate:+.1%}" if move.before else "from nothing"
            period, figures = f"{move.period} {move.period_start}", (_figure(move.before), _figure(move.after))
            moves.add_row(move.mart, period, Text(move.series), move.measure, *figures, rate)
        _wide.print(moves)
    shown = f", the {limit:,} largest are shown" if 0 < limit < len(found.moves) else ""
    _out.print(f"\n{_figures(len(found.moves))} of closed periods moved{shown}", markup=False)
    if fail_over is None or not (beyond := found.beyond(fail_over)):
        return 0
    _err.print(
        f"{_figures(len(beyond))} of closed periods moved by more than {100 * fail_over:.10g} % of what they were", markup=False
    )
    return 1


def _figures(count: int) -> str:
    return f"{count:,} {'figure' if count == 1 else 'figures'}"


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:,.4f}".rstrip("0").rstrip(".")


@cli.command()
def status() -> int:
    """Say how old the current release is; exit 1 when it is too old, cannot be read, or is not what PostgreSQL has."""
    settings = load()
    store = _store(settings)
    age = store.age(datetime.now(UTC))
    current = store.current()
    assert current is not None  # noqa: S101  (age raises when there is none)
    store.check_readable(current)
    limit = settings.max_release_age
    _out.print(
        f"release {current.release_id}, data through {current.manifest.data_through}, published {_hours(age)} ago"
        f" (limit {settings.config.max_release_age})",
        markup=False,
    )
    is_elsewhere = True
    if settings.postgres_url is not None:
        is_elsewhere = _postgres_status(settings, current)
    return 1 if age > limit or not is_elsewhere else 0


def _postgres_status(settings: Settings, current: "Release") -> bool:
    """Say which release PostgreSQL has; whether it is the current one."""
    from orchestration.night import postgres

    target = postgres(settings)
    assert target is not None  # noqa: S101  (a URL is configured)
    published = target.published()
    if published == current.release_id:
        _out.print(f"{target.place} has it too", markup=False)
        return True
    had = f"release {published}" if published else "no release"
    _out.print(f"{target.place} has {had}; `northstar publish` brings it to the current one", markup=False)
    return False


@cli.command()
@click.argument("sql")
def query(sql: str) -> None:
    """Run one SELECT against the current release, read-only."""
    connection = _store(load()).query(sql)
    try:
        names = [str(column[0]) for column in connection.description]
        table = Table(box=None)
        for name in names:
            table.add_column(Text(name))
        while rows := connection.fetchmany(1_000):
            for row in rows:
                # As plain text: what a table holds is data, and may look like markup.
                table.add_row(*(Text("" if value is None else str(value)) for value in row))
    finally:
        connection.close()
    _wide.print(table)


@cli.command()
@click.option("--port", type=click.IntRange(1, 65535), default=3000, show_default=True, help="Port on the loopback interface.")
def ui(port: int) -> int:
    """Serve Dagster on the loopback interface, with the daemon that runs the schedule."""
    from orchestration.serving import serve

    settings = load()
    _prepare(settings)
    _out.print(f"Dagster on http://127.0.0.1:{port} (Ctrl-C ends it)", markup=False)
    return serve(port)


def _prepare(settings: Settings) -> "DbtManifest | None":
    """Make what a code location needs; returns the dbt project where it had to be parsed for that."""
    from orchestration import serving, transform

    settings.export()
    serving.install(settings)
    return transform.prepare(settings)


def _store(settings: Settings) -> "ReleaseStore":
    from orchestration.publishing.store import ReleaseStore

    return ReleaseStore(settings.home, memory_limit=settings.config.memory_limit)


def _shapes(settings: Settings) -> "Mapping[str, Shape]":
    """What the marts of the project say of their rows and periods."""
    from orchestration import transform
    from orchestration.mart_models import marts
    from orchestration.publishing.changes import shapes

    _prepare(settings)
    return shapes(marts(transform.read_manifest(settings)))


def _run_night(tags: Mapping[str, str]) -> None:
    """Run the nightly job of the code location against the instance that the UI shows, with progress."""
    started = datetime.now(UTC)
    settings = load()
    with _progress(), _interruptible(settings):
        parsed = _prepare(settings)
        try:
            # Beside the main thread, in which Dagster would put its own signal handlers in the place of ours.
            with ThreadPoolExecutor(1) as pool:
                pool.submit(_execute, settings, tags, parsed).result()
        except NorthstarError as error:
            # Asked again: a night may fail after its release is out.
            current = _store(settings).current()
            stands = f"release {current.release_id} stands" if current else "there is no release"
            kind = UserError if isinstance(error, UserError) else NorthstarError
            raise kind(f"the night failed, {stands}:\n{error}") from error
    current = _store(settings).current()
    assert current is not None  # noqa: S101  (the night has just published)
    _report(current, datetime.now(UTC) - started)


@contextmanager
def _interruptible(settings: Settings) -> Iterator[None]:
    """End the process at once, with one line, on SIGINT or SIGTERM.

    A night may be killed at any moment, and the next one clears up after it. An exception would have to find its way through
    dbt's threads and Dagster's, which print stack traces or abort the process.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, _: object) -> None:
        try:
            current = _store(settings).current()
            stands = f"release {current.release_id} stands" if current else "there is no release"
        except NorthstarError as error:
            stands = str(error)
        os.write(sys.stderr.fileno(), f"the night was interrupted, {stands}; the next one goes on from here\n".encode())
        os._exit(128 + number)

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _execute(settings: Settings, tags: Mapping[str, str], parsed: "DbtManifest | None") -> None:
    import dagster as dg
    from dagster._core.instance.ref import InstanceRef

    from orchestration.definitions import build
    from orchestration.night import JOB

    job = build(settings, parsed).resolve_job_def(JOB)
    # What a night writes goes to the terminal. Dagster would copy it into files by processes of its own, whose stack traces an
    # interrupt brings up.
    ref = InstanceRef.from_dir(str(without_wildcards(settings.dagster_home)), overrides={"compute_logs": _NO_COPIES})
    with dg.DagsterInstance.from_ref(ref) as instance:
        try:
            result = job.execute_in_process(
                instance=instance,
                tags=dict(tags),
                run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
                raise_on_error=True,
            )
        except Exception as error:
            raise _cause(error) from error
    if not result.success:
        raise NorthstarError(f"run {result.run_id} failed; `northstar ui` shows it")


def _cause(error: Exception) -> Exception:
    """The failure that Northstar described, wherever Dagster wrapped it; a full disk, in words; else the error itself."""
    found: BaseException | None = error
    full: NorthstarError | None = None
    # Dagster's chains may lead back to where they began.
    seen: set[int] = set()
    while found is not None and id(found) not in seen:
        if isinstance(found, NorthstarError):
            return found
        if isinstance(found, OSError) and found.errno in _NO_ROOM:
            full = NorthstarError(f"{found.filename or 'the disk'}: {found.strerror}; free some space")
        seen.add(id(found))
        found = found.__cause__ or found.__context__
    return full or error


@contextmanager
def _progress() -> Iterator[None]:
    logger = logging.getLogger("northstar.night")
    handler = _ProgressHandler()
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)


class _ProgressHandler(logging.Handler):
    """One line per stage."""

    def emit(self, record: logging.LogRecord) -> None:
        stage = getattr(record, "stage", None)
        if stage is None:
            _out.print(record.getMessage(), markup=False)
        else:
            rows = f"{stage.rows:,} rows" if stage.rows else ""
            _out.print(f"{stage.name:<10}{rows:>18}{stage.seconds:>8.1f} s   {stage.detail}", markup=False)


def _report(release: "Release", took: timedelta) -> None:
    manifest = release.manifest
    table = Table(title=f"\nrelease {release.release_id}", title_justify="left", box=None, show_header=False)
    table.add_row("data through", str(manifest.data_through))
    for mart, record in manifest.marts.items():
        table.add_row(mart, f"{record.rows:,} rows")
    for mart, reason in manifest.left_out.items():
        table.add_row(mart, f"left out: {reason}")
    count = manifest.gate.warnings
    warnings = f", {count} {'warning' if count == 1 else 'warnings'}" if count else ""
    table.add_row("gate", f"passed, {manifest.gate.evaluated} of {manifest.gate.declared} checks{warnings}")
    for name in manifest.gate.warned:
        table.add_row("", f"warning: {name}")
    for name, waiver in manifest.gate.waived.items():
        table.add_row("", Text(f"waived: {name}, {waiver}"))
    table.add_row("model", manifest.model_version or "none")
    if manifest.changes is not None:
        table.add_row("the past", str(manifest.changes))
    table.add_row("time", f"{took.total_seconds():.1f} s")
    _out.print(table)
    _out.print(f"\n{release.path}", markup=False)


def _hours(age: timedelta) -> str:
    hours, seconds = divmod(int(age.total_seconds()), 3600)
    return f"{hours} h {seconds // 60} min"
