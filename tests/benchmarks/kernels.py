"""The kernels of a night by hand in several engines, from the same Parquet files, with equal answers.

Belongs here: one function per engine and kernel. Does not belong here: Northstar's own models (the nights measure them), and the
page that shows the figures (`bench`). An engine that is not installed is left out; chdb, of 140 MB, is not among the project's
packages.

Kernels: `sessions` counts visits with half an hour of silence between them; `retention` adds up the ages in weeks of all active
weeks; `funnel` adds up how deep each visitor came in four ordered steps within seven days of the first.
"""

import importlib
import importlib.util
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

THREADS = 2
STEPS = ("product_viewed", "cart_added", "checkout_started", "order_placed")
WINDOW_SECONDS = 7 * 86400

_COLUMNS = ("user_id", "anonymous_id", "occurred_at", "event")

Kernel = Callable[[Sequence[str]], int]


def measure(files: Sequence[Path]) -> dict[str, dict[str, float]]:
    """CPU seconds per kernel and engine, DuckDB first; SystemExit when two answers differ."""
    os.environ["POLARS_MAX_THREADS"] = str(THREADS)
    paths = [str(path) for path in files]
    found: dict[str, dict[str, float]] = {}
    for name, engines in KERNELS.items():
        answers = {}
        found[name] = {}
        for engine, kernel in engines.items():
            module = engine.lower()
            if importlib.util.find_spec(module) is None:
                continue
            importlib.import_module(module)  # before the clock starts
            started = time.process_time()
            answers[engine] = kernel(paths)
            found[name][engine] = time.process_time() - started
        print(f"{name}: {found[name]}, answers {answers}", flush=True)
        if len(set(answers.values())) > 1:
            raise SystemExit(f"{name}: the engines do not agree: {answers}")
    return found


# DuckDB.

_DUCKDB = {
    # Events of one half hour of the clock are always one visit: only half hours are put in order.
    "sessions": """
with halves as (
  select visitor, epoch_us(occurred_at) // 1800000000 as half, min(occurred_at) as started_at, max(occurred_at) as ended_at
  from events
  group by all
)
select count(*) from (
  select started_at, lag(ended_at) over (partition by visitor order by half) as before from halves
)
where before is null or started_at - before > interval 30 minutes""",
    "retention": """
with weeks as (select distinct visitor, date_trunc('week', occurred_at) as week from events),
firsts as (select visitor, min(week) as first from weeks group by visitor)
select sum(n * age) from (
  select count(*) as n, date_diff('week', first, week) as age from weeks join firsts using (visitor) group by first, week, age
)""",
    # The latest start of a chain that has come so far never decreases: one running maximum per step, over one order.
    "funnel": f"""
with steps as (
  select visitor, epoch_us(occurred_at) as t, list_position({list(STEPS)}, event) as step from events where event in {STEPS}
),
first as (
  select *, max(case when step = 1 then t end) over so_far as start_1 from steps
  window so_far as (partition by visitor order by t, step rows unbounded preceding)
),
{
        ", ".join(
            f'''
{after} as (
  select *, max(case when step = {number} and t - start_{number - 1} <= {WINDOW_SECONDS}000000 then start_{number - 1} end)
    over (partition by visitor order by t, step rows unbounded preceding) as start_{number}
  from {before}
)'''
            for number, (before, after) in enumerate((("first", "second"), ("second", "third"), ("third", "fourth")), start=2)
        )
    }
select sum(depth) from (
  select
    (count(start_1) > 0)::int + (count(start_2) > 0)::int + (count(start_3) > 0)::int + (count(start_4) > 0)::int as depth
  from fourth
  group by visitor
)""",
}


def _duckdb(name: str) -> Kernel:
    def run(paths: Sequence[str]) -> int:
        import duckdb

        with duckdb.connect() as connection:
            connection.execute(f"set threads = {THREADS}; set TimeZone = 'UTC'")
            connection.execute(
                "create view events as select coalesce(user_id, anonymous_id) as visitor, occurred_at, event"
                f" from read_parquet({list(paths)})"
            )
            [(answer,)] = connection.execute(_DUCKDB[name]).fetchall()
        return int(answer)

    return run


# ClickHouse, in process.

_CHDB = {
    "sessions": """
select countIf(isNull(before) or t - before > 1800000000) from (
  select
    t,
    lagInFrame(toNullable(t)) over (partition by visitor order by t rows between unbounded preceding and current row) as before
  from events
)""",
    "retention": """
with weeks as (select distinct visitor, toMonday(toDate(intDiv(t, 1000000), 'UTC')) as week from events)
select sum(dateDiff('week', first, week)) from (
  select week, min(week) over (partition by visitor) as first from weeks
)""",
    "funnel": f"""
select sum(depth) from (
  select windowFunnel({WINDOW_SECONDS}000000)(toUInt64(t), {", ".join(f"event = {step!r}" for step in STEPS)}) as depth
  from events
  where event in {STEPS}
  group by visitor
)""",
}


def _chdb(name: str) -> Kernel:
    def run(paths: Sequence[str]) -> int:
        import chdb

        # The files' names have nothing in common but their folder: one pattern for all of them.
        pattern = str(Path(paths[0]).parents[1] / "*" / "*.parquet")
        rows = (
            "(select coalesce(user_id, anonymous_id) as visitor, toUnixTimestamp64Micro(assumeNotNull(occurred_at)) as t, event"
            f" from file('{pattern}', Parquet)) as events"
        )
        query = _CHDB[name].replace("from events", f"from {rows}")
        answer = chdb.query(f"{query} settings max_threads = {THREADS}", "CSV")
        return int(str(answer).strip())

    return run


# Polars.


def _polars(name: str) -> Kernel:
    def run(paths: Sequence[str]) -> int:
        import polars as pl

        events = pl.scan_parquet(list(paths)).select(
            pl.coalesce("user_id", "anonymous_id").alias("visitor"), pl.col("occurred_at").alias("t"), "event"
        )
        kernel: Any = {"sessions": sessions, "retention": retention, "funnel": funnel}[name]
        return int(kernel(pl, events))

    def sessions(pl: Any, events: Any) -> Any:
        halves = events.group_by("visitor", pl.col("t").dt.truncate("30m").alias("half")).agg(
            pl.col("t").min().alias("started"), pl.col("t").max().alias("ended")
        )
        gap = pl.col("started") - pl.col("ended").shift(1).over("visitor")
        return halves.sort("visitor", "half").select((gap.is_null() | (gap > pl.duration(minutes=30))).sum()).collect().item()

    def retention(pl: Any, events: Any) -> Any:
        weeks = events.select("visitor", pl.col("t").dt.truncate("1w").dt.date().alias("week")).unique()
        age = (pl.col("week") - pl.col("week").min().over("visitor")).dt.total_days() // 7
        return weeks.select(age.sum()).collect().item()

    def funnel(pl: Any, events: Any) -> Any:
        step = pl.col("event").replace_strict({name: number for number, name in enumerate(STEPS, start=1)}, return_dtype=pl.Int8)
        rows = events.filter(pl.col("event").is_in(STEPS)).with_columns(step.alias("step")).sort("visitor", "t", "step")
        start = pl.when(pl.col("step") == 1).then(pl.col("t")).cum_max().forward_fill().over("visitor")
        rows = rows.with_columns(start.alias("start_1"))
        for number in range(2, len(STEPS) + 1):
            before = pl.col(f"start_{number - 1}")
            is_in_time = (pl.col("step") == number) & (pl.col("t") - before <= pl.duration(seconds=WINDOW_SECONDS))
            start = pl.when(is_in_time).then(before).cum_max().forward_fill().over("visitor")
            rows = rows.with_columns(start.alias(f"start_{number}"))
        reached = [pl.col(f"start_{number}").is_not_null().any().cast(pl.Int64) for number in range(1, len(STEPS) + 1)]
        return (
            rows.group_by("visitor").agg(pl.sum_horizontal(reached).alias("depth")).select(pl.col("depth").sum()).collect().item()
        )

    return run


# pandas.


def _pandas(name: str) -> Kernel:
    def run(paths: Sequence[str]) -> int:
        import pandas as pd

        frame = pd.concat([pd.read_parquet(path, columns=list(_COLUMNS)) for path in paths], ignore_index=True)
        frame["visitor"] = frame["user_id"].fillna(frame["anonymous_id"])
        return {"sessions": sessions, "retention": retention, "funnel": funnel}[name](frame)

    def sessions(frame: Any) -> int:
        import pandas as pd

        gap = frame.sort_values(["visitor", "occurred_at"]).groupby("visitor", sort=False)["occurred_at"].diff()
        return int((gap.isna() | (gap > pd.Timedelta(minutes=30))).sum())

    def retention(frame: Any) -> int:
        frame["week"] = frame["occurred_at"].dt.tz_localize(None).dt.to_period("W-SUN").dt.start_time
        weeks = frame[["visitor", "week"]].drop_duplicates()
        return int(((weeks["week"] - weeks.groupby("visitor")["week"].transform("min")).dt.days // 7).sum())

    def funnel(frame: Any) -> int:
        rows = frame[frame["event"].isin(STEPS)].copy()
        rows["step"] = rows["event"].map({step: number for number, step in enumerate(STEPS, start=1)})
        rows = rows.sort_values(["visitor", "occurred_at", "step"])
        time_of = rows["occurred_at"].astype("datetime64[us]").astype("int64").astype("float64")
        before, depth = time_of.where(rows["step"] == 1), 0
        for number in range(1, len(STEPS) + 1):
            if number > 1:
                is_in_time = (rows["step"] == number) & (time_of - before <= WINDOW_SECONDS * 1e6)
                before = before.where(is_in_time)
            # The latest start so far, carried over rows that start nothing.
            before = before.groupby(rows["visitor"], sort=False).cummax().groupby(rows["visitor"], sort=False).ffill()
            depth += int(before.notna().groupby(rows["visitor"], sort=False).any().sum())
        return depth

    return run


KERNELS: dict[str, dict[str, Kernel]] = {
    name: {"DuckDB": _duckdb(name), "chdb": _chdb(name), "polars": _polars(name), "pandas": _pandas(name)}
    for name in ("sessions", "retention", "funnel")
}
