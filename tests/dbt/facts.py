"""Random landed facts, small and full of edges: boundaries of days, ties, copies, late arrivals, shared ids, bots.

Belongs here: hypothesis strategies and rows for directed tests. Does not belong here: what any mart makes of them.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

Rows = list[dict[str, Any]]

# Local midnights: Sunday, Monday and New Year at once, an ordinary Monday, before and on a leap day, a month's first day, New York's
# short day of 2024 and the day after.
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
# Anonymous ids seen alone, with one user, with several; users seen without; u4 may be staff.
ID_PAIRS = (
    ("a1", None),
    ("a1", "u1"),
    (None, "u1"),
    ("a2", None),
    ("a2", "u2"),
    ("a2", "u1"),
    (None, "u2"),
    ("a3", None),
    (None, "u3"),
    ("a4", None),
    ("a4", "u4"),
    (None, "u4"),
    ("u3", None),
)
_TOUCHES: tuple[dict[str, Any], ...] = (
    {"utm_source": "google", "utm_medium": "cpc", "device_type": "mobile", "country": "CN"},
    {"referrer": "https://www.baidu.com/s?wd=x", "device_type": "desktop", "country": "DE"},
    {"device_type": None, "country": None},
    {"utm_source": " Newsletter ", "device_type": "desktop", "country": None, "page": "/a"},
    {"referrer": "https://news.example.org/a", "device_type": "tablet", "country": "US", "page": "/b"},
    {"utm_source": "mystery", "device_type": "mobile", "country": "DE"},
    {"utm_source": "douyin", "utm_medium": "paid", "device_type": "mobile", "country": "CN"},
)
_VALUES = (None, Decimal("0"), Decimal("9.5"), Decimal("9.500001"), Decimal("10"), Decimal("100"), Decimal("-1"))
_PROPERTIES = (None, '{"plan": "pro"}', '{"plan": "free", "n": 5}', '{"plan": null, "n": 4.5}', '{"n": "12"}', "{}")


def utc(zone: ZoneInfo, local: datetime) -> datetime:
    """Naive UTC of a local clock time."""
    return local.replace(tzinfo=zone).astimezone(UTC).replace(tzinfo=None)


def landed(row: dict[str, Any], number: int, arrived: date, file: str = "part.parquet") -> dict[str, Any]:
    """A row with its place in the lake."""
    return {**row, "arrived_date": arrived, "landed_file": file, "landed_row": number}


def event(number: int, name: str, at: datetime, *, anonymous_id: str | None = None, user_id: str | None = None, **more: Any) -> dict[str, Any]:
    """A landed event with the touch that belongs to its instant, so that simultaneous events never disagree on the first touch."""
    microseconds = (at - datetime(1970, 1, 1)) // timedelta(microseconds=1)
    row = {
        "event_id": f"e{number:04}",
        "event": name,
        "occurred_at": at,
        "received_at": at + timedelta(seconds=5),
        "anonymous_id": anonymous_id,
        "user_id": user_id,
        **_TOUCHES[microseconds % len(_TOUCHES)],
        **more,
    }
    return landed(row, number, at.date() + timedelta(days=1)) | {name: more[name] for name in ("arrived_date",) if name in more}


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
    drawn = draw(
        st.lists(
            st.tuples(
                st.sampled_from(ID_PAIRS), st.sampled_from(names), moment, st.sampled_from(_VALUES), st.sampled_from(_PROPERTIES), st.integers(0, 9)
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
    for ids, at, count in draw(st.lists(st.tuples(st.sampled_from(ID_PAIRS), moment, st.integers(-1, 1)), max_size=2)):
        for step in range(bot_events_per_day + count):
            rows.append(event(len(rows), names[step % len(names)], at + timedelta(seconds=step), anonymous_id=ids[0], user_id=ids[1]))
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
        copy |= {"event_id": first["event_id"], "value": first["value"] if "value" in first else None}
        copy |= {"received_at": None if received is None else first["received_at"] + timedelta(seconds=received)}
        rows.append(landed(copy, len(rows), first["arrived_date"] + timedelta(days=lag - 1), file))
    return rows


@st.composite
def users(draw: st.DrawFn, zone: ZoneInfo) -> Rows:
    """Users signed up around the same days, some of them staff, some in several states."""
    rows: Rows = []
    states = st.tuples(
        st.sampled_from(("u1", "u2", "u3", "u4", "u5")),
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
            "is_internal": (None, False, False, True)[staff],
            "updated_at": datetime(2024, 4, 1) + timedelta(hours=version),
        }
        rows.append(landed(row, len(rows), date(2024, 4, 1) + timedelta(days=version)))
    return rows


def last_day(zone: ZoneInfo, facts: dict[str, Rows]) -> date:
    """The latest local day on which anything happened."""
    columns = ("occurred_at", "signed_up_at", "ordered_at", "paid_at")
    times = [row[column] for rows in facts.values() for row in rows for column in columns if row.get(column)]
    return max((at.replace(tzinfo=UTC).astimezone(zone).date() for at in times), default=date(2024, 1, 1))
