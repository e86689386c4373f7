"""Timing of stages.

Belongs here: the report of a finished stage. Does not belong here: the list of stages, and who receives the reports.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass
class Stage:
    """One line of a night's progress: the work done, the number of rows and the duration."""

    name: str
    rows: int = 0
    detail: str = ""
    seconds: float = 0.0


@contextmanager
def timed(name: str) -> Iterator[Stage]:
    """Yield a stage to fill in, and set its seconds when it ends without an error."""
    stage = Stage(name)
    started = time.monotonic()
    yield stage
    stage.seconds = time.monotonic() - started
