"""What a year costs to build, and one more day to fold in: `make bench`.

Belongs here: the figures, as a table. Does not belong here: any check; machines differ, ratios of one run are what to compare.
"""

import argparse
import os
import resource
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

LAST = date(2026, 11, 20)
# Simulated events per user and year, about.
EVENTS_PER_USER = 540


@dataclass
class Step:
    """One line: wall and CPU seconds, and the process's largest memory so far, in MB."""

    name: str
    wall: float
    cpu: float
    memory: int


def measured(name: str, work: Callable[[], object]) -> Step:
    """Run and time."""
    wall, cpu = time.monotonic(), time.process_time()
    work()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return show(Step(name, time.monotonic() - wall, time.process_time() - cpu, memory))


def show(step: Step) -> Step:
    print(f"{step.name:<58}{step.wall:>9.1f}{step.cpu:>9.1f}{step.memory:>8,}", flush=True)
    return step


def run(home: Path, events: int, days: int, memory_limit: str) -> None:
    """Simulate a company, build its warehouse up to the last day but one, then fold in the last."""
    os.environ["NORTHSTAR_HOME"] = str(home)
    home.mkdir(parents=True, exist_ok=True)
    (home / "northstar.toml").write_text(f'memory_limit = "{memory_limit}"\n', encoding="utf-8")
    from orchestration.config.loading import load
    from orchestration.night import intake
    from orchestration.night.run import Night
    from orchestration.simulator import simulate
    from orchestration.warehouse import dbt

    settings = load(directory=home)
    users = max(1, round(events / EVENTS_PER_USER * 365 / days))
    print(f"{'':<58}{'wall s':>9}{'CPU s':>9}{'MB':>8}")
    if not settings.landing.exists():
        measured("simulate", lambda: simulate(settings.landing, days=days, users=users, end=LAST))
    with Night(settings, parsed=dbt.prepare(settings)) as night:
        before = LAST - timedelta(days=1)
        measured(f"ingest {days - 1} days", lambda: intake.ingest(night, as_of=before))
        measured("plan a rebuild", lambda: intake.plan(night, as_of=before, anew=True))
        built = build(night, "build everything")
        measured("ingest one day", lambda: intake.ingest(night))
        measured("plan one day", lambda: intake.plan(night))
        folded = build(night, "build after one day")
    print(f"one day / everything: incremental models 1 / {built[0] / folded[0]:.0f}, all 1 / {built[1] / folded[1]:.1f}")


def build(night: "Night", name: str) -> tuple[float, float]:
    """Run dbt and show it; seconds of the models that are folded by day, and of all nodes."""
    results = []
    measured(name, lambda: results.extend(stages.built(night)))
    incremental = {
        unique_id for unique_id, node in night.manifest["nodes"].items() if node["config"].get("materialized") == "incremental"
    }
    folding = sum(result.seconds for result in results if result.unique_id in incremental)
    everything = sum(result.seconds for result in results)
    print(f"  of it models by event day {folding:.1f} s, other models and tests {everything - folding:.1f} s")
    for result in sorted(results, key=lambda result: -result.seconds)[:8]:
        print(f"    {result.seconds:>7.1f}  {result.name}")
    return folding, everything


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--memory-limit", default="8GB")
    parser.add_argument("--home", type=Path, help="kept afterwards; a landing zone that lies there is used")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="northstar-bench-") as temporary:
        run(options.home or Path(temporary, "home"), options.events, options.days, options.memory_limit)
