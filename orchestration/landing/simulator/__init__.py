"""A seeded company that writes a landing zone with known truth in it: `simulate`.

Each source has a module that gives what arrives on a day; `company` asks them day by day. A new source is a new module with
random streams of its own names, and one line in `company`.
"""

from orchestration.landing.simulator.company import Summary, simulate

__all__ = ["Summary", "simulate"]
