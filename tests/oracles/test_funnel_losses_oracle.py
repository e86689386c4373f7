"""The oracle of exits and opportunities against examples worked out by hand."""
# ruff: noqa: DTZ001 - timestamps of the lake are naive UTC

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from tests.oracles.funnel import FunnelSpec, Step
from tests.oracles.funnel_losses import funnel_exits, funnel_opportunities, suggestion
from tests.oracles.reporting import Reporting

# Noon of the leap day in Shanghai, a Thursday; two days later the window of an hour is over for all of its week but the Sunday.
NOON = datetime(2024, 2, 29, 4)
MONDAY = date(2024, 2, 26)
REPORTING = Reporting(ZoneInfo("Asia/Shanghai"), date(2024, 3, 3))
SPEC = FunnelSpec("f", (Step("one", "a"), Step("two", "order_placed"), Step("three", "c")), 3_600)


def done(*steps: tuple[str, str, float, str | None]) -> dict:
    """Facts of visitors: (who, event, minutes after noon, page)."""
    place = {"arrived_date": date(2024, 3, 1), "landed_file": "a"}
    return {
        "events": [
            {
                "event_id": f"e{number}",
                "event": name,
                "anonymous_id": who,
                "occurred_at": NOON + timedelta(minutes=after),
                "page": page,
                "landed_row": number,
                **place,
            }
            for number, (who, name, after, page) in enumerate(steps)
        ]
    }


def test_the_page_is_the_last_of_the_session_of_the_last_step() -> None:
    """P and q leave from /b, whatever they saw the next day; r saw no page; s went all the way; t stopped at the second step."""
    facts = done(
        ("p", "a", 0, "/a"),
        ("p", "x", 5, "/b?from=a"),
        ("p", "x", 1_440, "/z"),
        ("q", "a", 0, "/b"),
        ("r", "a", 0, None),
        ("s", "a", 0, "/a"),
        ("s", "order_placed", 1, "/a"),
        ("s", "c", 2, "/a"),
        ("t", "a", 0, "/a"),
        ("t", "order_placed", 60, "/c"),
    )
    rows = funnel_exits(facts, REPORTING, [SPEC])
    assert {key[1:]: (row["exit_count"], row["stopped_count"], row["exit_rank"]) for key, row in rows.items()} == {
        (1, MONDAY, "/b"): (2, 3, 1),
        (1, MONDAY, "(none)"): (1, 3, 2),
        (2, MONDAY, "/c"): (1, 1, 1),
    }
    assert {row["is_mature"] for row in rows.values()} == {False}


def test_five_pages_are_kept_in_the_order_of_their_names() -> None:
    facts = done(*((f"p{number}", "a", 0, f"/{number}") for number in range(7)), ("q", "order_placed", 0, "/"))
    rows = funnel_exits(facts, REPORTING, [SPEC])
    assert [(key[3], row["exit_rank"], row["share_rate"]) for key, row in rows.items()] == [
        (f"/{number}", number + 1, 1 / 7) for number in range(5)
    ]


def test_steps_that_lose_over_half_are_ranked() -> None:
    """Of three who enter two are lost at once; of the other two steps one loses nobody, one has nobody to lose."""
    facts = done(
        *(("p", "a", 0, None), ("q", "a", 0, None), ("r", "a", 0, None), ("r", "order_placed", 1, None)), ("s", "c", 0, None)
    )
    second, third = funnel_opportunities(facts, REPORTING, [SPEC]).values()
    assert (second["first_entry_date"], second["last_entry_date"]) == (date(2024, 2, 4), date(2024, 3, 2))
    assert (second["entrant_count"], second["lost_person_count"], second["drop_off_rate"]) == (3, 2, 2 / 3)
    assert (second["potential_impact"], second["opportunity_rank"]) == ("medium", 1)
    assert second["suggested_experiment"] == suggestion("order_placed") != suggestion("(other)")
    assert (third["entrant_count"], third["lost_person_count"], third["opportunity_rank"]) == (1, 1, 2)
    assert third["suggested_experiment"] == suggestion("c") == suggestion("(other)")


def test_a_step_that_nobody_ever_sent_loses_nobody() -> None:
    """Who stops at the second step cannot be told from who took the third, whose event is not sent."""
    facts = done(("p", "a", 0, "/a"), ("q", "a", 0, "/b"), ("q", "order_placed", 1, "/c"))
    second, third = funnel_opportunities(facts, REPORTING, [SPEC]).values()
    assert (second["entrant_count"], second["lost_person_count"]) == (2, 1)
    counts = ("entrant_count", "lost_person_count", "drop_off_rate", "potential_impact", "suggested_experiment")
    assert [third[name] for name in counts] == [1, None, None, None, None]
    assert [key[1:] for key in funnel_exits(facts, REPORTING, [SPEC])] == [(1, MONDAY, "/a")]


def test_half_is_no_opportunity_and_days_with_an_open_window_do_not_count() -> None:
    facts = done(("p", "a", 0, None), ("q", "a", 0, None), ("q", "order_placed", 1, None), ("r", "a", 3 * 1_440, None))
    second, _ = funnel_opportunities(facts, REPORTING, [SPEC]).values()
    assert (second["entrant_count"], second["drop_off_rate"], second["potential_impact"]) == (2, 0.5, None)
    endless = FunnelSpec("endless", SPEC.steps, None)
    second, _ = funnel_opportunities(facts, REPORTING, [endless]).values()
    assert {name for name, value in second.items() if value is not None} == {"step"}
