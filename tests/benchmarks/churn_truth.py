"""How near the churn model comes to the planted hazards where history is long: `python -m tests.benchmarks.churn_truth`.

Belongs here: the figures, as a table. Does not belong here: any check (`tests/integration/test_churn_truth.py` holds a company of
160 paying accounts to them, within its errors): 800 paying accounts take two minutes of CPU.
"""

import argparse
import os
import tempfile
from datetime import date
from pathlib import Path
from unittest.mock import patch

LAST = date(2026, 11, 20)
DAYS = 240
# Few sign up: of customers from before, accounts alone are what the model learns from.
USERS = 300


def build(home: Path, accounts: int, seed: int) -> None:
    """Simulate the company and take it through a night's stages up to the features and labels."""
    from orchestration.config.loading import load
    from orchestration.night import intake
    from orchestration.night.run import Night
    from orchestration.simulator import parameters, simulate
    from orchestration.warehouse import dbt
    from tests import stages

    home.mkdir(parents=True, exist_ok=True)
    settings = load({**os.environ, "NORTHSTAR_HOME": str(home)}, directory=home)
    with patch.object(parameters, "BASE_PAYING_ACCOUNTS", accounts / USERS):
        simulate(settings.landing, days=DAYS, users=USERS, seed=seed, end=LAST)
    with Night(settings, parsed=dbt.prepare(settings)) as night:
        intake.ingest(night)
        intake.plan(night)
        built = stages.built(night, ["+int_churn__features", "+int_churn__labels"])
        failures = [each for each in built if each.is_failure]
    if failures:
        raise SystemExit(dbt.explain(failures))


def report(home: Path) -> None:
    """Train on the home's features and print each closed window's figures beside the hazards' own."""
    import pandas as pd

    from ml.churn.evaluation import evaluate
    from ml.churn.training import train
    from orchestration.ml_steps.churn import LABEL_WINDOW_DAYS, MINIMUM_CHURNS
    from tests.integration.hazards import with_hazards

    frame = with_hazards(home)
    result = train(frame, label_window_days=LABEL_WINDOW_DAYS, minimum_churns=MINIMUM_CHURNS)
    fit, _, test = result.slices
    print(result.decision.reason)
    print(f"chosen: {result.choice.kind}; {fit.churned_accounts} churned accounts in the fit")
    print(f"{'window':<26}{'rows':>7}{'churned':>9}{'AUC':>8}{'hazard':>8}{'ratio':>8}{'slope':>8}")
    origins = result.rolling.origins
    windows = [(test.dates[0], test.dates[-1], result.metrics)]
    windows += [(origin.window_from, origin.window_to, origin.metrics) for origin in origins]
    if result.rolling.pooled is not None:
        windows.append((origins[-1].window_from, origins[0].window_to, result.rolling.pooled.metrics))
    for first, last, metrics in windows:
        inside = frame[frame["as_of_date"].between(pd.Timestamp(first), pd.Timestamp(last))]
        hazard = evaluate(inside["churned"].to_numpy(), inside["hazard"].to_numpy())
        print(
            f"{first} to {last}{metrics.rows:>9,}{metrics.churned:>9,}{metrics.auc:>8.3f}{hazard.auc:>8.3f}"
            f"{metrics.auc / hazard.auc:>8.3f}{metrics.calibration_slope:>8.2f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accounts", type=int, default=800, help="paying accounts from before the first day")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--home", type=Path, help="folder to keep and to build only once")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        home = arguments.home or Path(temporary) / "home"
        if not (home / "warehouse.duckdb").exists():
            build(home, arguments.accounts, arguments.seed)
        report(home)


if __name__ == "__main__":
    main()
