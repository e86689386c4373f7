"""Corruptions of whole marts, each with the check that refuses it: the purpose of the gate, as a list.

Belongs here: corruptions as data, applied to a candidate by the tests, and their table for people. Does not belong here:
failures of a mart's single rules, which are beside the tests of the gate.
"""

from collections.abc import Iterator
from typing import NamedTuple

from expectations.registry import SUITES
from expectations.suites import customer, engagement, funnel, lifetime_value, metrics, quality, releases, retention, revenue

# In the order of the table's columns.
KINDS = {
    "empty": "the table is empty",
    "null": "a column is NULL throughout",
    "doubled": "every row is there twice",
    "period": "a day or month is missing",
    "part": "a segment, source, step or other part is lost",
    "hundred": "an amount (where there is money: money) is a hundredfold",
    "swapped": "two columns are swapped",
    "yesterday": "the rows are those of the last release",
    "stale": "`data_through` is of the day before",
}


class Corruption(NamedTuple):
    """SQL that corrupts a candidate, with `{mart}` for the table, and the mart's check that refuses it.

    With `is_yesterday` the rows are unchanged, and the last release is equal to them; with `is_published` the finished release
    is corrupted, so that its recorded row count is no longer true.
    """

    mart: str
    kind: str
    sql: str
    check: str

    @property
    def is_yesterday(self) -> bool:
        """Whether the candidate merely equals the last release."""
        return self.kind == "yesterday"

    @property
    def is_published(self) -> bool:
        """Whether it is applied to the finished release."""
        return self.kind == "stale"


# Corruptions of every mart.
_ALWAYS = {
    "empty": ("DELETE FROM {mart}", "row_count"),
    "doubled": ("INSERT INTO {mart} FROM {mart}", "grain.unique"),
    "stale": ("UPDATE _publication SET data_through = data_through - 1", "data_through"),
}
# Corruptions of marts that every further day of data must change.
_YESTERDAY = {"yesterday": ("", "rows.renewed")}
_OF_MART: dict[str, dict[str, tuple[str, str]]] = {
    funnel.MART: {
        "null": ("UPDATE {mart} SET conversion_rate = NULL", "conversion_rate.matches"),
        "period": (
            "DELETE FROM {mart} WHERE entry_grain = 'day' AND entry_start = (SELECT max(entry_start) - 9 FROM {mart})",
            "entrant_count.within_days",
        ),
        "part": ("DELETE FROM {mart} WHERE segment = (SELECT max(segment) FROM {mart})", "person_count.segments_add_up"),
        "hundred": ("UPDATE {mart} SET person_count = 100 * person_count WHERE step_number > 1", "person_count.never_rises"),
        "swapped": (
            "UPDATE {mart} SET conversion_rate = drop_off_rate, drop_off_rate = conversion_rate",
            "conversion_rate.matches",
        ),
        **_YESTERDAY,
    },
    funnel.EXITS: {
        "null": ("UPDATE {mart} SET exit_page = NULL", "exit_page.not_null"),
        "part": ("DELETE FROM {mart} WHERE exit_rank = 2", "exit_rank.matches"),
        "hundred": ("UPDATE {mart} SET exit_count = 100 * exit_count", "share_rate.matches"),
        "swapped": ("UPDATE {mart} SET exit_count = stopped_count, stopped_count = exit_count", "share_rate.matches"),
    },
    funnel.OPPORTUNITIES: {
        "null": ("UPDATE {mart} SET entrant_count = NULL", "entrant_count.null_without_days"),
        "part": ("DELETE FROM {mart} WHERE step_number = 2", "step_number.contiguous"),
        "hundred": ("UPDATE {mart} SET lost_person_count = 100 * lost_person_count", "drop_off_rate.matches"),
        "swapped": (
            "UPDATE {mart} SET entrant_count = lost_person_count, lost_person_count = entrant_count",
            "drop_off_rate.matches",
        ),
    },
    retention.MART: {
        "null": ("UPDATE {mart} SET retained_count = NULL", "retained_count.null_where_immature"),
        "period": (
            "DELETE FROM {mart} WHERE cohort_grain = 'day' AND cohort_start = (SELECT max(cohort_start) - 9 FROM {mart})",
            "cohort_count.days_add_up",
        ),
        "part": ("DELETE FROM {mart} WHERE segment = (SELECT max(segment) FROM {mart})", "cohort_count.segments_add_up"),
        "hundred": ("UPDATE {mart} SET retained_count = 100 * retained_count", "retained_count.within_cohort"),
        "swapped": (
            "UPDATE {mart} SET cohort_count = retained_count, retained_count = cohort_count WHERE is_mature",
            "retention_rate.matches",
        ),
        **_YESTERDAY,
    },
    engagement.DAILY: {
        "null": ("UPDATE {mart} SET dormant_count = NULL", "dormant_count.not_null"),
        "period": ("DELETE FROM {mart} WHERE date = (SELECT max(date) FROM {mart})", "date.contiguous"),
        "part": ("DELETE FROM {mart} WHERE segment = (SELECT max(segment) FROM {mart})", "active_count.segments_add_up"),
        "hundred": ("UPDATE {mart} SET mau = 100 * mau", "mau.within_days"),
        "swapped": ("UPDATE {mart} SET wau = mau, mau = wau", "wau.within_month"),
        **_YESTERDAY,
    },
    quality.DAILY: {
        "null": ("UPDATE {mart} SET accepted_count = NULL", "accepted_count.not_null"),
        "period": ("DELETE FROM {mart} WHERE date = (SELECT max(date) - 9 FROM {mart})", "landed.reconciles_with_lake"),
        "part": ("DELETE FROM {mart} WHERE source = (SELECT max(source) FROM {mart})", "accepted.reconciles_with_lake"),
        "hundred": (
            "UPDATE {mart} SET landed_count = 100 * landed_count, accepted_count = landed_count * 100 - quarantined_count - 7",
            "landed.reconciles_with_lake",
        ),
        "swapped": (
            (
                "UPDATE {mart} SET accepted_count = duplicate_count, duplicate_count = accepted_count,"
                " repeat_count = accepted_count - conflict_count"
            ),
            "accepted_rate.matches",
        ),
        **_YESTERDAY,
    },
    metrics.DAILY: {
        "null": ("UPDATE {mart} SET value = NULL", "value.matches"),
        "period": (
            "DELETE FROM {mart} WHERE period_start = (SELECT max(period_start) - INTERVAL 1 MONTH FROM {mart})",
            "previous_value.matches",
        ),
        "hundred": ("UPDATE {mart} SET value = 100 * value", "value.matches"),
        "swapped": ("UPDATE {mart} SET numerator = denominator, denominator = numerator", "value.matches"),
    },
    metrics.TREE: {
        "null": ("UPDATE {mart} SET label_zh = NULL", "label_zh.not_null"),
        "part": ("DELETE FROM {mart} WHERE metric = 'paying_accounts'", "parent.known"),
        "swapped": ("UPDATE {mart} SET kind = period, period = kind", "kind.known"),
    },
    customer.HEALTH: {
        "null": ("UPDATE {mart} SET health_score = NULL", "health_score.matches"),
        "period": ("DELETE FROM {mart} WHERE as_of_date = (SELECT max(as_of_date) FROM {mart})", "as_of_date.current"),
        "hundred": ("UPDATE {mart} SET product_usage_score = 100 * product_usage_score", "product_usage_score.range"),
        "swapped": (
            "UPDATE {mart} SET product_usage_score = account_growth_score, account_growth_score = product_usage_score",
            "health_score.matches",
        ),
        **_YESTERDAY,
    },
    customer.CHURN: {
        "null": ("UPDATE {mart} SET mrr = NULL", "mrr.not_null"),
        "part": ("DELETE FROM {mart} WHERE intervention_priority % 3 = 0", "intervention_priority.ranks"),
        "hundred": ("UPDATE {mart} SET mrr = 100 * mrr", "mrr_at_risk.matches"),
        "swapped": ("UPDATE {mart} SET mrr = mrr_at_risk, mrr_at_risk = mrr", "mrr_at_risk.matches"),
        **_YESTERDAY,
    },
    revenue.MRR_MONTH: {
        "null": ("UPDATE {mart} SET churned_mrr = NULL", "churned_mrr.not_null"),
        "period": ("DELETE FROM {mart} WHERE month = (SELECT max(month) FROM {mart})", "month.contiguous"),
        "part": ("DELETE FROM {mart} WHERE segment = (SELECT max(segment) FROM {mart})", "closing_mrr.segments_add_up"),
        "hundred": ("UPDATE {mart} SET closing_mrr = 100 * closing_mrr", "closing_mrr.bridged"),
        "swapped": (
            "UPDATE {mart} SET expansion_mrr = contraction_mrr, contraction_mrr = expansion_mrr",
            "closing_mrr.bridged",
        ),
    },
    revenue.LTV_CAC: {
        "null": ("UPDATE {mart} SET revenue = NULL", "revenue.null_where_unknown"),
        "part": ("DELETE FROM {mart} WHERE channel = 'email'", "spend.channels_add_up"),
        "hundred": ("UPDATE {mart} SET spend = 100 * spend", "roas.matches"),
        "swapped": ("UPDATE {mart} SET revenue = margin, margin = revenue", "margin.within_revenue"),
    },
    lifetime_value.LTV_COHORT: {
        "null": ("UPDATE {mart} SET revenue = NULL", "revenue.null_where_immature"),
        "part": ("DELETE FROM {mart} WHERE segment = (SELECT max(segment) FROM {mart})", "customer_count.segments_add_up"),
        "hundred": (
            "UPDATE {mart} SET cumulative_margin_per_customer = 100 * cumulative_margin_per_customer",
            "cumulative_margin_per_customer.matches",
        ),
        "swapped": ("UPDATE {mart} SET revenue = margin, margin = revenue", "margin.within_revenue"),
    },
    lifetime_value.LTV_CUSTOMER: {
        "null": ("UPDATE {mart} SET person_id = NULL", "person_id.not_null"),
        "hundred": ("UPDATE {mart} SET revenue = 100 * revenue, margin = 100 * margin", "money.as_before"),
        "swapped": ("UPDATE {mart} SET frequency = order_count, order_count = frequency", "frequency.possible"),
        **_YESTERDAY,
    },
    releases.RESTATEMENTS: {
        "null": ("UPDATE {mart} SET cause = NULL", "cause.not_null"),
        "hundred": ("UPDATE {mart} SET change = 100 * change", "change.matches"),
        "swapped": ("UPDATE {mart} SET value_before = value_after, value_after = value_before", "change.matches"),
    },
}


def corruptions() -> Iterator[Corruption]:
    """All corruptions, mart by mart, in the order of the kinds."""
    for mart in SUITES:
        known = _ALWAYS | _OF_MART.get(mart, {})
        yield from (Corruption(mart, kind, *known[kind]) for kind in KINDS if kind in known)


def page() -> str:
    """The corruptions as a Markdown table: rows are marts, columns are kinds, cells are the checks that refuse them."""
    found = {(each.mart, each.kind): each.check for each in corruptions()}
    lines = [
        "# What the gate refuses",
        "",
        "Each cell is a corruption of a candidate that the tests make, and names the check that refuses it. What does not apply",
        "is empty: not every mart has money, days or segments, and some may rightly stay as they were from one day to the next.",
        "Made by `python -m orchestration.reference`.",
        "",
        *(f"- **{kind}**: {meaning}" for kind, meaning in KINDS.items()),
        "",
        f"| mart | {' | '.join(KINDS)} |",
        f"| --- |{' --- |' * len(KINDS)}",
    ]
    for mart in SUITES:
        cells = (f"`{found[mart, kind]}`" if (mart, kind) in found else "" for kind in KINDS)
        lines.append(f"| `{mart}` | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
