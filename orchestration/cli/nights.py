"""Commands that build: `nightly`, `backfill`, `rebuild` and `prepare`.

Belongs here: running the job of the code location, and reporting its result. Does not belong here: the work of a night
(`night`).
"""

import errno
import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import click
from rich.table import Table
from rich.text import Text

from orchestration.base.counts import counted
from orchestration.base.errors import NorthstarError, UserError
from orchestration.cli.console import DAY, OUT, progress
from orchestration.cli.home import prepare_home, store_of
from orchestration.config.loading import load
from orchestration.config.settings import Settings, without_wildcards

if TYPE_CHECKING:
    from dbt.contracts.graph.manifest import Manifest as DbtManifest

    from orchestration.publishing.release import Release

# A full disk, a quota, a limit of the process.
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_NO_COPIES = {"module": "dagster._core.storage.noop_compute_log_manager", "class": "NoOpComputeLogManager"}


@click.command()
@click.option("--as-of", type=DAY, default=None, help="Build what arrived up to this day.  [default: the newest]")
def nightly(as_of: date | None) -> None:
    """Build and publish everything that landed and is not built yet."""
    from orchestration.night import AS_OF_TAG

    run_night({AS_OF_TAG: as_of.isoformat()} if as_of else {})


@click.command()
@click.option("--from", "first", type=DAY, required=True, help="First arrival day to run again.")
@click.option("--to", "last", type=DAY, required=True, help="Last arrival day to run again.")
def backfill(first: date, last: date) -> None:
    """Ingest arrival days again and build and publish what follows from them."""
    from orchestration.night import FROM_TAG, TO_TAG

    if first > last:
        raise UserError(f"--from {first} lies after --to {last}")
    run_night({FROM_TAG: first.isoformat(), TO_TAG: last.isoformat()})


@click.command()
def rebuild() -> None:
    """Build the warehouse from the lake, from nothing, and publish."""
    from orchestration.night import REBUILD_TAG

    run_night({REBUILD_TAG: "true"})


@click.command()
def prepare() -> None:
    """Make what a code location needs before it loads: the dbt manifest and Dagster's home."""
    settings = load()
    prepare_home(settings)
    OUT.print(f"prepared {settings.home}", markup=False)


def run_night(tags: Mapping[str, str]) -> None:
    """Run the nightly job of the code location against the instance that the UI shows, with progress."""
    started = datetime.now(UTC)
    settings = load()
    with progress(), _interruptible(settings):
        parsed = prepare_home(settings)
        try:
            if not tags and (release := _standing(settings)) is not None:
                OUT.print(f"nothing has changed since release {release.release_id}, which stands", markup=False)
                return
            # Not in the main thread, where Dagster would replace our signal handlers.
            with ThreadPoolExecutor(1) as pool:
                pool.submit(_execute, settings, tags, parsed).result()
        except NorthstarError as error:
            # Read again: a night may fail after publishing its release.
            current = store_of(settings).current()
            stands = f"release {current.release_id} stands" if current else "there is no release"
            kind = UserError if isinstance(error, UserError) else NorthstarError
            raise kind(f"the night failed, {stands}:\n{error}") from error
    current = store_of(settings).current()
    assert current is not None  # noqa: S101  (the night has just published)
    _report(current, datetime.now(UTC) - started)


def _standing(settings: Settings) -> "Release | None":
    """The current release when a night would publish the same again."""
    from orchestration.night.run import Night
    from orchestration.night.unchanged import standing

    with Night(settings) as night:
        return standing(night)


@contextmanager
def _interruptible(settings: Settings) -> Iterator[None]:
    """End the process at once, with one line, on SIGINT or SIGTERM.

    A night may be killed at any moment; the next one cleans up. An exception would have to pass through dbt's and Dagster's
    threads, which print stack traces or abort the process.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, _: object) -> None:
        try:
            current = store_of(settings).current()
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
    # Output goes to the terminal. Dagster would copy it into files through processes of its own, which print stack traces when
    # interrupted.
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
    """The NorthstarError inside Dagster's wrappers; a full disk as a NorthstarError; else the error itself."""
    found: BaseException | None = error
    full: NorthstarError | None = None
    # Dagster's exception chains may contain cycles.
    seen: set[int] = set()
    while found is not None and id(found) not in seen:
        if isinstance(found, NorthstarError):
            return found
        if isinstance(found, OSError) and found.errno in _NO_ROOM:
            full = NorthstarError(f"{found.filename or 'the disk'}: {found.strerror}; free some space")
        seen.add(id(found))
        found = found.__cause__ or found.__context__
    return full or error


def _report(release: "Release", took: timedelta) -> None:
    manifest = release.manifest
    table = Table(title=f"\nrelease {release.release_id}", title_justify="left", box=None, show_header=False)
    table.add_row("data through", str(manifest.data_through))
    for mart, record in manifest.marts.items():
        table.add_row(mart, counted(record.rows, "row"))
    for mart, reason in manifest.left_out.items():
        table.add_row(mart, f"left out: {reason}")
    warnings = f", {counted(manifest.gate.warnings, 'warning')}" if manifest.gate.warnings else ""
    table.add_row("gate", f"passed, {manifest.gate.evaluated} of {manifest.gate.declared} checks{warnings}")
    for name in manifest.gate.warned:
        table.add_row("", f"warning: {name}")
    for name, waiver in manifest.gate.waived.items():
        table.add_row("", Text(f"waived: {name}, {waiver}"))
    table.add_row("model", manifest.model_version or "none")
    if manifest.changes is not None:
        table.add_row("restatements", str(manifest.changes))
    table.add_row("time", f"{took.total_seconds():.1f} s")
    OUT.print(table)
    OUT.print(f"\n{release.path}", markup=False)
