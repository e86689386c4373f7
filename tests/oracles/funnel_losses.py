"""Oracle of mart_funnel_exits__weekly and mart_funnel_opportunities__current: where in a funnel persons stop, and what they saw.

Belongs here: exit pages, shares, ranks, impact, suggestions. Does not belong here: chains and entries (`funnel`), sessions
(`sessions`).
"""

import csv
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from datetime import date, datetime, timedelta
from functools import cache
from typing import Any
from urllib.parse import unquote

from tests.oracles.funnel import Entry, FunnelSpec, deepest, entries, known_steps, last_mature_day
from tests.oracles.persons import SEEDS
from tests.oracles.reporting import Facts, Reporting
from tests.oracles.sessions import sessions

PAGES = 5
DAYS = 28
HIGH_IMPACT_FROM = 1_001
SHORTEST_WORD = 5


def funnel_exits(
    facts: Facts,
    reporting: Reporting,
    funnels: Iterable[FunnelSpec],
    event_names: Mapping[str, str] | None = None,
    *,
    id_segments_after: Collection[str] = (),
    keep: Collection[str] = (),
) -> dict[tuple[str, int, date, str], dict[str, Any]]:
    """Rows by (funnel, step_number, week, exit_page); segments after which an id stands, and such as are none, in lower case."""
    visits: dict[str, list[tuple[datetime, str | None]]] = defaultdict(list)
    for (person_id, _), session in sorted(sessions(facts, reporting, event_names).items()):
        visits[person_id].append((session["started_at"], session["exit_page"]))
    ids = {
        str(row[name]).lower()
        for table in facts.values()
        for row in table
        for name in ("user_id", "anonymous_id", "account_id")
        if row.get(name) is not None
    }
    rows: dict[tuple[str, int, date, str], dict[str, Any]] = {}
    for funnel in funnels:
        weeks: dict[date, list[Entry]] = defaultdict(list)
        for entry in entries(funnel, facts, reporting, event_names):
            weeks[reporting.period("week", entry.day)].append(entry)
        mature = last_mature_day(funnel.window_seconds, reporting)
        known = known_steps(funnel, facts, reporting, event_names)
        for week, entered in weeks.items():
            pages: dict[int, Counter[str]] = defaultdict(Counter)
            for entry in deepest(entered):
                if len(entry.chain) < known:
                    page = _last_page(visits[entry.person.person_id], entry.chain[-1])
                    pages[len(entry.chain)][page_group(page, ids, id_segments_after, keep)] += 1
            for step, counts in pages.items():
                most = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:PAGES]
                for rank, (page, count) in enumerate(most, start=1):
                    rows[funnel.name, step, week, page] = {
                        "step": funnel.steps[step - 1].name,
                        "stopped_count": counts.total(),
                        "exit_count": count,
                        "share_rate": count / counts.total(),
                        "exit_rank": rank,
                        "is_mature": mature is not None and week + timedelta(days=6) <= mature,
                    }
    return rows


def funnel_opportunities(
    facts: Facts, reporting: Reporting, funnels: Iterable[FunnelSpec], event_names: Mapping[str, str] | None = None
) -> dict[tuple[str, int], dict[str, Any]]:
    """Rows by (funnel, step_number), every step but the first of every funnel."""
    rows: dict[tuple[str, int], dict[str, Any]] = {}
    for funnel in funnels:
        last = last_mature_day(funnel.window_seconds, reporting)
        first = None if last is None else last - timedelta(days=DAYS - 1)
        found = [
            len(entry.chain)
            for entry in deepest(
                entry
                for entry in entries(funnel, facts, reporting, event_names)
                if first is not None and last is not None and first <= entry.day <= last
            )
        ]
        known = known_steps(funnel, facts, reporting, event_names)
        for number in range(2, len(funnel.steps) + 1):
            came = [depth for depth in found if depth >= number - 1]
            lost = [depth for depth in came if depth < number]
            is_known = last is not None and number <= known
            is_opportunity = is_known and len(lost) > len(came) / 2
            event = funnel.steps[number - 1].event
            impact = "high" if len(lost) >= HIGH_IMPACT_FROM else "medium"
            rows[funnel.name, number] = {
                "step": funnel.steps[number - 1].name,
                "first_entry_date": first,
                "last_entry_date": last,
                "entrant_count": len(came) if last is not None and number <= known + 1 else None,
                "lost_person_count": len(lost) if is_known else None,
                "drop_off_rate": len(lost) / len(came) if came and is_known else None,
                "potential_impact": impact if is_opportunity else None,
                "opportunity_rank": None,
                "suggested_experiment": suggestion((event_names or {}).get(event, event)) if is_opportunity else None,
            }
    chances = [key for key, row in rows.items() if row["potential_impact"]]
    for rank, key in enumerate(sorted(chances, key=lambda key: (-rows[key]["lost_person_count"], key)), start=1):
        rows[key]["opportunity_rank"] = rank
    return rows


def suggestion(event: str) -> str:
    """What the shipped table says to try for a step that stands for an event."""
    return _suggestions().get(event, _suggestions()["(other)"])


def _last_page(visits: Iterable[tuple[datetime, str | None]], at: datetime) -> str:
    """Where the last session ended that had begun by then."""
    return max((visit for visit in visits if visit[0] <= at), key=lambda visit: visit[0], default=(at, None))[1] or ""


def page_group(page: str, ids: Collection[str], id_segments_after: Collection[str] = (), keep: Collection[str] = ()) -> str:
    """Path of a page with `:id` for every segment that is one of these lower-case ids, has the form of one or follows a word."""
    page = page.strip().lower()
    scheme, slashes, rest = page.partition("//")
    if slashes and (not scheme or (scheme.endswith(":") and "/" not in scheme)):
        page = "/" + rest[min((rest.index(mark) for mark in "/?#" if mark in rest), default=len(rest)) :]
    page = page.split("?")[0]
    path, mark, fragment = page.partition("#")
    route = fragment.split("#")[0]
    if mark and route.startswith(("/", "!/")):
        path += "#" + route
    parts = [part.split(";")[0] for part in path.split("/")]
    segments = [part for number, part in enumerate(parts) if part or number == 0]
    if len(segments) == 1 and path.startswith("/"):
        return "/"
    decoded = [unquote(unquote(segment)).strip().lower() for segment in segments]
    hidden = [
        text not in {"", "#", "#!", *keep} and (before in id_segments_after or _is_id(text, ids))
        for before, text in zip([None, *decoded], decoded, strict=False)
    ]
    joined = "/".join(":id" if is_id else segment for is_id, segment in zip(hidden, segments, strict=True))
    return "/#/" if joined == "/#" and path.endswith("/") else joined or "(none)"


def _is_id(text: str, ids: Collection[str]) -> bool:
    digits = [len(run) for run in re.findall(r"\d+", text, re.ASCII)]
    if text in ids or any(len(word) >= SHORTEST_WORD and word in ids for word in re.split(r"[^\w-]+", text)):
        return True
    if "@" in text or max(digits, default=0) >= 5:
        return True
    if any(len(run) >= 16 for run in re.findall("[0-9a-f]+", text)):
        return True
    if re.search("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", text):
        return True
    return (
        len(text) >= 20
        and bool(digits)
        and all(character.isascii() and (character.isalnum() or character in "_=+.-") for character in text)
    )


@cache
def _suggestions() -> dict[str, str]:
    with (SEEDS / "experiment_suggestions.csv").open(encoding="utf-8", newline="") as file:
        return {row["event"]: row["suggested_experiment"] for row in csv.DictReader(file)}
