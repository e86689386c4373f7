"""Commands that write landing zones: `simulate` and `import`."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestration.base.counts import counted
from orchestration.base.errors import UserError
from orchestration.cli.console import DAY, OUT, PATH
from orchestration.config.loading import adopt, differing, load, with_values
from orchestration.config.settings import Settings

if TYPE_CHECKING:
    pass


@click.command()
@click.option("--days", type=click.IntRange(1), default=240, show_default=True, help="Arrival days to write.")
@click.option("--users", type=click.IntRange(1), default=2_000, show_default=True, help="Persons who sign up, about.")
@click.option("--seed", type=int, default=7, show_default=True, help="Same seed, same bytes.")
@click.option(
    "--constant-churn",
    type=float,
    default=None,
    help="Probability that a paying account leaves within 30 days, whatever it does.  [default: as planted, by what it does]",
)
@click.option("--end", type=DAY, default=None, help="Last arrival day.  [default: yesterday]")
@click.option("--out", type=PATH, default=None, help="Folder to write.  [default: the landing zone]")
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
    OUT.print(f"simulated {summary.first_day} to {summary.last_day} into {target}: {rows}", markup=False)


@click.command("import")
@click.argument("adapter")
@click.argument("files", nargs=-1, required=True, type=PATH)
@click.option("--out", type=PATH, default=None, help="Folder to write.  [default: the landing zone]")
def import_(adapter: str, files: tuple[Path, ...], out: Path | None) -> None:
    """Bring FILES of an outside shape into the landing contract, by an ADAPTER."""
    from orchestration.adapters import ADAPTERS

    settings = load()
    if adapter not in ADAPTERS:
        shapes = "; ".join(f"{name} ({found.DESCRIPTION})" for name, found in sorted(ADAPTERS.items()))
        raise UserError(f"unknown adapter {adapter!r}; available: {shapes}")
    chosen = ADAPTERS[adapter]
    # The suggestion may include the time zone that defines the history's days; it is saved after the files are written.
    suggested = _adoptable(settings, chosen.SETTINGS)
    timezone = with_values(settings, suggested).config.reporting_timezone
    report = chosen.convert(files, out or settings.landing, timezone=timezone)
    _suggest(settings, adapter, chosen.SETTINGS, suggested)
    written = ", ".join(f"{count:,} {source}" for source, count in report.rows_written.items())
    OUT.print(
        f"{adapter}: {counted(report.rows_read, 'row')} read, written to {out or settings.landing}: {written}", markup=False
    )
    for note in report.notes:
        OUT.print(f"  {note}", markup=False)


def _adoptable(settings: Settings, suggested: Mapping[str, Any]) -> Mapping[str, Any]:
    """An adapter's suggestions that are not configured, if the configuration file is the home's own; else nothing."""
    is_own = settings.config_file in (None, settings.home / "northstar.toml")
    return differing(settings, suggested) if is_own else {}


def _suggest(settings: Settings, adapter: str, suggested: Mapping[str, Any], adopted: Mapping[str, Any]) -> None:
    """Write the adopted suggestions of an adapter into the home's configuration file; print the others."""
    if adopted:
        written = adopt(settings, adapter, adopted)
        OUT.print(f"{written}: {adapter} suggests {_in_words(adopted)}", markup=False)
    elif missing := differing(settings, suggested):
        OUT.print(f"consider in {settings.config_file}: {_in_words(missing)}", markup=False)


def _in_words(values: Mapping[str, Any]) -> str:
    return "; ".join(f"{key} = {dict(value) if isinstance(value, Mapping) else value!r}" for key, value in values.items())
