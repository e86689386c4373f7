"""What nights cost, and what their kernels cost beside the same by hand: `make bench` writes `docs/performance.md`.

Belongs here: a simulated year and its nights, measured. Does not belong here: the kernels (`kernels`), and any limit; machines
differ, so the page says ratios of one run, and only equal answers are checked. Every night is a process of its own: its memory
is its own, too.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import kernels

PROJECT = Path(__file__).resolve().parents[2]
PAGE = PROJECT / "docs" / "performance.md"

LAST = date(2026, 11, 20)
# Simulated events per user and year, about.
EVENTS_PER_USER = 540


@dataclass
class Cost:
    """CPU and wall seconds of a night by stage; memory: its peak, in MB."""

    cpu: dict[str, float] = field(default_factory=dict)
    wall: dict[str, float] = field(default_factory=dict)
    memory: int = 0

    @contextmanager
    def of(self, stage: str) -> Iterator[None]:
        cpu, wall = time.process_time(), time.monotonic()
        yield
        self.cpu[stage] = time.process_time() - cpu
        self.wall[stage] = time.monotonic() - wall


# One night, in a process of its own.


def night(home: Path, as_of: date) -> Cost:
    """Run one night and take its time; the import of what it needs is its first stage."""
    cost = Cost()
    with cost.of("start"):
        from orchestration.config.loading import load
        from orchestration.ml_steps.registry import tasks
        from orchestration.night import building, intake, releasing, unchanged
        from orchestration.night.run import Night
        from orchestration.warehouse import dbt

        settings = load(directory=home)
        settings.export()
        parsed = dbt.prepare(settings)
    with Night(settings, parsed=parsed) as this:
        with cost.of("compare"):
            is_standing = unchanged.standing(this) is not None
        if not is_standing:
            with cost.of("ingest"):
                intake.ingest(this, as_of=as_of)
            with cost.of("erase"):
                intake.erase(this)
            with cost.of("plan"):
                intake.plan(this, as_of=as_of)
            with cost.of("build"):
                results = list(building.build(this))
            with cost.of("models"):
                for step, task in tasks():
                    building.run_task(this, step, task)
            with cost.of("marts"):
                results += building.build_scored(this)
            if failures := [result for result in results if result.is_failure]:
                raise SystemExit(dbt.explain(failures))
            with cost.of("candidate"):
                releasing.candidate(this)
            with cost.of("gate"):
                releasing.validate(this)
            with cost.of("release"):
                releasing.publish(this)
    cost.memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return cost


def night_apart(home: Path, as_of: date) -> Cost:
    command = [sys.executable, __file__, "--home", str(home), "--night", str(as_of)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"the night of {as_of} failed:\n{done.stderr[-3000:]}{done.stdout[-1000:]}")
    return Cost(**json.loads(done.stdout.splitlines()[-1]))


# What lands before each night.


def landing_of(home: Path) -> Path:
    return home / "landing"


def land(home: Path, source: str, day: date, name: str, rows: list[dict[str, Any]]) -> None:
    folder = landing_of(home) / source / f"dt={day}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def event(event_id: str, day: date, **ids: str) -> dict[str, Any]:
    return {"event_id": event_id, "event": "page_viewed", "occurred_at": f"{day}T08:00:00Z", **ids}


def two_persons(home: Path) -> list[tuple[str, str]]:
    """Devices and users of two persons of the lake who have nothing in common yet."""
    import duckdb

    with duckdb.connect() as connection:
        found: list[tuple[str, str]] = connection.execute(
            f"select anonymous_id, user_id from read_parquet('{home}/lake/events/dt={LAST}/*.parquet')"
            " where anonymous_id is not null and user_id is not null"
            " qualify row_number() over (partition by user_id order by anonymous_id) = 1 order by user_id limit 2"
        ).fetchall()
    return found


def late_facts(home: Path) -> None:
    days = [LAST - timedelta(days=3 * number) for number in range(25)]
    land(home, "events", LAST, "late.jsonl", [event(f"late-{n}", days[n % 25], anonymous_id=f"late-{n % 9}") for n in range(50)])


def merge(home: Path) -> None:
    (first, _), (_, user) = two_persons(home)
    land(home, "events", LAST, "merge.jsonl", [event("merge-1", LAST, anonymous_id=first, user_id=user)])


def correction(home: Path) -> None:
    day = LAST - timedelta(days=200)
    land(home, "events", day, "correction.jsonl", [event(f"old-{n}", day, anonymous_id=f"old-{n}") for n in range(20)])


def erasure(home: Path) -> None:
    [_, (_, user)] = two_persons(home)
    land(home, "erasures", LAST, "request.jsonl", [{"user_id": user, "requested_at": f"{LAST}T09:00:00Z"}])


# Night → what lands before it, and up to which day it looks.
NIGHTS: dict[str, tuple[Callable[[Path], None], date]] = {
    "first night": (lambda _: None, LAST - timedelta(days=1)),
    "one more day": (lambda _: None, LAST),
    "nothing new": (lambda _: None, LAST),
    "50 late facts": (late_facts, LAST),
    "one merge": (merge, LAST),
    "correction of an old day": (correction, LAST),
    "one erasure": (erasure, LAST),
}


def nights(home: Path, events: int, days: int, memory_limit: str) -> dict[str, Cost]:
    """Simulate a company and run its nights one after the other."""
    home.mkdir(parents=True, exist_ok=True)
    (home / "northstar.toml").write_text(f'memory_limit = "{memory_limit}"\n', encoding="utf-8")
    if not landing_of(home).exists():
        from orchestration.simulator import simulate

        simulate(landing_of(home), days=days, users=max(1, round(events / EVENTS_PER_USER * 365 / days)), end=LAST)
    costs = {}
    for name, (prepare, as_of) in NIGHTS.items():
        prepare(home)
        costs[name] = night_apart(home, as_of)
        show(name, costs[name])
    return costs


def show(name: str, cost: Cost) -> None:
    stages = ", ".join(f"{stage} {seconds:.1f}" for stage, seconds in cost.cpu.items())
    total, wall = sum(cost.cpu.values()), sum(cost.wall.values())
    print(f"{name:<26} CPU {total:8.1f} s  wall {wall:8.1f} s  {cost.memory:6,} MB  ({stages})", flush=True)


# The page.


def page(measured: dict[int, tuple[dict[str, Cost], dict[str, dict[str, float]]]], days: int) -> str:
    lines = [
        "# Performance",
        "",
        "Written by `make bench`. Ratios of one run on one machine: seconds differ between machines, ratios hardly.",
        f"A simulated company of {days} days; every night a process of its own.",
        "",
        "## Nights",
        "",
        "CPU of a night in hundredths of the first night's, by stage; memory is the peak.",
        "",
    ]
    for events, (costs, _) in measured.items():
        whole = sum(costs["first night"].cpu.values())
        stages = list(costs["first night"].cpu)
        lines += [
            f"### {events:,} events",
            "",
            f"| night | all | {' | '.join(stages)} | memory |",
            f"| --- | {' | '.join('---:' for _ in stages)} | ---: | ---: |",
        ]
        for name, cost in costs.items():
            cells = [f"{100 * cost.cpu.get(stage, 0) / whole:.1f}" for stage in stages]
            lines.append(f"| {name} | {100 * sum(cost.cpu.values()) / whole:.1f} | {' | '.join(cells)} | {cost.memory:,} MB |")
        lines.append("")
    engines = list(kernels.KERNELS["sessions"])
    lines += [
        "## Kernels",
        "",
        "CPU of the same kernel by hand, as a multiple of DuckDB's, all from the lake's Parquet files with two threads; the",
        "answers are equal. Engines that were not installed have no figure.",
        "",
        f"| events | kernel | {' | '.join(engines)} |",
        f"| ---: | --- | {' | '.join('---:' for _ in engines)} |",
    ]
    for events, (_, found) in measured.items():
        for kernel, seconds in found.items():
            cells = [f"{seconds[engine] / seconds['DuckDB']:.2f}" if engine in seconds else "" for engine in engines]
            lines.append(f"| {events:,} | {kernel} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--large", action="store_true", help="50 million events as well")
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--memory-limit", default="8GB")
    parser.add_argument("--home", type=Path, help="folder of homes, kept afterwards; a landing zone that lies there is used")
    parser.add_argument("--night", type=date.fromisoformat, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.night is not None:
        os.environ["NORTHSTAR_HOME"], os.environ["NORTHSTAR_CONFIG"] = str(options.home), str(options.home / "northstar.toml")
        print(json.dumps(vars(night(options.home, options.night))))
        return
    measured = {}
    with tempfile.TemporaryDirectory(prefix="northstar-bench-") as temporary:
        for events in [*options.events, *([50_000_000] if options.large else [])]:
            home = (options.home or Path(temporary)) / str(events)
            print(f"{events:,} events", flush=True)
            costs = nights(home, events, options.days, options.memory_limit)
            measured[events] = (costs, kernels.measure(sorted((home / "lake" / "events").glob("dt=*/*.parquet"))))
    PAGE.write_text(page(measured, options.days), encoding="utf-8")
    print(f"written: {PAGE}")


if __name__ == "__main__":
    main()
