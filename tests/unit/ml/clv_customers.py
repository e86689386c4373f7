"""Customers for the tests of lifetime value: drawn from known parameters, and the real ones of CDNOW."""

import numpy as np
import pandas as pd

CALIBRATION_END = pd.Timestamp("1997-09-30")


def draw_customers(count, *, r, alpha, a, b, seed, ages=(100, 700)):
    """Frequency, recency and age, in days, of customers who follow the BG/NBD model to the letter."""
    draw = np.random.default_rng(seed)
    rate, leaving = draw.gamma(r, 1 / alpha, count), draw.beta(a, b, count)
    age = draw.integers(*ages, count).astype(float)
    frequency, recency, now = np.zeros(count), np.zeros(count), np.zeros(count)
    active = np.arange(count)
    while len(active):
        now[active] += draw.exponential(1 / rate[active])
        active = active[now[active] <= age[active]]
        frequency[active] += 1
        recency[active] = now[active]
        active = active[draw.random(len(active)) >= leaving[active]]
    return frequency, recency, age


def draw_values(frequency, *, p, q, v, seed):
    """Mean order values that follow the Gamma-Gamma model; NaN without a repeat."""
    draw = np.random.default_rng(seed)
    scale = 1 / draw.gamma(q, 1 / v, len(frequency))
    repeats = np.maximum(frequency, 1)
    return np.where(frequency > 0, draw.gamma(p * repeats, scale / repeats), np.nan)


def draw_lifetimes(count, *, alpha, beta, ages, seed):
    """Rows of period, lost and alive of shifted beta-geometric customers, `count` of each age."""
    draw = np.random.default_rng(seed)
    rows = []
    for age in ages:
        lifetime = draw.geometric(np.maximum(draw.beta(alpha, beta, count), 1e-12))
        lost = np.bincount(np.minimum(lifetime, age + 1), minlength=age + 2)[1 : age + 1]
        alive = np.zeros(age)
        alive[-1] = count - lost.sum()
        rows.append(pd.DataFrame({"period": np.arange(1, age + 1), "lost": lost, "alive": alive}))
    return pd.concat(rows, ignore_index=True)


def cdnow_days(folder):
    """One row per customer and day of purchase: customer, day, usd."""
    lines = pd.read_csv(
        folder / "CDNOW_sample.txt", sep=r"\s+", header=None, names=["id", "customer", "day", "cds", "usd"], dtype={"day": str}
    )
    lines["day"] = pd.to_datetime(lines["day"], format="%Y%m%d")
    return lines.groupby(["customer", "day"], as_index=False)["usd"].sum()


def cdnow_customers(folder):
    """Frequency, recency_days, age_days and mean_repeat_value of CDNOW's customers on 30 September 1997, by customer."""
    days = cdnow_days(folder)
    days = days[days["day"] <= CALIBRATION_END]
    customers = days.groupby("customer")["day"].agg(["min", "max", "count"])
    repeats = days[days["day"] > days.groupby("customer")["day"].transform("min")]
    return pd.DataFrame(
        {
            "frequency": customers["count"] - 1,
            "recency_days": (customers["max"] - customers["min"]).dt.days,
            "age_days": (CALIBRATION_END - customers["min"]).dt.days,
            "mean_repeat_value": repeats.groupby("customer")["usd"].mean(),
        }
    )
