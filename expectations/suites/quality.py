"""Rules of the data-quality mart.

Belongs here: accounting identities of arrivals, and their reconciliation with the night's own counts of the lake. Does not
belong
here: the required quality of a day's data, which is configured (`max_quarantine_ratio`).
"""

from expectations import common
from expectations.checks import Check, Context, Query, between, holds, in_set, literal, table
from expectations.common import Declared
from expectations.history import usual_volume

DAILY = "mart_data_quality__daily"
_COUNTS = (
    *("landed_count", "accepted_count", "quarantined_count", "duplicate_count", "repeat_count", "conflict_count"),
    *("late_count", "bot_count", "internal_count"),
)
_FILLED = ("date", "source", *_COUNTS[:6], "landing_difference", "fact_difference")


def daily(context: Context, spec: Declared) -> list[Check]:
    """Return the checks of `mart_data_quality__daily`."""
    mart = DAILY
    return [
        *common.of(context, spec),
        in_set("source", list(context.arrived)),
        *(between(column, 0) for column in _COUNTS),
        between("accepted_rate", 0, 1),
        holds(
            mart,
            "landed_count.accounted_for",
            "landed_count = accepted_count + quarantined_count + duplicate_count",
            "Every row that landed is a fact, a duplicate or in quarantine.",
        ),
        holds(
            mart,
            "duplicate_count.told_apart",
            "duplicate_count = repeat_count + conflict_count",
            "Every duplicate says the same as the row that stays, or something else.",
        ),
        holds(mart, "landing_difference.zero", "landing_difference = 0", "No row was lost between landed files and lake."),
        holds(mart, "fact_difference.zero", "fact_difference = 0", "No row was lost between lake and facts."),
        holds(
            mart,
            "accepted_rate.matches",
            "accepted_rate IS NOT DISTINCT FROM accepted_count / nullif(landed_count, 0)",
            "accepted_rate is accepted_count over landed_count.",
        ),
        holds(
            mart,
            "late_count.within_lake",
            "coalesce(late_count, 0) <= accepted_count + duplicate_count",
            "No more rows are late than are in the lake.",
        ),
        holds(
            mart,
            "left_out.within_accepted",
            "coalesce(bot_count, 0) + coalesce(internal_count, 0) <= accepted_count",
            "Bots and internal users are among the accepted rows.",
        ),
        holds(
            mart,
            "arrival_delay.ordered",
            "coalesce(arrival_delay_days_p50, 0) <= coalesce(arrival_delay_days_p95, 0)",
            "The median of a delay is not above its 95th percentile.",
        ),
        holds(
            mart,
            "date.not_in_future",
            f"date <= {literal(context.as_of)}",
            "Nothing arrived after today.",
        ),
        *(_reconciled(context, column, position) for position, column in enumerate(("landed", "accepted", "quarantined"))),
        *usual_volume(context, mart, "date", "landed_count", keys=("source",), is_raw=True),
    ]


def _reconciled(context: Context, name: str, position: int) -> Query:
    """Compare a published total of each source with the sum of the lake's partition manifests."""
    wanted = ", ".join(f"({literal(source)}, {counts[position]})" for source, counts in context.arrived.items())
    total = {"landed": "landed_count", "accepted": "accepted_count + duplicate_count", "quarantined": "quarantined_count"}[name]
    sql = f"""
        WITH wanted(source, total) AS (FROM (VALUES {wanted or "(NULL::VARCHAR, NULL::BIGINT)"}) WHERE true),
        found AS (SELECT source, sum({total}) AS total FROM {table(DAILY)} GROUP BY source)
        SELECT
            count(*) FILTER (WHERE wanted.total IS DISTINCT FROM found.total OR wanted.source IS NULL),
            coalesce(sum(found.total), 0), coalesce(sum(wanted.total), 0)
        FROM wanted FULL JOIN found USING (source)"""
    explanation = f"Per source, the {name} rows add up to those that the manifests of the lake count."
    return Query(f"{name}.reconciles_with_lake", sql, explanation)
