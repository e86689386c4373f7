"""Oracle of predicted lifetime values: from fitted parameters to money, one customer and one month after the other.

Belongs here: the published equations, by series and products, in plain Python. Does not belong here: fitting, which is judged by
published parameters (`tests/unit/ml`), and what customers did (`clv`).
"""

import math
from collections.abc import Mapping
from typing import Any

Parameters = Mapping[str, float]
HORIZONS = (12, 24, 36)
DAYS_PER_MONTH = 365.25 / 12


def p_alive(model: Parameters, x: int, last: float, age: float) -> float:
    """BG/NBD, the authors' note of 2008."""
    if x == 0:
        return 1.0
    r, alpha, a, b = (model[name] for name in ("r", "alpha", "a", "b"))
    return 1 / (1 + a / (b + x - 1) * ((alpha + age) / (alpha + last)) ** (r + x))


def expected_orders(model: Parameters, days: float, x: int, last: float, age: float) -> float:
    """BG/NBD, eq. (10), with the hypergeometric function as its series."""
    r, alpha, a, b = (model[name] for name in ("r", "alpha", "a", "b"))
    z = days / (alpha + age + days)
    term, series, n = 1.0, 1.0, 0
    while term > 1e-17 * series:
        term *= (r + x + n) * (b + x + n) / (a + b + x - 1 + n) * z / (n + 1)
        series += term
        n += 1
    bracket = 1 - ((alpha + age) / (alpha + age + days)) ** (r + x) * series
    return (a + b + x - 1) / (a - 1) * bracket * p_alive(model, x, last, age)


def expected_value(model: Parameters, x: int, mean: float | None) -> float:
    """Gamma-Gamma: between the customer's own mean and the population's."""
    p, q, v = (model[name] for name in ("p", "q", "v"))
    return p * (v + (x * max(mean or 0, 0) if x else 0)) / (p * x + q - 1)


def shop_values(purchases: Parameters, values: Parameters, row: Mapping[str, Any], rate: float) -> list[float]:
    """Predicted value of one shop customer to each horizon, what it has brought in included."""
    history = int(row["frequency"]), row["recency_days"], row["age_days"]
    mean = None if row["frequency"] == 0 else row["mean_repeat_value"]
    money = row["order_margin"] * expected_value(values, history[0], mean)
    found = []
    for horizon in HORIZONS:
        left = row[f"remaining_days_{horizon}m"]
        total, before, month = row[f"margin_{horizon}m"], 0.0, 1
        while (month - 1) * DAYS_PER_MONTH < left:
            until = expected_orders(purchases, min(month * DAYS_PER_MONTH, left), *history)
            total += money * (until - before) / (1 + rate) ** month
            before, month = until, month + 1
        found.append(total)
    return found


def account_values(survival: Parameters, row: Mapping[str, Any], rate: float) -> list[float]:
    """Predicted value of one account to each horizon: a payment in each month from the next one on, if it is still there."""
    found = []
    for horizon in HORIZONS:
        total = row[f"margin_{horizon}m"]
        if isinstance(row["plan"], str):
            alive = 1.0
            for month in range(int(row["age_months"]) + 1, horizon):
                ahead = month - int(row["age_months"])
                alive *= _retention(survival, int(row["tenure_months"]) + ahead)
                if month >= row["next_payment_month"]:
                    total += row["monthly_margin"] * alive / (1 + rate) ** ahead
        found.append(total)
    return found


def _retention(model: Parameters, period: int) -> float:
    """Share of those alive after period − 1 that renew: shifted beta-geometric, or, of equal customers, geometric."""
    if "odds" in model:
        return 1 / (1 + model["odds"])
    return (model["beta"] + period - 1) / (model["alpha"] + model["beta"] + period - 1)


def mean(values: list[float]) -> float:
    """Mean, summed exactly."""
    return math.fsum(values) / len(values)
