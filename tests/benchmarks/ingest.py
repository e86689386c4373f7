"""What ingest costs beside DuckDB's own read into typed Parquet, per format: `python tests/benchmarks/ingest.py`.

Belongs here: the figures, as a table. Does not belong here: any check; machines differ, ratios of one run are what to compare.

By hand, one statement per format reads the files with the contract's types and copies them into one Parquet file, unsorted and
unjudged; our side also hashes and judges them and writes a sorted file and a manifest per day.
"""

import argparse
import gzip
import shutil
import tempfile
import time
from collections.abc import Callable
from datetime import date, timedelta
from functools import partial
from pathlib import Path

import duckdb

from orchestration.base import duck
from orchestration.base.sql import identifier, literal
from orchestration.landing.contract import CONTRACT
from orchestration.landing.ingest import ingest
from orchestration.landing.lake import Lake
from orchestration.landing.source import Type

FIRST = date(2025, 1, 1)
FORMATS = ("parquet", "csv", "csv.gz", "jsonl")
EVENTS = CONTRACT["events"]
# Values of the columns that are not derived from their type, over a hash `h` of the row number.
VALUES = {
    "event_id": "format('e_{:012d}', h % 1000000000000)",
    "event": "['page_viewed', 'feature_used', 'signed_up', 'checkout_started'][h % 4 + 1]",
    "received_at": "occurred_at + to_milliseconds(h % 5000)",
    "anonymous_id": "format('a_{:08x}', h % 400000)",
    "user_id": "CASE WHEN h % 3 > 0 THEN format('u_{:06d}', h % 180000) END",
    "account_id": "CASE WHEN h % 4 = 0 THEN format('acc_{:05d}', h % 9000) END",
    "page": "'/' || ['pricing', 'docs/start', 'shop/item/' || h % 900, 'app/board'][h % 4 + 1]",
    "referrer": "CASE WHEN h % 5 = 0 THEN 'https://www.example.com/search?q=' || h % 1000 END",
    "properties": "CASE WHEN h % 6 = 0 THEN json_object('plan', 'pro', 'seats', h % 30) END",
    "value": "CASE WHEN h % 7 = 0 THEN (h % 100000) / 100 END::DECIMAL(18, 6)",
    "city_tier": "CASE WHEN h % 3 > 0 THEN h % 5 + 1 END",
}


def cpu(work: Callable[[], object], repeats: int) -> float:
    """CPU seconds of the cheapest of some runs."""
    spent = []
    for _ in range(repeats):
        began = time.process_time()
        work()
        spent.append(time.process_time() - began)
    return min(spent)


def write_landing(root: Path, rows: int, days: int) -> None:
    """Write the same events once per format, as `<format>/events/dt=…/part-0.<format>`."""
    with duck.connect() as connection:
        listed = ", ".join(
            f"({VALUES.get(column.name) or f'CASE WHEN h % 8 = 0 THEN {literal(column.name)} || h % 9 END'})"
            f"::{column.type.sql} AS {identifier(column.name)}"
            for column in EVENTS.columns
            if column.name != "occurred_at"
        )
        names = ", ".join(identifier(column.name) for column in EVENTS.columns)
        stamps = ", ".join(
            f"strftime({column.name}, '%Y-%m-%dT%H:%M:%S.%gZ') AS {column.name}"
            for column in EVENTS.columns
            if column.type is Type.TIMESTAMP
        )
        for number in range(days):
            day = FIRST + timedelta(days=number)
            connection.execute(f"""
                CREATE OR REPLACE TABLE landed AS
                SELECT {names} FROM (
                  SELECT *, {listed} FROM (
                    SELECT (hash(i) >> 1)::BIGINT AS h, TIMESTAMP '{day} 00:00:00' + to_milliseconds(h % 86400000) AS occurred_at
                    FROM range({number * rows // days}, {(number + 1) * rows // days}) AS numbers (i)
                  )
                )
            """)
            paths = {name: root / name / "events" / f"dt={day}" / f"part-0.{name}" for name in FORMATS}
            for path in paths.values():
                path.parent.mkdir(parents=True)
            text = f"SELECT * REPLACE ({stamps}) FROM landed"
            connection.execute(f"COPY landed TO {literal(str(paths['parquet']))} (FORMAT parquet, COMPRESSION zstd)")
            connection.execute(f"COPY ({text}) TO {literal(str(paths['csv']))} (HEADER)")
            # Collectors omit what is empty, as json_merge_patch does.
            lines = f"SELECT json_merge_patch('{{}}', to_json(landed))::VARCHAR FROM ({text}) AS landed"
            connection.execute(
                f"COPY ({lines}) TO {literal(str(paths['jsonl']))} (FORMAT csv, HEADER false, QUOTE '', ESCAPE '', DELIM '\x01')"
            )
            with paths["csv"].open("rb") as plain, gzip.open(paths["csv.gz"], "wb", compresslevel=3) as packed:
                shutil.copyfileobj(plain, packed)


def ours(landing: Path, days: int) -> None:
    """Ingest into a new lake."""
    with tempfile.TemporaryDirectory(prefix="northstar-lake-", dir=landing.parent) as home:
        wanted = [FIRST + timedelta(days=number) for number in range(days)]
        ingest(landing, Lake(Path(home)), "events", wanted, timezone="UTC", max_quarantine_ratio=0.01, memory_limit="4GB")


def by_hand(landing: Path, name: str) -> None:
    """Read all files with the contract's types and copy them into one Parquet file."""
    pattern = literal(str(landing / "events" / "*" / f"*.{name}"))
    types = ", ".join(f"{literal(column.name)}: {literal(column.type.sql)}" for column in EVENTS.columns)
    reader = {
        "parquet": f"read_parquet({pattern}, hive_partitioning = false)",
        "jsonl": f"read_json({pattern}, format = 'newline_delimited', columns = {{{types}}}, hive_partitioning = false)",
    }.get(name, f"read_csv({pattern}, header = true, auto_detect = false, columns = {{{types}}}, hive_partitioning = false)")
    target = landing.parent / "by-hand.parquet"
    with duck.connect(memory_limit="4GB") as connection:
        connection.execute(f"COPY (FROM {reader}) TO {literal(str(target))} (FORMAT parquet, COMPRESSION zstd)")
    target.unlink()


def run(root: Path, rows: int, days: int, repeats: int) -> None:
    """Print CPU seconds per million rows of both sides, then what a tiny day costs beside a tiny copy."""
    large, small = root / "large", root / "small"
    write_landing(large, rows, days)
    millions = rows / 1e6
    print(f"DuckDB {duckdb.__version__}; CPU seconds per million rows, {rows:,} events on {days} days")
    print(f"{'format':<10}{'ours':>9}{'by hand':>9}{'ratio':>8}")
    for name in FORMATS:
        mine = cpu(partial(ours, large / name, days), repeats) / millions
        theirs = cpu(partial(by_hand, large / name, name), repeats) / millions
        print(f"{name:<10}{mine:>9.2f}{theirs:>9.2f}{mine / theirs:>8.2f}", flush=True)
    write_landing(small, 365 * 20, 365)
    print(f"{'CPU milliseconds per day, 365 days of 20 events':<50}")
    for name in FORMATS:
        spent = cpu(partial(ours, small / name, 365), 1)
        print(f"{name:<10}{spent / 365 * 1e3:>9.2f}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--days", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=2, help="of which the cheapest counts")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="northstar-bench-") as temporary:
        run(Path(temporary), options.rows, options.days, options.repeats)
