"""Rules of the revenue marts.

Belongs here: rules that revenue tables satisfy by definition. Does not belong here: lifetime values (`lifetime_value`),
reconciliation with the lake, which needs more than the candidate, or rules every mart shares (`expectations.checks`).
"""

from expectations import common
from expectations.checks import Check, Context, Query, between, holds, in_set, literal, table
from expectations.common import Declared

MRR_MONTH = "mart_mrr__month"
_MRR_MOVEMENTS = ("new", "reactivation", "expansion", "contraction", "churned")
_MRR_MEASURES = ("opening", *_MRR_MOVEMENTS, "transferred", "closing")
# Definition of each rate in the mart's own columns.
_MRR_BASE = "(opening_mrr + transferred_mrr)"
_MRR_RATES = {
    "nrr_rate": (f"{_MRR_BASE} + expansion_mrr - contraction_mrr - churned_mrr", _MRR_BASE),
    "grr_rate": (f"{_MRR_BASE} - contraction_mrr - churned_mrr", _MRR_BASE),
    "logo_churn_rate": ("churned_account_count", "(opening_account_count + transferred_account_count)"),
    "quick_ratio": ("(new_mrr + reactivation_mrr + expansion_mrr)", "(contraction_mrr + churned_mrr)"),
}


def mrr_month(context: Context, spec: Declared) -> list[Check]:
    """Return the checks of `mart_mrr__month`."""
    mart, through = MRR_MONTH, literal(context.data_through)
    sums = [f"{measure}_{kind}" for measure in _MRR_MEASURES for kind in ("mrr", "account_count")]
    chained = f"""
        SELECT *, lag(closing_mrr, 1, 0) OVER segments AS closed_mrr,
            lag(closing_account_count, 1, 0) OVER segments AS closed_account_count,
            coalesce(lead(month) OVER segments, date_trunc('month', {through} + INTERVAL 1 MONTH)::DATE) AS next_month
        FROM {table(mart)} WINDOW segments AS (PARTITION BY dimension, segment ORDER BY month)"""
    return [
        *common.of(context, spec, renews=None),
        # A segment has a row for every month since its first occurrence.
        *(between(column, 0) for column in sums if not column.startswith("transferred")),
        *(between(column, 0) for column in ("nrr_rate", "quick_ratio", "arpa")),
        *(between(column, 0, 1) for column in ("grr_rate", "logo_churn_rate")),
        holds(mart, "month.aligned", "day(month) = 1", "Months begin on the first."),
        holds(mart, "month.not_in_future", f"month <= {through}", "No month begins after the last day of data."),
        holds(
            mart,
            "month.contiguous",
            "next_month = month + INTERVAL 1 MONTH",
            "A segment has every month since it first occurred, up to the running one.",
            rows=chained,
        ),
        holds(
            mart,
            "closing_mrr.bridged",
            """opening_mrr + new_mrr + reactivation_mrr + expansion_mrr - contraction_mrr - churned_mrr + transferred_mrr
                = closing_mrr""",
            "Opening and movements add up to the closing, to the cent.",
        ),
        holds(
            mart,
            "closing_account_count.bridged",
            """opening_account_count + new_account_count + reactivation_account_count - churned_account_count
                + transferred_account_count = closing_account_count""",
            "Accounts at the beginning and movements add up to those at the end.",
        ),
        holds(
            mart,
            "opening_mrr.continued",
            "opening_mrr = closed_mrr AND opening_account_count = closed_account_count",
            "A month opens with what the month before closed with.",
            rows=chained,
        ),
        holds(
            mart,
            "transferred_mrr.zero_for_all",
            "dimension <> 'all' OR (transferred_mrr = 0 AND transferred_account_count = 0)",
            "Between segments nothing is won and nothing is lost.",
        ),
        *(
            holds(
                mart,
                f"{measure}_mrr.has_accounts",
                f"({measure}_mrr > 0) = ({measure}_account_count > 0)",
                f"{measure}_mrr is of accounts, each with at least a cent.",
            )
            for measure in _MRR_MEASURES
            if measure != "transferred"
        ),
        *(
            holds(
                mart,
                f"{column}.matches",
                f"""{column} IS NOT DISTINCT FROM CASE WHEN is_complete THEN ({numerator}) / nullif({denominator}, 0) END""",
                f"{column} is what the amounts beside it say, and NULL until the month is over.",
            )
            for column, (numerator, denominator) in _MRR_RATES.items()
        ),
        holds(
            mart,
            "arpa.matches",
            """(arpa IS NULL) = (closing_account_count = 0)
                AND coalesce(abs(arpa - closing_mrr / nullif(closing_account_count, 0)) <= 0.0001, true)""",
            "arpa is closing_mrr over closing_account_count.",
        ),
        holds(
            mart,
            "is_complete.matches",
            f"is_complete = (last_day(month) <= {through})",
            "A row is complete exactly when its month is over.",
        ),
    ]


LTV_CAC = "mart_ltv_cac__channel_month"
# The channels named in the `channel_rules` seed, unknown, and the month as a whole.
CHANNELS = (
    "affiliate",
    "audio",
    "cross_network",
    "direct",
    "display",
    "email",
    "mobile_push",
    "organic_search",
    "organic_shopping",
    "organic_social",
    "organic_video",
    "other",
    "paid_other",
    "paid_search",
    "paid_shopping",
    "paid_social",
    "paid_video",
    "partner",
    "referral",
    "sms",
    "wecom",
    "(none)",
    "all",
)
_LTV_CAC_COUNTS = ("signup_count", "new_customer_count", "paid_customer_count")
_LTV_CAC_SOURCED = ("spend", *_LTV_CAC_COUNTS)
_LTV_CAC_SUMS = ("spend", "impressions", "clicks", *_LTV_CAC_COUNTS, "revenue", "margin")
# Money is rounded to a hundredth in each channel and month.
_CELL_TOLERANCE = {"spend": "0.005"}
_LTV_CAC_COST = "CASE WHEN channel = 'all' THEN blended_cac ELSE paid_cac END"
_LTV_CAC_RATES = {
    "ltv_to_cac": f"ltv_predicted / nullif({_LTV_CAC_COST}, 0)",
    "roas": "revenue / nullif(spend, 0)",
    "marketing_roi": "(margin - spend) / nullif(spend, 0)",
    "signup_share_rate": "signup_count / nullif(month_signup_count, 0)",
}
_LTV_CAC_COSTS = {"paid_cac": "paid_customer_count", "blended_cac": "CASE WHEN channel = 'all' THEN new_customer_count END"}


def ltv_cac(context: Context, spec: Declared) -> list[Check]:
    """Return the checks of `mart_ltv_cac__channel_month`."""
    mart, through = LTV_CAC, literal(context.data_through)
    whole = ", ".join(
        f"coalesce(sum({name}) FILTER (WHERE channel = 'all'), 0) AS {name}_of_all, "
        f"coalesce(sum({name}) FILTER (WHERE channel <> 'all'), 0) AS {name}_of_channels"
        for name in _LTV_CAC_SUMS
    )
    months = f"""
        SELECT month, count(*) FILTER (WHERE channel = 'all') AS totals, count(*) AS cells, {whole}
        FROM {table(mart)} GROUP BY month"""
    total = f"""
        SELECT coalesce(sum(revenue), 0) AS revenue, coalesce(sum(margin), 0) AS margin
        FROM {table(mart)} WHERE channel = 'all'"""
    unknown = f"""
        SELECT *,
            coalesce(month < min(month) FILTER (WHERE spend IS NOT NULL) OVER (), true) AS spend_is_unknown,
            coalesce(month < min(month) FILTER (WHERE paid_customer_count IS NOT NULL) OVER (), true)
                AS paid_customer_count_is_unknown,
            {", ".join(f"count({name}) OVER () = 0 AS {name}_is_unknown" for name in ("signup_count", "new_customer_count"))}
        FROM {table(mart)}"""
    shares = f"""
        SELECT *, sum(signup_count) FILTER (WHERE channel = 'all') OVER (PARTITION BY month) AS month_signup_count
        FROM {table(mart)}"""
    return [
        *common.of(context, spec, renews=None, unsteady=("ltv_predicted", "ltv_to_cac", "is_review_triggered")),
        *(
            holds(
                mart,
                f"{name}.null_where_unknown",
                f"({name} IS NULL) = (new_customer_count IS NULL)",
                f"The {name} of customers is known where their number is.",
            )
            for name in ("revenue", "margin")
        ),
        holds(
            mart,
            "undelivered.in_whole",
            " AND ".join(f"({name} IS NULL) = {name}_is_unknown" for name in _LTV_CAC_SOURCED),
            "What was never delivered is unknown in every channel and month; spend until the first month that has any.",
            rows=unknown,
        ),
        in_set("channel", CHANNELS),
        *(between(column, 0) for column in ("spend", "impressions", "clicks", *_LTV_CAC_COUNTS, "payback_months")),
        between("signup_share_rate", 0, 1),
        holds(mart, "month.aligned", "day(month) = 1", "Months begin on the first."),
        holds(mart, "month.not_in_future", f"month <= {through}", "No month begins after the last day of data."),
        holds(mart, "channel.all_present", "totals = 1 AND cells > 1", "Every month stands once as a whole.", rows=months),
        *(
            holds(
                mart,
                f"{name}.channels_add_up",
                f"{name}_of_all = {name}_of_channels",
                f"The {name} of the channels adds up to that of the month.",
                rows=months,
            )
            for name in _LTV_CAC_SUMS
        ),
        *(
            Query(
                f"{name}.reconciles_with_lake",
                f"""
                SELECT (abs(observed - {total}) > {_CELL_TOLERANCE.get(name, 0)} * cells)::INTEGER, observed, {total}
                FROM (
                    SELECT
                        coalesce(sum({name}) FILTER (channel = 'all'), 0) AS observed, count(*) FILTER (channel <> 'all') AS cells
                    FROM {table(mart)}
                )""",
                f"The {name} of all months is that of the lake's own files, but for the rounding of money in each cell.",
            )
            for name, total in context.advertised.items()
        ),
        holds(
            mart,
            "paid_customer_count.matches",
            """channel = 'all' OR paid_customer_count IS NOT DISTINCT FROM CASE
                WHEN new_customer_count IS NULL OR spend IS NULL THEN NULL WHEN spend > 0 THEN new_customer_count ELSE 0 END""",
            "The customers of a channel are paid for where something was spent on it.",
        ),
        *(
            holds(
                mart,
                f"{column}.matches",
                f"""({column} IS NOT NULL) = (is_complete AND spend IS NOT NULL AND coalesce({customers}, 0) > 0)
                    AND coalesce(abs({column} - spend / nullif({customers}, 0)) <= 0.0001, true)""",
                f"{column} is spend over its customers, and NULL without any or until the month is over.",
            )
            for column, customers in _LTV_CAC_COSTS.items()
        ),
        *(
            holds(
                mart,
                f"{column}.matches",
                f"{column} IS NOT DISTINCT FROM CASE WHEN is_complete THEN {formula} END",
                f"{column} is what the amounts beside it say, and NULL until the month is over.",
                rows=shares,
            )
            for column, formula in _LTV_CAC_RATES.items()
        ),
        holds(
            mart,
            "is_review_triggered.matches",
            f"is_review_triggered IS NOT DISTINCT FROM ({_LTV_CAC_COST} > 3 * ltv_predicted)",
            "A review is triggered where a customer costs above three times what it is worth.",
        ),
        holds(
            mart,
            "ltv_predicted.of_customers",
            "ltv_predicted IS NULL OR (is_complete AND new_customer_count > 0)",
            "A lifetime value is predicted of new customers, of months that are over.",
        ),
        holds(
            mart,
            "payback_months.possible",
            f"""payback_months IS NULL OR (spend > 0 AND new_customer_count > 0
                AND last_day(month + to_months(payback_months)) <= {through})""",
            "Cost is paid back by customers, in a month that is over.",
        ),
        # In one cell a refund that names no payment may outweigh revenue by more than margin.
        holds(mart, "margin.within_revenue", "margin <= revenue", "Margin does not exceed revenue in total.", rows=total),
        holds(
            mart,
            "is_complete.matches",
            f"is_complete = (last_day(month) <= {through})",
            "A row is complete exactly when its month is over.",
        ),
    ]
