"""Kaplan and Meier's survival of the accounts, by lifelines, against the logo churn of `mart_mrr__month`.

Belongs here: that churn by month and lifetimes in days tell the same story. Does not belong here: movements and amounts
(`tests/dbt/test_mrr_mart.py`).

Lifetimes come from the lake's subscriptions by a few lines of pandas, on a calendar axis and not by age: an account enters when
it starts to pay (late entry, lifelines' `entry`) and leaves when it stops; whoever pays on the last day is censored. Whoever
comes back enters again, as a lifetime of its own: for the mart too a returned account opens the next month like any other.
"""

import duckdb
import numpy as np
import pandas as pd
import pytest

from tests.integration.conftest import ask


@pytest.fixture(scope="module")
def changes(company_home) -> pd.DataFrame:
    """Every change of a subscription with the reporting day of which it is the last: account, day, is_paying; sorted by day.

    In this company an account has one subscription, so that the account's state is the subscription's.
    """
    with duckdb.connect() as connection:
        rows = connection.execute(
            f"select subscription_id, account_id, changed_at, status, mrr from '{company_home}/lake/subscriptions/*/*.parquet'"
        ).df()
    rows = rows.drop_duplicates(["subscription_id", "changed_at"]).sort_values("changed_at")
    assert rows.groupby("account_id")["subscription_id"].nunique().max() == 1
    rows["day"] = rows["changed_at"].dt.tz_localize("UTC").dt.tz_convert("Asia/Shanghai").dt.tz_localize(None).dt.normalize()
    rows["is_paying"] = rows["status"].isin(["active", "past_due"]) & (rows["mrr"].astype(float) > 0)
    return rows.drop_duplicates(["account_id", "day"], keep="last")[["account_id", "day", "is_paying"]]


@pytest.fixture(scope="module")
def published(company_home) -> pd.DataFrame:
    """Closed months of the mart: opening and churned accounts and their logo churn, by month."""
    rows = ask(
        company_home,
        """
        select month, opening_account_count, churned_account_count, logo_churn_rate from marts.mart_mrr__month
        where dimension = 'all' and is_complete and opening_account_count > 0 order by month
        """,
    )
    months = pd.DataFrame(rows, columns=["month", "opening", "churned", "rate"])
    return months.set_index(pd.PeriodIndex(months.pop("month"), freq="M"))


def test_survival_by_month_is_the_product_of_what_logo_churn_leaves(changes, published):
    """Exact, for it is the same estimate: with states taken at month ends alone, those at risk in a month are who opened it.

    A lifetime enters at the first month end at which the account pays and ends in the month at whose end it pays no more. Who
    comes and goes between two month ends has no lifetime here and no row there; who leaves and is back by the end of the month
    stayed.
    """
    months = np.array([period.ordinal for period in published.index])
    lifetimes = _spells(_at_month_ends(changes, published.index))
    survival = _survival(lifetimes, months)
    assert survival == pytest.approx(np.cumprod(1 - published["rate"].to_numpy()), abs=1e-12)
    assert 40 < published["churned"].sum() == lifetimes["ended"].sum()
    # One lifetime that is taken to have ended a month too early is enough to tell them apart.
    changed = lifetimes.copy()
    changed.loc[changed[changed["ended"] & (changed["until"] - changed["since"] > 1)].index[0], "until"] -= 1
    assert _survival(changed, months) != pytest.approx(survival, abs=1e-4)


def test_survival_by_day_agrees_within_its_error(changes, published):
    """Within one standard error (Greenwood's, of the estimate by day), over all months in which anybody left.

    Here who joins in a month is at risk from that day on, and who leaves and is back within the month has left. Both concern
    a few in a hundred of those at risk, so they must not show beyond the error that the churned accounts' number has itself.
    """
    first = published.index[published["churned"] > 0][0]
    axis = np.array(
        [(period.end_time.normalize() - pd.Timestamp(0)).days for period in published.index[published.index >= first - 1]]
    )
    numbered = changes.assign(at=(changes["day"] - pd.Timestamp(0)).dt.days)
    lifetimes = _spells(numbered.loc[numbered["at"] <= axis[-1], ["account_id", "at", "is_paying"]], last=axis[-1])
    by_day = _survival(lifetimes, axis)
    by_month = np.cumprod(1 - published.loc[published.index >= first, "rate"].to_numpy())
    left = lifetimes.loc[lifetimes["ended"] & (lifetimes["until"] > axis[0]), "until"].to_numpy()
    at_risk = np.array([((lifetimes["since"] < day) & (day <= lifetimes["until"])).sum() for day in left])
    error = by_month[-1] * np.sqrt((1 / (at_risk * (at_risk - 1))).sum())
    assert abs(by_day[-1] / by_day[0] - by_month[-1]) < error
    # Churn that is a third too high would be refused.
    higher = np.prod(1 - published.loc[published.index >= first, "rate"].to_numpy() * 4 / 3)
    assert abs(by_day[-1] / by_day[0] - higher) > error


def _at_month_ends(changes: pd.DataFrame, months: pd.PeriodIndex) -> pd.DataFrame:
    """State of every account at the end of each month, from the one before the first: account_id, at (the month), is_paying."""
    ends = pd.period_range(months[0] - 1, months[-1], freq="M")
    grid = pd.MultiIndex.from_product([changes["account_id"].unique(), ends], names=["account_id", "month"]).to_frame(index=False)
    grid["day"] = grid["month"].dt.end_time.dt.normalize().astype(changes["day"].dtype)
    known = pd.merge_asof(grid.sort_values("day"), changes.sort_values("day"), on="day", by="account_id")
    known["is_paying"] = known["is_paying"].eq(True)
    return known.assign(at=[month.ordinal for month in known["month"]])[["account_id", "at", "is_paying"]]


def _spells(states: pd.DataFrame, last: int | None = None) -> pd.DataFrame:
    """Unbroken stretches of paying: since, until, and whether it ended then or goes on after `last` (default: the last state)."""
    states = states.sort_values(["account_id", "at"])
    before = states.groupby("account_id")["is_paying"].shift(fill_value=False)
    turns = states[states["is_paying"] != before]
    until = turns.groupby("account_id")["at"].shift(-1)
    spells = turns.assign(since=turns["at"], ended=until.notna(), until=until.fillna(last or states["at"].max()).astype(int))
    # Whoever started on the last day has not been at risk.
    return spells.loc[spells["is_paying"] & (spells["since"] < spells["until"]), ["since", "until", "ended"]].reset_index(
        drop=True
    )


def _survival(lifetimes: pd.DataFrame, times: np.ndarray) -> np.ndarray:
    """The Kaplan–Meier estimate at the times."""
    from lifelines import KaplanMeierFitter

    fitter = KaplanMeierFitter().fit(lifetimes["until"], lifetimes["ended"], entry=lifetimes["since"])
    return fitter.survival_function_at_times(times).to_numpy()
