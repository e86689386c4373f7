"""The copies of the lake in the build file are the lake's rows, whatever happened to its files in between."""

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from unittest.mock import Mock

import pytest

from orchestration.base.errors import NorthstarError
from orchestration.landing.contract import CONTRACT
from orchestration.landing.source import Column, Type
from orchestration.warehouse.exposed_lake import rows_of
from orchestration.warehouse.fold_plan import FoldPlanner
from tests.selection import usually
from tests.unit.orchestration.harness import Home

MakeHome = Callable[..., Home]
DAYS = [date(2026, 3, 1) + timedelta(days=shift) for shift in range(5)]


def order(number: int, day: date, **more: object) -> dict[str, object]:
    facts = {"order_id": f"o{number}", "user_id": "u1", "ordered_at": f"{day}T01:00:00Z", "amount": number, "currency": "CNY"}
    return {**facts, "status": "paid", **more}


def land(home: Home, day: date, *numbers: int, name: str = "part.jsonl") -> None:
    home.put(day, [order(number, day) for number in numbers], source="orders", name=name)


def differing(home: Home, through: date) -> dict[str, list[tuple[object, ...]]]:
    """By source, rows that are in the lake's files up to an arrival day and not in its copy, or the other way round."""
    found = {}
    for source in CONTRACT:
        partitions = [partition for day, partition in home.lake.partitions(source).items() if day <= through]
        files = rows_of(home.lake, source, partitions)
        rows = home.query(f"(from lake.{source} except all ({files})) union all (({files}) except all from lake.{source})")
        if rows:
            found[source] = rows
    return found


def amounts(home: Home) -> list[int]:
    return [int(amount) for (amount,) in home.query("select amount from lake.orders order by 1")]


def tamper(home: Home) -> None:
    """Double the amounts of the copy, to see which of its rows are copied again."""
    with home.warehouse.connect() as connection:
        connection.execute("update lake.orders set amount = amount * 100")


def plan(home: Home, as_of: date | None = None) -> None:
    home.ingest()
    home.plan(as_of)
    home.warehouse.mark_folded()


@pytest.mark.parametrize("seed", usually(range(20), 2))
def test_copies_follow_any_history_of_the_lake(make_home: MakeHome, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 (a landing, not a secret)
    home = make_home()
    land(home, DAYS[0], 1)
    for _ in range(6):
        day, name = chance.choice(DAYS), chance.choice(["a.jsonl", "b.jsonl"])
        if chance.random() < 0.3:
            (home.settings.landing / "orders" / f"dt={day}" / name).unlink(missing_ok=True)
        else:
            land(home, day, *chance.sample(range(9), 3), name=name)
        if chance.random() < 0.5:
            users = [{"user_id": f"u{number}", "signed_up_at": f"{day}T00:00:00Z"} for number in chance.sample(range(9), 2)]
            home.put(day, users, source="users")
        through = chance.choice(DAYS) if chance.random() < 0.3 else DAYS[-1]
        through = max(through, min(home.lake.partitions("orders"), default=DAYS[0]))
        home.ingest()
        home.plan(as_of=through)
        if chance.random() < 0.7:
            home.warehouse.mark_folded()
        assert differing(home, through) == {}


def test_only_what_changed_is_copied_again(make_home: MakeHome) -> None:
    home = make_home()
    land(home, DAYS[0], 1, 2)
    land(home, DAYS[1], 3)
    plan(home)
    assert amounts(home) == [1, 2, 3]
    tamper(home)
    land(home, DAYS[2], 4)
    plan(home)
    assert amounts(home) == [4, 100, 200, 300]
    land(home, DAYS[0], 5)
    plan(home)
    assert amounts(home) == [4, 5, 300]
    assert differing(home, DAYS[-1]).keys() == {"orders"}


def test_a_rebuild_copies_everything_again(make_home: MakeHome) -> None:
    home = make_home()
    land(home, DAYS[0], 1)
    plan(home)
    tamper(home)
    home.configure(session_gap="45m")
    assert home.plan().is_rebuild
    assert amounts(home) == [1]


def test_a_horizon_takes_back_later_days_and_returns_them(make_home: MakeHome) -> None:
    home = make_home()
    land(home, DAYS[0], 1)
    land(home, DAYS[1], 2)
    plan(home)
    plan(home, as_of=DAYS[0])
    assert amounts(home) == [1]
    plan(home)
    assert amounts(home) == [1, 2]


def test_a_column_that_joins_the_contract_is_in_the_copies(make_home: MakeHome, monkeypatch: pytest.MonkeyPatch) -> None:
    home = make_home()
    land(home, DAYS[0], 1)
    plan(home)
    orders = CONTRACT["orders"]
    joined = replace(orders, columns=(*orders.columns, Column("gift_wrap", Type.TEXT, "whether it is a gift")))
    monkeypatch.setitem(CONTRACT, "orders", joined)
    home.plan()
    assert home.query("select amount, gift_wrap from lake.orders") == [(1, None)]


def test_views_of_a_home_of_an_earlier_version_become_copies(make_home: MakeHome) -> None:
    home = make_home()
    land(home, DAYS[0], 1)
    plan(home)
    with home.warehouse.connect() as connection:
        for source in CONTRACT:
            if source != "events":
                connection.execute(f"drop table lake.{source}")
                connection.execute(f"create view lake.{source} as {rows_of(home.lake, source, [])}")
        connection.execute("drop table control.copied")
    plan(home)
    assert differing(home, DAYS[-1]) == {}
    assert amounts(home) == [1]


def test_a_plan_that_fails_leaves_the_copies_as_they_were(make_home: MakeHome, monkeypatch: pytest.MonkeyPatch) -> None:
    home = make_home()
    land(home, DAYS[0], 1)
    plan(home)
    land(home, DAYS[0], 2)
    home.ingest()
    with monkeypatch.context() as patched:
        patched.setattr(FoldPlanner, "_affect", Mock(side_effect=NorthstarError("planted")))
        with pytest.raises(NorthstarError, match="planted"):
            home.plan()
    assert amounts(home) == [1]
    home.plan()
    assert amounts(home) == [2]
