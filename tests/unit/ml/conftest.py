"""Synthetic accounts whose true hazard is known: what a churn model can reach at best is then known too."""

import numpy as np
import pandas as pd
import pytest

ACCOUNTS = 2000
MONTHS = 18


def accounts_by_month(hazard, *, accounts=ACCOUNTS, months=MONTHS, step_days=31, seed=7):
    """Feature rows of `accounts` accounts on `months` dates, with `churned` drawn from `hazard(frame) -> probabilities`."""
    draw = np.random.default_rng(seed)
    rows = accounts * months
    dates = np.datetime64("2024-01-01", "D") + step_days * np.arange(months)
    prior = draw.negative_binomial(1, 0.005, rows)
    week = draw.poisson(prior / 4 * draw.gamma(2, 0.5, rows))
    ratio = np.where(prior > 0, 4 * week / np.maximum(prior, 1), np.nan)
    tickets = draw.poisson(0.6, rows)
    frame = pd.DataFrame(
        {
            "as_of_date": np.repeat(dates, accounts).astype("datetime64[us]"),
            "account_id": np.tile([f"a{number:05d}" for number in range(accounts)], months),
            "events_7d": week,
            "events_prior_28d": prior,
            "usage_ratio": ratio,
            "is_usage_down": (ratio < 0.7).astype(int),
            "tickets_30d": tickets,
            "severe_tickets_30d": draw.binomial(tickets, 0.2),
            "unsolved_tickets": draw.poisson(0.3, rows),
            "active_days_28d": np.minimum(28, draw.poisson(np.log1p(prior) * 3)),
            "active_users_28d": draw.poisson(1 + np.log1p(prior)),
            "features_used_28d": draw.poisson(1 + np.log1p(prior)),
            "core_events_28d": draw.poisson(prior * 0.3),
            "sessions_28d": draw.poisson(prior * 0.15),
            "streak_days": draw.poisson(np.log1p(prior)),
            "days_since_last_event": np.where(prior + week > 0, draw.poisson(2, rows), np.nan),
            "failed_payments_90d": draw.poisson(0.2, rows),
            "is_past_due": draw.binomial(1, 0.05, rows),
            "days_to_renewal": np.where(draw.random(rows) < 0.8, draw.integers(-10, 365, rows), np.nan),
            "tenure_days": draw.integers(0, 1500, rows),
            "mrr_usd": draw.lognormal(5, 1, rows).round(2),
            "is_annual": draw.binomial(1, 0.3, rows),
            "seats": np.where(draw.random(rows) < 0.9, draw.poisson(10, rows), np.nan),
        }
    )
    frame["hazard"] = hazard(frame)
    frame["churned"] = draw.binomial(1, frame["hazard"])
    return frame


def logistic_hazard(frame):
    return 1 / (
        1
        + np.exp(
            1.0
            + 1.5 * np.log1p(frame["usage_ratio"].fillna(0.5))
            + 0.3 * np.log1p(frame["active_days_28d"])
            + 0.4 * frame["is_annual"]
            - 1.2 * frame["is_past_due"]
            - 1.0 * np.log1p(frame["failed_payments_90d"])
            - 0.6 * np.log1p(frame["tickets_30d"])
        )
    )


def nonlinear_hazard(frame):
    """High near a renewal or with a ticket unsolved, low with neither or both: no sum of terms says that."""
    near = frame["days_to_renewal"].between(0, 60)
    idle = frame["unsolved_tickets"] > 0
    return np.where(near ^ idle, 0.3, 0.03)


def constant_hazard(frame):
    return np.full(len(frame), 0.08)


@pytest.fixture(scope="session")
def history():
    return accounts_by_month(logistic_hazard, accounts=3000)


@pytest.fixture(scope="session")
def short_history():
    return accounts_by_month(logistic_hazard, accounts=400, months=8, seed=11)


@pytest.fixture(scope="session")
def patternless_history():
    return accounts_by_month(constant_hazard, accounts=1000)


@pytest.fixture(scope="session")
def nonlinear_history():
    return accounts_by_month(nonlinear_hazard, accounts=1000)


@pytest.fixture(scope="session")
def trained(history):
    from ml.churn.training import train

    return train(history, origins=0)


@pytest.fixture(scope="session")
def boosted(nonlinear_history):
    from ml.churn.training import train

    return train(nonlinear_history, origins=0)


@pytest.fixture(scope="session")
def small(short_history):
    """Train in about a second, for what does not depend on size."""
    from ml.churn.training import train

    return train(short_history, minimum_churns=20, origins=2)
