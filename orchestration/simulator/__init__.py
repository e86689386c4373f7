"""A seeded company that writes a landing zone with known truth in it: `simulate`.

Each source has a module that gives what arrives on a day; `company` asks them day by day, `zone` writes the files. A new
source is a new module with random streams of its own names, and a line or two in `company`.
"""

from orchestration.simulator.zone import Summary, is_empty, simulate

__all__ = ["Summary", "is_empty", "simulate"]
