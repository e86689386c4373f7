"""Rules of the metrics and their tree.

Belongs here: rules that values, targets and statuses satisfy by definition. Does not belong here: the definition of single
metrics, covered by their marts and the tests of the tree, or rules shared by all marts (`expectations.checks`).
"""

from expectations import common
from expectations.checks import Check, Context, calendar, holds, in_set, table
from expectations.common import Declared
from expectations.history import usual_volume

DAILY = "mart_metric__daily"
TREE = "mart_metric_tree__current"


# Values are quotients of doubles: two ways of computing one differ in the last digits.
_CLOSE = 1e-9

# Metrics that are the product of their drivers.
_PRODUCTS = {"mapu": ("paying_accounts", "core_use_rate"), "signups": ("visitors", "visit_to_signup")}


def daily(context: Context, spec: Declared) -> list[Check]:
    """Build the suite of `mart_metric__daily`."""
    mart = DAILY
    values = f"SELECT daily.*, kind FROM {table(mart)} AS daily JOIN {table(TREE)} AS tree USING (metric)"
    # The mart compares exact decimals. In doubles, 0.08 minus a tenth of it is not 0.072, so values on that edge may be either.
    judged = f"""
        SELECT *, CASE direction WHEN 'at_least' THEN target - value ELSE value - target END AS missed, 0.1 * abs(target) AS tenth
        FROM {table(mart)}"""
    neighbours = f"""
        SELECT *, lag(value) OVER periods AS value_before, lag(period_start) OVER periods AS start_before
        FROM {table(mart)} WINDOW periods AS (PARTITION BY metric, dimension, segment ORDER BY period_start)"""
    return [
        *common.of(context, spec, renews="warning"),
        in_set("period", ("day", "week", "month", "quarter")),
        in_set("direction", ("at_least", "at_most")),
        in_set("status", ("green", "amber", "red", "grey")),
        *calendar(mart, "period_start", "period", context.data_through),
        holds(
            mart,
            "value.matches",
            f"""CASE kind
                WHEN 'median' THEN numerator IS NULL AND (value IS NULL) = (denominator = 0)
                WHEN 'count' THEN denominator IS NULL AND value = numerator
                WHEN 'score' THEN coalesce(abs(value - 100 * numerator / nullif(denominator, 0)) <= {_CLOSE} * (1 + abs(value)),
                    value IS NULL AND (numerator IS NULL OR coalesce(denominator, 0) = 0))
                ELSE coalesce(abs(value - numerator / nullif(denominator, 0)) <= {_CLOSE} * (1 + abs(value)),
                    value IS NULL AND (numerator IS NULL OR coalesce(denominator, 0) = 0))
            END""",
            "A value is its numerator over its denominator, NULL where that is 0 or either is unknown; a count is its numerator.",
            rows=values,
        ),
        holds(
            mart,
            "status.matches",
            f"""CASE
                WHEN NOT is_complete THEN status IS NOT DISTINCT FROM 'grey'
                WHEN missed IS NULL THEN status IS NULL
                WHEN missed <= 0 THEN status IS NOT DISTINCT FROM 'green'
                WHEN abs(missed - tenth) <= {_CLOSE} * (1 + tenth) THEN coalesce(status, 'none') IN ('amber', 'red')
                ELSE status IS NOT DISTINCT FROM CASE WHEN missed < tenth THEN 'amber' ELSE 'red' END
            END""",
            "Incomplete periods are grey; others are green, amber or red as their value stands to the target.",
            rows=judged,
        ),
        holds(
            mart,
            "previous_value.matches",
            "previous_value IS NULL OR (previous_value = value_before AND start_before < period_start)",
            "previous_value is the value of the period before.",
            rows=neighbours,
        ),
        holds(
            mart,
            "change_rate.matches",
            f"""coalesce(
                abs(change_rate - (value - previous_value) / nullif(abs(previous_value), 0)) <= {_CLOSE} * (1 + abs(change_rate)),
                change_rate IS NULL AND (value IS NULL OR coalesce(previous_value, 0) = 0)
            )""",
            "change_rate is the change over the value before, NULL without one or from 0.",
        ),
        *(
            holds(
                mart,
                f"{metric}.is_product",
                f"abs(whole.value - factor.value * rate.value) <= {_CLOSE} * (1 + abs(whole.value))",
                f"{metric} is {factor} times {rate}.",
                rows=f"""
                    SELECT whole, factor, rate FROM {table(mart)} AS whole
                    JOIN {table(mart)} AS factor USING (period_start, dimension, segment)
                    JOIN {table(mart)} AS rate USING (period_start, dimension, segment)
                    WHERE whole.metric = '{metric}' AND factor.metric = '{factor}' AND rate.metric = '{rate}'
                        AND factor.value > 0""",
            )
            for metric, (factor, rate) in _PRODUCTS.items()
        ),
        *usual_volume(
            context,
            mart,
            "period_start",
            "denominator",
            keys=("metric",),
            is_raw=True,
            where=f"period = 'day' AND dimension = 'all' AND metric IN (SELECT metric FROM {table(TREE)} WHERE kind = 'ratio')",
        ),
    ]


def tree(context: Context, spec: Declared) -> list[Check]:
    """Build the suite of `mart_metric_tree__current`."""
    mart = TREE
    parents = f"""
        SELECT tree.*, parents.metric AS found
        FROM {table(mart)} AS tree LEFT JOIN {table(mart)} AS parents ON tree.parent = parents.metric"""
    computed = f"SELECT tree.*, metric IN (SELECT metric FROM {table(DAILY)}) AS is_there FROM {table(mart)} AS tree"
    return [
        *common.of(context, spec, shrink=0.9, growth=2, renews=None),
        in_set("kind", ("count", "ratio", "score", "median", "growth")),
        in_set("period", ("day", "week", "month", "quarter")),
        in_set("direction", ("at_least", "at_most")),
        in_set("latest_status", ("green", "amber", "red")),
        holds(mart, "parent.known", "parent IS NULL OR found IS NOT NULL", "Every parent is a metric.", rows=parents),
        holds(
            mart,
            "target.directed",
            "(target IS NULL) = (direction IS NULL)",
            "A metric has a target if and only if it has a direction.",
        ),
        holds(
            mart,
            "is_computed.matches",
            "is_computed = is_there AND is_computed = (missing_reason IS NULL)",
            "A metric has rows, or the reason why it has none.",
            rows=computed,
        ),
    ]
