"""Who is who: int_identity__visitors and dim_persons against their oracle, on directed edges."""
# ruff: noqa: DTZ001 - timestamps of the lake are naive UTC

import random
from datetime import date, datetime, timedelta
from time import perf_counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.dbt.comparison import assert_same
from tests.dbt.facts import ID_PAIRS, MIDNIGHTS, Rows, event, examples, landed, utc
from tests.dbt.harness import DbtProject
from tests.dbt.test_funnel_mart import KEY as FUNNEL_KEY
from tests.dbt.test_funnel_mart import funnel, shipped
from tests.dbt.test_retention_mart import KEY as RETENTION_KEY
from tests.oracles.funnel import funnel_entries
from tests.oracles.persons import Identities, unique_events, without_bots
from tests.oracles.reporting import Facts
from tests.oracles.retention import retention_cohorts
from tests.world.questions import persons

LATER = date(2024, 6, 30)
NOON = datetime(2024, 2, 29, 4)

Pairs = list[tuple[str | None, str | None]]


def check(project: DbtProject, facts: Facts) -> dict[tuple[str | None, str | None], str]:
    """Compare the map of ids, and return it."""
    reporting = project.reporting(LATER)
    unique = unique_events(facts["events"])
    identities = Identities(without_bots(unique, reporting), reporting)
    expected = {(row.get("anonymous_id"), row.get("user_id")): {"person_id": identities.of_row(row)} for row in unique}
    assert_same(project.run("int_identity__visitors", facts, reporting), ("anonymous_id", "user_id"), expected)
    return {pair: row["person_id"] for pair, row in expected.items()}


def check_persons(project: DbtProject, facts: Facts) -> dict:
    """Compare the persons who are not internal, and return the expected rows."""
    reporting = project.reporting(LATER)
    expected = persons(facts, reporting)
    got = project.run("dim_persons", facts, reporting)
    for row in got:
        # Who invited them: the oracle of the metrics asks.
        del row["invited_by_user_id"]
    assert_same(got, ("person_id",), expected)
    return expected


def seen_together(pairs: Pairs) -> Rows:
    """An event for each pair of ids, an hour apart."""
    return [
        event(number, "x", NOON + timedelta(hours=number), anonymous_id=anonymous_id, user_id=user_id)
        for number, (anonymous_id, user_id) in enumerate(pairs)
    ]


@examples(6)
@given(pairs=st.lists(st.sampled_from(ID_PAIRS), min_size=2, max_size=14, unique=True), chance=st.randoms(use_true_random=False))
def test_the_order_of_arrival_says_nothing(new_york: DbtProject, pairs: Pairs, chance: random.Random) -> None:
    rows = seen_together(pairs)
    found = check(new_york, {"events": rows})
    chance.shuffle(rows)
    elsewhere = [
        landed(row, number, date(2024, 3, 1) + timedelta(days=chance.randrange(3)), chance.choice(("a.parquet", "b.parquet")))
        for number, row in enumerate(rows)
    ]
    assert check(new_york, {"events": elsewhere}) == found


@pytest.mark.parametrize("seed", range(3))
def test_a_chain_of_devices_is_one_person_whatever_arrives_first(shanghai: DbtProject, seed: int) -> None:
    pairs: Pairs = [("a1", "u1"), ("a1", "u2"), ("a2", "u2"), ("a2", "u3"), ("a2", None), (None, "u3")]
    random.Random(seed).shuffle(pairs)  # noqa: S311  (a test needs the same numbers every time)
    assert set(check(shanghai, {"events": seen_together(pairs)}).values()) == {"u:u1"}


def test_two_chains_are_two_persons(shanghai: DbtProject) -> None:
    pairs: Pairs = [("a1", "u1"), ("a1", "u4"), ("a2", "u2"), ("a2", "u3"), ("a1", None), ("a2", None), (None, "u5")]
    found = check(shanghai, {"events": seen_together(pairs)})
    assert [found[pair] for pair in pairs] == ["u:u1", "u:u1", "u:u2", "u:u2", "u:u1", "u:u2", "u:u5"]


def test_a_long_chain_takes_no_longer_than_a_short_one(shanghai: DbtProject) -> None:
    """2,000 users, each sharing a device with the next: no walk from neighbour to neighbour gets there in time."""
    pairs: Pairs = [(f"a{number:04}", f"u{number + step:04}") for number in range(2_000) for step in (0, 1)]
    random.Random(5).shuffle(pairs)  # noqa: S311  (a test needs the same numbers every time)
    rows = seen_together(pairs)
    reporting = shanghai.reporting(NOON.date() + timedelta(days=200))
    before = perf_counter()
    found = shanghai.run("int_identity__visitors", {"events": rows}, reporting)
    assert perf_counter() - before < 5
    assert {row["person_id"] for row in found} == {"u:u0000"}
    assert len(found) == len(pairs)


@pytest.mark.parametrize(
    "nobody", ["null", "NULL", "0", "Undefined", "[object Object]", "\\N", "True", "00000000-0000-0000-0000-000000000000"]
)
def test_an_id_that_stands_for_nobody_does_not_merge(shanghai: DbtProject, nobody: str) -> None:
    pairs: Pairs = [(nobody, "u1"), (nobody, "u2"), (nobody, None), ("a1", nobody), ("a2", nobody), (None, nobody), ("a2", "u2")]
    found = check(shanghai, {"events": seen_together(pairs)})
    assert [found[pair] for pair in pairs] == ["u:u1", "u:u2", f"a:{nobody}", "a:a1", "u:u2", f"u:{nobody}", "u:u2"]


@pytest.mark.parametrize(("users_of_kiosk", "persons"), [(20, 1), (21, 21)])
def test_a_device_of_more_users_than_may_be_merges_none(shanghai: DbtProject, users_of_kiosk: int, persons: int) -> None:
    pairs: Pairs = [("kiosk", f"u{number:02}") for number in range(users_of_kiosk)]
    found = check(shanghai, {"events": seen_together([*pairs, ("kiosk", None)])})
    assert len({found[pair] for pair in pairs}) == persons
    assert found["kiosk", None] == ("u:u00" if persons == 1 else "a:kiosk")


@pytest.mark.parametrize(("devices_of_tester", "persons"), [(2, 1), (3, 3)])
def test_a_user_of_more_devices_than_may_be_merges_none(new_york: DbtProject, devices_of_tester: int, persons: int) -> None:
    devices = [f"a{number}" for number in range(devices_of_tester)]
    pairs: Pairs = [(device, user) for number, device in enumerate(devices) for user in ("tester", f"u{number}")]
    found = check(new_york, {"events": seen_together(pairs)})
    assert len(set(found.values())) == persons


def test_an_id_that_stands_for_nobody_is_no_link(new_york: DbtProject) -> None:
    """Two of the four ids that u1 was seen with are nobody's: it is linked to two, which is not too many."""
    pairs: Pairs = [("a1", "u1"), ("null", "u1"), ("NULL", "u1"), ("a2", "u1"), ("a2", "u2"), ("a2", "0")]
    assert set(check(new_york, {"events": seen_together(pairs)}).values()) == {"u:u1"}


def test_a_bot_ties_nobody_together(shanghai: DbtProject) -> None:
    """u1 is a bot on the one day on which it uses a1; the day on which it uses a2 counts."""
    count = shanghai.config.bot_events_per_day + 1
    rows = [event(number, "x", NOON + timedelta(seconds=number), anonymous_id="a1", user_id="u1") for number in range(count)]
    rows += [event(100, "x", NOON + timedelta(days=1), anonymous_id="a2", user_id="u1"), event(101, "x", NOON, anonymous_id="a1")]
    found = check(shanghai, {"events": [*rows, event(102, "x", NOON, anonymous_id="a2")]})
    assert found == {("a1", "u1"): "u:u1", ("a1", None): "a:a1", ("a2", "u1"): "u:u1", ("a2", None): "u:u1"}


def test_a_pair_seen_apart_from_a_bot_ties(shanghai: DbtProject) -> None:
    """u1 used a1 both on the day on which it was a bot and on another."""
    count = shanghai.config.bot_events_per_day + 1
    rows = [event(number, "x", NOON + timedelta(seconds=number), anonymous_id="a1", user_id="u1") for number in range(count)]
    rows += [
        event(100, "x", NOON + timedelta(days=1), anonymous_id="a1", user_id="u1"),
        event(101, "x", NOON, anonymous_id="a1"),
    ]
    assert set(check(shanghai, {"events": rows}).values()) == {"u:u1"}


def test_of_copies_with_other_ids_the_one_that_stays_ties(shanghai: DbtProject) -> None:
    first = event(1, "x", NOON, anonymous_id="a1", user_id="u1")
    copy = event(1, "x", NOON, anonymous_id="a1", user_id="u2", received_at=NOON + timedelta(seconds=9), landed_row=2)
    assert check(shanghai, {"events": [copy, first]}) == {("a1", "u1"): "u:u1"}


def test_a_person_with_an_internal_user_is_left_out(shanghai: DbtProject) -> None:
    members = [("u1", 2, False, "owner"), ("u2", 1, True, None), ("u3", 1, False, "member")]
    facts = {
        "events": seen_together([("a1", "u1"), ("a1", "u2"), ("a1", "u3"), ("a2", None)]),
        "users": [
            landed(
                {
                    "user_id": user,
                    "signed_up_at": NOON + timedelta(days=days),
                    "is_internal": internal,
                    "role": role,
                    "account_id": f"c{user}",
                },
                number,
                date(2024, 3, 1),
            )
            for number, (user, days, internal, role) in enumerate(members)
        ],
    }
    assert check_persons(shanghai, facts).keys() == {("a:a2",)}
    without_staff = {**facts, "users": [row for row in facts["users"] if not row["is_internal"]]}
    assert check_persons(shanghai, without_staff)["u:u1",]["user_id"] == "u3"


def test_a_merge_restates_the_past(shanghai: DbtProject) -> None:
    """A phone and a desk with a history each turn out to be one person a month later; no day before that is folded again."""
    zone = shanghai.reporting(LATER).timezone
    days = [utc(zone, MIDNIGHTS[3]) + timedelta(days=day, hours=9) for day in range(3)]
    link_day = days[0] + timedelta(days=30)
    rows = [
        event(1, "a", days[0], anonymous_id="desk", user_id="u2"),
        event(2, "b", days[0] + timedelta(hours=1), anonymous_id="phone", user_id="u1"),
        event(3, "a", days[1], anonymous_id="phone"),
        event(4, "b", days[2], user_id="u2"),
    ]
    links = [
        event(5, "x", link_day, anonymous_id="desk", user_id="u3"),
        event(6, "x", link_day, anonymous_id="phone", user_id="u3"),
    ]
    configured, spec = funnel("visit", "1d", [("a", None), ("b", None)])
    reporting = shanghai.reporting(link_day.date())

    def build(events_so_far: Rows, replaced_days: list[date] | None) -> tuple[dict, dict]:
        facts = {"events": events_so_far}
        entries = funnel_entries(facts, reporting, [spec, *shipped()])
        cohorts = retention_cohorts(facts, reporting)
        got = shanghai.run("mart_funnel__entry", facts, reporting, funnels=[configured], replaced_days=replaced_days)
        assert_same(got, FUNNEL_KEY, entries)
        got = shanghai.run("mart_retention__cohort", facts, reporting, funnels=[configured], replaced_days=replaced_days)
        assert_same(got, RETENTION_KEY, cohorts)
        return entries, cohorts

    cell = ("first_seen", "exact", "day", MIDNIGHTS[3].date(), "all", "all")
    entry = ("visit", "all", MIDNIGHTS[3].date(), "all", "all")
    entries, cohorts = build(rows, None)
    assert (entries[*entry, 1]["person_count"], entries[*entry, 2]["person_count"]) == (2, 0)
    assert [cohorts[*cell, age]["retained_count"] for age in (0, 1, 2)] == [2, 1, 1]
    entries, cohorts = build(rows + links, [reporting.day(link_day)])
    assert (entries[*entry, 1]["person_count"], entries[*entry, 2]["person_count"]) == (1, 1)
    assert [cohorts[*cell, age]["retained_count"] for age in (0, 1, 2)] == [1, 1, 1]
