"""The marts of funnel exits and opportunities against their oracle, on directed edges."""

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from orchestration.config.tables import Funnel, Pages
from tests.dbt.comparison import assert_same
from tests.dbt.facts import Rows, event, landed, utc
from tests.dbt.funnels import EVENT_NAMES, funnel, shipped
from tests.dbt.harness import DbtProject
from tests.oracles.funnel import FunnelSpec
from tests.oracles.funnel_losses import funnel_exits, funnel_opportunities, suggestion
from tests.oracles.reporting import Facts

EXITS, OPPORTUNITIES = "mart_funnel_exits__weekly", "mart_funnel_opportunities__current"
KEYS = {EXITS: ("funnel", "step_number", "week", "exit_page"), OPPORTUNITIES: ("funnel", "step_number")}
ORACLES = {EXITS: funnel_exits, OPPORTUNITIES: funnel_opportunities}
Defined = list[tuple[Funnel, FunnelSpec]]
LEAP_DAY = date(2024, 2, 29)
MONDAY = date(2024, 2, 26)


def check(project: DbtProject, mart: str, facts: Facts, data_through: date, defined: Defined, **configured: Any) -> dict:
    """Compare, and return the expected rows; somebody who enters no funnel has sent every event after the first steps."""
    known = facts | {"events": [*facts["events"], *sent(project, defined)]}
    return compare(project, mart, known, data_through, defined, **configured)


def sent(project: DbtProject, defined: Defined) -> Rows:
    names = sorted({step.event for _, spec in defined for step in spec.steps[1:]})
    return visits(project, "bystander", *((name, 0, None) for name in names), day=LEAP_DAY - timedelta(days=60))


def compare(
    project: DbtProject,
    mart: str,
    facts: Facts,
    data_through: date,
    defined: Defined,
    event_names: dict[str, str] = EVENT_NAMES,
    pages: Pages | None = None,
) -> dict:
    reporting = project.reporting(data_through)
    specs = [spec for _, spec in defined]
    specs += [spec for spec in shipped() if spec.name not in {own.name for own in specs}]
    rules = pages.model_dump() if pages and mart == EXITS else {}
    expected = ORACLES[mart](facts, reporting, specs, event_names, **rules)
    configured = [configured for configured, _ in defined]
    assert_same(
        project.run(mart, facts, reporting, funnels=configured, event_names=event_names, pages=pages), KEYS[mart], expected
    )
    return expected


def at(project: DbtProject, day: date = LEAP_DAY, **after: float) -> datetime:
    return utc(project.reporting(day).timezone, datetime.combine(day, datetime.min.time())) + timedelta(**after)


def visits(project: DbtProject, who: str, *steps: tuple[str, float, str | None], day: date = LEAP_DAY) -> Rows:
    """Events of one visitor: (name, minutes after the start of the day, page)."""
    return [
        event(number, name, at(project, day, minutes=after), event_id=f"{who} {day} {number}", anonymous_id=who, page=page)
        for number, (name, after, page) in enumerate(steps)
    ]


AB = [("a", None), ("b", None)]


@pytest.mark.parametrize(("silence", "page"), [(30, "/later"), (30.0001, "/first")])
def test_the_page_is_that_of_the_session_of_the_last_step(shanghai: DbtProject, silence: float, page: str) -> None:
    """What is seen after the session has ended is no longer the page that they left from."""
    rows = visits(shanghai, "a1", ("a", 0, "/first"), ("x", silence, "/later"))
    expected = check(shanghai, EXITS, {"events": rows}, LEAP_DAY, [funnel("f", "1d", AB)])
    assert set(expected) == {("f", 1, MONDAY, page)}


def test_a_step_that_is_no_event_ends_in_the_session_before_it(shanghai: DbtProject) -> None:
    """U1 pays after a session, u2 is seen only afterwards, u3 never."""
    rows = [
        event(number, "x", at(shanghai, hours=hours), user_id=user_id, page=page)
        for number, (user_id, hours, page) in enumerate([("u1", 0, "/pricing"), ("u1", 9, "/thanks"), ("u2", 9, "/thanks")])
    ]
    payments = [
        {"payment_id": user_id, "user_id": user_id, "paid_at": at(shanghai, hours=5), "amount": Decimal(1), "currency": "USD"}
        for user_id in ("u1", "u2", "u3")
    ]
    facts = {
        "events": rows,
        "users": [landed({"user_id": "u3", "signed_up_at": at(shanghai)}, 1, LEAP_DAY)],
        "payments": [landed({**row, "status": "succeeded"}, number, LEAP_DAY) for number, row in enumerate(payments)],
    }
    defined = [funnel("paid", "1d", [("subscription_paid", None), ("b", None)])]
    expected = check(shanghai, EXITS, facts, LEAP_DAY, defined)
    assert {key[3]: row["exit_count"] for key, row in expected.items()} == {"/pricing": 1, "(none)": 2}


def test_five_pages_are_kept_and_shares_are_of_everybody(shanghai: DbtProject) -> None:
    """Six pages of one person each and one of two; whoever goes on is on no page."""
    rows = [row for number in range(7) for row in visits(shanghai, f"p{number}", ("a", 0, f"/{number}?id={number}"))]
    rows += visits(shanghai, "p9", ("a", 0, "/6")) + visits(shanghai, "p8", ("a", 0, "/0"), ("b", 1, "/0"))
    expected = check(shanghai, EXITS, {"events": rows}, LEAP_DAY, [funnel("f", "1d", AB)])
    assert [
        (key[3], row["exit_rank"], row["share_rate"]) for key, row in sorted(expected.items(), key=lambda it: it[1]["exit_rank"])
    ] == [
        ("/6", 1, 2 / 8),
        *((f"/{number}", number + 2, 1 / 8) for number in range(4)),
    ]


@pytest.mark.parametrize(
    ("page", "published"),
    [
        ("/u/NCUser42/settings", "/u/:id/settings"),
        ("/U/ncuser42/", "/u/:id"),
        ("/d/p1", "/d/:id"),
        ("https://shop.example/#/u/17850/settings?tab=1", "/#/u/:id/settings"),
        ("/m/jo%40shop.example;jsessionid=1/edit#top", "/m/:id/edit"),
        ("/o/3f2b8c1a-9d7e-4f60-8a1b-0c2d3e4f5a6b", "/o/:id"),
        ("/t/eyJhbGciOiJIUzI1NiJ9abc", "/t/:id"),
        ("/m/jo%2540shop.example", "/m/:id"),
        ("/%4E%43user42", "/:id"),
        ("/~NCUser42/", "/:id"),
        ("/exports/ncuser42.csv", "/exports/:id"),
        ("/go%2Fncuser42%2Fx", "/:id"),
        ("/ncuser42-blog", "/ncuser42-blog"),
        ("/~p1", "/~p1"),
        ("/p/123", "/p/123"),
        ("/pricing-for-large-companies", "/pricing-for-large-companies"),
        ("/100%", "/100%"),
        ("https://shop.example", "/"),
    ],
)
def test_no_id_is_published_in_a_page(shanghai: DbtProject, page: str, published: str) -> None:
    """Ids of any visitor count, not only those of the row."""
    rows = visits(shanghai, "p1", ("a", 0, page))
    rows += [event(9, "x", at(shanghai), event_id="other", anonymous_id="p2", user_id="NCUser42")]
    expected = check(shanghai, EXITS, {"events": rows}, LEAP_DAY, [funnel("f", "1d", AB)])
    assert [key[3] for key in expected] == [published]


@pytest.mark.parametrize(
    ("page", "published"),
    [
        ("/u/ann", "/u/:id"),
        ("/U/Ann/orders/A-7?x=1", "/u/:id/orders/:id"),
        ("/%75/ann", "/%75/:id"),
        ("/u/u/ann", "/u/:id/:id"),
        ("/u/new", "/u/new"),
        ("/u/", "/u"),
        ("/u/#/cart", "/u/#/cart"),
        ("/ann/u", "/ann/u"),
        ("/reports/12345", "/reports/12345"),
        ("/reports/12346", "/reports/:id"),
        ("/about/Ncuser42", "/about/ncuser42"),
    ],
)
def test_what_of_a_page_is_an_id_can_be_configured(shanghai: DbtProject, page: str, published: str) -> None:
    """What is kept goes before everything else, also before an id that somebody has."""
    pages = Pages(id_segments_after=["u", "Orders"], keep=["new", "12345", "NCUser42"])
    rows = visits(shanghai, "p1", ("a", 0, page))
    rows += [event(9, "x", at(shanghai), event_id="other", anonymous_id="p2", user_id="NCUser42")]
    expected = check(shanghai, EXITS, {"events": rows}, LEAP_DAY, [funnel("f", "1d", AB)], pages=pages)
    assert [key[3] for key in expected] == [published]


def test_what_is_configured_makes_a_difference(shanghai: DbtProject) -> None:
    facts = {"events": visits(shanghai, "p1", ("a", 0, "/u/ann/12345"))}
    found = [
        key[3]
        for pages in (None, Pages(id_segments_after=["u"]), Pages(keep=["12345"]))
        for key in check(shanghai, EXITS, facts, LEAP_DAY, [funnel("f", "1d", AB)], pages=pages)
    ]
    assert found == ["/u/ann/:id", "/u/:id/:id", "/u/ann/12345"]


@pytest.mark.parametrize(("through", "is_mature"), [(date(2024, 3, 3), False), (date(2024, 3, 4), True)])
def test_a_week_matures_when_the_window_of_its_last_day_is_over(shanghai: DbtProject, through: date, is_mature: bool) -> None:
    expected = check(shanghai, EXITS, {"events": visits(shanghai, "a1", ("a", 0, "/"))}, through, [funnel("f", "1d", AB)])
    assert [row["is_mature"] for row in expected.values()] == [is_mature]


def test_twenty_eight_days_of_entry_count_for_opportunities(shanghai: DbtProject) -> None:
    """One visitor on each of five days: the first lies a day too early, of the last the window is still open."""
    through = date(2024, 3, 30)
    days = [through - timedelta(days=back) for back in (29, 28, 15, 1, 0)]
    rows = [row for day in days for row in visits(shanghai, f"p{day}", ("a", 0, None), day=day)]
    expected = check(shanghai, OPPORTUNITIES, {"events": rows}, through, [funnel("f", "1d", AB)])
    row = expected["f", 2]
    assert (row["first_entry_date"], row["last_entry_date"], row["entrant_count"]) == (days[1], days[3], 3)


def test_a_person_counts_once_with_the_deepest_chain(shanghai: DbtProject) -> None:
    rows = visits(shanghai, "a1", ("a", 0, None)) + visits(shanghai, "a1", ("a", 0, None), ("b", 1, None), day=date(2024, 3, 5))
    row = check(shanghai, OPPORTUNITIES, {"events": rows}, date(2024, 3, 9), [funnel("f", "1d", AB)])["f", 2]
    assert (row["entrant_count"], row["lost_person_count"], row["potential_impact"]) == (1, 0, None)


@pytest.mark.parametrize(("lost", "impact"), [(1_000, "medium"), (1_001, "high")])
def test_more_than_a_thousand_lost_are_a_high_impact(shanghai: DbtProject, lost: int, impact: str) -> None:
    rows = [row for number in range(lost) for row in visits(shanghai, f"p{number}", ("a", 0, None))]
    row = check(shanghai, OPPORTUNITIES, {"events": rows}, date(2024, 3, 9), [funnel("f", "1d", AB)])["f", 2]
    assert (row["lost_person_count"], row["potential_impact"], row["opportunity_rank"]) == (lost, impact, 1)


def test_a_step_that_loses_exactly_half_is_no_opportunity(shanghai: DbtProject) -> None:
    rows = visits(shanghai, "a1", ("a", 0, None)) + visits(shanghai, "a2", ("a", 0, None), ("b", 1, None))
    row = check(shanghai, OPPORTUNITIES, {"events": rows}, date(2024, 3, 9), [funnel("f", "1d", AB)])["f", 2]
    assert (row["drop_off_rate"], row["potential_impact"], row["suggested_experiment"]) == (0.5, None, None)


def test_the_suggestion_is_that_of_the_core_event(shanghai: DbtProject) -> None:
    """A customer's own name for an order, and an event that means nothing to the core."""
    names = {"bought": "order_placed"}
    rows = visits(shanghai, "a1", ("a", 0, None)) + visits(shanghai, "a2", ("a", 0, None), ("bought", 1, None))
    rows += visits(shanghai, "a3", ("a", 0, None))
    defined = [funnel("f", "1d", [("a", None), ("bought", None), ("c", None)])]
    expected = check(shanghai, OPPORTUNITIES, {"events": rows}, date(2024, 3, 9), defined, event_names=names)
    assert expected["f", 2]["suggested_experiment"] == suggestion("order_placed")
    assert expected["f", 3]["suggested_experiment"] == suggestion("(other)")


def test_without_anybody_and_without_a_window_there_is_nothing_to_rank(shanghai: DbtProject) -> None:
    expected = check(shanghai, OPPORTUNITIES, {"events": []}, LEAP_DAY, [funnel("endless", None, AB)])
    assert {row["opportunity_rank"] for row in expected.values()} == {None}
    assert expected["endless", 2]["entrant_count"] is None
    # Nobody ever sent an event of any funnel.
    assert {row["entrant_count"] for row in expected.values()} == {None}
    assert check(shanghai, EXITS, {"events": []}, LEAP_DAY, []) == {}
