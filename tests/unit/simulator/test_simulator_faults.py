"""What is planted in the files: bad rows, duplicates, late and drifting ones, bots and ids that do not tell persons apart."""

import csv
import gzip
import json
import re
from collections import Counter
from datetime import date, timedelta

import pyarrow.parquet as pq
import pytest

from orchestration.base.pseudonyms import Key
from orchestration.landing.arrivals import landed
from orchestration.landing.contract import CONTRACT
from orchestration.landing.erasure import Ledger
from orchestration.landing.ingest import ingest
from orchestration.landing.lake import Lake
from orchestration.simulator import parameters, simulate
from orchestration.simulator.faults import cell_faults
from tests.unit.simulator.simulated import END, LOCAL, RESTATED, SOURCES, happened_day

# What ingest can find fault with, but for the column and the bound.
KINDS = {
    "missing",
    "both missing",
    "not a timestamp",
    "not a date",
    "not an amount",
    "not a currency code",
    "not a number",
    "not an integer",
    "not a boolean",
    "not a JSON object",
    "not one of",
    "below",
    "not above",
    "not in ISO 4217",
    "after",
    "above",
    "before partition_start",
    "in the future of its arrival",
    "malformed cells",
    "malformed broken quote",
    "malformed not UTF-8",
    "malformed not a JSON object",
}


def kind(reason):
    """Reduce a reason of ingest to its kind."""
    column, text = reason.split(": ", 1)
    text = re.sub(r"^(not one of|not above|not in ISO 4217|below|above|after)[ ;].*", r"\1", text)
    return f"malformed {re.sub('.* cells .*', 'cells', text)}" if column == "malformed" else text


def judged(folder, lake):
    """Reasons that ingest gives, by source; it raises when a partition fails."""
    found, rows = {}, Counter()
    ledger = Ledger(lake.root, lambda: Key("the key of these tests"), denied=(), max_links=20)
    for source, days in landed(folder).items():
        partitions = ingest(folder, lake, source, days, timezone="Asia/Shanghai", max_quarantine_ratio=0.01, ledger=ledger)
        reasons = sum((Counter(partition.reasons) for partition in partitions), Counter())
        rows[source] = sum(partition.accepted + partition.quarantined for partition in partitions)
        # One reason a row: what breaks a row breaks nothing else.
        assert sum(reasons.values()) == sum(partition.quarantined for partition in partitions)
        if reasons:
            found[source] = dict(reasons)
    return found, dict(rows)


def test_ingest_refuses_the_planted_rows_and_no_others(tmp_path):
    summary = simulate(tmp_path / "landing", days=8, users=2_000, end=END)
    found, rows = judged(tmp_path / "landing", Lake(tmp_path / "home"))
    assert found == json.loads((tmp_path / "landing" / "truth.json").read_text(encoding="utf-8"))["bad_rows"]
    assert rows == summary.rows
    assert {kind(reason) for reasons in found.values() for reason in reasons} == KINDS


@pytest.mark.parametrize(("days", "users"), [(1, 1), (3, 1)])
def test_small_companies_can_be_ingested(tmp_path, days, users):
    summary = simulate(tmp_path / "landing", days=days, users=users, end=date(2024, 2, 29))
    _, rows = judged(tmp_path / "landing", Lake(tmp_path / "home"))
    assert rows == summary.rows


def test_every_column_of_the_contract_can_be_broken():
    for source in CONTRACT.values():
        faults = cell_faults(source)
        assert len({fault.reason for fault in faults}) == len(faults)
        required = {f"{name}: missing" for name in source.required_columns}
        assert required <= {fault.reason for fault in faults}
    assert {kind(fault.reason) for source in CONTRACT.values() for fault in cell_faults(source)} == {
        each for each in KINDS if not each.startswith("malformed")
    }


@pytest.mark.parametrize("source", SOURCES)
def test_only_the_planted_rows_break_the_contract(zone, source):
    planted = zone.truth["bad_rows"].get(source, {})
    cells = sum(count for reason, count in planted.items() if not reason.startswith("malformed"))
    assert zone.one(f"SELECT count(*) FROM {source}_text WHERE broken") == cells
    bad = f"SELECT count(*) FILTER (broken) AS bad, count(*) AS n FROM {source}_text GROUP BY filename"
    worst = f"SELECT max(bad / n) FROM ({bad})"
    assert zone.one(worst) < 0.008


def test_bad_rows_are_there_every_week(zone):
    weeks = zone.truth["arguments"]["days"] // 7
    assert sum(zone.truth["bad_rows"]["events"].values()) >= 4 * weeks
    faults = {fault.reason for fault in cell_faults(CONTRACT["events"])}
    assert {reason for reason in zone.truth["bad_rows"]["events"] if not reason.startswith("malformed")} == faults
    malformed = [reason for reasons in zone.truth["bad_rows"].values() for reason in reasons if reason.startswith("malformed")]
    assert len(malformed) >= 10


def test_duplicates_are_found_again(zone):
    planted = zone.truth["events"]
    assert zone.one("SELECT count(*) - count(DISTINCT event_id) FROM events") == planted["duplicate_rows"] > 500
    copies = "SELECT event_id, count(*) AS n, count(DISTINCT dt) AS days FROM events GROUP BY event_id HAVING n > 1"
    assert planted["same_day_copies"] + planted["other_day_copies"] + planted["resent_copies"] == planted["duplicate_rows"]
    # Only where the first copy arrived; one whose first is still under way counts on the day on which it came.
    other_days = zone.one(f"SELECT count(*) FROM ({copies}) WHERE days > 1 AND n < 100")
    assert abs(other_days - planted["other_day_copies"]) <= 5
    assert other_days > 100
    assert zone.all(f"SELECT event_id, n FROM ({copies}) WHERE n > 3") == [
        (planted["resent_event"], parameters.RESENT_COPIES + 1)
    ]
    same = f"""SELECT count(DISTINCT (occurred_at, event, anonymous_id, user_id, page)) AS n FROM events
        WHERE event_id IN (SELECT event_id FROM ({copies})) GROUP BY event_id"""
    assert zone.one(f"SELECT max(n) FROM ({same})") == 1


def test_late_events_are_found_again(zone):
    planted = zone.truth["events"]
    # Of an event that is late and whose first copy is under way a further copy may be there already: count originals.
    zone.connection.execute(
        """CREATE OR REPLACE TABLE delays AS
        SELECT min(received_at) - any_value(occurred_at) AS delay FROM events GROUP BY event_id"""
    )
    for days, name in ((1, "late_events"), (3, "three_days_late_events"), (150, "latest_events")):
        found = zone.one(f"SELECT count(*) FROM delays WHERE delay >= INTERVAL {days} DAY")
        assert found == planted[name] > 0, name
    assert zone.one("SELECT max(delay) FROM delays") == timedelta(days=150)
    assert planted["late_events"] / planted["rows"] == pytest.approx(0.012, rel=0.1)


@pytest.mark.parametrize(
    ("source", "area", "name"),
    [("payments", "billing", "late_payments"), ("subscriptions", "billing", "late_changes"), ("orders", "shop", "late_orders")],
)
def test_late_records_are_found_again(zone, source, area, name):
    day, first = happened_day(source), f"{source}_first" if source in RESTATED else source
    of_orders = " AND kind <> 'order'" if source == "payments" else ""
    late = zone.one(f"SELECT count(*) FROM {first} WHERE {day} < dt AND {day} >= DATE '{zone.summary.first_day}'{of_orders}")
    assert late == zone.truth[area][name] > 0
    assert zone.one(f"SELECT max(dt - {day}) FROM {first} WHERE {day} >= DATE '{zone.summary.first_day}'") <= 150


def test_columns_come_and_go(zone):
    drift = zone.truth["schema_drift"]
    new, missing = drift["new_column"], drift["missing_column"]
    assert (new["source"], new["column"], missing["source"], missing["column"]) == ("orders", "gift_wrap", "users", "birth_year")
    for source, column, has in (
        ("orders", "gift_wrap", lambda day: day >= new["from"]),
        ("users", "birth_year", lambda day: day != missing["on"]),
    ):
        for folder in (zone.folder / source).iterdir():
            path = next(folder.iterdir())
            if path.suffix == ".parquet":
                columns = pq.read_schema(path).names
            else:
                with gzip.open(path, "rb") as lines:
                    columns = next(csv.reader([next(lines).decode()]))
            assert (column in columns) == has(folder.name.removeprefix("dt=")), folder


def test_bots_and_internal_users_are_found_again(zone):
    busy = zone.all(
        f"""SELECT anonymous_id, {LOCAL.format("occurred_at", "Asia/Shanghai")} AS day FROM events WHERE anonymous_id IS NOT NULL
        GROUP BY ALL HAVING count(*) > 3000 ORDER BY ALL"""
    )
    assert busy == sorted((bot["anonymous_id"], date.fromisoformat(day)) for bot in zone.truth["bots"] for day in bot["dates"])
    internal = [row[0] for row in zone.all("SELECT DISTINCT user_id FROM users WHERE is_internal ORDER BY 1")]
    assert internal == sorted(zone.truth["internal_user_ids"])
    assert zone.one(f"SELECT count(DISTINCT user_id) FROM event WHERE user_id IN {tuple(internal)}") == len(internal)


def test_devices_are_tied_to_users_by_a_log_in(zone):
    junk = f"anonymous_id IN {parameters.JUNK_IDS}"
    untied = zone.one(
        f"""SELECT count(*) FROM (SELECT DISTINCT anonymous_id, user_id FROM event WHERE event = 'feature_used'
        AND anonymous_id IS NOT NULL AND NOT {junk}
        EXCEPT SELECT anonymous_id, user_id FROM event WHERE event IN ('logged_in', 'signup_completed'))"""
    )
    assert untied <= 5  # only where the log-in itself is late beyond the end, or shows a junk id


def test_devices_of_users_are_found_again(zone):
    planted = zone.truth["identity"]
    pairs = f"""SELECT DISTINCT anonymous_id, user_id FROM event WHERE anonymous_id IS NOT NULL AND user_id IS NOT NULL
        AND anonymous_id NOT IN {parameters.JUNK_IDS}"""
    devices = dict(
        zone.all(f"SELECT n::VARCHAR, count(*) FROM (SELECT count(*) AS n FROM ({pairs}) GROUP BY user_id) GROUP BY 1")
    )
    assert devices == planted["users_by_devices"]
    assert {"1", "2", "3"} <= set(devices)
    assert devices["1"] > devices["2"] > devices["3"]
    shared = dict(
        zone.all(f"SELECT anonymous_id, list_sort(list(user_id)) FROM ({pairs}) GROUP BY 1 HAVING count(*) > 1 ORDER BY 1")
    )
    assert shared == planted["shared_devices"]
    assert len(shared) == planted["shared_device_count"] >= 5
    assert {len(users) for users in shared.values()} == {2}
    accounts = "SELECT count(DISTINCT account_id) FROM users WHERE user_id IN {0}"
    assert all(zone.one(accounts.format(tuple(users))) == 1 for users in shared.values())


def test_junk_ids_are_found_again(zone):
    # Copies of an event keep its id; bots never carry one.
    found = dict(
        zone.all(f"SELECT anonymous_id, count(*) FROM event WHERE anonymous_id IN {parameters.JUNK_IDS} GROUP BY 1 ORDER BY 1")
    )
    assert found == zone.truth["identity"]["junk_ids"]
    assert set(found) == set(parameters.JUNK_IDS)
    users = "SELECT min(n) FROM (SELECT count(DISTINCT user_id) AS n FROM event WHERE anonymous_id IN {0} GROUP BY anonymous_id)"
    assert zone.one(users.format(parameters.JUNK_IDS)) > 2
