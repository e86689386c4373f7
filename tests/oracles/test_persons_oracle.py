"""The oracles' common ground against examples worked out by hand."""
# ruff: noqa: DTZ001 - timestamps of the lake are naive UTC

from dataclasses import replace
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from tests.oracles.persons import Identities, channel_of, click_id_of, latest_state, people, unique_events
from tests.oracles.reporting import Reporting

SHANGHAI = Reporting(ZoneInfo("Asia/Shanghai"), date(2024, 3, 31), bot_events_per_day=2)
NEW_YORK = Reporting(ZoneInfo("America/New_York"), date(2024, 3, 31), week_start="sunday")
NOON = datetime(2024, 2, 29, 4)


def event(event_id: str, at: datetime = NOON, **more) -> dict:
    place = {"arrived_date": date(2024, 3, 1), "landed_file": "a", "landed_row": 1}
    return {"event_id": event_id, "event": "x", "occurred_at": at, **place, **more}


def test_days_weeks_and_months_of_the_reporting_zone() -> None:
    assert SHANGHAI.day(datetime(2024, 2, 28, 15, 59, 59)) == date(2024, 2, 28)
    assert SHANGHAI.day(datetime(2024, 2, 28, 16)) == date(2024, 2, 29)
    assert [NEW_YORK.day(datetime(2024, 3, 10, hour)) for hour in (4, 5)] == [date(2024, 3, 9), date(2024, 3, 10)]
    assert NEW_YORK.day(datetime(2024, 3, 11, 4)) == date(2024, 3, 11)
    assert SHANGHAI.period("week", date(2024, 3, 3)) == date(2024, 2, 26)
    assert NEW_YORK.period("week", date(2024, 3, 3)) == date(2024, 3, 3)
    assert NEW_YORK.period("week", date(2024, 3, 2)) == date(2024, 2, 25)
    assert SHANGHAI.shift("month", date(2023, 12, 1), 2) == date(2024, 2, 1)
    assert SHANGHAI.index("month", date(2024, 1, 1), date(2024, 2, 29)) == 1
    assert SHANGHAI.index("week", date(2024, 2, 26), date(2024, 2, 25)) == -1


def test_the_earliest_received_copy_stays() -> None:
    copies = [
        event("e", received_at=None, landed_row=1),
        event("e", received_at=NOON + timedelta(seconds=2), landed_row=2),
        event("e", received_at=NOON + timedelta(seconds=1), landed_row=3, arrived_date=date(2024, 3, 9)),
        event("e", received_at=NOON + timedelta(seconds=1), landed_row=4, landed_file="b"),
    ]
    assert [row["landed_row"] for row in unique_events(copies)] == [4]


def test_the_latest_state_stays() -> None:
    place = {"arrived_date": date(2024, 3, 1), "landed_file": "a"}
    states = [
        {"user_id": "u", "updated_at": NOON + timedelta(hours=hour), "landed_row": row, **place}
        for hour, row in ((1, 1), (2, 2), (2, 3))
    ]
    assert [row["landed_row"] for row in latest_state(states, ["user_id"])] == [3]


def persons_of(pairs: list[tuple[str | None, str | None]], **reporting) -> list[str]:
    """The person of each row that carries a pair of ids."""
    rows = [{"anonymous_id": device, "user_id": user} for device, user in pairs]
    identities = Identities(rows, replace(SHANGHAI, **reporting))
    return [identities.of_row(row) for row in rows]


def test_a_person_is_all_ids_that_pairs_connect() -> None:
    pairs = [("a1", "u2"), ("a2", "u2"), ("a2", "u1"), ("a1", None), (None, "u1"), ("a3", None), ("a4", "u3"), (None, "u4")]
    assert persons_of(pairs) == ["u:u1"] * 5 + ["a:a3", "u:u3", "u:u4"]


def test_ids_that_stand_for_nobody_join_nobody() -> None:
    pairs = [("a1", "u1"), ("NULL", "u1"), ("null", "u2"), ("a1", "0"), ("a2", "0"), ("a2", None), (None, "0"), ("null", None)]
    assert persons_of(pairs) == ["u:u1", "u:u1", "u:u2", "u:u1", "a:a2", "a:a2", "u:0", "a:null"]
    assert persons_of(pairs, denied_ids=frozenset({"0"}))[:3] == ["u:u1", "u:u1", "u:u2"]
    assert persons_of([("null", "u2"), ("null", "u1")], denied_ids=frozenset()) == ["u:u1", "u:u1"]


def test_an_id_with_too_many_links_joins_nobody() -> None:
    """Three users share the kiosk; u4 was seen on three devices, of which u5 uses one as well."""
    pairs = [("kiosk", user) for user in ("u1", "u2", "u3")] + [(device, "u4") for device in ("a1", "a2", "a3")]
    pairs += [("a1", "u5"), ("kiosk", None), ("a1", None), ("a2", None), ("kiosk", "0")]
    assert persons_of(pairs, max_identity_links=3)[3:] == ["u:u4"] * 4 + ["u:u1", "u:u4", "u:u4", "u:u1"]
    assert persons_of(pairs, max_identity_links=2) == [
        *("u:u1", "u:u2", "u:u3"),
        *("u:u5", "a:a2", "a:a3"),
        *("u:u5", "a:kiosk", "u:u5", "a:a2", "a:kiosk"),
    ]


def test_the_user_who_signed_up_first_speaks_for_a_person() -> None:
    facts = {
        "events": [event("e1", anonymous_id="a1", user_id="u1"), event("e2", anonymous_id="a1", user_id="u2")],
        "users": [
            {**event(""), "user_id": "u1", "signed_up_at": NOON, "account_id": "c1", "role": "owner"},
            {**event(""), "user_id": "u2", "signed_up_at": NOON - timedelta(days=1), "account_id": "c2", "is_internal": True},
        ],
    }
    found = people(facts, SHANGHAI)
    person = found.persons["u:u1"]
    assert (person.user_id, person.account_id, person.role, person.is_internal) == ("u2", "c2", None, True)
    assert found.events == []
    assert found.internal == {"u:u1"}


def test_bots_and_staff_are_left_out() -> None:
    events = [event(f"e{number}", NOON, anonymous_id="bot") for number in range(3)]
    events += [event("e3", NOON + timedelta(days=1), anonymous_id="bot"), event("e4", NOON, user_id="staff")]
    users = [{**event(""), "user_id": "staff", "is_internal": True, "signed_up_at": NOON}]
    found = people({"events": events, "users": users}, SHANGHAI)
    assert [one.row["event_id"] for one in found.events] == ["e3"]
    assert found.persons["u:staff"].is_internal
    assert found.persons["u:staff"].channel is None


def test_segments_are_those_of_the_first_touch() -> None:
    events = [
        event("e1", NOON, anonymous_id="a", referrer="https://www.google.com.hk/search?q=x", country="CN"),
        event("e2", NOON + timedelta(seconds=1), anonymous_id="a", device_type="mobile", utm_source="newsletter"),
    ]
    assert dict(people({"events": events}, SHANGHAI).persons["a:a"].segments()) == {
        "all": "all",
        "channel": "organic_search",
        "device": "mobile",
        "country": "CN",
    }


@pytest.mark.parametrize(
    ("source", "medium", "referrer", "channel"),
    [
        ("facebook", "cpm", None, "paid_social"),
        ("m.facebook.com", "referral", None, "organic_social"),
        ("brand", "Paid Social", None, "paid_social"),
        ("brand", "cpc", None, "paid_other"),
        ("google", "paid search", None, "paid_search"),
        ("crm", "E-Mail", None, "email"),
        ("youtube", None, None, "organic_video"),
        (None, None, "https://mail.google.com/mail/u/0/", "email"),
        (None, None, "android-app://com.google.android.gm/", "email"),
        (None, None, "android-app://com.google.android.googlequicksearchbox/", "organic_search"),
        (None, None, "https://google.com.phish.example/", "referral"),
        (None, None, "https://www.google.co.uk/", "organic_search"),
        (None, None, "https://cn.bing.com/search", "organic_search"),
        (None, None, "https://l.facebook.com/", "organic_social"),
        (None, None, "https://out.reddit.com/t3", "organic_social"),
        (None, None, "android-app://com.slack/", "organic_social"),
        ("Google", "cpc", None, "paid_search"),
        (" weibo ", None, None, "organic_social"),
        (None, None, "https://user@www.baidu.com:443/s?wd=x", "organic_search"),
        (None, None, "https://notgoogle.example/", "referral"),
        (None, None, None, "direct"),
        (None, "none", None, "direct"),
        ("mystery", "banner", None, "display"),
        ("mystery", None, None, "other"),
    ],
)
def test_the_first_rule_that_matches_names_the_channel(source, medium, referrer, channel) -> None:
    assert channel_of(source, medium, referrer) == channel


@pytest.mark.parametrize(
    ("page", "channel"),
    [
        ("/?gclid=abc", "paid_search"),
        ("/?a=1&msclkid=x", "paid_search"),
        ("/?ttclid=x", "paid_social"),
        ("/?fbclid=x", "organic_social"),
        ("/?dclid=x", "display"),
        ("/?gclid=", "direct"),
        ("/gclid=abc", "direct"),
    ],
)
def test_a_click_id_marks_an_advertisement_where_nothing_else_does(page, channel) -> None:
    assert channel_of(None, None, None, click_id_of(page)) == channel


def test_an_ignored_referrer_is_no_source() -> None:
    ignored = ("paypal.com",)
    assert channel_of(None, None, "https://www.paypal.com/pay", ignored=ignored) == "direct"
    assert channel_of(None, None, "https://notpaypal.com/", ignored=ignored) == "referral"
