"""Random landed facts, small and full of edges: boundaries of days, ties, copies, late arrivals, shared ids, bots.

Belongs here: hypothesis strategies and rows for directed tests. Does not belong here: what any mart makes of them.
"""
# ruff: noqa: DTZ001 - timestamps of the lake are naive UTC

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from orchestration.landing.contract import CONTRACT, Column, Source, Type
from tests.selection import drawn

Rows = list[dict[str, Any]]

# Local midnights: Mondays, a Sunday, Monday and New Year at once, a leap day and the month's first day after it, New York's short
# day of 2024 and the day after.
MIDNIGHTS = (
    datetime(2023, 12, 25),
    datetime(2023, 12, 31),
    datetime(2024, 1, 1),
    datetime(2024, 2, 26),
    datetime(2024, 2, 29),
    datetime(2024, 3, 1),
    datetime(2024, 3, 10),
    datetime(2024, 3, 11),
)
UNITS = (
    timedelta(0),
    timedelta(microseconds=1),
    timedelta(seconds=1),
    timedelta(minutes=1),
    timedelta(hours=1),
    timedelta(hours=6),
    timedelta(days=1),
)
# Anonymous ids seen alone, with one user, with several; users seen without; u4 may be staff. Chains and a ring of users and
# devices, another chain apart, ids that stand for nobody in several spellings, and more links than may be where few may be.
ID_PAIRS = (
    ("a1", None),
    ("a1", "u1"),
    (None, "u1"),
    ("a2", None),
    ("a2", "u2"),
    ("a2", "u1"),
    (None, "u2"),
    ("a3", None),
    ("a3", "u2"),
    ("a3", "u3"),
    (None, "u3"),
    ("a1", "u3"),
    ("a4", None),
    ("a4", "u4"),
    ("a4", "u1"),
    (None, "u4"),
    ("u3", None),
    ("a7", "u8"),
    ("a7", "u9"),
    ("a8", "u9"),
    ("a8", None),
    ("null", None),
    ("null", "u2"),
    ("NULL", "u4"),
    ("Null", "u1"),
    ("a2", "0"),
    ("a3", "0"),
    ("a5", "0"),
    ("null", "0"),
    (None, "0"),
    (None, "NULL"),
)
_TOUCHES: tuple[dict[str, Any], ...] = (
    {"utm_source": "google", "utm_medium": "cpc", "device_type": "mobile", "country": "CN", "city_tier": 1, "page": "/c"},
    {"referrer": "https://www.baidu.com/s?wd=x", "device_type": "desktop", "country": "DE", "page": "/a"},
    {"device_type": None, "country": None},
    {"utm_source": " Newsletter ", "device_type": "desktop", "country": None, "page": "/a", "city_tier": 3},
    {"referrer": "https://news.example.org/a", "device_type": "tablet", "country": "US", "page": "/b"},
    {"utm_source": "mystery", "utm_campaign": "spring", "device_type": "mobile", "country": "DE", "city_tier": 2},
    {"utm_source": "douyin", "utm_medium": "paid", "device_type": "mobile", "country": "CN"},
)
_VALUES = (None, Decimal("0"), Decimal("9.5"), Decimal("9.500001"), Decimal("10"), Decimal("100"), Decimal("-1"))
_PROPERTIES = (None, '{"plan": "pro"}', '{"plan": "free", "n": 5}', '{"plan": null, "n": 4.5}', '{"n": "12"}', "{}")


def examples(count: int) -> settings:
    """Examples of worlds to build (see `drawn`).

    A failure is not made smaller by itself: that would build the models a thousand times over; add Phase.shrink while looking for
    the reason of one.
    """
    return settings(
        max_examples=drawn(count),
        phases=(Phase.explicit, Phase.reuse, Phase.generate),
        suppress_health_check=(HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example),
    )


def utc(zone: ZoneInfo, local: datetime) -> datetime:
    """Naive UTC of a local clock time."""
    return local.replace(tzinfo=zone).astimezone(UTC).replace(tzinfo=None)


def landed(row: dict[str, Any], number: int, arrived: date, file: str = "part.parquet") -> dict[str, Any]:
    """A row with its place in the lake."""
    return {**row, "arrived_date": arrived, "landed_file": file, "landed_row": number}


def event(
    number: int, name: str, at: datetime, *, anonymous_id: str | None = None, user_id: str | None = None, **more: Any
) -> dict[str, Any]:
    """A landed event, its touch by its number and instant: of simultaneous events the smallest id names the first touch."""
    microseconds = (at - datetime(1970, 1, 1)) // timedelta(microseconds=1)
    row = {
        "event_id": f"e{number:04}",
        "event": name,
        "occurred_at": at,
        "received_at": at + timedelta(seconds=5),
        "anonymous_id": anonymous_id,
        "user_id": user_id,
        **_TOUCHES[(microseconds + number) % len(_TOUCHES)],
        **more,
    }
    place = {name: more[name] for name in ("arrived_date", "landed_row") if name in more}
    return landed(row, number, at.date() + timedelta(days=1)) | place


# Ids that may turn out to be one person.
_CLUSTERS = (
    ((None, "u5"),),
    (("a5", None),),
    (("a5", None), ("a5", "u5"), (None, "u5")),
    (("a2", None), ("a2", "u2"), ("a2", "u1")),
    (("a4", None), ("a4", "u4")),
    (("a6", None), ("a6", "u7"), ("a6", "u6")),
    (("a7", None), ("a7", "u8"), ("a8", "u8"), ("a8", "u9"), (None, "u9")),
    (("null", "u5"), ("NULL", None), ("a5", "0")),
)


@st.composite
def journeys(draw: st.DrawFn, zone: ZoneInfo, names: Sequence[str], windows: Sequence[int], *, count: int = 8) -> Rows:
    """Visitors who do one thing after another, often exactly a window later or a microsecond off, and sometimes at once."""
    exact = [timedelta(seconds=seconds) for seconds in windows]
    gaps = [timedelta(0), timedelta(microseconds=1), timedelta(seconds=1), timedelta(minutes=20), timedelta(hours=9), *exact]
    gaps += [gap + timedelta(microseconds=shift) for gap in exact for shift in (-1, 1)]
    rows: Rows = []
    for _ in range(count):
        at = draw(moments(zone))
        cluster = draw(st.sampled_from(_CLUSTERS))
        done = st.tuples(st.sampled_from(names), st.sampled_from(gaps), st.sampled_from(cluster))
        for name, gap, (anonymous_id, user_id) in draw(st.lists(done, min_size=2, max_size=8)):
            at += gap
            rows.append(event(9_000 - len(rows), name, at, anonymous_id=anonymous_id, user_id=user_id))
    return rows


@st.composite
def moments(draw: st.DrawFn, zone: ZoneInfo, anchors: Sequence[datetime] = MIDNIGHTS) -> datetime:
    """An instant on, or some units from, the start of a remarkable day."""
    start = utc(zone, draw(st.sampled_from(anchors)))
    return start + draw(st.integers(-2, 4)) * draw(st.sampled_from(UNITS))


@st.composite
def events(draw: st.DrawFn, zone: ZoneInfo, names: Sequence[str], bot_events_per_day: int, size: int = 60) -> Rows:
    """Events of a few visitors around a few days, with bursts around the bot limit and copies that differ."""
    anchors = draw(st.lists(st.sampled_from(MIDNIGHTS), min_size=1, max_size=3, unique=True))
    moment = moments(zone, anchors)
    pairs = st.sampled_from(draw(st.lists(st.sampled_from(ID_PAIRS), min_size=3, max_size=12, unique=True)))
    drawn = draw(
        st.lists(
            st.tuples(
                pairs,
                st.sampled_from(names),
                moment,
                st.sampled_from(_VALUES),
                st.sampled_from(_PROPERTIES),
                st.integers(0, 9),
            ),
            min_size=1,
            max_size=size,
        )
    )
    rows = [
        event(
            number,
            name,
            at,
            anonymous_id=ids[0],
            user_id=ids[1],
            value=value,
            properties=properties,
            arrived_date=at.date() + timedelta(days=lag if lag < 9 else 150),
        )
        for number, (ids, name, at, value, properties, lag) in enumerate(drawn)
    ]
    for ids, at, count in draw(st.lists(st.tuples(pairs, moment, st.integers(-1, 1)), max_size=2)):
        for step in range(bot_events_per_day + count):
            rows.append(
                event(len(rows), names[step % len(names)], at + timedelta(seconds=step), anonymous_id=ids[0], user_id=ids[1])
            )
    originals = list(rows)
    copies = st.tuples(
        st.integers(0, len(rows) - 1),
        st.sampled_from((None, -1, 0, 0, 1)),
        st.integers(0, 3),
        st.sampled_from(names),
        moment,
        st.sampled_from(("a.parquet", "part.parquet", "z.parquet")),
    )
    for number, received, lag, name, at, file in draw(st.lists(copies, max_size=8)):
        first = originals[number]
        copy = event(0, name, at, anonymous_id=first["anonymous_id"], user_id=first["user_id"])
        copy |= {"event_id": first["event_id"], "value": first.get("value")}
        copy |= {"received_at": None if received is None else first["received_at"] + timedelta(seconds=received)}
        rows.append(landed(copy, len(rows), first["arrived_date"] + timedelta(days=lag - 1), file))
    return rows


@st.composite
def users(draw: st.DrawFn, zone: ZoneInfo) -> Rows:
    """Users signed up around the same days, some of them staff, some in several states."""
    rows: Rows = []
    states = st.tuples(
        st.sampled_from(("u1", "u2", "u3", "u4", "u5", "u8", "u9", "0")),
        moments(zone),
        st.sampled_from((None, "CN", "DE")),
        st.sampled_from((None, "c1", "c1", "c2")),
        st.integers(0, 3),
        st.integers(0, 2),
    )
    for user_id, at, country, account_id, staff, version in draw(st.lists(states, max_size=7)):
        row = {
            "user_id": user_id,
            "account_id": account_id,
            "signed_up_at": at,
            "country": country,
            "invited_by_user_id": (None, "u1", None)[version],
            "role": ("owner", "member", None)[version],
            "city_tier": (None, 4, 5)[staff % 3],
            "is_internal": (None, False, False, True)[staff],
            "updated_at": datetime(2024, 4, 1) + timedelta(hours=version),
        }
        rows.append(landed(row, len(rows), date(2024, 4, 1) + timedelta(days=version)))
    return rows


def last_day(zone: ZoneInfo, facts: dict[str, Rows]) -> date:
    """The latest local day on which anything happened."""
    columns = ("occurred_at", "signed_up_at", "ordered_at", "paid_at", "changed_at")
    times = [row[column] for rows in facts.values() for row in rows for column in columns if row.get(column)]
    return max((at.replace(tzinfo=UTC).astimezone(zone).date() for at in times), default=date(2024, 1, 1))


_FILES = ("a.parquet", "part.parquet", "z.parquet")
_LATER = (timedelta(0), timedelta(0), timedelta(days=1), timedelta(days=20))


@st.composite
def restated(draw: st.DrawFn, rows: Rows, changes: dict[str, st.SearchStrategy[Any]]) -> Rows:
    """The rows, and further states of some: dated or not, written before, with or after what landed first, on its day or later.

    changes: columns that another state may fill otherwise; times are drawn as the time since the row arrived.
    """
    if not rows:
        return rows
    written = st.sampled_from((None, *(timedelta(hours=hours) for hours in (-30, 0, 0, 1, 300))))
    places = st.tuples(st.integers(0, len(rows) - 1), st.sampled_from(_LATER), st.sampled_from(_FILES))
    found = [dict(row) for row in rows]
    for (number, later, file), updated, values in draw(
        st.lists(st.tuples(places, written, st.fixed_dictionaries({}, optional=changes)), max_size=5)
    ):
        first = found[number]
        start = datetime.combine(first["arrived_date"], datetime.min.time())
        values = {name: start + value if isinstance(value, timedelta) else value for name, value in values.items()}
        if draw(st.booleans()):
            first["updated_at"] = start
        state = {**first, **values, "updated_at": None if updated is None else start + updated}
        found.append(landed(state, len(found), first["arrived_date"] + later, file))
    return found


_AMOUNTS = tuple(Decimal(text) for text in ("0", "0.01", "9.99", "20", "33.3333", "100", "1234.5", "99999.9999"))
_CURRENCIES = ("USD", "CNY", "EUR")
_BUYERS = ("u1", "u2", "u3", "u4", "u5", "u8")


@st.composite
def orders(draw: st.DrawFn, zone: ZoneInfo, anchors: Sequence[datetime] = MIDNIGHTS) -> Rows:
    """Orders, some given back in part or wholly, returns that stand alone, and rows that arrive twice with another amount."""
    drawn = draw(
        st.lists(
            st.tuples(
                st.sampled_from(_BUYERS),
                moments(zone, anchors),
                st.sampled_from(_AMOUNTS),
                st.sampled_from(("whole", "whole", "whole", "part", "returned", "canceled", "Cancelled", "return alone")),
                st.sampled_from((None, None, Decimal("0.3"), Decimal("1.2"))),
                st.sampled_from(_CURRENCIES),
                st.booleans(),
            ),
            max_size=14,
        )
    )
    rows: Rows = []
    for number, (user_id, at, amount, fate, cost_ratio, currency, is_sent_again) in enumerate(drawn):
        row = {
            "order_id": f"o{number}",
            "user_id": user_id,
            "ordered_at": at,
            "amount": Decimal(0) if fate == "return alone" else amount,
            "refunded_at": at + timedelta(days=40) if number % 3 == 0 else None,
            "refunded_amount": {"whole": None, "part": _money(amount * Decimal("0.3"))}.get(fate, amount),
            "cost": None if cost_ratio is None else _money(amount * cost_ratio),
            "currency": currency,
            "status": {"whole": None, "part": "completed", "return alone": "returned"}.get(fate, fate),
        }
        arrived = at.date() + timedelta(days=1)
        rows.append(landed(row, number, arrived))
        if is_sent_again:
            rows.append(landed({**row, "amount": amount + 5, "status": None}, number, arrived, "z.parquet"))
    changes = {
        "amount": st.sampled_from(_AMOUNTS),
        "status": st.sampled_from((None, "completed", "returned", "canceled")),
        "refunded_amount": st.sampled_from((None, Decimal(0), Decimal(7))),
        "refunded_at": st.sampled_from((None, timedelta(hours=3), timedelta(days=9))),
        "user_id": st.sampled_from(_BUYERS),
    }
    return draw(restated(rows, changes))


@st.composite
def payments(draw: st.DrawFn, zone: ZoneInfo, anchors: Sequence[datetime] = MIDNIGHTS) -> Rows:
    """Payments of accounts and users, and refunds before and after, with and without the payment or order that they give back."""
    drawn = draw(
        st.lists(
            st.tuples(
                st.sampled_from(
                    (
                        (None, "c1"),
                        (None, "c2"),
                        ("u1", None),
                        ("u2", None),
                        ("u4", None),
                        ("u2", "c3"),
                        ("u2", "c1"),
                        ("u9", None),
                    )
                ),
                moments(zone, anchors),
                st.sampled_from(_AMOUNTS),
                st.sampled_from((None, "subscription", "service", "order")),
                st.sampled_from(("succeeded", "succeeded", "failed")),
                st.sampled_from(_CURRENCIES),
                st.sampled_from((None, None, None, "o0", "o2", "o99")),
            ),
            max_size=12,
        )
    )
    rows = [
        landed(
            {
                "payment_id": f"p{number}",
                "user_id": user_id,
                "account_id": account_id,
                "paid_at": at,
                "amount": amount,
                "kind": kind,
                "status": status,
                "currency": currency,
                "order_id": order_id,
            },
            number,
            at.date() + timedelta(days=1),
        )
        for number, ((user_id, account_id), at, amount, kind, status, currency, order_id) in enumerate(drawn)
    ]
    if rows:
        refunds = st.tuples(st.sampled_from(list(rows)), moments(zone, anchors), st.booleans())
        for original, at, is_linked in draw(st.lists(refunds, max_size=5)):
            number = len(rows)
            link = original["payment_id"] if is_linked else None
            refund = {**original, "payment_id": f"r{number}", "paid_at": at, "status": "refunded", "refund_of": link}
            rows.append(landed(refund, number, at.date() + timedelta(days=1)))
    of_orders = st.tuples(
        moments(zone, anchors),
        st.sampled_from(_AMOUNTS),
        st.sampled_from((None, "order", "order", "order", "subscription")),
        st.sampled_from(("o0", "o1", "o2", "o3", "o4", "p0", "p1", "p77", None)),
        st.sampled_from((None, None, None, "o1", "o5", "o99")),
        st.sampled_from((None, "u1", "u2", "u3", "u4")),
        st.sampled_from(_CURRENCIES),
    )
    for at, amount, kind, refund_of, order_id, user_id, currency in draw(st.lists(of_orders, max_size=6)):
        row = {"payment_id": f"r{len(rows)}", "user_id": user_id, "paid_at": at, "amount": amount, "currency": currency}
        row |= {"kind": kind, "status": "refunded", "refund_of": refund_of, "order_id": order_id}
        rows.append(landed(row, len(rows), at.date() + timedelta(days=1)))
    changes = {
        "amount": st.sampled_from(_AMOUNTS),
        "status": st.sampled_from(("succeeded", "failed")),
        "kind": st.sampled_from((None, "subscription", "order")),
        "account_id": st.sampled_from((None, "c1", "c2")),
    }
    return draw(restated(rows, changes))


@st.composite
def fx_rates(draw: st.DrawFn, anchors: Sequence[datetime] = MIDNIGHTS) -> Rows:
    """A first rate of each currency, mostly long before anything, a few published again later with another value."""
    values = {
        "CNY": st.sampled_from([Decimal(text) for text in ("0.14", "0.13947312", "0.5")]),
        "EUR": st.sampled_from([Decimal(text) for text in ("1.0842", "0.00012345", "2")]),
    }
    days = [date(2023, 7, 1), *sorted({anchor.date() + timedelta(days=shift) for anchor in anchors for shift in (-1, 0, 3)})]
    first = st.sampled_from((days[0], days[0], days[0], days[len(days) // 2]))
    published = [(draw(first), currency, draw(rates), 0) for currency, rates in values.items()]
    later = st.tuples(st.sampled_from(days[len(days) // 2 :]), st.sampled_from(list(values)), st.integers(0, 2))
    for day, currency, lag in draw(st.lists(later, max_size=8)):
        published.append((day, currency, draw(values[currency]), lag))
    return [
        landed({"rate_date": day, "currency": currency, "usd_rate": rate}, number, day + timedelta(days=lag))
        for number, (day, currency, rate, lag) in enumerate(published)
    ]


_LONG_AGO = st.just(datetime(2023, 12, 1))


def accounts(created: st.SearchStrategy[datetime] = _LONG_AGO) -> st.SearchStrategy[Rows]:
    """What is known of the accounts, c3 never."""
    profiles = st.tuples(st.sampled_from((None, "CN", "DE")), st.sampled_from((None, "retail", "beauty")), created)
    return st.tuples(profiles, profiles).map(
        lambda known: [
            landed(
                {
                    "account_id": f"c{number}",
                    "created_at": created_at,
                    "country": country,
                    "industry": industry,
                },
                number,
                date(2023, 12, 2),
            )
            for number, (country, industry, created_at) in enumerate(known, start=1)
            if country or industry
        ]
    )


@st.composite
def subscriptions(draw: st.DrawFn, zone: ZoneInfo, anchors: Sequence[datetime] = MIDNIGHTS) -> Rows:
    """Changes of a few subscriptions: one that changes hands, many at ends of months, copies, and replaced ids."""
    holders = {"s1": ("c1",), "s2": ("c1",), "s3": ("c2",), "s4": ("c3",), "s5": ("c1", "c2")}
    drawn = draw(
        st.lists(
            st.tuples(
                st.sampled_from(sorted(holders)),
                moments(zone, anchors),
                st.sampled_from(("professional", "professional", "enterprise", "custom", "free")),
                st.sampled_from((Decimal(0), Decimal("0.004"), Decimal(50), Decimal(50), Decimal("33.3333"), Decimal(700))),
                st.sampled_from(("active", "active", "active", "past_due", "trialing", "canceled")),
                st.sampled_from(("USD", "USD", "CNY", "EUR")),
                st.integers(0, 1),
                st.booleans(),
            ),
            max_size=16,
        )
    )
    rows: Rows = []
    for number, (subscription, at, plan, mrr, status, currency, holder, is_sent_again) in enumerate(drawn):
        accounts_ = holders[subscription]
        row = {
            "subscription_id": subscription,
            "account_id": accounts_[holder % len(accounts_)],
            "changed_at": at,
            "plan": plan,
            "mrr": mrr,
            "status": status,
            "currency": currency,
        }
        arrived = at.date() + timedelta(days=1)
        rows.append(landed(row, number, arrived))
        if is_sent_again:
            rows.append(landed({**row, "mrr": mrr + 5, "status": "active"}, number, arrived, "z.parquet"))
    gaps = (timedelta(0), timedelta(seconds=5), timedelta(hours=9), timedelta(days=4), timedelta(days=31))
    for row in draw(st.lists(st.sampled_from(rows), max_size=3)) if rows else ():
        at = row["changed_at"] + timedelta(days=draw(st.sampled_from((1, 12, 29))))
        ended = {"changed_at": at, "status": "canceled", "mrr": Decimal(0)}
        again = {"changed_at": at + draw(st.sampled_from(gaps)), "subscription_id": f"{row['subscription_id']}r{len(rows)}"}
        for change in (ended, again):
            state = {**row, **change}
            rows.append(landed(state, len(rows), state["changed_at"].date() + timedelta(days=1)))
    return rows


@st.composite
def ad_spend(draw: st.DrawFn, anchors: Sequence[datetime] = MIDNIGHTS) -> Rows:
    """What campaigns cost on days around the anchors, some of one channel, some that nothing came of, and copies."""
    campaigns = (
        ("google", "cpc", "brand"),
        ("google", "CPC", None),
        (" Newsletter ", None, None),
        ("douyin", "paid", None),
        ("mystery", None, "spring"),
        ("nobody", "partner", None),
    )
    days = sorted({anchor.date() + timedelta(days=shift) for anchor in anchors for shift in (-1, 0, 1)})
    drawn = draw(
        st.lists(
            st.tuples(
                st.sampled_from(days),
                st.sampled_from(campaigns),
                st.sampled_from((Decimal("0"), Decimal("0.004"), Decimal("9.9999"), Decimal("60"), Decimal("123.45"))),
                st.sampled_from(_CURRENCIES),
                st.sampled_from((None, 0, 7)),
                st.booleans(),
            ),
            max_size=14,
        )
    )
    rows: Rows = []
    for number, (day, (source, medium, campaign), cost, currency, clicks, is_sent_again) in enumerate(drawn):
        row = {
            "spend_date": day,
            "utm_source": source,
            "utm_medium": medium,
            "utm_campaign": campaign,
            "cost": cost,
            "currency": currency,
            "impressions": None if clicks is None else clicks * 100,
            "clicks": clicks,
        }
        arrived = day + timedelta(days=1)
        rows.append(landed(row, number, arrived))
        if is_sent_again:
            rows.append(landed({**row, "cost": cost + 5}, number, arrived, "z.parquet"))
    changes = {"cost": st.sampled_from((Decimal(0), Decimal("61.5"))), "clicks": st.sampled_from((None, 0, 9))}
    return draw(restated(rows, changes))


# Users with and without a person of their own, staff perhaps, accounts with and without users, and nobody.
_SPEAKERS = (("u1", None), ("u2", "c1"), ("u4", None), ("u9", "c2"), ("u7", "c1"), (None, "c1"), (None, "c3"), (None, None))


@st.composite
def _told(draw: st.DrawFn, zone: ZoneInfo, key: str, at: str, columns: dict[str, st.SearchStrategy[Any]]) -> Rows:
    rows: Rows = []
    anchors = (*MIDNIGHTS, datetime(2024, 4, 1))
    told = st.tuples(st.sampled_from(_SPEAKERS), moments(zone, anchors), st.fixed_dictionaries(columns), st.booleans())
    for number, ((user_id, account_id), moment, values, is_sent_again) in enumerate(draw(st.lists(told, max_size=10))):
        # What happened later is drawn as the time until then.
        values = {name: moment + value if isinstance(value, timedelta) else value for name, value in values.items()}
        row = {key: f"{key[0]}{number}", at: moment, "user_id": user_id, "account_id": account_id, **values}
        rows.append(landed(row, number, moment.date() + timedelta(days=1)))
        if is_sent_again:
            later = {**row, at: moment + timedelta(days=40)}
            rows.append(landed(later, number, moment.date() + timedelta(days=2), "z.parquet"))
    changes = {
        name: st.sampled_from((None, timedelta(hours=3))) if name.endswith("_at") else values for name, values in columns.items()
    }
    return draw(restated(rows, changes | {"user_id": st.sampled_from(("u1", "u7", "u9"))}))


def _later(*lengths: timedelta) -> st.SearchStrategy[timedelta | None]:
    return st.sampled_from((None, *lengths))


def tickets(zone: ZoneInfo) -> st.SearchStrategy[Rows]:
    """Support tickets, answered and solved or not, with and without a count of contacts."""
    columns = {
        "first_response_at": _later(timedelta(0), timedelta(minutes=7), timedelta(hours=2), timedelta(days=40)),
        "resolved_at": _later(timedelta(hours=3), timedelta(days=2)),
        "contacts": st.sampled_from((None, 0, 1, 1, 2)),
    }
    return _told(zone, "ticket_id", "opened_at", columns)


def surveys(zone: ZoneInfo) -> st.SearchStrategy[Rows]:
    """Answers to both questions, at the edges of the three groups of promoters, passives and detractors."""
    columns = {"kind": st.sampled_from(("nps", "nps", "nps", "csat")), "score": st.sampled_from((0, 5, 6, 7, 8, 9, 10))}
    return _told(zone, "response_id", "responded_at", columns)


def feedback(zone: ZoneInfo) -> st.SearchStrategy[Rows]:
    """Texts, answered or not."""
    return _told(zone, "feedback_id", "created_at", {"text": st.just("t"), "answered_at": _later(timedelta(hours=9))})


@st.composite
def wecom(draw: st.DrawFn, zone: ZoneInfo) -> Rows:
    """Steps and answers of a few contacts, one after another: at once, a week later to the second, a microsecond off."""
    week = timedelta(days=7)
    gaps = [timedelta(0), timedelta(hours=5), week, week + timedelta(microseconds=1), week - timedelta(days=1), timedelta(days=9)]
    kinds = {
        "x1": ("friend_requested", "friend_accepted", "friend_accepted"),
        "x2": ("message_sent", "message_replied", "message_replied", "group_message"),
        "x3": ("moment_posted", "moment_reacted", "message_sent"),
    }
    rows: Rows = []
    for contact, own in kinds.items():
        at = draw(moments(zone))
        user_ids = st.sampled_from((None, "u1", "u4", "u9"))
        done = st.tuples(st.sampled_from(own), st.sampled_from(gaps), user_ids, st.integers(0, 99))
        for kind, gap, user_id, place in draw(st.lists(done, max_size=6)):
            at += gap
            row = {"contact_id": contact, "user_id": user_id, "kind": kind, "occurred_at": at}
            # The id says nothing about the order.
            row["interaction_id"] = f"i{place:02}{contact}{len(rows)}"
            rows.append(landed(row, len(rows), at.date() + timedelta(days=1)))
    return rows


_COHORTS = (
    ("all", "all"),
    ("channel", "(none)"),
    ("channel", "email"),
    ("channel", "paid_search"),
    ("country", "CN"),
    ("country", "all"),
)


@st.composite
def cohort_predictions(draw: st.DrawFn) -> Rows:
    """What models may say of cohorts, of some that are not there too: means with their bounds, or a reason."""
    months = [date(2023, 12, 1), date(2024, 1, 1), date(2024, 2, 1), date(2024, 3, 1), date(2024, 5, 1)]
    rows: Rows = []
    for month in months:
        for dimension, segment in _COHORTS:
            worth = draw(st.sampled_from((None, None, 0.0, 0.0033, 20.0, 41.1525, 12345.6789, -7.5)))
            row = {"cohort_month": month, "dimension": dimension, "segment": segment, "customer_count": 1}
            for number, horizon in enumerate((12, 24, 36)):
                for part, shift in (("", 0), ("_p10", -1), ("_p90", 1)):
                    row[f"predicted_ltv_{horizon}m{part}"] = None if worth is None else round(worth + (number - 2) + shift, 4)
            row["method"] = "none: no stable fit" if worth is None else "sbg"
            rows.append(row)
    return [row for row in rows if draw(st.integers(0, 4))]


@st.composite
def landings(draw: st.DrawFn, zone: ZoneInfo) -> dict[str, Rows]:
    """Rows of every source but events, few keys among many of them, landed on days before and long after they happened."""
    facts: dict[str, Rows] = {}
    for source in CONTRACT.values():
        if source.name != "events" and draw(st.integers(0, 4)):
            drawn = draw(st.lists(st.tuples(_row(source, zone), st.sampled_from(_LAGS), st.sampled_from(_FILES)), max_size=7))
            facts[source.name] = [
                landed(row, number, draw(st.sampled_from(MIDNIGHTS)).date() + timedelta(days=lag), file)
                for number, (row, lag, file) in enumerate(drawn)
            ]
    return facts


_LAGS = (-1, 0, 0, 1, 1, 2, 3, 150)
_IDS = {
    "user_id": ("u1", "u2", "u3", "u4", "0"),
    "account_id": ("c1", "c2"),
    "payment_id": ("p1", "p2", "p3"),
    "refund_of": ("p1", "p2", "p3"),
}


def _row(source: Source, zone: ZoneInfo) -> st.SearchStrategy[dict[str, Any]]:
    """What decides over a row is drawn: its key, its time, its state, whose it is; the rest is as good as any."""
    chosen = {*source.key, source.happened_at, source.latest_by, "user_id", "account_id", "refund_of", "status", "is_internal"}
    drawn = {column.name: _value(column, zone) for column in source.columns if column.name in chosen}
    if source.latest_by:
        drawn[source.latest_by] = st.sampled_from((None, datetime(2024, 1, 1), datetime(2024, 4, 1)))
    constants = {Type.CURRENCY: "USD", Type.MONEY: Decimal(1), Type.INTEGER: 5, Type.RATE: Decimal(1), Type.TEXT: "x"}
    rest = {
        column.name: (column.allowed or (constants.get(column.type, "x"),))[0]
        for column in source.columns
        if column.required and column.name not in chosen
    }
    return st.fixed_dictionaries(drawn).map(lambda row: {**rest, **row})


def _value(column: Column, zone: ZoneInfo) -> st.SearchStrategy[Any]:
    if column.type is Type.TIMESTAMP:
        values: st.SearchStrategy[Any] = moments(zone, MIDNIGHTS[:3])
    elif column.type is Type.DATE:
        values = st.sampled_from([midnight.date() for midnight in MIDNIGHTS[:3]])
    elif column.type is Type.BOOLEAN:
        values = st.sampled_from((False, True))
    elif column.type is Type.CURRENCY:
        values = st.sampled_from(("CNY", "EUR"))
    else:
        values = st.sampled_from(column.allowed or _IDS.get(column.name, ("x", "y")))
    return values if column.required else st.one_of(st.none(), values)


def _money(amount: Decimal) -> Decimal:
    return amount.quantize(Decimal("0.0001"))
