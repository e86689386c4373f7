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


def draw_shop(count, seed):
    """Customers as `CustomerLifetimeValue` takes them, who first bought 100 to 700 days ago."""
    frequency, recency, age = draw_customers(count, r=0.6, alpha=40.0, a=0.9, b=3.0, seed=seed)
    value = draw_values(frequency, p=6.0, q=4.0, v=15.0, seed=seed + 1)
    number = np.arange(count)
    frame = pd.DataFrame(
        {
            "person_id": [f"p{one:06d}" for one in number],
            "frequency": frequency,
            "recency_days": recency,
            "age_days": age,
            "mean_repeat_value": value,
            "order_margin": np.where(number % 3 == 0, 0.25, 0.5),
            "channel": np.array(["ads", "search", "(none)"], dtype=object)[number % 3],
            "country": np.array(["CN", "DE"], dtype=object)[number % 2],
            "cohort_month": pd.Timestamp("2024-03-01") - pd.to_timedelta(np.ceil(age / 30) * 30, unit="D"),
        }
    )
    for horizon in (12, 24, 36):
        frame[f"margin_{horizon}m"] = 5 + np.nan_to_num(value) * np.minimum(frequency, horizon)
        frame[f"remaining_days_{horizon}m"] = np.maximum(horizon / 12 * 365 - 1 - age, 0)
    return frame


def draw_tenures():
    """Tenures of a segment that fits, of one whose churn is the same in each month, and of one with a handful of customers."""
    constant = [1000, 900, 810, 729, 656]
    rows = [
        draw_lifetimes(count=2000, alpha=0.7, beta=2.2, ages=[3, 6, 12], seed=1).assign(plan="basic", channel="ads"),
        pd.DataFrame(
            {"period": range(1, 5), "lost": -np.diff(constant), "alive": [0, 0, 0, 656], "plan": "flat", "channel": "(none)"}
        ),
        pd.DataFrame({"period": [1, 2], "lost": [3, 0], "alive": [0, 9], "plan": "rare", "channel": "ads"}),
    ]
    return pd.concat(rows, ignore_index=True).assign(entered=0)


def draw_accounts(count, seed):
    """Accounts of those segments as `SubscriptionLifetimeValue` takes them; a fifth have stopped, a fifth paid a year ahead."""
    draw = np.random.default_rng(seed)
    segments = np.array([("basic", "ads"), ("flat", "(none)"), ("rare", "ads"), (None, "ads"), ("basic", "ads")], dtype=object)
    chosen = segments[np.arange(count) % len(segments)]
    age = draw.integers(0, 40, count)
    stopped = pd.isna(chosen[:, 0])
    is_yearly = np.arange(count) % len(segments) == 4
    following = np.where(is_yearly, (age // 12 + 1) * 12, age + 1)
    frame = pd.DataFrame(
        {
            "customer_id": [f"c:{number}" for number in range(count)],
            "plan": chosen[:, 0],
            "channel": chosen[:, 1],
            "country": np.array(["CN", "DE", "(none)"], dtype=object)[np.arange(count) % 3],
            "cohort_month": pd.Timestamp("2024-03-01") - pd.to_timedelta(30 * age, unit="D"),
            "tenure_months": np.where(stopped, np.nan, draw.integers(0, age + 1)),
            "age_months": age,
            "next_payment_month": np.where(stopped, np.nan, following),
            "monthly_margin": np.where(stopped, 0, draw.uniform(5, 50, count)),
        }
    )
    for horizon in (12, 24, 36):
        frame[f"margin_{horizon}m"] = 20.0 * np.minimum(age + 1, horizon)
    return frame


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
