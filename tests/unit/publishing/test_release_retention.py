"""What is kept is the newest and the first of each month, whatever came when, and however often was pruned."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.publishing.retention import kept

ZONES = [UTC, ZoneInfo("Asia/Shanghai"), ZoneInfo("America/New_York")]
INSTANTS = st.datetimes(datetime(2024, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - the zone is added
RELEASES = st.dictionaries(st.text("abcdef", min_size=3, max_size=3), INSTANTS, max_size=40)
RULE = st.fixed_dictionaries({"newest": st.integers(1, 20), "months": st.integers(0, 14), "timezone": st.sampled_from(ZONES)})


@settings(max_examples=150)
@given(RELEASES, RULE)
def test_the_newest_and_the_first_of_each_month_are_kept_and_nothing_else(releases, rule):
    found = kept(releases, **rule)
    newest_first = sorted(releases, key=lambda name: (releases[name], name), reverse=True)
    local = {name: instant.astimezone(rule["timezone"]) for name, instant in releases.items()}
    for rank, name in enumerate(newest_first):
        month = (local[name].year, local[name].month)
        is_first = all(
            (releases[other], other) >= (releases[name], name)
            for other in releases
            if (local[other].year, local[other].month) == month
        )
        latest = local[newest_first[0]]
        age = (latest.year - month[0]) * 12 + latest.month - month[1]
        assert (name in found) is (rank < rule["newest"] or (is_first and age < rule["months"]))


@settings(max_examples=150)
@given(RELEASES, RULE)
def test_pruning_every_night_keeps_what_pruning_once_would(releases, rule):
    there: dict[str, datetime] = {}
    for name in sorted(releases, key=lambda name: (releases[name], name)):
        there[name] = releases[name]
        staying = kept(there, **rule)
        there = {name: instant for name, instant in there.items() if name in staying}
        assert len(there) <= rule["newest"] + rule["months"]
    assert set(there) == kept(releases, **rule)


@pytest.mark.parametrize(("timezone", "first"), [(UTC, "2026-02-01"), (ZoneInfo("Asia/Shanghai"), "2026-01-31")])
def test_two_years_of_nights_leave_a_fortnight_and_the_firsts_of_a_year(timezone, first):
    nights = [datetime(2024, 12, 1, 19, 30, tzinfo=UTC) + timedelta(days=day) for day in range(720)]
    releases = {f"{night:%Y-%m-%d}": night for night in nights}
    found = sorted(kept(releases, newest=14, months=12, timezone=timezone))
    assert found[-14:] == sorted(releases)[-14:]
    # The month that is running is among the twelve.
    assert len(found) == 14 + 12
    assert found[2] == first
