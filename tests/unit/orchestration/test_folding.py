"""The promise of folding: in whatever order files arrive, are corrected or withdrawn, the warehouse ends as if built once.

Landings are made to collide: few ids on few days, copies in several files and partitions, received in any order.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

import duckdb
import pytest

from orchestration.landing.lake import Lake
from orchestration.warehouse.fold_plan import FoldPlanner
from tests.selection import usually
from tests.unit.orchestration.harness import BOT_EVENTS, INCREMENTAL, CompiledChain, Home, differences, event

FIRST = date(2024, 3, 10)
DAYS = [FIRST + timedelta(days=shift) for shift in range(5)]
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 (the lake holds naive UTC)
_NAMES = ("page_viewed", "feature_used", "product_viewed", "value_achieved")
# Shanghai's midnight is 16:00 UTC: half of the times lie within a minute of it.
_TIMES = ("15:59:59.5", "16:00:00", "03:00:00", "22:10:00")


@dataclass
class Landing:
    """Versions of landed files by arrival day and name, the newest last."""

    files: dict[tuple[date, str], list[list[dict[str, Any]]]] = field(default_factory=lambda: defaultdict(list))

    def put(self, home: Home, *, version: int = -1, days: Sequence[date] = DAYS) -> None:
        for (day, name), versions in self.files.items():
            if day in days:
                home.put(day, versions[version if -len(versions) <= version < len(versions) else -1], name=name)


def landing(seed: int, *, ids: int = 6, days: Sequence[date] = DAYS) -> Landing:
    chance = random.Random(seed)  # noqa: S311 (a landing, not a secret)
    result = Landing()
    for day in days:
        for name in ["a.jsonl", "b.jsonl"][: chance.choice((1, 1, 2))]:
            result.files[day, name].append(rows(chance, day, ids))
    return result


def rows(chance: random.Random, day: date, ids: int) -> list[dict[str, Any]]:
    return [_row(chance, day, ids) for _ in range(chance.randint(1, 5))]


def _row(chance: random.Random, day: date, ids: int) -> dict[str, Any]:
    occurred = day - timedelta(days=chance.choice((0, 0, 1, 1, 2, 4)))
    row = event(f"e{chance.randrange(ids)}", f"{occurred}T{chance.choice(_TIMES)}Z", event=chance.choice(_NAMES))
    row["anonymous_id"] = f"v{chance.randrange(2)}"
    if chance.random() < 0.3:
        row["user_id"] = f"u{chance.randrange(2)}"
    if chance.random() < 0.7:
        row["received_at"] = f"{day - timedelta(days=chance.randrange(3))}T{chance.choice(('00:00:00', '23:00:00'))}Z"
    row["feature"] = chance.choice(("a", "b", None))
    row["account_id"] = chance.choice(("c1", "c2", None))
    row["value"] = chance.randrange(3)
    row["properties"] = {"kind": chance.choice(("x", "y"))}
    return row


def reference(home: Home, *, as_of: date | None = None) -> tuple[set[tuple[Any, ...]], set[tuple[Any, ...]]]:
    """Which copy of each event wins and which are duplicates, in plain Python, from the files of the lake.

    The earliest received wins, those without a time last, then the earliest arrival day, the file's name, the row. A fact is
    known from the first arrival of any copy; a visitor with more facts on a day than a person can make is a bot.
    """
    copies = defaultdict(list)
    with duckdb.connect() as connection:
        for path in Lake(home.lake.root).files("events"):
            found = connection.execute(
                "select event_id, received_at, arrived_date, landed_file, landed_row, occurred_at, user_id, anonymous_id "
                "from read_parquet(?, hive_partitioning = false)",
                [str(path)],
            ).fetchall()
            for event_id, received_at, arrived_date, *rest in found:
                if as_of is None or arrived_date <= as_of:
                    copies[event_id].append((received_at is None, received_at or _EPOCH, arrived_date, *rest))
    winners, duplicates = [], set()
    for event_id, found in copies.items():
        found.sort(key=lambda copy: copy[:5])
        known = min(copy[2] for copy in found)
        for number, (_, _, arrived, file, row, occurred_at, user_id, anonymous_id) in enumerate(found):
            day = (occurred_at + timedelta(hours=8)).date()
            if number:
                duplicates.add((event_id, day, arrived, file, row))
            else:
                winners.append((event_id, day, arrived, file, row, known, user_id or anonymous_id))
    per_day = Counter((winner[1], winner[-1]) for winner in winners)
    return {(*winner[:-1], per_day[winner[1], winner[-1]] > BOT_EVENTS) for winner in winners}, duplicates


def assert_follows_reference(home: Home, *, as_of: date | None = None) -> None:
    facts = home.query(
        "select event_id, event_date, landed_date, landed_file, landed_row, arrived_date, is_bot"
        " from intermediate.int_events__unique"
    )
    duplicates = home.query(
        "select event_id, event_date, arrived_date, landed_file, landed_row from intermediate.int_events__duplicates"
    )
    assert len(set(facts)) == len(facts)
    assert len(set(duplicates)) == len(duplicates)
    expected_facts, expected_duplicates = reference(home, as_of=as_of)
    assert set(facts) == expected_facts
    assert set(duplicates) == expected_duplicates


def from_scratch(home: Home, other: Home, chain: CompiledChain, *, as_of: date | None = None) -> Home:
    """A home that only ever saw what `other` has landed now, and in which the same persons are erased."""
    for path in sorted(other.settings.landing.rglob("*.jsonl")):
        target = home.settings.landing / path.relative_to(other.settings.landing)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    # Devices stay known as a person's when the file that showed it is corrected.
    if other.ledger:
        for path in (other.settings.home / "pseudonym.key", other.ledger.path):
            target = home.settings.home / path.relative_to(other.settings.home)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    chain.night(home, as_of=as_of)
    return home


# With dbt itself: one home that takes everything at once, and what the others must come to.


@pytest.mark.long
@pytest.mark.parametrize("seed", [1])
def test_dbt_ends_alike_whatever_the_order_of_arrival(folding_home: Callable[..., Home], parsed: Any, seed: int) -> None:
    landed = landing(seed)
    at_once, in_turn = folding_home("at_once"), folding_home("in_turn")
    landed.put(at_once)
    landed.put(in_turn)
    at_once.night(parsed)
    assert_follows_reference(at_once)

    order = list(DAYS)
    random.Random(seed).shuffle(order)  # noqa: S311 (an order, not a secret)
    for arrivals in (order[:2], order[2:4], order[4:]):
        plan = in_turn.night(parsed, days=arrivals)
    assert not plan.is_rebuild
    assert_follows_reference(in_turn)
    assert differences(in_turn, at_once) == {}


@pytest.mark.long
def test_dbt_forgets_a_corrected_file(folding_home: Callable[..., Home], parsed: Any) -> None:
    """The wrong file held the winning copy of a shared event, an event of its own, and half of a bot's day."""
    wrong = [
        event("shared", "2024-03-10T01:00:00Z", received_at="2024-03-10T02:00:00Z", event="feature_used", feature="a"),
        event("only", "2024-03-09T01:00:00Z", event="feature_used", feature="b"),
        *(event(f"bot{n}", "2024-03-10T01:00:00Z") for n in range(BOT_EVENTS)),
    ]
    right = [event("other", "2024-03-12T01:00:00Z")]
    later = [event("shared", "2024-03-11T01:00:00Z", received_at="2024-03-11T02:00:00Z", event="feature_used", feature="a")]
    corrected, clean = folding_home("corrected"), folding_home("clean")
    for home in (corrected, clean):
        home.put(DAYS[0], [event("first", "2024-03-10T05:00:00Z")])
        home.put(DAYS[2], later)
    corrected.put(DAYS[1], wrong)
    corrected.night(parsed)
    assert corrected.query("select event_id from intermediate.int_events__duplicates") == [("shared",)]
    assert corrected.query("select count(*) from intermediate.int_events__unique where is_bot") == [(BOT_EVENTS + 2,)]

    for home in (corrected, clean):
        home.put(DAYS[1], right)
    plan = corrected.night(parsed)
    clean.night(parsed)
    assert not plan.is_rebuild
    assert corrected.query("select count(*) from intermediate.int_events__duplicates") == [(0,)]
    assert_follows_reference(corrected)
    assert differences(corrected, clean) == {}


# With the SQL that dbt compiled: many more landings.


def test_the_compiled_chain_does_what_dbt_does(folding_home: Callable[..., Home], parsed: Any, chain: CompiledChain) -> None:
    by_dbt, by_sql = folding_home("by_dbt"), folding_home("by_sql")
    for home in (by_dbt, by_sql):
        landing(3).put(home)
    for days in (DAYS[:3], DAYS[3:]):
        by_dbt.night(parsed, days=days)
        chain.night(by_sql, days=days)
    assert differences(by_dbt, by_sql) == {}
    assert all(by_dbt.query(f"select count(*) > 0 from {schema}.{name}") == [(True,)] for schema, name in INCREMENTAL)


@pytest.mark.parametrize("order", ["by_day", "reversed"])
@pytest.mark.parametrize("seed", usually(range(10, 20), 1))
def test_arrival_day_by_arrival_day(folding_home: Callable[..., Home], chain: CompiledChain, seed: int, order: str) -> None:
    home, fresh = folding_home("home"), folding_home("fresh")
    landing(seed, ids=4).put(home)
    for day in DAYS if order == "by_day" else DAYS[::-1]:
        chain.night(home, days=[day])
    from_scratch(fresh, home, chain)
    assert_follows_reference(home)
    assert differences(home, fresh) == {}


@pytest.mark.parametrize("seed", usually([*range(20, 60), *range(100, 220)], 1))
def test_any_history_of_corrections_kills_and_horizons(
    folding_home: Callable[..., Home], chain: CompiledChain, seed: int
) -> None:
    """Every step replaces files, or goes back to them, or moves the horizon; some nights die between two models."""
    chance = random.Random(seed)  # noqa: S311 (a landing, not a secret)
    home = folding_home("home")
    first = landing(seed, ids=5)
    first.put(home, days=chance.sample(DAYS, 3))
    chain.night(home)
    for _ in range(5):
        for day in chance.sample(DAYS, chance.choice((1, 1, 2))):
            name = chance.choice(("a.jsonl", "b.jsonl"))
            versions = first.files[day, name]
            if not versions or chance.random() < 0.6:
                versions.append(rows(chance, day, 5))
            home.put(day, chance.choice(versions), name=name)
        home.ingest()
        as_of = chance.choice((None, None, *DAYS[2:]))
        plan = home.plan(as_of if any(day <= (as_of or DAYS[-1]) for day in home.lake.partitions("events")) else None)
        if chance.random() < 0.4:
            chain.build(home, plan, stop_after=chance.randrange(len(INCREMENTAL)))
        else:
            chain.build(home, plan)
            if chance.random() < 0.8:
                home.warehouse.mark_folded()
    chain.night(home)
    assert_follows_reference(home)
    assert differences(home, from_scratch(folding_home("fresh"), home, chain)) == {}


@pytest.mark.parametrize("seed", usually(range(60, 80), 2))
def test_a_person_erased_between_corrections_and_kills(
    folding_home: Callable[..., Home], chain: CompiledChain, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """The file goes on with what others did, as if the person had been erased before anything was built."""
    monkeypatch.setattr(FoldPlanner, "worth_keeping", 0)
    chance = random.Random(seed)  # noqa: S311 (a landing, not a secret)
    home = folding_home("home")
    landed = landing(seed, ids=5)
    landed.put(home, days=DAYS[:4])
    chain.night(home)
    asked = chance.randrange(3)
    for step in range(3):
        if step == asked:
            home.put(DAYS[step], [{"user_id": "u0", "requested_at": f"{DAYS[step]}T01:00:00Z"}], source="erasures")
        if chance.random() < 0.7:
            day = chance.choice(DAYS)
            home.put(day, rows(chance, day, 5), name="a.jsonl")
        home.ingest()
        home.erase()
        plan = home.plan()
        assert not plan.is_rebuild
        if chance.random() < 0.4:
            chain.build(home, plan, stop_after=chance.randrange(len(INCREMENTAL)))
        else:
            chain.build(home, plan)
            home.warehouse.mark_folded()
    chain.night(home)
    assert home.query("select count(*) from intermediate.int_events__unique where user_id = 'u0'") == [(0,)]
    assert home.query("select count(*) > 0 from intermediate.int_events__unique where user_id like 'erased_%'") == [(True,)]
    assert_follows_reference(home)
    assert differences(home, from_scratch(folding_home("fresh"), home, chain)) == {}


def test_an_erasure_from_a_small_file_builds_it_anew(folding_home: Callable[..., Home], chain: CompiledChain) -> None:
    home = folding_home("home")
    home.put(DAYS[0], [event("e1", "2024-03-10T01:00:00Z", user_id="u0")])
    chain.night(home)
    home.put(DAYS[1], [{"user_id": "u0", "requested_at": f"{DAYS[1]}T01:00:00Z"}], source="erasures")
    home.ingest()
    home.erase()
    assert not home.warehouse.path.exists()
    assert chain.night(home).is_rebuild
    assert home.query("select event_id, starts_with(user_id, 'erased_') from intermediate.int_events__unique") == [("e1", True)]


@pytest.mark.parametrize("stop_after", usually(range(len(INCREMENTAL) + 1), 3))
def test_killed_between_two_models_and_run_again(
    folding_home: Callable[..., Home], chain: CompiledChain, stop_after: int
) -> None:
    home = folding_home("home")
    landed = landing(31, ids=4)
    landed.put(home, days=DAYS[:3])
    chain.night(home)
    landed.put(home)
    home.ingest()
    killed = home.plan()
    days = home.affected_days()
    chain.build(home, killed, stop_after=stop_after)
    again = home.plan()
    assert again.changed == killed.changed
    assert set(home.affected_days()) >= set(days)
    chain.build(home, again)
    home.warehouse.mark_folded()
    assert_follows_reference(home)
    assert differences(home, from_scratch(folding_home("fresh"), home, chain)) == {}


def test_killed_then_the_file_is_taken_back(folding_home: Callable[..., Home], chain: CompiledChain) -> None:
    """The partition that killed the night is again the one that is folded in: nothing changed, yet its days are half replaced."""
    home = folding_home("home")
    old, new = [event("e1", "2024-03-10T01:00:00Z")], [event("e1", "2024-03-12T01:00:00Z"), event("e2", "2024-03-11T01:00:00Z")]
    home.put(DAYS[2], old)
    chain.night(home)
    home.put(DAYS[2], new)
    home.ingest()
    chain.build(home, home.plan(), stop_after=2)
    home.put(DAYS[2], old)
    plan = chain.night(home)
    assert plan.changed == {}
    assert_follows_reference(home)
    assert differences(home, from_scratch(folding_home("fresh"), home, chain)) == {}


def test_a_horizon_takes_back_what_arrived_after_it(folding_home: Callable[..., Home], chain: CompiledChain) -> None:
    home = folding_home("home")
    landing(41, ids=4).put(home)
    chain.night(home)
    plan = chain.night(home, as_of=DAYS[1])
    assert plan.changed == {"events": 3}
    assert plan.data_through == DAYS[1]
    assert_follows_reference(home, as_of=DAYS[1])
    assert differences(home, from_scratch(folding_home("fresh"), home, chain, as_of=DAYS[1])) == {}


def test_another_time_zone_and_an_older_horizon(
    make_home: Callable[..., Home], folding_home: Callable[..., Home], chain: CompiledChain
) -> None:
    """Days counted when a file was ingested in another time zone are not the days that its events lie on now."""
    home = make_home("home", bot_events_per_day=BOT_EVENTS, funnels=(), reporting_timezone="UTC")
    home.put(DAYS[0], [event("e1", "2024-03-10T01:00:00Z")])
    home.put(DAYS[1], [event("e2", "2024-03-11T20:00:00Z")])
    home.ingest()
    moved = folding_home("home")
    chain.night(moved, as_of=DAYS[0])
    plan = chain.night(moved)
    assert not plan.is_rebuild
    assert_follows_reference(moved)


def test_a_time_zone_a_day_and_more_away(make_home: Callable[..., Home]) -> None:
    """From 12 hours behind UTC to 14 before it, a day of one zone can lie two calendar days from that of the other."""
    home = make_home("home", reporting_timezone="Etc/GMT+12")
    home.put(DAYS[0], [event("e1", "2024-03-10T11:00:00Z")])  # the 9th, 23:00 there; the 11th, 01:00 in Kiritimati
    home.ingest()
    assert list(home.lake.partitions("events")[DAYS[0]].happened) == ["2024-03-09"]
    home.configure(reporting_timezone="Pacific/Kiritimati")
    home.plan()
    assert home.query("select event_id from control.events_to_fold") == [("e1",)]


def test_each_rule_of_the_ranking_decides_once(folding_home: Callable[..., Home], chain: CompiledChain) -> None:
    """Received first, a known time before none, then the earliest arrival, file and row."""
    late, early, at = "2024-03-10T09:00:00Z", "2024-03-10T08:00:00Z", "2024-03-10T01:00:00Z"
    home = folding_home()
    home.put(DAYS[0], [event("received", at, received_at=late), event("null", at), event("arrival", at)], name="a.jsonl")
    home.put(DAYS[1], [event("received", at, received_at=early), event("null", at, received_at=late), event("arrival", at)])
    home.put(DAYS[2], [event("file", at)], name="b.jsonl")
    home.put(DAYS[2], [event("row", at, page="/1"), event("file", at), event("row", at, page="/2")], name="a.jsonl")
    chain.night(home)
    winners = home.query(
        "select event_id, landed_date, landed_file, landed_row, arrived_date from intermediate.int_events__unique"
        " order by event_id"
    )
    assert winners == [
        ("arrival", DAYS[0], "a.jsonl", 3, DAYS[0]),
        ("file", DAYS[2], "a.jsonl", 2, DAYS[2]),
        ("null", DAYS[1], "part.jsonl", 2, DAYS[0]),
        ("received", DAYS[1], "part.jsonl", 1, DAYS[0]),
        ("row", DAYS[2], "a.jsonl", 1, DAYS[2]),
    ]
    assert_follows_reference(home)


def test_the_comparison_sees_a_row_that_differs(folding_home: Callable[..., Home], chain: CompiledChain) -> None:
    """Without this the tests above could pass on a comparison that sees nothing."""
    left, right = folding_home("left"), folding_home("right")
    for home in (left, right):
        home.put(DAYS[0], [event("e1", "2024-03-10T01:00:00Z")])
    chain.night(left)
    right.put(DAYS[1], [event("e1", "2024-03-10T01:00:00Z")])
    chain.night(right)
    assert set(differences(left, right)) == {"intermediate.int_events__duplicates"}
    with left.warehouse.connect() as connection:
        connection.execute("update intermediate.int_events__unique set page = '/x'")
    assert "intermediate.int_events__unique" in differences(left, right)
    with left.warehouse.connect() as connection:
        connection.execute("insert into intermediate.int_events__unique select * from intermediate.int_events__unique")
    with pytest.raises(AssertionError):
        assert_follows_reference(left)
