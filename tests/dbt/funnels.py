"""Funnels of all lengths, windows and filters, as a user configures them and as the oracles read them.

Belongs here: hypothesis strategies and the shipped funnels. Does not belong here: what anybody did (`facts`), or what a mart
makes of it.
"""

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby

from hypothesis import strategies as st

from orchestration.config.project import DBT_PROJECT
from orchestration.config.tables import Funnel, FunnelStep
from tests.oracles.funnel import FunnelSpec, Step
from tests.oracles.reporting import Row

NAMES = ("a", "b", "c", "d", "e", "shout")
EVENT_NAMES = {"shout": "a"}
WINDOWS = {
    None: None,
    "1s": 1,
    "2s": 2,
    "1m": 60,
    "1h": 3_600,
    "90m": 5_400,
    "6h": 21_600,
    "1d": 86_400,
    "2d": 172_800,
    "1w": 604_800,
}


def _properties(row: Row) -> dict:
    return json.loads(row.get("properties") or "{}")


@dataclass(frozen=True)
class Filter:
    """A filter as a user writes it, and what it means."""

    text: str
    holds: Callable[[Row], bool]


FILTERS = (
    Filter("value > 9.5", lambda row: row.get("value") is not None and row["value"] > Decimal("9.5")),
    Filter("value in (10, 100)", lambda row: row.get("value") in (Decimal(10), Decimal(100))),
    Filter("value <= 10 and value <> 0", lambda row: row.get("value") is not None and row["value"] <= 10 and row["value"] != 0),
    Filter("properties.plan = 'pro'", lambda row: _properties(row).get("plan") == "pro"),
    Filter("properties.plan is null", lambda row: _properties(row).get("plan") is None),
    Filter("properties.plan <> 'pro'", lambda row: _properties(row).get("plan") not in (None, "pro")),
    Filter("properties.n >= 5", lambda row: "n" in _properties(row) and Decimal(str(_properties(row)["n"])) >= 5),
    Filter("page is not null", lambda row: row.get("page") is not None),
    Filter("country in ('CN', 'DE')", lambda row: row.get("country") in ("CN", "DE")),
)


def shipped() -> list[FunnelSpec]:
    with (DBT_PROJECT / "seeds" / "funnels.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    found = []
    for name, group in groupby(rows, key=lambda row: row["funnel"]):
        steps = sorted(group, key=lambda row: int(row["step_number"]))
        found.append(FunnelSpec(name, tuple(Step(row["step"], row["event"]) for row in steps), int(steps[0]["window_seconds"])))
    return found


def funnel(name: str, window: str | None, steps: list[tuple[str, Filter | None]]) -> tuple[Funnel, FunnelSpec]:
    """One funnel, as configured and as the oracle reads it."""
    configured = Funnel(
        name=name,
        window=window,
        steps=tuple(
            FunnelStep(step=f"step_{number}", event=step, where=where.text if where else None)
            for number, (step, where) in enumerate(steps)
        ),
    )
    expected = tuple(
        Step(f"step_{number}", step, where.holds if where else lambda _: True) for number, (step, where) in enumerate(steps)
    )
    return configured, FunnelSpec(name, expected, WINDOWS[window])


@st.composite
def funnels(draw: st.DrawFn) -> list[tuple[Funnel, FunnelSpec]]:
    """Three funnels of other lengths and windows, of which one filters its steps."""
    found = []
    for number, window in enumerate(draw(st.permutations(list(WINDOWS)))[:3]):
        names = draw(st.permutations(NAMES[: 5 if number else 3]))[: draw(st.integers(2, 5))]
        filters = [draw(st.sampled_from((None, *FILTERS))) if number == 2 else None for _ in names]
        found.append(funnel(f"f{number}", window, list(zip(names, filters, strict=True))))
    return found
