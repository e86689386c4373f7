"""Input and output shared by all commands: consoles, progress, and types of arguments.

Belongs here: the format of output and arguments. Does not belong here: any command.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from orchestration.base.counts import counted

if TYPE_CHECKING:
    pass

OUT = Console(highlight=False, soft_wrap=True)
# A table keeps one line per row, whatever its width, for terminals and pipes.
WIDE = Console(highlight=False, width=max(OUT.width, 400))
ERR = Console(stderr=True, highlight=False, soft_wrap=True)


class _Day(click.ParamType[date]):
    name = "date"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> date:
        try:
            return value if isinstance(value, date) else date.fromisoformat(value)
        except ValueError:
            self.fail(f"invalid day {value!r}: expected a date such as 2026-11-21", param, ctx)


class _Share(click.ParamType[float]):
    name = "share"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        text = str(value).strip()
        try:
            share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
        except ValueError:
            share = -1
        # A bare 5 more likely means 5 % than 500 %.
        if not 0 <= share < float("inf") or (share > 1 and not text.endswith("%")):
            self.fail(f"invalid share {value!r}: expected a value such as 5% or 0.05", param, ctx)
        return share


DAY = _Day()
SHARE = _Share()
PATH = click.Path(path_type=Path)


@contextmanager
def progress() -> Iterator[None]:
    """Print a night's progress, one line per stage, until the block ends."""
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
            OUT.print(record.getMessage(), markup=False)
        else:
            rows = counted(stage.rows, "row") if stage.rows else ""
            OUT.print(f"{stage.name:<10}{rows:>18}{stage.seconds:>8.1f} s   {stage.detail}", markup=False)
