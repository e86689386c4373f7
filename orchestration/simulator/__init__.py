"""A seeded company that writes a landing zone with known truth: `simulate`.

Each source has a module that returns the rows arriving on a day; `company` calls them day by day, `zone` writes the files. A
new source is a new module with its own named random streams, and a line or two in `company`.
"""

from orchestration.simulator.zone import Summary, is_empty, simulate

__all__ = ["Summary", "is_empty", "simulate"]
