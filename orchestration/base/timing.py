"""Timing of stages.

Belongs here: what a stage reports when it is over. Does not belong here: which stages there are, and who is told.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass
class Stage:
    """One line of a night's progress: what was done, to how many rows, and how long it took."""

    name: str
    rows: int = 0
    detail: str = ""
    seconds: float = 0.0


@contextmanager
def timed(name: str) -> Iterator[Stage]:
    """Give a stage to fill in, and set its seconds when it ends without an error."""
    stage = Stage(name)
    started = time.monotonic()
    yield stage
    stage.seconds = time.monotonic() - started
