"""A day held back one night and folded in the next leaves the warehouse that a rebuild of everything gives, row for row."""

import json
from datetime import date, timedelta
from pathlib import Path

import pytest

from tests.integration.conftest import LAST_DAY, copy_home, digests, look, run_stages
from tests.integration.test_any_order import warehouse_digests

pytestmark = pytest.mark.long

LAST = date.fromisoformat(LAST_DAY)
EARLIER = LAST - timedelta(days=17)


def land(home: Path, source: str, day: date, *rows: dict) -> None:
    path = home / "landing" / source / f"dt={day}" / "more.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def late_facts(home: Path) -> None:
    """Facts of earlier days that land with the newest, and other states, later and earlier, of what the first night knew."""
    [(order, user, ordered_at)] = look(
        home,
        "select order_id, user_id, ordered_at from core.fct_orders where is_purchase and not is_refunded"
        f" and ordered_date < '{EARLIER}' order by order_id limit 1",
    )
    [(ticket, account, opened_at)] = look(
        home, "select ticket_id, account_id, opened_at from staging.stg_tickets order by opened_at desc, ticket_id limit 1"
    )
    now, then = f"{LAST}T02:00:00Z", f"{EARLIER}T02:00:00Z"
    money = {"currency": "CNY", "updated_at": now}
    state = {"order_id": order, "user_id": user, "ordered_at": f"{ordered_at}Z"}
    land(
        home,
        "orders",
        LAST,
        {**state, "amount": 77, "refunded_amount": 20, "refunded_at": now, "status": "completed", **money},
        {**state, "amount": 1, "status": "canceled", "currency": "CNY", "updated_at": then},
        {"order_id": "late", "user_id": user, "ordered_at": then, "amount": 50, **money},
    )
    refund = {"payment_id": "late-refund", "user_id": user, "paid_at": now, "kind": "order", "amount": 5, "status": "refunded"}
    land(home, "payments", LAST, {**refund, "order_id": "late", **money})
    ticket_state = {"ticket_id": ticket, "account_id": account, "opened_at": f"{opened_at}Z", "updated_at": now}
    land(home, "tickets", LAST, {**ticket_state, "resolved_at": now, "contacts": 9})
    visit = {"event": "page_viewed", "anonymous_id": "late-visitor", "referrer": "https://www.google.com/"}
    # The second event tells who the visitor of the first was, and of days long folded.
    land(
        home,
        "events",
        LAST,
        {**visit, "event_id": "late-1", "occurred_at": then, "received_at": now},
        {**visit, "event_id": "late-2", "occurred_at": now, "received_at": now, "user_id": user},
    )


@pytest.mark.parametrize("more", [None, late_facts], ids=["the_newest_day", "late_facts_and_later_states"])
def test_the_newest_day_a_night_later(small_home, tmp_path, more):
    """The first night of this home knew nothing of the newest day."""
    home = copy_home(small_home, tmp_path / "home")
    assert look(home, "select data_through from control.run") == [(LAST - timedelta(days=1),)]
    before = warehouse_digests(home)
    if more is not None:
        more(home)
    again = copy_home(home, tmp_path / "rebuilt")
    assert "everything is built" in run_stages(again, anew=True)["plan"]
    assert "everything is built" not in run_stages(home)["plan"]
    assert warehouse_digests(home) == warehouse_digests(again) != before
    assert digests(home) == digests(again)


def test_facts_after_the_last_complete_day_count_when_it_is_over(small_home, tmp_path):
    """Orders of the newest day are late: what else arrived of it, and what clocks that run ahead date on it, waits for them."""
    home = copy_home(small_home, tmp_path / "home")
    (home / "northstar.toml").write_text('required_sources = ["events", "orders"]\n', encoding="utf-8")
    held_back = home / "landing" / "orders" / f"dt={LAST}"
    waiting = held_back.rename(tmp_path / "waiting")
    tomorrow = f"{LAST}T17:00:00Z"
    [(user,)] = look(home, "select min(user_id) from staging.stg_users where not is_internal")
    ahead = {"event": "value_achieved", "user_id": user, "occurred_at": tomorrow, "received_at": f"{LAST}T15:00:00Z"}
    land(home, "events", LAST, {**ahead, "event_id": "ahead-1"})
    paid = {"payment_id": "ahead", "user_id": user, "paid_at": tomorrow, "amount": 9, "currency": "CNY", "status": "succeeded"}
    land(home, "payments", LAST, {**paid, "kind": "service"})
    run_stages(home, publish=False)
    # The last day on which somebody ordered.
    [(through,)] = look(home, "select data_through from control.run")
    assert LAST - timedelta(days=7) < through < LAST
    assert look(home, "select count(*) > 1 from control.arrivals where arrived_date = '" + LAST_DAY + "'") == [(True,)]
    waiting.rename(held_back)
    # A later day of the required sources: even what was dated on the day after the newest is over then.
    for source, row in (
        ("events", {"event": "page_viewed", "event_id": "next", "user_id": user, "occurred_at": f"{LAST}T18:00:00Z"}),
        ("orders", {"order_id": "next", "user_id": user, "ordered_at": f"{LAST}T18:00:00Z", "amount": 5, "currency": "CNY"}),
    ):
        land(home, source, LAST + timedelta(days=1), row)
    run_stages(home, publish=False)
    assert look(home, "select data_through from control.run") == [(LAST + timedelta(days=1),)]
    assert look(home, "select count(*) from core.fct_payments where payment_id = 'ahead'") == [(1,)]
    other = copy_home(home, tmp_path / "rebuilt")
    run_stages(other, anew=True, publish=False)
    assert warehouse_digests(home) == warehouse_digests(other)
