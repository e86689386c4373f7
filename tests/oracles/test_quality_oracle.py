"""The quality oracle against an example worked out by hand."""
# ruff: noqa: DTZ001 - timestamps of the lake are naive UTC

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from tests.oracles.quality import quality_daily
from tests.oracles.reporting import Arrival, Reporting, arrivals_of

REPORTING = Reporting(ZoneInfo("Asia/Shanghai"), date(2024, 3, 31), bot_events_per_day=2)
DAY = date(2024, 3, 2)


def test_every_row_is_a_fact_a_duplicate_or_in_quarantine() -> None:
    """Four events of which one is there twice, three of a bot; an order and its copy; two states of a user of the staff."""
    seen = [
        ("e1", "bot", 0, DAY),
        ("e2", "bot", 0, DAY),
        ("e3", "bot", 0, DAY),
        ("e4", "u1", 9, DAY),
        ("e4", "u1", 9, date(2024, 3, 1)),
    ]
    noon = datetime(2024, 3, 1, 4)
    facts = {
        "events": [
            {
                "event_id": event_id,
                "event": "x",
                "user_id": user_id,
                "occurred_at": noon - timedelta(days=days),
                "arrived_date": arrived,
                "landed_file": "a",
                "landed_row": number,
            }
            for number, (event_id, user_id, days, arrived) in enumerate(seen)
        ],
        "users": [
            {
                "user_id": "u1",
                "signed_up_at": noon,
                "updated_at": noon + timedelta(hours=hour),
                "is_internal": hour == 1,
                "arrived_date": DAY,
                "landed_file": "a",
                "landed_row": hour,
            }
            for hour in (0, 1)
        ],
    }
    rows = quality_daily(facts, REPORTING, arrivals_of(facts, {("events", DAY): 1}) | {("orders", DAY): Arrival(4, 2, 1)})
    assert rows[DAY, "events"] == {
        "landed_count": 5,
        "accepted_count": 3,
        "quarantined_count": 1,
        "duplicate_count": 1,
        "repeat_count": 1,
        "conflict_count": 0,
        "late_count": 1,
        "bot_count": 3,
        "internal_count": 0,
        "accepted_rate": 0.6,
        "landing_difference": 0,
        "fact_difference": 0,
        "arrival_delay_days_p50": 1,
        "arrival_delay_days_p95": 10,
    }
    assert (rows[date(2024, 3, 1), "events"]["accepted_count"], rows[date(2024, 3, 1), "events"]["internal_count"]) == (1, 1)
    users = rows[DAY, "users"]
    assert (users["accepted_count"], users["duplicate_count"], users["internal_count"], users["late_count"]) == (1, 1, 1, None)
    orders = rows[DAY, "orders"]
    assert (orders["landing_difference"], orders["fact_difference"], orders["accepted_rate"]) == (1, 2, 0)
