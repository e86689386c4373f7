"""The simulated landing zone as a whole: its bytes, folders and formats, keys and references, memory, and wrong arguments."""

import hashlib
import json
import os
import subprocess
import sys
import tracemalloc
from datetime import date, timedelta
from pathlib import Path

import pytest

from orchestration.base.errors import UserError
from orchestration.landing.contract import CONTRACT
from orchestration.simulator import Summary, simulate
from orchestration.simulator import zone as zone_module
from orchestration.simulator.clock import Calendar
from orchestration.simulator.company import Company
from tests.unit.simulator.simulated import END, LOCAL, SOURCES, Zone, happened_day

SMALL = {"days": 16, "users": 60, "end": END}


def tree_hash(folder):
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            digest.update(str(path.relative_to(folder)).encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


# --- bytes


def test_same_arguments_give_the_same_bytes_whatever_the_host(tmp_path):
    simulate(tmp_path / "before", **SMALL)  # a second simulation of one process gives what a first one gives
    simulate(tmp_path / "here", **SMALL)
    script = (
        "from datetime import date; from pathlib import Path; from orchestration.simulator import simulate; "
        "simulate(Path({0!r}), days=16, users=60, end=date(2026, 6, 30))"
    )
    for host in (
        {"TZ": "Asia/Shanghai", "PYTHONHASHSEED": "123", "OMP_NUM_THREADS": "1"},
        {"TZ": "UTC", "PYTHONHASHSEED": "7"},
    ):
        subprocess.run([sys.executable, "-c", script.format(str(tmp_path / host["TZ"]))], check=True, env={**os.environ, **host})
        assert tree_hash(tmp_path / "here") == tree_hash(tmp_path / host["TZ"])


def test_another_seed_gives_other_bytes(tmp_path):
    simulate(tmp_path / "a", **SMALL, seed=7)
    simulate(tmp_path / "b", **SMALL, seed=8)
    assert tree_hash(tmp_path / "a" / "events") != tree_hash(tmp_path / "b" / "events")
    assert tree_hash(tmp_path / "a" / "fx_rates") != tree_hash(tmp_path / "b" / "fx_rates")


def test_a_constant_churn_changes_who_leaves_and_nobody_who_comes(tmp_path):
    simulate(tmp_path / "planted", **SMALL)
    truths = {}
    for churn in (0.0, 0.9):
        simulate(tmp_path / str(churn), **SMALL, constant_churn=churn)
        truths[churn] = json.loads((tmp_path / str(churn) / "truth.json").read_text(encoding="utf-8"))
        assert truths[churn]["arguments"]["constant_churn"] == churn
        assert "involuntary_cancellations" not in truths[churn]["billing"]
        for source in ("users", "ad_spend", "orders", "fx_rates"):
            assert tree_hash(tmp_path / str(churn) / source) == tree_hash(tmp_path / "planted" / source)
    assert truths[0.0]["churn"]["cancellations"] == 0
    assert truths[0.9]["billing"]["voluntary_cancellations"] > 5


def test_folders_formats_and_summary(zone):
    days = zone.truth["arguments"]["days"]
    expected = {END - timedelta(days=back) for back in range(days)}
    for source in ("events", "users", "subscriptions", "fx_rates", "ad_spend"):
        assert {date.fromisoformat(path.name.removeprefix("dt=")) for path in (zone.folder / source).iterdir()} == expected
    formats = {source: {row[0] for row in zone.all(f"SELECT DISTINCT format FROM {source}_text")} for source in SOURCES}
    assert formats["events"] == {"parquet", "csv.gz"}
    assert formats["ad_spend"] == {"csv.gz"}
    assert formats["payments"] == formats["feedback"] == {"jsonl.gz"}
    malformed = {
        source: sum(count for reason, count in zone.truth["bad_rows"].get(source, {}).items() if reason.startswith("malformed"))
        for source in SOURCES
    }
    assert zone.summary == Summary(
        rows={source: zone.one(f"SELECT count(*) FROM {source}_text") + malformed[source] for source in SOURCES},
        partitions=sum(1 for source in SOURCES for _ in (zone.folder / source).iterdir()),
        first_day=END - timedelta(days=days - 1),
        last_day=END,
    )
    assert zone.truth["rows"] == zone.summary.rows


# --- the contract


@pytest.mark.parametrize("source", [name for name in SOURCES if name != "events"])
def test_keys_are_unique(zone, source):
    spec = CONTRACT[source]
    key = ", ".join([*spec.key, *([spec.latest_by] if spec.latest_by else [])])
    assert zone.one(f"SELECT count(*) - count(DISTINCT ({key})) FROM {source}") == 0


@pytest.mark.parametrize("timezone", ["Asia/Shanghai", "Europe/Berlin"])
def test_no_fact_is_later_than_its_arrival_day(tmp_path, timezone):
    # Clocks change in Berlin on 29 March 2026.
    simulate(tmp_path / "z", days=10, users=80, end=date(2026, 4, 2), timezone=timezone)
    small = Zone(tmp_path / "z", None)
    assert set(SOURCES) - set(small.sources) <= {"erasures", "feedback"}
    for source in small.sources:
        assert small.one(f"SELECT count(*) FROM {source} WHERE {happened_day(source, timezone)} > dt") == 0, source
    received = LOCAL.format("received_at", timezone)
    assert small.one(f"SELECT count(*) FROM events WHERE {received} <> dt OR received_at < occurred_at") == 0


def test_records_refer_to_each_other(zone):
    assert zone.one("SELECT count(*) FROM orders WHERE user_id NOT IN (SELECT user_id FROM users)") == 0
    assert zone.one("SELECT count(*) FROM users WHERE account_id NOT IN (SELECT account_id FROM accounts)") == 0
    assert zone.one("SELECT count(*) FROM event WHERE user_id NOT IN (SELECT user_id FROM users)") == 0
    assert zone.one("SELECT count(*) FROM subscriptions WHERE account_id NOT IN (SELECT account_id FROM accounts)") == 0
    for source in ("tickets", "surveys", "feedback", "wecom", "outcomes"):
        for column, records in (("user_id", "users"), ("account_id", "accounts")):
            if column in {each.name for each in CONTRACT[source].columns}:
                strange = f"SELECT count(*) FROM {source} WHERE {column} NOT IN (SELECT {column} FROM {records})"
                assert zone.one(strange) == 0, (source, column)
    refunds, matched = zone.row(
        """SELECT count(*), count(paid.payment_id) FROM payments AS back LEFT JOIN payments AS paid
        ON back.refund_of = paid.payment_id AND paid.status = 'succeeded' AND paid.amount = back.amount
        AND paid.paid_at < back.paid_at
        WHERE back.status = 'refunded' AND back.kind = 'subscription'"""
    )
    assert refunds == zone.truth["billing"]["refunds"] > 0
    assert refunds - matched <= zone.truth["billing"]["payments_not_arrived"]
    sizes = zone.all(
        "SELECT count(DISTINCT user_id) FROM users WHERE account_id IS NOT NULL AND NOT is_internal GROUP BY account_id"
    )
    assert min(sizes)[0] == 1
    assert 6 < max(sizes)[0] <= 12


def test_rates_begin_before_the_first_fact_and_have_no_gap(zone):
    first, last, n = zone.connection.sql(
        "SELECT min(rate_date), max(rate_date), count(*) FROM fx_rates WHERE currency = 'CNY'"
    ).fetchone()
    earliest = zone.one(
        "SELECT min(t)::DATE FROM (SELECT min(paid_at) t FROM payments UNION ALL SELECT min(ordered_at) FROM orders)"
    )
    assert first < earliest
    assert (last, n) == (END, (END - first).days + 1)
    assert zone.one("SELECT count(*) FROM fx_rates WHERE currency = 'EUR'") == n
    low, high = zone.connection.sql("SELECT min(usd_rate), max(usd_rate) FROM fx_rates WHERE currency = 'CNY'").fetchone()
    assert 0.12 < low < high < 0.16


# --- memory


def test_memory_does_not_follow_the_days():
    peaks = []
    for days in (30, 90):
        company = Company(Calendar(END, days, "Asia/Shanghai"), 20, 7, "Asia/Shanghai")
        company.found()
        tracemalloc.start()
        for day in range(days):
            for _, table in company.live(day):
                assert table.num_rows
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.3 * peaks[0]


# --- mistakes


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"days": 0}, "days must lie between"),
        ({"users": 0}, "users must be at least 1"),
        ({"seed": -1}, "seed must not be negative"),
        ({"timezone": "Mars/Olympus"}, "unknown time zone"),
        ({"timezone": "../etc"}, "unknown time zone"),
        ({"end": date(1900, 1, 1)}, "end must lie between"),
        ({"constant_churn": 1.0}, "constant churn must be a probability"),
        ({"constant_churn": -0.1}, "constant churn must be a probability"),
        ({"constant_churn": float("nan")}, "constant churn must be a probability"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_is_written(tmp_path, arguments, message):
    with pytest.raises(UserError, match=message):
        simulate(tmp_path / "z", **{**SMALL, **arguments})
    assert not (tmp_path / "z").exists()


def test_a_folder_that_holds_data_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="already holds data"):
        simulate(tmp_path, **SMALL)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    with pytest.raises(UserError, match="is a file"):
        simulate(tmp_path / "mine.txt", **SMALL)


def test_an_interrupted_simulation_leaves_nothing(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr(zone_module, "write_csv", fail)
    with pytest.raises(OSError, match="no space"):
        simulate(tmp_path / "z", **SMALL)
    assert list((tmp_path / "z").iterdir()) == []


def test_the_smallest_company(tmp_path):
    summary = simulate(tmp_path / "z", days=1, users=1, end=date(2024, 2, 29))
    assert (summary.first_day, summary.last_day) == (date(2024, 2, 29), date(2024, 2, 29))
    assert all(path.name == "dt=2024-02-29" for path in Path(tmp_path / "z").glob("*/*"))
    assert json.loads((tmp_path / "z" / "truth.json").read_text(encoding="utf-8"))["bad_week"] is None
