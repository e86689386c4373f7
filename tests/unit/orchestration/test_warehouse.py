"""The plan of a night on small lakes: what changed, which event days are replaced, what dbt sees, why all is built anew."""

import copy
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import duckdb
import pytest

from orchestration.base.errors import NorthstarError, UserError
from orchestration.landing.contract import CONTRACT, LAKE_COLUMNS
from orchestration.warehouse import dbt
from orchestration.warehouse.incremental import Incremental
from tests.unit.orchestration.harness import CompiledChain, Home, event

DAYS = [date(2024, 3, 10) + timedelta(days=shift) for shift in range(5)]
ORDER = {"order_id": "o1", "user_id": "u1", "ordered_at": "2024-03-10T01:00:00Z", "amount": "1", "currency": "USD"}
SUBSCRIPTION = {
    "subscription_id": "s1",
    "account_id": "c1",
    "plan": "professional",
    "status": "active",
    "changed_at": "2024-03-10T01:00:00Z",
    "mrr": "10",
    "currency": "USD",
}
MakeHome = Callable[..., Home]


def at(day: date, time: str = "01:00:00") -> str:
    return f"{day}T{time}Z"


@pytest.fixture
def folded(folding_home: MakeHome, chain: CompiledChain) -> Home:
    """Two arrival days folded in, the second with a late event of the first."""
    home = folding_home()
    home.put(DAYS[0], [event("e0", at(DAYS[0]))])
    home.put(DAYS[1], [event("e1", at(DAYS[1])), event("late", at(DAYS[0]))])
    chain.night(home)
    return home


def test_first_night_affects_every_event_day(make_home: MakeHome) -> None:
    home = make_home()
    home.put(DAYS[0], [event("e0", at(DAYS[0])), event("old", at(DAYS[0] - timedelta(days=30)))])
    home.ingest()
    plan = home.plan()
    assert (plan.rebuild_reason, plan.is_rebuild, plan.changed) == ("first night", True, {"events": 1})
    assert plan.data_through == DAYS[0]
    assert (plan.affected_days, home.affected_days()) == (2, [])
    assert home.query("select * from control.run") == [(DAYS[0], True)]
    assert home.query("select event_id from control.events_to_fold order by 1") == [("e0",), ("old",)]


def test_nothing_new_affects_nothing(folded: Home) -> None:
    plan = folded.plan()
    assert (plan.changed, plan.affected_days, plan.rebuild_reason) == ({}, 0, None)
    assert folded.query("select count(*) from control.events_to_fold") == [(0,)]
    assert folded.query("select * from control.run") == [(DAYS[1], False)]
    assert folded.query("select count(*) from lake.events") == [(3,)]


def test_one_new_day_affects_its_own_days_alone(folded: Home) -> None:
    folded.put(DAYS[2], [event("e2", at(DAYS[2])), event("evening", at(DAYS[1], "16:00:00"))])  # midnight of the next day
    folded.ingest()
    plan = folded.plan()
    assert (plan.changed, plan.rebuild_reason, plan.data_through) == ({"events": 1}, None, DAYS[2])
    assert folded.affected_days() == [DAYS[2]]


def test_late_rows_affect_the_day_on_which_they_happened(folded: Home) -> None:
    folded.put(DAYS[3], [event("e3", at(DAYS[0])), event("older", at(DAYS[0] - timedelta(days=9)))])
    folded.ingest()
    folded.plan()
    assert folded.affected_days() == [DAYS[0] - timedelta(days=9), DAYS[0]]
    # All rows of those days have to be there, whatever file they lie in.
    assert {("e0",), ("late",), ("e3",), ("older",)} <= set(folded.query("select event_id from control.events_to_fold"))


def test_a_replaced_file_affects_its_old_and_its_new_days(folded: Home) -> None:
    folded.put(DAYS[1], [event("other", at(DAYS[1] - timedelta(days=5)))])
    folded.ingest()
    plan = folded.plan()
    assert plan.changed == {"events": 1}
    assert folded.affected_days() == [DAYS[1] - timedelta(days=5), DAYS[0], DAYS[1]]


def test_a_file_that_landed_again_unchanged_affects_nothing(folded: Home) -> None:
    folded.put(DAYS[1], [event("e1", at(DAYS[1])), event("late", at(DAYS[0]))])
    folded.ingest()
    assert folded.plan().changed == {}


def test_an_earlier_horizon_withdraws_partitions(folded: Home) -> None:
    plan = folded.plan(DAYS[0])
    assert (plan.data_through, plan.changed) == (DAYS[0], {"events": 1})
    assert folded.affected_days() == [DAYS[0], DAYS[1]]
    assert folded.query("select event_id from lake.events") == [("e0",)]


def test_an_event_drags_in_the_days_of_its_other_copies(folding_home: MakeHome, chain: CompiledChain) -> None:
    """The new copy lies on day 3; the copy that is held, on day 0; an event that has copies on days 0 and 2 joins both."""
    home = folding_home()
    home.put(DAYS[0], [event("e", at(DAYS[0])), event("bridge", at(DAYS[0]))])
    home.put(DAYS[2], [event("bridge", at(DAYS[2])), event("alone", at(DAYS[1]))])
    chain.night(home)
    home.put(DAYS[3], [event("e", at(DAYS[3]))])
    home.ingest()
    home.plan()
    assert home.affected_days() == [DAYS[0], DAYS[2], DAYS[3]]


def test_a_late_event_affects_its_visitor_alone(folding_home: MakeHome, chain: CompiledChain) -> None:
    """Of the day on which it happened the rows of other visitors stay, and the files that hold nothing else are not read."""
    home = folding_home()
    home.put(DAYS[0], [event("hers", at(DAYS[0]), user_id="u1")])
    home.put(DAYS[1], [event("his", at(DAYS[0]), user_id="u2"), event("hers-too", at(DAYS[0]), anonymous_id="v9", user_id="u1")])
    home.put(DAYS[2], [event("his-too", at(DAYS[0]), user_id="u2")])
    chain.night(home)
    home.put(DAYS[3], [event("late", at(DAYS[0]), anonymous_id="v7", user_id="u1")])
    home.ingest()
    plan = home.plan()
    assert home.query("from control.affected_visitor_days") == [(DAYS[0], "u:u1")]
    assert home.query("select distinct arrived_date from control.events_to_fold order by 1") == [
        (DAYS[0],),
        (DAYS[1],),
        (DAYS[3],),
    ]
    with home.warehouse.connect() as connection:
        # A mark that only rows which stay can keep.
        connection.execute("update intermediate.int_events__unique set page = 'stays'")
    chain.build(home, plan)
    found = home.query("select event_id, page from intermediate.int_events__unique order by 1")
    assert found == [("hers", None), ("hers-too", None), ("his", "stays"), ("his-too", "stays"), ("late", None)]


def test_a_copy_of_another_visitor_is_replaced_with_its_event(folding_home: MakeHome, chain: CompiledChain) -> None:
    """The copy that is received earlier makes the other visitor's a duplicate, on another day."""
    home = folding_home()
    home.put(DAYS[1], [event("e", at(DAYS[1]), user_id="u1", received_at=at(DAYS[1]))])
    chain.night(home)
    home.put(DAYS[2], [event("e", at(DAYS[0]), user_id="u2", received_at=at(DAYS[0]))])
    chain.night(home)
    assert home.query("select user_id from intermediate.int_events__unique") == [("u2",)]
    assert home.query("select visitor_id from intermediate.int_events__duplicates") == [("u:u1",)]


def test_what_an_interrupted_night_forgot_is_read_again(folding_home: MakeHome, chain: CompiledChain) -> None:
    """The file of the copy that stayed is withdrawn, and the night is killed after the other copy has left the duplicates.

    That other copy is then in neither table, and only the first plan knew which file holds it.
    """
    home = folding_home()
    home.put(DAYS[0], [event("e", at(DAYS[0]), received_at=at(DAYS[0]))])
    home.put(DAYS[2], [event("e", at(DAYS[0]), received_at=at(DAYS[2]))])
    chain.night(home)
    home.put(DAYS[0], [event("other", at(DAYS[0] - timedelta(days=1)), anonymous_id="v5")])
    home.ingest()
    chain.build(home, home.plan(), stop_after=1)
    assert home.query("select count(*) from intermediate.int_events__duplicates") == [(0,)]
    chain.night(home)
    found = home.query("select event_id, arrived_date from intermediate.int_events__unique order by 1")
    assert found == [("e", DAYS[2]), ("other", DAYS[0])]


def test_events_to_fold_spare_the_files_of_other_days(folding_home: MakeHome, chain: CompiledChain) -> None:
    home = folding_home()
    for number in range(4):
        day = DAYS[0] + timedelta(days=10 * number)
        home.put(day, [event(f"e{number}", at(day))])
    chain.night(home)
    home.put(DAYS[1], [event("new", at(DAYS[0]))])
    home.ingest()
    home.plan()
    assert home.query("select event_id from control.events_to_fold order by 1") == [("e0",), ("new",)]
    assert home.query("select count(*) from lake.events") == [(5,)]


def test_until_it_is_folded_the_next_plan_contains_the_last(folded: Home) -> None:
    folded.put(DAYS[2], [event("e2", at(DAYS[2]))])
    folded.ingest()
    first = folded.plan()
    folded.put(DAYS[3], [event("e3", at(DAYS[3]))])
    folded.ingest()
    second = folded.plan()
    assert (first.changed, second.changed) == ({"events": 1}, {"events": 2})
    assert folded.affected_days() == [DAYS[2], DAYS[3]]
    folded.warehouse.mark_folded()
    assert folded.plan().affected_days == 0


def test_a_first_night_that_was_killed_is_a_first_night_again(make_home: MakeHome) -> None:
    home = make_home()
    home.put(DAYS[0], [event("e0", at(DAYS[0]))])
    home.ingest()
    assert home.plan().rebuild_reason == home.plan().rebuild_reason == "first night"


@pytest.mark.parametrize(
    "change",
    [
        {"reporting_timezone": "UTC"},
        {"bot_events_per_day": 5},
        {"event_names": {"look": "page_viewed"}},
        {"funnels": ()},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_change_of_what_is_folded_rebuilds_until_it_is_folded(folded: Home, change: dict) -> None:
    same = folded.settings.config.model_dump()
    folded.configure(**{**same, **change})
    for _ in range(2):
        plan = folded.plan()
        assert plan.rebuild_reason == "configuration changed"
        assert plan.changed == {"events": 2}
    folded.warehouse.mark_folded()
    assert folded.plan().rebuild_reason is None


def test_a_change_of_what_is_not_folded_rebuilds_nothing(folded: Home) -> None:
    same = folded.settings.config.model_dump()
    folded.configure(**{**same, "gross_margin": "0.5", "week_start": "sunday", "keep_releases": 3, "reporting_currency": "EUR"})
    assert folded.plan().rebuild_reason is None


@pytest.fixture
def manifest(template: Home) -> dict[str, Any]:
    """A copy of dbt's manifest that may be changed."""
    return copy.deepcopy(dict(dbt.read_manifest(template.settings)))


def incremental(monkeypatch: pytest.MonkeyPatch, manifest: dict[str, Any]) -> None:
    monkeypatch.setattr(Home, "incremental", Incremental.read(manifest))


@pytest.mark.parametrize(
    ("node", "rebuilds"),
    [
        ("model.northstar.int_events__unique", True),
        ("model.northstar.stg_events", True),
        ("model.northstar.int_funnel__steps", True),
        ("seed.northstar.funnels", True),
        ("model.northstar.mart_retention__cohort", False),
    ],
)
def test_a_change_of_incremental_code_rebuilds(
    folded: Home, manifest: dict[str, Any], monkeypatch: pytest.MonkeyPatch, node: str, rebuilds: bool
) -> None:
    assert folded.plan().rebuild_reason is None
    manifest["nodes"][node]["checksum"]["checksum"] = "another"
    incremental(monkeypatch, manifest)
    assert folded.plan().rebuild_reason == ("code changed" if rebuilds else None)


@pytest.mark.parametrize(("type_", "rebuilds"), [(None, False), ("varchar", True)])
def test_a_column_that_is_described_rebuilds_nothing_and_one_of_another_type_does(
    folded: Home, manifest: dict[str, Any], monkeypatch: pytest.MonkeyPatch, type_: str | None, rebuilds: bool
) -> None:
    columns = manifest["nodes"]["model.northstar.int_events__unique"]["columns"]
    columns["planted"] = {"name": "planted", "description": "Planted.", "data_type": type_}
    incremental(monkeypatch, manifest)
    assert folded.plan().rebuild_reason == ("code changed" if rebuilds else None)


@pytest.mark.parametrize(
    ("macro", "rebuilds"),
    [
        # Used by a model; chosen by dispatch; the incremental strategy, which no model calls by name.
        ("of_affected_visitor_days", True),
        ("get_incremental_replace_visitor_days_sql", True),
        ("get_incremental_replace_as_of_sql", True),
        ("duckdb__replaced_rows", True),
        ("content_hash", True),
        ("landing_key", False),
        ("health_light", False),
    ],
)
def test_a_change_of_a_macro_that_incremental_models_use_rebuilds(
    folded: Home, manifest: dict[str, Any], monkeypatch: pytest.MonkeyPatch, macro: str, rebuilds: bool
) -> None:
    found = [name for name in manifest["macros"] if name.startswith(f"macro.northstar.{macro}")]
    assert found
    for name in found:
        manifest["macros"][name]["macro_sql"] += " -- changed"
    incremental(monkeypatch, manifest)
    assert folded.plan().rebuild_reason == ("code changed" if rebuilds else None)


def test_a_change_of_the_key_of_events_rebuilds(folded: Home, manifest: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    for source, key, reason in (("orders", ("user_id",), None), ("events", ("event_id", "event"), "code changed")):
        changed = {**CONTRACT, source: replace(CONTRACT[source], key=key)}
        monkeypatch.setattr("orchestration.warehouse.incremental.CONTRACT", changed)
        incremental(monkeypatch, manifest)
        assert folded.plan().rebuild_reason == reason


def test_a_change_of_code_during_a_night_is_seen_by_the_next(
    folded: Home, manifest: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the night folded was planned with the old code; a release installed meanwhile must not pass for it."""
    folded.put(DAYS[2], [event("e2", at(DAYS[2]))])
    folded.ingest()
    folded.plan()
    manifest["nodes"]["model.northstar.int_events__unique"]["checksum"]["checksum"] = "another"
    folded.warehouse.mark_folded()
    incremental(monkeypatch, manifest)
    assert folded.plan().rebuild_reason == "code changed"


def plant(manifest: dict[str, Any], *reads: str) -> None:
    """An incremental model that reads these nodes and sources."""
    nodes = manifest["nodes"]
    planted = copy.deepcopy(nodes["model.northstar.int_activity__visitor_day"])
    planted |= {"name": "int_planted", "unique_id": "model.northstar.int_planted"}
    planted["depends_on"]["nodes"] = list(reads)
    nodes["model.northstar.int_planted"] = planted


def test_a_planted_incremental_model_with_another_source_is_rebuilt_when_that_source_changes(
    folded: Home, manifest: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would silently keep the rows that it made of the old orders."""
    plant(manifest, "model.northstar.int_events__unique", "source.northstar.lake.orders")
    incremental(monkeypatch, manifest)
    assert folded.plan().rebuild_reason == "code changed"
    folded.warehouse.mark_folded()
    assert folded.plan().rebuild_reason is None
    folded.put(DAYS[2], [ORDER], source="orders")
    folded.ingest()
    plan = folded.plan()
    assert (plan.rebuild_reason, plan.affected_days) == ("orders changed", 2)
    folded.warehouse.mark_folded()
    assert folded.plan().rebuild_reason is None


@pytest.mark.parametrize(
    ("reads", "message"),
    [
        ("source.northstar.control.run", "int_planted is incremental and reads control.run, which every night writes anew"),
        ("model.northstar.int_identity__visitors", "int_planted is incremental and reads the table int_identity__visitors"),
    ],
)
def test_a_planted_incremental_model_that_cannot_be_folded_by_day_is_refused(
    manifest: dict[str, Any], reads: str, message: str
) -> None:
    plant(manifest, "model.northstar.int_events__unique", reads)
    with pytest.raises(NorthstarError, match=message):
        Incremental.read(manifest)


def test_configuration_that_a_planted_model_reads_is_part_of_what_is_folded(
    folded: Home, manifest: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(manifest, "model.northstar.int_events__unique", "source.northstar.control.plans")
    incremental(monkeypatch, manifest)
    folded.plan()
    folded.warehouse.mark_folded()
    folded.configure(**{**folded.settings.config.model_dump(), "plans": {"basic": "professional"}})
    assert folded.plan().rebuild_reason == "configuration changed"


def first_affected_as_of(home: Home) -> date | None:
    [(found,)] = home.query("select min(first_date) from control.affected_as_of")
    return found


def test_as_of_dates_are_affected_from_the_first_day_that_changed(folded: Home) -> None:
    """Of the sources that their models read; and those after the last complete day are not there yet."""
    folded.plan()
    assert first_affected_as_of(folded) == DAYS[1] + timedelta(days=1)
    folded.put(DAYS[0], [ORDER], source="orders")
    folded.ingest()
    folded.plan()
    assert first_affected_as_of(folded) == DAYS[1] + timedelta(days=1)
    folded.put(DAYS[1], [SUBSCRIPTION], source="subscriptions")
    folded.ingest()
    folded.plan()
    assert first_affected_as_of(folded) == DAYS[1]
    folded.warehouse.mark_folded()
    assert first_affected_as_of(folded) is None


def test_a_later_copy_of_an_event_affects_as_of_dates_from_its_first_arrival_on(folded: Home) -> None:
    """The copy that stays may be another one, and is known from the day on which any of them arrived."""
    [(event_id,)] = folded.query("select min(event_id) from intermediate.int_events__unique")
    [(first,)] = folded.query(f"select min(landed_date) from intermediate.int_events__unique where event_id = '{event_id}'")
    folded.put(DAYS[2], [event(event_id, at(DAYS[2]))])
    folded.ingest()
    folded.plan()
    assert first_affected_as_of(folded) == first < DAYS[2]


def test_files_of_states_in_another_order_affect_as_of_dates(folded: Home) -> None:
    """Of states written at one time that of the file landed last stays."""
    files = [folded.put(DAYS[0], [SUBSCRIPTION], source="subscriptions", name=name) for name in ("a.jsonl", "b.jsonl")]
    folded.ingest()
    folded.plan()
    folded.warehouse.mark_folded()
    for file, time in zip(files, (1_800_000_002, 1_800_000_001), strict=True):
        os.utime(file, (time, time))
    folded.ingest()
    folded.plan()
    assert first_affected_as_of(folded) == DAYS[0]


def plant_as_of(manifest: dict[str, Any], *reads: str) -> None:
    """A model kept by as-of date that reads these nodes and sources."""
    plant(manifest, *reads)
    manifest["nodes"]["model.northstar.int_planted"]["config"]["incremental_strategy"] = "replace_as_of"


@pytest.mark.parametrize(
    "reads",
    [
        "model.northstar.stg_subscription_states",
        "model.northstar.int_accounts__members",
        "model.northstar.int_activity__bot_days",
        "model.northstar.int_accounts__as_of_dates",
    ],
)
def test_a_planted_model_by_as_of_date_may_read_what_had_arrived(manifest: dict[str, Any], reads: str) -> None:
    plant_as_of(manifest, reads)
    Incremental.read(manifest)


@pytest.mark.parametrize(
    ("reads", "message"),
    [
        ("model.northstar.stg_subscriptions", "int_planted is kept by as-of date and reads subscriptions as it is known today"),
        ("model.northstar.int_churn__rates", "int_planted is kept by as-of date and reads fx_rates as it is known today"),
        ("model.northstar.int_money__fx_daily", "int_planted is (kept by as-of date|incremental) and reads"),
        ("source.northstar.control.run", "int_planted is incremental and reads control.run, which every night writes anew"),
    ],
)
def test_a_planted_model_by_as_of_date_that_reads_more_is_refused(manifest: dict[str, Any], reads: str, message: str) -> None:
    plant_as_of(manifest, reads)
    with pytest.raises(NorthstarError, match=message):
        Incremental.read(manifest)


def test_a_planted_incremental_model_by_another_strategy_is_refused(manifest: dict[str, Any]) -> None:
    plant(manifest, "model.northstar.int_events__unique")
    manifest["nodes"]["model.northstar.int_planted"]["config"]["incremental_strategy"] = "merge"
    with pytest.raises(NorthstarError, match="int_planted is incremental by merge; the strategies of this project are"):
        Incremental.read(manifest)


def test_required_sources_bound_what_is_complete(make_home: MakeHome) -> None:
    home = make_home(required_sources=["events", "orders"])
    home.put(DAYS[3], [event("e0", at(DAYS[3]))])
    home.put(DAYS[1], [ORDER], source="orders")
    home.put(DAYS[4], [{"user_id": "u1", "requested_at": at(DAYS[4])}], source="erasures")
    home.ingest()
    assert home.plan().data_through == DAYS[1]
    home.configure()
    assert home.plan().data_through == DAYS[4]
    assert home.plan(DAYS[3]).data_through == DAYS[3]
    home.configure(required_sources=["users"])
    with pytest.raises(UserError, match=r"required_sources names users, of which nothing has landed in .*landing"):
        home.plan()


def test_nothing_landed_says_what_to_do(make_home: MakeHome) -> None:
    home = make_home()
    with pytest.raises(UserError, match=r"none of events, orders, subscriptions, payments has landed in .*northstar simulate"):
        home.plan()
    assert not home.settings.warehouse.exists()
    home.put(DAYS[2], [event("e0", at(DAYS[2]))])
    home.ingest()
    with pytest.raises(UserError, match="up to 2024-03-11"):
        home.plan(DAYS[1])


def test_orders_alone_are_enough(make_home: MakeHome) -> None:
    home = make_home()
    home.put(DAYS[0], [ORDER], source="orders")
    home.ingest()
    plan = home.plan()
    assert (plan.changed, plan.affected_days) == ({"orders": 1}, 0)
    assert home.warehouse.landed_sources() == {"orders"}


def test_absent_sources_are_empty_views_of_the_contract_s_types(make_home: MakeHome) -> None:
    home = make_home()
    home.put(DAYS[0], [event("e0", at(DAYS[0]))])
    home.ingest()
    home.plan()
    assert home.warehouse.landed_sources() == {"events"}
    for source in CONTRACT.values():
        described = [(name, type_) for name, type_, *_ in home.query(f"describe lake.{source.name}")]
        expected = [(column.name, column.type.sql) for column in source.columns] + [
            (name, type_) for name, type_, _ in LAKE_COLUMNS
        ]
        assert described == expected
        assert home.query(f"select count(*) from lake.{source.name}") == [(source.name == "events",)]


def test_a_partition_of_refused_rows_alone_is_there_and_empty(make_home: MakeHome) -> None:
    home = make_home(max_quarantine_ratio=1)
    home.put(DAYS[0], [event("e0", "yesterday")])
    home.put(DAYS[0], [ORDER], source="orders")
    home.ingest()
    plan = home.plan()
    assert plan.changed == {"events": 1, "orders": 1}
    assert home.query("select count(*) from lake.events") == [(0,)]


@pytest.mark.parametrize("folder", ["o'brien", 'quo"ted', "a b; drop", "star*", "brackets[1]", "{curly}", "ünïcode"])
def test_a_home_may_have_any_name(make_home: MakeHome, folder: str) -> None:
    home = make_home(folder)
    home.put(DAYS[0], [event("e0", at(DAYS[0]))], name="it's.jsonl")
    home.ingest()
    home.plan()
    assert home.query("select event_id, landed_file from control.events_to_fold") == [("e0", "it's.jsonl")]


def test_a_folder_above_the_home_is_no_column(make_home: MakeHome) -> None:
    """`country=CN` in a path reads like a partition of Parquet files, and it would overwrite what the rows say."""
    home = make_home("country=CN")
    home.put(DAYS[0], [event("e0", at(DAYS[0]), country="US")])
    home.ingest()
    home.plan()
    assert home.query("select country from lake.events") == [("US",)]


def test_configuration_reaches_dbt_as_tables(make_home: MakeHome) -> None:
    steps = [
        {"step": "look", "event": "page_viewed", "where": "feature in ('a', 'it''s') and value >= 0.5"},
        {"step": "buy", "event": "order_placed", "where": "user_id is not null"},
    ]
    home = make_home(
        event_names={"bought": "order_placed"},
        plans={"Basic ": "professional"},
        funnels=[{"name": "shop", "window": "2h", "steps": steps}],
    )
    home.put(DAYS[0], [event("e0", at(DAYS[0]))])
    home.ingest()
    for _ in range(2):  # a second plan replaces, it does not add
        home.plan()
    assert home.query("select * from control.event_names") == [("bought", "order_placed")]
    assert home.query("select * from control.plans") == [("basic", "professional")]
    assert home.query("select * from control.funnel_steps order by step_number") == [
        ("shop", 1, "look", "page_viewed", 7200),
        ("shop", 2, "buy", "order_placed", 7200),
    ]
    conditions = home.query(
        "select * exclude (funnel, literal_number), literal_number::varchar from control.funnel_conditions order by all"
    )
    assert conditions == [
        (1, 1, "feature", "in", "a", None),
        (1, 1, "feature", "in", "it's", None),
        (1, 2, "value", ">=", "0.5", "0.500000"),
        (2, 1, "user_id", "is not null", None, None),
    ]


@pytest.mark.parametrize("literal", ["0.5", "1000", "1e3", "12.5e2", "-1e1", "1e33", "0.0000001"])
def test_a_number_is_compared_as_it_was_written_or_refused(make_home: MakeHome, literal: str) -> None:
    """Never another number, and never an error of the database in the middle of a night."""
    steps = [{"step": "a", "event": "x", "where": f"value > {literal}"}, {"step": "b", "event": "y"}]
    funnels = [{"name": "f", "steps": steps}]
    if literal in {"1e33", "0.0000001"}:
        with pytest.raises(ValueError, match=literal):
            make_home(funnels=funnels)
        return
    home = make_home(funnels=funnels)
    home.put(DAYS[0], [event("e0", at(DAYS[0]))])
    home.ingest()
    home.plan()
    assert home.query("select literal_number from control.funnel_conditions") == [(Decimal(literal),)]


def test_row_counts_are_exact_after_days_were_replaced(folded: Home, chain: CompiledChain) -> None:
    for number in range(3):
        folded.put(DAYS[2], [event(f"n{number}", at(DAYS[2]))])
        chain.night(folded)
    relations = [
        ("intermediate", "int_events__unique"),
        ("intermediate", "int_activity__visitor_day"),
        ("staging", "stg_events"),
        ("core", "absent"),
    ]
    counts = folded.warehouse.row_counts(relations)
    assert counts == {relation: folded.query(f"select count(*) from {'.'.join(relation)}")[0][0] for relation in relations[:2]}


def test_a_file_that_is_no_database_is_built_anew(make_home: MakeHome, caplog: pytest.LogCaptureFixture) -> None:
    home = make_home()
    home.put(DAYS[0], [event("e0", at(DAYS[0]))])
    home.ingest()
    home.settings.warehouse.write_bytes(b"not a database, whatever its name says" * 200)
    plan = home.plan()
    assert (plan.rebuild_reason, plan.affected_days > 0) == ("first night", True)
    assert "warehouse.duckdb cannot be opened" in caplog.text
    assert "thrown away and built anew" in caplog.text


def test_a_second_process_is_a_clear_failure(folded: Home) -> None:
    held = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    process = subprocess.Popen(
        [sys.executable, "-c", held, str(folded.settings.warehouse)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout.readline() == "open\n"
        with pytest.raises(NorthstarError, match=r"warehouse.duckdb cannot be opened.*lock"):
            folded.plan()
    finally:
        process.communicate("")
    assert folded.plan().changed == {}


def test_a_rewritten_file_holds_what_was_kept_and_no_byte_of_the_rest(make_home: MakeHome) -> None:
    home = make_home()
    home.warehouse.make_ready()
    with home.warehouse.connect() as connection:
        connection.execute("create schema kept; create table kept.facts (id integer primary key, word varchar)")
        connection.execute("insert into kept.facts values (1, 'a word that stays'), (2, 'a word that goes')")
        connection.execute("create table other as select 'a word of another table' as word")
    with home.warehouse.connect() as connection:
        connection.execute("delete from kept.facts where id = 2; drop table other")
    # What was deleted is still there to read.
    assert all(word in home.warehouse.path.read_bytes() for word in (b"that stays", b"that goes", b"of another table"))
    home.warehouse.rewrite({("kept", "facts"): "id = (select min(id) from kept.facts)"})
    stored = home.warehouse.path.read_bytes()
    assert [word in stored for word in (b"that stays", b"that goes", b"of another table")] == [True, False, False]
    assert home.query("select schema_name, table_name from duckdb_tables()") == [("kept", "facts")]
    assert home.query("from kept.facts") == [(1, "a word that stays")]
    with home.warehouse.connect() as connection, pytest.raises(duckdb.ConstraintException):
        connection.execute("insert into kept.facts values (1, 'twice')")
    assert [path.name for path in home.warehouse.path.parent.glob("*warehouse*")] == [home.warehouse.path.name]
