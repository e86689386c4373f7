"""Nights of a small company, from the command line: what they publish, what they refuse, and that a rerun changes nothing."""

import gzip
import json
import re
import subprocess
import sys
import time
from datetime import date
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from expectations.registry import SUITES
from orchestration.config.loading import load
from orchestration.night.releasing import GateRefused
from orchestration.night.run import Night
from tests import stages
from tests.conftest import environment_of
from tests.integration.conftest import (
    CORRECTED,
    LEDGER,
    WAITING,
    ask,
    at_home,
    copy_home,
    current,
    digests,
    look,
    restated,
    restated_in_truth,
    run_stages,
)
from tests.oracles.restatements import MARTS as ORACLE_MARTS


@pytest.fixture
def home(next_day, tmp_path) -> Path:
    """A copy of that home for the nights of one test."""
    return copy_home(next_day, tmp_path / "home")


def test_a_night_publishes_what_arrived_up_to_its_day(small_home):
    manifest = current(small_home)
    assert manifest["data_through"] == "2026-11-19"
    # 45 days hold no model yet.
    assert set(manifest["marts"]) | set(manifest["left_out"]) == set(SUITES)
    assert set(manifest["left_out"]) == {"mart_churn__account"}
    assert manifest["gate"]["passed"]
    assert manifest["gate"]["evaluated"] == manifest["gate"]["declared"] > 100
    assert manifest["sources"]["events"]["last_dt"] == "2026-11-19"
    assert all(source["partitions"] > 0 for name, source in manifest["sources"].items() if name != "erasures")
    assert all(len(source["days"]) == source["partitions"] for source in manifest["sources"].values())
    assert manifest["changes"] is None
    assert ask(small_home, f"select count(*) from marts.{LEDGER}") == [(0,)]
    published = ask(small_home, "select release_id, data_through::varchar, marts from marts._publication")
    listed = [{"mart": mart, "row_count": record["rows"]} for mart, record in manifest["marts"].items()]
    assert published == [(manifest["release_id"], "2026-11-19", listed)]
    assert (small_home / "published" / "marts.duckdb").is_symlink()
    folder = small_home / "published" / "releases" / manifest["release_id"]
    assert "<table" in (folder / "data_docs" / "index.html").read_text()
    for mart, record in manifest["marts"].items():
        assert ask(small_home, f"select count(*) from '{folder}/parquet/{mart}.parquet'") == [(record["rows"],)]


def test_the_rows_of_the_landing_zone_are_all_accounted_for(small_home):
    partitions = [json.loads(path.read_text()) for path in (small_home / "lake").glob("*/dt=*/manifest.json")]
    assert partitions
    for partition in partitions:
        assert sum(file["rows"] for file in partition["landed"]) == partition["accepted"] + partition["quarantined"]
    accepted = sum(part["accepted"] for part in partitions if part["source"] == "events")
    facts, duplicates = look(
        small_home,
        "select (select count(*) from intermediate.int_events__unique),"
        " (select count(*) from intermediate.int_events__duplicates)",
    )[0]
    assert duplicates > 0
    assert facts + duplicates == accepted


def test_descriptions_reach_the_reader(small_home):
    undescribed = ask(
        small_home,
        "select table_name, column_name from duckdb_columns() where database_name = 'marts' and comment is null"
        " and not starts_with(table_name, '_')",
    )
    assert undescribed == []
    tables = ask(small_home, "select comment from duckdb_tables() where database_name = 'marts' and table_name <> '_publication'")
    assert len(tables) == len(current(small_home)["marts"])
    assert all(comment.startswith("One row per ") for (comment,) in tables)


def test_one_more_day_touches_only_what_it_touches(small_home, next_day):
    said = json.loads((next_day / "night.json").read_text())
    assert said["ingest"].startswith("1 arrival day,")
    affected = int(re.match(r"(\d+) event days? affected", said["plan"])[1])
    assert 1 <= affected <= 31  # its own day, and the days of its late events
    assert "everything is built" not in said["plan"]
    assert current(next_day)["data_through"] == "2026-11-20"
    assert current(next_day)["previous_release_id"] == current(small_home)["release_id"]
    assert digests(next_day).keys() == digests(small_home).keys()
    assert digests(next_day) != digests(small_home)


def test_late_facts_restate_closed_days_and_nothing_else_does(small_home, next_day):
    told = restated(next_day)
    assert {figure: values for figure, values in told.items() if figure[0] in ORACLE_MARTS} == restated_in_truth(
        small_home, next_day
    )
    causes = dict(ask(next_day, f"select cause, count(*) from marts.{LEDGER} group by all"))
    assert causes.keys() <= {"late_facts", "merges", "refunds"}
    assert ask(
        next_day,
        f"select measure, change, cause, late_fact_count from marts.{LEDGER} where mart = 'mart_engagement__daily'"
        " and period_start = '2026-11-04' and measure in ('active_count', 'new_count', 'retained_count') order by measure",
    ) == [("active_count", 1, "late_facts", 1), ("new_count", 1, "late_facts", 1)]
    changes = current(next_day)["changes"]
    periods = {(length, start) for _, _, length, start, _ in told}
    assert changes["restated_periods"] == len(periods) > 0
    assert changes["restated"].keys() == {mart for mart, *_ in told}
    assert changes["incomparable"] == {}
    for mart, rows in changes["rows"].items():
        was, now = (current(each)["marts"][mart]["rows"] for each in (small_home, next_day))
        assert (rows["removed"] + rows["changed"] + rows["unchanged"], rows["added"] - rows["removed"]) == (was, now - was)
    assert changes["rows"]["mart_engagement__daily"]["added"] > 0
    assert changes["rows"]["mart_engagement__daily"]["changed"] > 0


@pytest.mark.long
def test_running_again_changes_nothing(home, northstar):
    before, told = digests(home), ask(home, f"from marts.{LEDGER} order by all")
    night = northstar(home, "backfill", "--from", "2026-11-01", "--to", "2026-11-07")
    assert night.returncode == 0, night.stdout + night.stderr
    assert "7 arrival days" in night.stdout
    assert "restatements: none" in night.stdout
    assert digests(home) == before
    assert ask(home, f"from marts.{LEDGER} order by all") == told


@pytest.mark.long
def test_the_warehouse_rebuilt_from_the_lake_is_the_same_while_a_second_night_says_so_and_leaves(home, northstar):
    """The first in a process of its own, under another clock; the second while it runs."""
    before, release = digests(home), current(home)["release_id"]
    holder = home / "locks" / "holder.json"
    first = subprocess.Popen(
        [sys.executable, "-c", "from orchestration.cli import main; main()", "rebuild"],
        cwd=home,
        env=environment_of(home, TZ="America/New_York"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        while not holder.exists():
            assert first.poll() is None, first.communicate()
            time.sleep(0.1)
        second = northstar(home, "nightly")
        still_current = current(home)["release_id"]
    finally:
        out, err = first.communicate(timeout=600)
    assert second.returncode == 1
    assert re.fullmatch(
        rf"the night failed, release {release} stands:\n.* is being written to by process {first.pid} on .* since .*"
        r" \(run [0-9a-f-]+\); nothing was changed\n",
        second.stderr,
    )
    assert still_current == release
    assert first.returncode == 0, out + err
    assert "everything is built (first night)" in out
    assert current(home)["release_id"] != release
    assert digests(home) == before
    assert restated(home) == {}


def test_a_corrected_file_replaces_the_old_one(next_day, corrected):
    events = "select count(*) from intermediate.int_events__unique"
    assert look(corrected, events) < look(next_day, events)
    assert digests(corrected) != digests(next_day)
    lost = restated(corrected)
    assert any(figure[:4] == ("mart_data_quality__daily", "events", "day", date(2026, 11, 12)) for figure in lost)
    assert lost == restated(corrected, by="replaced_files")


def test_a_corrected_file_can_be_taken_back(next_day, corrected, tmp_path):
    home = copy_home(corrected, tmp_path / "home")
    landed = next((next_day / CORRECTED).glob("*.parquet"))
    (home / CORRECTED / landed.name).write_bytes(landed.read_bytes())
    run_stages(home)
    assert digests(home) == digests(next_day)
    assert restated(home) == {figure: (after, before) for figure, (before, after) in restated(corrected).items()}


def test_a_gate_that_refuses_leaves_the_last_release(waiting, tmp_path):
    home = waiting(tmp_path / "home")
    before = current(home)
    with duckdb.connect(str(home / "warehouse.duckdb")) as connection:
        # Most of its rows: what is left is below the bound on the last release's count.
        connection.execute("delete from marts.mart_retention__cohort where hash(cohort_start) % 10 > 0")
    with at_home(home), Night(load(), run_id=WAITING) as night, pytest.raises(GateRefused) as refusal:
        stages.publish(night)
    assert re.search(r"failed: mart_retention__cohort\.row_count\S* .*", str(refusal.value))
    assert str(refusal.value).startswith("Gate refused: release ")
    assert current(home) == before
    assert ask(home, "select release_id from marts._publication") == [(before["release_id"],)]
    report = json.loads((home / "gate" / "latest.json").read_text())
    assert report["passed"] is False


@pytest.mark.long
def test_a_night_that_the_gate_refuses_says_so_in_one_block(home, northstar):
    before = current(home)
    # A night as of a month ago has lost most of its rows.
    night = northstar(home, "nightly", "--as-of", "2026-10-12")
    assert night.returncode == 1
    assert "Traceback" not in night.stderr
    assert night.stderr.startswith(f"the night failed, release {before['release_id']} stands:\nGate refused: release ")
    assert re.search(r"failed: row_count\S* .*", night.stderr) or "row_count" in night.stderr
    assert current(home) == before


def test_input_beyond_repair_fails_the_night_in_one_readable_block(home, northstar):
    before = current(home)
    (home / "northstar.toml").unlink()  # it lets any share of bad rows pass
    folder = home / "landing" / "payments" / "dt=2026-11-21"
    folder.mkdir()
    rows = [{"payment_id": f"p{i}", "paid_at": "soon", "amount": -1, "currency": "yuan", "status": "lost"} for i in range(5)]
    with gzip.open(folder / "broken.jsonl.gz", "wt") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    night = northstar(home, "nightly")
    assert night.returncode == 1
    assert "Traceback" not in night.stderr
    assert f"the night failed, release {before['release_id']} stands" in night.stderr
    assert "payments" in night.stderr
    assert "broken.jsonl.gz" in night.stderr
    assert "paid_at" in night.stderr
    assert current(home) == before
    assert ask(home, "select count(*) from marts.mart_ltv__cohort") == [(before["marts"]["mart_ltv__cohort"]["rows"],)]


@pytest.mark.long
def test_an_amount_without_a_rate_is_left_out_and_named(home, northstar):
    """The night that passes in the end brings a refund, too: of a payment made in a month that is over."""
    payment, currency, month = look(
        home,
        "select payment_id, landed_currency, date_trunc('month', paid_date)::date from core.fct_payments"
        " where status = 'succeeded' and kind = 'subscription' and paid_date < '2026-11-01' order by all limit 1",
    )[0]
    refunds = home / "landing" / "payments" / "dt=2026-11-21"
    refunds.mkdir()
    (refunds / "refunds.csv").write_text(
        f"payment_id,paid_at,amount,currency,status,refund_of\nrefund-1,2026-11-21T02:00:00Z,10,{currency},refunded,{payment}\n",
        encoding="utf-8",
    )
    revenue = f"select sum(revenue)::double from marts.mart_ltv__cohort where dimension = 'all' and cohort_month = '{month}'"
    earned = ask(home, f"{revenue} and is_mature")
    folder = home / "landing" / "orders" / "dt=2026-11-21"
    folder.mkdir()
    (folder / "orders.csv").write_text(
        "order_id,user_id,ordered_at,amount,currency\nodd-1,u_000001,2026-11-21T01:00:00Z,10,CHF\n", encoding="utf-8"
    )
    night = northstar(home, "nightly")
    assert night.returncode == 0, night.stderr
    assert "orders: left out of every amount: 1 row in CHF, the first of 2026-11-21. There is no rate" in night.stdout
    assert look(home, "select amount from intermediate.int_money__orders where order_id = 'odd-1'") == [(None,)]
    (folder / "orders.csv").write_text(
        "order_id,user_id,ordered_at,amount,currency\nodd-1,u_000001,2026-11-21T01:00:00Z,10,USD\n", encoding="utf-8"
    )
    assert current(home)["data_through"] == "2026-11-21"
    given_back = restated(home, by="refunds")[("mart_ltv__cohort", "all", "month", month, "revenue")]
    assert [given_back[:1], given_back[1:]] == [earned[0], ask(home, f"{revenue} and is_mature")[0]]
    run_stages(home)
    assert look(home, "select amount from intermediate.int_money__orders where order_id = 'odd-1'") == [(Decimal("10.0000"),)]
    assert given_back[1] < given_back[0]


def test_releases_can_be_listed_compared_queried_and_rolled_back(home, northstar):
    newest = current(home)
    listed = northstar(home, "releases")
    ids = re.findall(r"\d{8}T\d{6}Z-[0-9a-f]{6}", listed.stdout)
    assert ids[0] == newest["release_id"]
    assert len(ids) == len(set(ids)) == 2
    compared = northstar(home, "diff", ids[-1], ids[0], "--limit", "1")
    assert compared.returncode == 0
    assert "mart_retention__cohort" in compared.stdout
    assert "of closed periods moved, the 1 largest are shown" in compared.stdout
    assert northstar(home, "diff", ids[-1], ids[0], "--fail-over", "0%").returncode == 1
    assert re.search(r"closed periods? \(late facts", listed.stdout)
    back = northstar(home, "rollback", ids[1])
    assert back.returncode == 0, back.stderr
    assert ask(home, "select release_id from marts._publication") == [(ids[1],)]
    assert northstar(home, "rollback", ids[0]).returncode == 0
    unknown = northstar(home, "rollback", "20260101T000000Z-abcdef")
    assert unknown.returncode == 2
    assert ids[0] in unknown.stderr or "there is no release" in unknown.stderr
    answered = northstar(home, "query", "select count(*) as n from marts.mart_ltv__cohort")
    assert str(newest["marts"]["mart_ltv__cohort"]["rows"]) in answered.stdout
    refused = northstar(home, "query", "delete from marts.mart_ltv__cohort")
    assert refused.returncode == 2


def test_status_complains_about_an_old_release(home, northstar):
    assert northstar(home, "status").returncode == 0
    (home / "northstar.toml").write_text('max_release_age = "1s"\n')
    stale = northstar(home, "status")
    assert stale.returncode == 1
    assert "limit 1s" in stale.stdout


def test_a_mart_of_scores_is_left_out_while_no_model_scores(small_home):
    """45 days hold no month whose churn is known: every account's health is published, nobody's probability."""
    release = current(small_home)
    assert release["left_out"]["mart_churn__account"] == "no churn model has earned its place yet"
    assert "mart_churn__account" not in release["marts"]
    assert release["marts"]["mart_health__account"]["rows"] > 0
    assert look(small_home, "select count(*) from marts.mart_churn__account") == [(0,)]
