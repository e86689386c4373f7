"""Shapes of tiny companies: what lands before each of their nights."""

from collections.abc import Callable, Sequence
from datetime import timedelta

from tests.integration.tiny import FIRST, FUNNEL, Company, days, event, order, payment, subscription, user

Step = Callable[[Company], None]

NEXT = FIRST + timedelta(days=60)


def _without_a_shop() -> Sequence[Step]:
    def first(company: Company) -> None:
        for day in days(20):
            company.land("events", day, [event(day, i, "report_opened", account_id=f"a{i}") for i in range(8)])
        company.land("subscriptions", FIRST, [subscription(FIRST, i) for i in range(8)])
        company.land("payments", FIRST, [payment(FIRST, i) for i in range(8)])

    def second(company: Company) -> None:
        day = FIRST + timedelta(days=20)
        company.land("events", day, [event(day, i, "report_opened", account_id=f"a{i}") for i in range(8)])

    return first, second


def _only(source: str) -> Sequence[Step]:
    make = {"events": event, "orders": order, "subscriptions": subscription, "payments": payment}[source]

    def first(company: Company) -> None:
        for day in days(5):
            company.land(source, day, [make(day, i) for i in range(3)])

    def second(company: Company) -> None:
        day = FIRST + timedelta(days=5)
        company.land(source, day, [make(day, i) for i in range(4)])

    return first, second


def _subscriptions_and_payments() -> Sequence[Step]:
    def first(company: Company) -> None:
        company.land("subscriptions", FIRST, [subscription(FIRST, i) for i in range(3)])
        for day in days(5):
            company.land("payments", day, [payment(day, i) for i in range(3)])

    def second(company: Company) -> None:
        day = FIRST + timedelta(days=5)
        company.land("payments", day, [payment(day, i) for i in range(3)])

    return first, second


def _everything_but_events() -> Sequence[Step]:
    def first(company: Company) -> None:
        company.land("users", FIRST, [user(FIRST, i) for i in range(4)])
        company.land("accounts", FIRST, [{"account_id": f"a{i}", "created_at": f"{FIRST}T00:00:00Z"} for i in range(4)])
        company.land("subscriptions", FIRST, [subscription(FIRST, i) for i in range(3)])
        company.land(
            "ad_spend",
            FIRST,
            [{"spend_date": str(FIRST), "utm_source": "google", "utm_medium": "cpc", "cost": 10, "currency": "USD"}],
        )
        company.land("tickets", FIRST, [{"ticket_id": "t1", "account_id": "a1", "opened_at": f"{FIRST}T00:00:00Z"}])
        for day in days(5):
            company.land("payments", day, [payment(day, i) for i in range(3)])
            company.land("orders", day, [order(day, i) for i in range(3)])

    def second(company: Company) -> None:
        day = FIRST + timedelta(days=5)
        company.land("payments", day, [payment(day, i) for i in range(3)])
        company.land("orders", day, [order(day, i) for i in range(3)])

    return first, second


def _everybody_gets_through() -> Sequence[Step]:
    def land(company: Company, count: int, skip: int = 0) -> None:
        for day in days(count)[skip:]:
            company.land("events", day, [event(day, i, name, hour) for i in range(3) for hour, name in enumerate(FUNNEL, 10)])

    def first(company: Company) -> None:
        land(company, 20)

    def second(company: Company) -> None:
        land(company, 21, 20)

    def somebody_stops(company: Company) -> None:
        day = FIRST + timedelta(days=21)
        company.land("events", day, [event(day, 5, FUNNEL[0], 10)])

    return first, second, somebody_stops


def _every_customer_internal() -> Sequence[Step]:
    def first(company: Company) -> None:
        company.land("users", FIRST, [user(FIRST, i, is_internal=True) for i in range(3)])
        for day in days(5):
            company.land("events", day, [event(day, i, name, hour) for i in range(3) for hour, name in enumerate(FUNNEL, 10)])
            company.land("orders", day, [order(day, i) for i in range(3)])

    def second(company: Company) -> None:
        day = FIRST + timedelta(days=5)
        company.land("orders", day, [order(day, i) for i in range(3)])
        company.land("events", day, [event(day, i) for i in range(3)])

    def a_customer(company: Company) -> None:
        day = FIRST + timedelta(days=6)
        company.land("orders", day, [order(day, 9)])
        company.land("events", day, [event(day, 9, FUNNEL[0])])

    return first, second, a_customer


def _everybody_churned() -> Sequence[Step]:
    def first(company: Company) -> None:
        company.land("subscriptions", FIRST, [subscription(FIRST, i) for i in range(3)])
        left = FIRST + timedelta(days=40)
        company.land("subscriptions", left, [subscription(left, i, "canceled") for i in range(3)])
        company.land("events", FIRST, [event(FIRST, i, account_id=f"a{i}") for i in range(3)])
        company.land("events", NEXT, [event(NEXT, i) for i in range(3)])

    def second(company: Company) -> None:
        day = NEXT + timedelta(days=1)
        company.land("events", day, [event(day, i) for i in range(3)])

    return first, second


def _churned_at_once() -> Sequence[Step]:
    """Accounts whose every subscription ended before the first as-of date."""

    def first(company: Company) -> None:
        company.land("subscriptions", FIRST, [subscription(FIRST, i) for i in range(3)])
        left = FIRST + timedelta(days=4)
        company.land("subscriptions", left, [subscription(left, i, "canceled") for i in range(3)])
        company.land("events", NEXT, [event(NEXT, i) for i in range(3)])

    def second(company: Company) -> None:
        day = NEXT + timedelta(days=1)
        company.land("events", day, [event(day, i) for i in range(3)])

    return first, second


def _single_day() -> Sequence[Step]:
    def first(company: Company) -> None:
        company.land("events", FIRST, [event(FIRST, i, name, hour) for i in range(3) for hour, name in enumerate(FUNNEL[:2], 3)])
        company.land("orders", FIRST, [order(FIRST, 0)])

    def second(company: Company) -> None:
        day = FIRST + timedelta(days=1)
        company.land("events", day, [event(day, i) for i in range(3)])

    return first, second


def _one_person() -> Sequence[Step]:
    def first(company: Company) -> None:
        for day in days(3):
            company.land("events", day, [event(day, 1)])

    def second(company: Company) -> None:
        day = FIRST + timedelta(days=3)
        company.land("events", day, [event(day, 1)])

    return first, second


def _one_day_late() -> Sequence[Step]:
    def first(company: Company) -> None:
        rows = [event(day, i, "product_viewed", page="/") for day in days(60) for i in range(250)]
        company.land("events", NEXT, rows)
        company.land("orders", NEXT, [order(day, i) for i, day in enumerate(days(60))])

    def second(company: Company) -> None:
        day = NEXT + timedelta(days=1)
        company.land("events", day, [event(NEXT, i, "product_viewed", page="/") for i in range(250)])

    return first, second


def _unmapped_names() -> Sequence[Step]:
    def first(company: Company) -> None:
        for day in days(5):
            company.land(
                "events",
                day,
                [event(day, i, name) for i, name in enumerate(("page_view", "session_start", "first_visit", "purchase"))],
            )

    def second(company: Company) -> None:
        day = FIRST + timedelta(days=5)
        company.land("events", day, [event(day, 1, "page_view")])

    return first, second


def _paying_without_subscriptions() -> Sequence[Step]:
    def first(company: Company) -> None:
        day = FIRST + timedelta(days=120)
        company.land("payments", day, [payment(FIRST + timedelta(days=30 * m), i) for i in range(3) for m in range(4)])
        company.land("events", day, [event(day, i, account_id=f"a{i}") for i in range(3)])
        company.land("orders", day, [order(day - timedelta(days=20), 7)])

    def second(company: Company) -> None:
        day = FIRST + timedelta(days=121)
        company.land("events", day, [event(day, i, account_id=f"a{i}") for i in range(3)])

    return first, second


SHAPES: dict[str, Sequence[Step]] = {
    "without_a_shop": _without_a_shop(),
    "only_events": _only("events"),
    "only_orders": _only("orders"),
    "only_subscriptions": _only("subscriptions"),
    "only_payments": _only("payments"),
    "subscriptions_and_payments": _subscriptions_and_payments(),
    "everything_but_events": _everything_but_events(),
    "everybody_gets_through": _everybody_gets_through(),
    "every_customer_internal": _every_customer_internal(),
    "everybody_churned": _everybody_churned(),
    "churned_at_once": _churned_at_once(),
    "single_day": _single_day(),
    "one_person": _one_person(),
    "one_day_late": _one_day_late(),
    "unmapped_names": _unmapped_names(),
    "paying_without_subscriptions": _paying_without_subscriptions(),
}
