"""The oracle of acquisition cost against an example worked out by hand."""
# ruff: noqa: DTZ001 - timestamps of the lake are naive UTC

from datetime import date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from tests.oracles.ltv_cac import channel_months
from tests.oracles.reporting import Reporting

REPORTING = Reporting(ZoneInfo("Asia/Shanghai"), date(2024, 3, 31), gross_margin=Decimal("0.5"))
JANUARY, FEBRUARY = date(2024, 1, 1), date(2024, 2, 1)
TOUCHES = {"u1": ("google", "cpc"), "u2": ("google", "cpc"), "u3": ("newsletter", None), "u4": ("google", "cpc")}


def place(number: int) -> dict:
    return {"arrived_date": date(2024, 4, 1), "landed_file": "a", "landed_row": number}


def company() -> dict:
    """u1, u2 come by paid search, u3 by email, u4 (staff) by paid search; all sign up in January, u1 to u3 buy."""
    spent = [
        (date(2024, 1, 9), "google", "cpc", "50", 1000),
        (date(2024, 1, 10), "google", "CPC ", "10", None),
        (date(2024, 1, 10), "douyin", "paid", "20", 500),
        (date(2024, 2, 1), "google", "cpc", "7", 100),
    ]
    orders = [
        ("u1", date(2024, 1, 20), "60"),
        ("u2", date(2024, 1, 21), "20"),
        ("u1", date(2024, 3, 1), "40"),
        ("u3", date(2024, 1, 9), "8"),
    ]
    return {
        "ad_spend": [
            {
                "spend_date": day,
                "utm_source": source,
                "utm_medium": medium,
                "cost": Decimal(cost),
                "currency": "USD",
                "impressions": shown,
            }
            | place(number)
            for number, (day, source, medium, cost, shown) in enumerate(spent)
        ],
        "events": [
            {
                "event_id": f"e{number}",
                "event": "x",
                "occurred_at": datetime(2024, 1, 2),
                "user_id": user,
                "utm_source": source,
                "utm_medium": medium,
            }
            | place(number)
            for number, (user, (source, medium)) in enumerate(TOUCHES.items())
        ],
        "users": [
            {"user_id": user, "signed_up_at": datetime(2024, 1, 3), "is_internal": user == "u4", **place(number)}
            for number, user in enumerate(TOUCHES)
        ],
        "orders": [
            {
                "order_id": f"o{number}",
                "user_id": user,
                "ordered_at": datetime(day.year, day.month, day.day),
                "amount": Decimal(amount),
            }
            | {"currency": "USD", **place(number)}
            for number, (user, day, amount) in enumerate(orders)
        ],
    }


def test_a_channel_is_measured_by_the_customers_that_it_brought() -> None:
    """Paid search costs 60 and has left (60 + 20) / 2 by the end of January, and 60 by the end of March: age 2."""
    rows = channel_months(company(), REPORTING)
    assert rows[JANUARY, "paid_search"] == {
        "spend": 60,
        "impressions": 1000,
        "clicks": None,
        "signup_count": 2,
        "new_customer_count": 2,
        "paid_customer_count": 2,
        "revenue": 120,
        "margin": 60,
        "paid_cac": 30,
        "blended_cac": None,
        "payback_months": 2,
        "roas": 2,
        "marketing_roi": 0,
        "signup_share_rate": pytest.approx(2 / 3),
        "is_complete": True,
        "ltv_predicted": None,
        "ltv_to_cac": None,
        "is_review_triggered": None,
    }
    assert {key for key in rows if key[0] == JANUARY} == {
        (JANUARY, name) for name in ("all", "email", "paid_search", "paid_social")
    }
    social, email = rows[JANUARY, "paid_social"], rows[JANUARY, "email"]
    assert (social["spend"], social["paid_cac"], social["roas"], social["payback_months"]) == (20, None, 0, None)
    assert (email["spend"], email["paid_cac"], email["roas"], email["margin"]) == (0, None, None, 4)


def test_the_month_as_a_whole_is_blended() -> None:
    """80 for three customers, of whom two were of channels that cost something; 64 of margin do not pay it back."""
    january = channel_months(company(), REPORTING)[JANUARY, "all"]
    assert (january["spend"], january["impressions"], january["new_customer_count"], january["paid_customer_count"]) == (
        80,
        1500,
        3,
        2,
    )
    assert (january["paid_cac"], january["blended_cac"]) == (40, pytest.approx(Decimal(80) / 3))
    assert (january["margin"], january["payback_months"], january["marketing_roi"]) == (64, None, pytest.approx(-0.2))


def test_a_month_that_is_not_over_has_no_rates() -> None:
    rows = channel_months(company(), Reporting(REPORTING.timezone, date(2024, 1, 30), gross_margin=Decimal(1)))
    assert {month for month, _ in rows} == {JANUARY}
    row = rows[JANUARY, "paid_search"]
    assert (row["spend"], row["revenue"], row["is_complete"]) == (60, 80, False)
    assert (row["paid_cac"], row["roas"], row["payback_months"], row["signup_share_rate"]) == (None, None, None, None)


def test_spend_that_nobody_came_of_stays() -> None:
    assert channel_months(company(), REPORTING)[FEBRUARY, "all"]["spend"] == 7
