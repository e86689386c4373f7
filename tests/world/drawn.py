"""Drawn worlds: facts of all sources together, and everything else that a night is given.

Belongs here: how the strategies of single sources (`tests.dbt.facts`, `customers`, `funnels`) make one world. Does not belong
here: what any model makes of it (`questions`).
"""
# ruff: noqa: DTZ001, S311 - timestamps of the lake are naive UTC; a seed that is drawn makes the same rows every time

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from orchestration.config.tables import Funnel, Pages
from orchestration.landing.contract import CONTRACT
from tests.dbt.customers import LAST_DAY, customers
from tests.dbt.facts import (
    MIDNIGHTS,
    Rows,
    accounts,
    ad_spend,
    cohort_predictions,
    event,
    events,
    feedback,
    fx_rates,
    journeys,
    landings,
    last_day,
    moments,
    orders,
    payments,
    subscriptions,
    surveys,
    tickets,
    users,
    wecom,
)
from tests.dbt.funnels import EVENT_NAMES as FUNNEL_NAMES
from tests.dbt.funnels import NAMES as STEPS
from tests.dbt.funnels import funnels
from tests.oracles.funnel import FunnelSpec
from tests.oracles.reporting import Facts, Reporting

EVENT_NAMES = {**FUNNEL_NAMES, "asked": "match_requested", "view": "page_viewed"}
# What a product's visitors do, in its own words and in ours.
PRODUCT = ("x", "onboarding_completed", "value_achieved", "content_viewed", "community_posted", "asked", "feature_used", "view")
FEATURES = (None, "board", "export", "chat")
PAGES = (
    *(None, "", "/", "/a", "/a?x=1", "/b", "/b?x=1?y", "?x", "/c", "/d", "/e/", "/#/f?x", "/u/u1/Settings"),
    *("https://a.example/o/17850;s=1?q", "/m/x%40y.example"),
)
# Days that one kind of mart counts to: ends of windows of a week and a month, of brackets, of months, of thirty days.
ANCHORS = (
    MIDNIGHTS,
    (*MIDNIGHTS, datetime(2024, 1, 6), datetime(2024, 1, 7), datetime(2024, 1, 30), datetime(2024, 1, 31)),
    (*MIDNIGHTS, datetime(2024, 1, 31), datetime(2024, 3, 31), datetime(2024, 4, 14), datetime(2024, 5, 30)),
    (*MIDNIGHTS, *(datetime(2024, month, day) for month, day in ((1, 31), (2, 1), (4, 1), (5, 1), (5, 31)))),
    (*MIDNIGHTS, datetime(2023, 9, 30), datetime(2024, 1, 31), datetime(2024, 4, 1)),
    (*MIDNIGHTS, datetime(2024, 1, 30), datetime(2024, 3, 30), datetime(2024, 4, 9)),
)
# Days between the last fact and the last complete day.
AGES = (-75, -31, -20, -3, -2, -1, 0, 0, 0, 0, 1, 1, 2, 6, 7, 8, 9, 13, 20, 27, 28, 29, 30, 31, 91, 100, 400, 800)
TERMS = (None, -1, 1, 29, 31, 366, 800)
DAY = 86_400


@dataclass(frozen=True)
class World:
    """One company, whole: what landed, what is configured, what the models predict.

    defined: funnels as configured and as the oracles read them. refused: rows in quarantine by source and arrival day.
    worths, chances: what the models say of customers and accounts, one after the other and again from the first.
    """

    facts: Facts
    data_through: date
    defined: Sequence[tuple[Funnel, FunnelSpec]] = ()
    targets: dict[str, Decimal] = field(default_factory=dict)
    pages: Pages = field(default_factory=Pages)
    refused: dict[tuple[str, date], int] = field(default_factory=dict)
    cohorts: Rows = field(default_factory=list)
    worths: Sequence[float | None] = (None,)
    chances: Sequence[float] = (0.3,)


@st.composite
def worlds(draw: st.DrawFn, reporting: Reporting, bot_events_per_day: int) -> World:
    """Visitors, accounts over a quarter, or rows of every source in any state."""
    zone = reporting.timezone
    defined = draw(funnels())
    kinds = (_visitors, _visitors, _visitors, _accounts, _landings)
    kind = draw(st.sampled_from(kinds))
    facts = draw(kind(reporting, bot_events_per_day, [spec for _, spec in defined]))
    age = draw(st.sampled_from(AGES if kind is _visitors else (-9, -6, -5, -3, -1, 0, 0, 1)))
    day = LAST_DAY if kind is _accounts else last_day(zone, facts)
    refused = st.dictionaries(
        st.tuples(st.sampled_from(sorted(CONTRACT)), st.sampled_from([midnight.date() for midnight in MIDNIGHTS])),
        st.integers(1, 3),
        max_size=8,
    )
    return World(
        facts=facts,
        data_through=day + timedelta(days=age),
        defined=defined,
        targets=draw(st.sampled_from(({}, {"nps": Decimal(-20), "cac": Decimal("0.5"), "signups": Decimal(3)}))),
        refused=draw(refused),
        cohorts=draw(cohort_predictions()),
        worths=draw(st.lists(st.sampled_from((None, 0.0, 0.0033, 41.1525, 12345.6789)), min_size=1, max_size=7)),
        chances=draw(st.lists(st.sampled_from((0.0, 0.1, 0.25, 0.4999, 0.5, 1.0)), min_size=1, max_size=7)),
    )


@st.composite
def _visitors(draw: st.DrawFn, reporting: Reporting, bot_events_per_day: int, specs: Sequence[FunnelSpec]) -> dict[str, Rows]:
    """People who come, do things, buy and pay around remarkable days; now and then a source is missing."""
    zone, gap = reporting.timezone, int(reporting.session_gap.total_seconds())
    anchors = draw(st.sampled_from(ANCHORS))
    windows = [spec.window_seconds for spec in specs if spec.window_seconds]
    joined = draw(users(zone))
    parts = [
        events(zone, draw(st.sampled_from((STEPS, PRODUCT))), bot_events_per_day, size=25),
        journeys(zone, [step.event for step in specs[0].steps], windows),
        journeys(zone, PRODUCT, (gap, gap // 2, DAY, 7 * DAY, 30 * DAY), count=4),
        _visits(zone, anchors),
        _after_signing_up(joined) if joined else st.just([]),
    ]
    facts = {
        "events": _apart([draw(part) for part in parts if draw(st.integers(0, 3))]),
        "users": joined,
        "accounts": draw(accounts(draw(st.sampled_from((st.just(datetime(2023, 12, 1)), moments(zone, anchors)))))),
        "orders": draw(orders(zone, anchors)),
        "payments": draw(payments(zone, anchors)),
        "subscriptions": draw(subscriptions(zone, anchors)),
        "ad_spend": draw(ad_spend(anchors)),
        "fx_rates": draw(fx_rates(anchors)),
        "tickets": draw(tickets(zone)),
        "surveys": draw(surveys(zone)),
        "feedback": draw(feedback(zone)),
        "wecom": draw(wecom(zone)),
    }
    chance = Random(draw(st.integers(0, 2**32 - 1)))
    for row in facts["events"]:
        row["feature"] = chance.choice(FEATURES)
        row["page"] = chance.choice((row.get("page"), chance.choice(PAGES)))
    for row in facts["subscriptions"]:
        days = chance.choice(TERMS)
        row["renews_at"] = None if days is None else row["changed_at"] + timedelta(days=days)
    return {source: rows for source, rows in facts.items() if source == "fx_rates" or draw(st.integers(0, 9))}


@st.composite
def _accounts(draw: st.DrawFn, reporting: Reporting, bot_events_per_day: int, _: Sequence[FunnelSpec]) -> dict[str, Rows]:
    """A quarter of a few accounts, with what else belongs to a company."""
    zone = reporting.timezone
    facts = customers(Random(draw(st.integers(0, 2**32 - 1))), zone, bot_events_per_day)
    more = {"accounts": accounts(), "orders": orders(zone), "ad_spend": ad_spend(), "wecom": wecom(zone)}
    return facts | {source: draw(rows) for source, rows in more.items() if draw(st.booleans())}


@st.composite
def _landings(draw: st.DrawFn, reporting: Reporting, bot_events_per_day: int, specs: Sequence[FunnelSpec]) -> dict[str, Rows]:
    """Rows of every source in many states, late and early, some of nobody."""
    zone = reporting.timezone
    names = [step.event for step in specs[0].steps]
    return draw(landings(zone)) | {"events": draw(events(zone, names, bot_events_per_day, size=25))}


@st.composite
def _visits(draw: st.DrawFn, zone: ZoneInfo, anchors: Sequence[datetime]) -> Rows:
    """Few ids on days far apart, some brought by a campaign or by nothing."""
    ids = st.tuples(st.sampled_from(("a1", "a2", None)), st.sampled_from(("u1", "u2", "u4", "u6", None))).filter(any)
    brought: tuple[dict[str, Any], ...] = (
        {},
        *({"utm_source": source, "utm_medium": None, "referrer": None} for source in (None, "newsletter", "weibo")),
    )
    seen = st.tuples(ids, moments(zone, anchors), st.sampled_from(PRODUCT), st.sampled_from(brought))
    return [
        event(number, name, at, anonymous_id=anonymous_id, user_id=user_id, **touch)
        for number, ((anonymous_id, user_id), at, name, touch) in enumerate(draw(st.lists(seen, max_size=25)))
    ]


@st.composite
def _after_signing_up(draw: st.DrawFn, joined: Rows) -> Rows:
    """What new users do, days after they joined and to the second."""
    done = st.tuples(
        st.sampled_from(joined),
        st.sampled_from((-1, 0, 1, 7, 30, 31, 37, 38, 90)),
        st.sampled_from((0, 0, 1, 75)),
        st.sampled_from(PRODUCT),
    )
    return [
        event(number, name, row["signed_up_at"] + timedelta(days=days, seconds=late), user_id=row["user_id"])
        for number, (row, days, late, name) in enumerate(draw(st.lists(done, max_size=30)))
    ]


def _apart(parts: Sequence[Rows]) -> Rows:
    """Events of all parts, none of which is another part's copy or lies in its place."""
    return [
        {**row, "event_id": f"{number}{row['event_id']}", "landed_row": 10_000 * number + row["landed_row"]}
        for number, rows in enumerate(parts)
        for row in rows
    ]
