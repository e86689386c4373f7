"""Those who read what is published: DuckDB clients while releases change under them, data frames, BI tools over SQLAlchemy."""

import json
import os
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pytest
from sqlalchemy import create_engine, inspect, text
from sqlalchemy.exc import DBAPIError

from orchestration.publishing.candidate import Candidate
from orchestration.publishing.facts import NightRecord
from orchestration.publishing.lock import WriterLock
from orchestration.publishing.manifest import GateRecord
from orchestration.publishing.promotion import Verdict
from orchestration.publishing.release import Release
from orchestration.publishing.store import ReleaseStore
from tests.specs import declare, run_facts

MARTS = ["mart_metric", "mart_mrr"]
READER = Path(__file__).with_name("reader.py")
# Python interpreters with other DuckDB clients, separated as in PATH; every second reader uses one of them.
CLIENTS = [sys.executable, *filter(None, os.environ.get("NORTHSTAR_TEST_CLIENTS", "").split(os.pathsep))]
PROMOTIONS = 20


class Publisher:
    """A home without nights: releases of two small marts whose every row names the version that it belongs to."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.published = home / "published"
        self.store = ReleaseStore(home)

    def build(self, version: int) -> Candidate:
        warehouse = self.home / "warehouse.duckdb"
        warehouse.unlink(missing_ok=True)
        with duckdb.connect(str(warehouse)) as connection:
            connection.execute("create schema marts")
            for mart, rows in zip(MARTS, (100 + version, 200 + 2 * version), strict=True):
                connection.execute(
                    f"create table marts.{mart} as select i::integer as id, {version} as version,"
                    f" (i / 100)::decimal(18, 2) as amount from range({rows}) t(i)"
                )
        comments = {
            "mart_metric": ("One row per id.", {"amount": "What it's worth, in US dollars."}),
            "mart_mrr": ("One row per id and nothing else.", {}),
        }
        return self.store.build(warehouse, declare(MARTS, comments=comments), run_facts(code_version=str(version)))

    def promote(self, candidate: Candidate) -> Release:
        current = self.store.current()
        manifest = candidate.manifest(
            NightRecord(
                previous_release_id=current.release_id if current else None,
                config_digest="c",
                dbt_manifest_digest="d",
                sources={},
                left_out={},
                gate=GateRecord(passed=True, declared=1, evaluated=1, failed=0, warnings=0),
                timings={},
            )
        )
        with WriterLock(self.home) as lock:
            return self.store.promote(candidate, Verdict(True, candidate.marts_sha256, "passed"), manifest, lock)

    def parquet(self, mart: str) -> Path:
        """The file of a mart, found as docs/operations.md says."""
        current = json.loads((self.published / "current.json").read_text())
        return self.published / current["path"] / "parquet" / f"{mart}.parquet"


@pytest.fixture
def publisher(tmp_path: Path) -> Publisher:
    home = Publisher(tmp_path)
    home.promote(home.build(0))
    return home


def test_readers_never_fail_nor_mix_two_releases_while_twenty_are_promoted(publisher):
    """Eight on the published file, four with a connection per query and four that hold theirs; and one on the Parquet files."""
    waiting = [publisher.build(version) for version in range(1, PROMOTIONS + 1)]
    ways = ["fresh", "fresh", "held", "held"] * 2 + ["parquet"]
    readers = [
        subprocess.Popen(
            [CLIENTS[number % len(CLIENTS)], str(READER), str(publisher.published), way],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number, way in enumerate(ways)
    ]
    try:
        assert [reader.stdout.readline() for reader in readers] == ["ready\n"] * len(readers)
        for candidate in waiting:
            publisher.promote(candidate)
            time.sleep(0.05)
    finally:
        (publisher.published / "stop").touch()
        ends = [reader.communicate(timeout=60) for reader in readers]
    assert [err for _, err in ends if err] == []
    told = [json.loads(out) for out, _ in ends]
    for way, report in zip(ways, told, strict=True):
        # The last read comes after the last promotion, and some came between the promotions.
        assert report["seen"][-1] == PROMOTIONS, (way, report)
        assert len(report["seen"]) > 2, (way, report)
        assert report["reads"] >= len(report["seen"]), (way, report)
    assert len({version for report in told for version in report["seen"]}) > PROMOTIONS // 2


def test_a_connection_keeps_its_release_until_it_is_opened_again(publisher):
    link = str(publisher.published / "marts.duckdb")
    with duckdb.connect(link, read_only=True) as connection:
        before = connection.execute("from marts._publication").fetchone()
        release = publisher.promote(publisher.build(1))
        assert connection.execute("from marts._publication").fetchone() == before
        assert connection.execute("select distinct version from marts.mart_mrr").fetchall() == [(0,)]
    with duckdb.connect(link, read_only=True) as connection:
        assert connection.execute("select release_id from marts._publication").fetchone() == (release.release_id,)


def test_data_frames_read_the_immutable_files_that_current_json_names(publisher):
    file = publisher.parquet("mart_metric")
    lazy = pl.scan_parquet(file)
    publisher.promote(publisher.build(1))
    # What was found keeps its bytes, though another release is current by the time they are read.
    old = lazy.select(pl.col("version").unique(), pl.len().alias("rows"), pl.col("amount").sum()).collect()
    assert old.rows() == [(0, 100, Decimal("49.50"))]
    frames = [
        pl.read_parquet(publisher.parquet("mart_metric")).to_dicts(),
        pd.read_parquet(publisher.parquet("mart_metric")).to_dict("records"),
    ]
    with duckdb.connect(str(publisher.published / "marts.duckdb"), read_only=True) as connection:
        names = ["id", "version", "amount"]
        rows = [dict(zip(names, row, strict=True)) for row in connection.execute("from marts.mart_metric").fetchall()]
    assert len(rows) == 101
    assert frames == [rows, rows]
    assert pd.read_parquet(file)["version"].unique().tolist() == [0]


def test_a_bi_tool_sees_tables_and_descriptions_and_writes_nothing(publisher):
    """Over a stock SQLAlchemy engine, as docs/operations.md shows it."""
    engine = create_engine(f"duckdb:///{publisher.published / 'marts.duckdb'}", connect_args={"read_only": True})
    described = {"mart_metric": "One row per id.", "mart_mrr": "One row per id and nothing else."}
    columns = {"id": None, "version": None, "amount": "What it's worth, in US dollars."}
    try:
        with engine.connect() as connection:

            def ask(sql: str) -> list[tuple]:
                return [tuple(row) for row in connection.execute(text(sql))]

            found = ask("select table_name, table_comment from information_schema.tables where table_name like 'mart%'")
            assert dict(found) == described
            question = "select column_name, column_comment from information_schema.columns where table_name = 'mart_metric'"
            assert dict(ask(question)) == columns
            assert dict(ask("select column_name, comment from duckdb_columns() where table_name = 'mart_metric'")) == columns
            assert ask("select count(*) from mart_metric") == [(100,)]
        inspector = inspect(engine)
        assert set(inspector.get_table_names()) == {*described, "_publication"}
        assert {mart: inspector.get_table_comment(mart)["text"] for mart in described} == described
        assert {column["name"]: column["comment"] for column in inspector.get_columns("mart_metric")} == columns
        with engine.connect() as connection, pytest.raises(DBAPIError, match="read-only"):
            connection.execute(text("delete from mart_metric"))
    finally:
        engine.dispose()
