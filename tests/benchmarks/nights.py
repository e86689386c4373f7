"""Clean nights that the gate must not refuse: `make nights`.

Belongs here: a small simulated company, run night after night through the real stages, and a verdict on the gate. Does not belong
here: any corruption; the tests of the gate have those. Exits 1 when a night was refused, and names the checks.
"""

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from datetime import date, timedelta
from pathlib import Path

LAST = date(2026, 11, 20)


def run(home: Path, seed: int, nights: int, history: int, users: int) -> list[str]:
    """Simulate a company, build its history in a first night and each further day in one of its own; what was refused."""
    os.environ["NORTHSTAR_HOME"], os.environ["NORTHSTAR_CONFIG"] = str(home), ""
    home.mkdir(parents=True)
    from expectations.report import summary_lines
    from orchestration.config.loading import load
    from orchestration.night import releasing
    from orchestration.night.run import Night
    from orchestration.simulator import simulate
    from orchestration.warehouse import dbt
    from tests import stages

    settings = load(directory=home)
    settings.export()
    simulate(settings.landing, days=history + nights - 1, users=users, seed=seed, end=LAST)
    parsed = dbt.prepare(settings)
    refused, passed, warnings, gate, whole = [], 0, Counter(), 0.0, 0.0
    for number in reversed(range(nights)):
        day, started = LAST - timedelta(days=number), time.monotonic()
        with Night(settings, parsed=parsed) as night:
            stages.build(night, as_of=day)
            report = stages.judge(night)
            if report.passed:
                passed += 1
                releasing.publish(night)
            else:
                refused += [f"seed {seed}, {day}: {line.strip()}" for line in summary_lines(report) if "ed: " in line]
        warned = [check.qualified_name for check in report.checks if check.status == "failed" and not check.refuses]
        warnings.update(warned)
        gate, whole = gate + night.state.timings["gate"], whole + time.monotonic() - started
        print(
            f"seed {seed}  {day}  {'passed' if report.passed else 'REFUSED'}  {time.monotonic() - started:6.1f} s,"
            f" gate {night.state.timings['gate']:5.1f} s  {', '.join(warned)}",
            flush=True,
        )
    print(f"seed {seed}: {passed} of {nights} passed; the gate took {gate / whole:.0%}")
    for name, count in warnings.most_common():
        print(f"  warned in {count} nights: {name}")
    return refused


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[7, 8])
    parser.add_argument("--nights", type=int, default=30)
    parser.add_argument("--history", type=int, default=60, help="arrival days that the first night takes in")
    parser.add_argument("--users", type=int, default=150)
    options = parser.parse_args()
    found = []
    with tempfile.TemporaryDirectory(prefix="northstar-nights-") as temporary:
        for seed in options.seeds:
            found += run(Path(temporary, str(seed)), seed, options.nights, options.history, options.users)
    print("\n".join(found), end="\n" if found else "")
    sys.exit(1 if found else 0)
