"""The lifetime-value oracle against an example worked out by hand."""
# ruff: noqa: DTZ001 - timestamps of the lake are naive UTC

from datetime import date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from tests.oracles.ltv import ltv_cohorts
from tests.oracles.reporting import Reporting

REPORTING = Reporting(ZoneInfo("Asia/Shanghai"), date(2024, 2, 29), gross_margin=Decimal("0.5"))


def place(number: int) -> dict:
    return {"arrived_date": date(2024, 3, 1), "landed_file": "a", "landed_row": number}


def test_orders_payments_refunds_and_rates() -> None:
    """In January u1 buys for 100 at a cost of 60, account c1 pays 70 CNY at 0.14 = 9.80 of which 5 USD go back in February."""
    orders = [("o1", datetime(2024, 1, 31, 15, 59), "100", "60", None), ("o2", datetime(2024, 1, 31, 16), "20", None, "30")]
    facts = {
        "orders": [
            {
                "order_id": order_id,
                "user_id": "u1",
                "ordered_at": at,
                "amount": Decimal(amount),
                "cost": cost and Decimal(cost),
                "refunded_amount": refunded and Decimal(refunded),
                "currency": "USD",
                **place(number),
            }
            for number, (order_id, at, amount, cost, refunded) in enumerate(orders)
        ],
        "payments": [
            {
                "payment_id": "p1",
                "account_id": "c1",
                "paid_at": datetime(2024, 1, 10),
                "amount": Decimal(70),
                "currency": "CNY",
                "status": "succeeded",
            }
            | place(1),
            {
                "payment_id": "p2",
                "paid_at": datetime(2024, 2, 10),
                "amount": Decimal(5),
                "currency": "USD",
                "status": "refunded",
                "refund_of": "p1",
            }
            | place(2),
            {
                "payment_id": "p3",
                "account_id": "c2",
                "paid_at": datetime(2024, 1, 10),
                "amount": Decimal(9),
                "currency": "USD",
                "status": "failed",
            }
            | place(3),
        ],
        "fx_rates": [{"rate_date": date(2024, 1, 2), "currency": "CNY", "usd_rate": Decimal("0.14"), **place(1)}],
    }
    rows = ltv_cohorts(facts, REPORTING)
    january = {key[3]: row for key, row in rows.items() if key[:3] == (date(2024, 1, 1), "all", "all")}
    assert {age: (row["customer_count"], row["revenue"], row["margin"]) for age, row in january.items()} == {
        0: (2, Decimal("104.80"), Decimal("42.40")),
        1: (2, Decimal("-10.00"), Decimal("-5.00")),
    }
    assert january[1]["cumulative_margin_per_customer"] == Decimal("18.7")
    assert {key[0] for key in rows} == {date(2024, 1, 1)}


def test_a_month_that_is_not_over_is_unknown() -> None:
    order = {
        "order_id": "o",
        "user_id": "u",
        "ordered_at": datetime(2024, 1, 9),
        "amount": Decimal(1),
        "currency": "USD",
        **place(1),
    }
    rows = ltv_cohorts({"orders": [order]}, Reporting(REPORTING.timezone, date(2024, 2, 28)))
    assert [(row["revenue"], row["is_mature"]) for key, row in sorted(rows.items()) if key[1] == "all"] == [
        (Decimal("1.00"), True),
        (None, False),
    ]
