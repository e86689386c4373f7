"""What was ever delivered, read off the landed rows: sources, columns with a value, single values, core event names.

Belongs here: when each first happened and first arrived, and what a figure lacks of what it needs. Does not belong here: what any
figure is.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, NamedTuple

from orchestration.landing.contract import CONTRACT, Keep
from tests.oracles.memory import remembered
from tests.oracles.persons import first_landed, latest_state, unique_events
from tests.oracles.reporting import Facts, Reporting, Row


class Delivered(NamedTuple):
    """First day on which a fact happened, and the first on which it had arrived as well."""

    happened: date
    known: date


@remembered
def delivery(facts: Facts, reporting: Reporting, event_names: Mapping[str, str] | None = None) -> dict[str, Delivered]:
    """By source (`orders`), column (`feedback.answered_at`) and value (`wecom.kind=friend_accepted`), up to `data_through`."""
    names = event_names or {}
    found: dict[str, Delivered] = {}
    for source, rows in facts.items():
        contract = CONTRACT[source]
        arrived: dict[tuple[Any, ...], date] = {}
        for row in rows:
            key = tuple(row.get(name) for name in contract.key)
            arrived[key] = min(arrived.get(key, date.max), row["arrived_date"])
        for row in _facts(source, rows):
            at = row[contract.happened_at]
            day = at if type(at) is date else reporting.day(at)
            if day > reporting.data_through:
                continue
            values = {name: value for name, value in row.items() if value is not None}
            if source == "events":
                values["landed_event"] = row["event"]
                values["event"] = names.get(row["event"], row["event"])
                if values["event"] != "feature_used":
                    values.pop("feature", None)
            landed = arrived[tuple(row.get(name) for name in contract.key)]
            for name in [source, *(f"{source}.{key}" for key in values), *(f"{source}.{key}={values[key]}" for key in values)]:
                before = found.get(name, Delivered(date.max, date.max))
                found[name] = Delivered(min(before.happened, day), min(before.known, max(landed, day)))
    return found


def _facts(source: str, rows: Sequence[Row]) -> list[Row]:
    """One row per key: what became of its copies."""
    if source == "events":
        return unique_events(rows)
    contract = CONTRACT[source]
    filled = [{**dict.fromkeys(contract.key), **row} for row in rows]
    return (first_landed if contract.keep is Keep.FIRST else latest_state)(filled, list(contract.key))


def missing(requires: str, delivered: Mapping[str, Delivered]) -> str | None:
    """What is missing of `a; b or c` in words; None when nothing is."""
    unmet = []
    for need in filter(None, requires.split("; ")):
        facts = need.split(" or ")
        if not any(fact in delivered for fact in facts):
            unmet.append(" or ".join(sorted({_explained(fact, delivered) for fact in facts})))
    return " and ".join(sorted(set(unmet))) or None


def since(requires: str, delivered: Mapping[str, Delivered]) -> date | None:
    """The first day of the facts of every source that is needed; of alternatives the earliest counts."""
    first_days = [
        min((delivered[fact.split(".")[0]].happened for fact in need.split(" or ") if fact in delivered), default=None)
        for need in filter(None, requires.split("; "))
    ]
    return max((day for day in first_days if day is not None), default=None)


def _explained(fact: str, delivered: Mapping[str, Delivered]) -> str:
    source = fact.split(".")[0]
    if source not in delivered:
        return f"{source} (nothing has landed)"
    if fact.startswith("events.event="):
        name = fact.removeprefix("events.event=")
        return f"the event {name} (never sent; if you send it by another name, map it in [event_names])"
    return f"{fact} (no row has it)"
