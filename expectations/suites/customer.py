"""Rules of the marts about single accounts.

Belongs here: rules that health scores and churn probabilities satisfy by definition. Does not belong here: whether scores
predict churn, which needs the later outcome (`int_health__backtest`, and the evaluation of the model).
"""

from expectations import common
from expectations.checks import Check, Context, between, holds, in_set, literal, ratio, table
from expectations.common import Declared

COMPONENTS = {
    "product_usage": 0.25,
    "feature_adoption": 0.20,
    "support_engagement": 0.15,
    "business_outcomes": 0.20,
    "relationship_health": 0.10,
    "account_growth": 0.10,
}
STAGES = ("trial", "onboarding", "adoption", "value_realization", "expansion", "advocacy", "renewal")
# Lights from the best down, each with the score from which it holds.
LIGHTS = {"green": 75, "amber": 50, "red": 0}

HEALTH = "mart_health__account"


def health(context: Context, spec: Declared) -> list[Check]:
    """Return the checks of `mart_health__account`."""
    mart = HEALTH
    weighted = " + ".join(f"{weight} * coalesce({name}_score, 0)" for name, weight in COMPONENTS.items())
    weights = " + ".join(f"{weight} * ({name}_score IS NOT NULL)::INTEGER" for name, weight in COMPONENTS.items())
    light = " ".join(f"WHEN health_score >= {bound} THEN {literal(name)}" for name, bound in LIGHTS.items())
    return [
        *common.of(context, spec),
        in_set("lifecycle_stage", STAGES),
        in_set("light", tuple(LIGHTS)),
        between("health_score", 0, 100),
        *(between(f"{name}_score", 0, 100) for name in COMPONENTS),
        between("trend_30d", -100, 100),
        holds(
            mart,
            "health_score.matches",
            # It is rounded to six decimals.
            f"""coalesce(abs(health_score - ({weighted}) / nullif({weights}, 0)) <= 1e-6,
                health_score IS NULL AND ({weights}) = 0)""",
            "health_score is the weighted mean of the components that are there, NULL without any.",
        ),
        holds(
            mart,
            "light.matches",
            f"light IS NOT DISTINCT FROM CASE {light} END",
            f"A light is {', '.join(f'{name} from {bound}' for name, bound in LIGHTS.items())}, NULL without a score.",
        ),
        holds(
            mart,
            "missing_components.matches",
            f"missing_components IS NOT DISTINCT FROM {_listed('{name}_score IS NULL')}",
            "missing_components names exactly the components without a score.",
        ),
        holds(
            mart,
            "risk_factors.matches",
            f"risk_factors IS NOT DISTINCT FROM {_listed('{name}_score < 50')}",
            "risk_factors names exactly the components below 50.",
        ),
        holds(
            mart,
            "improvement_opportunities.matches",
            f"""coalesce(len(string_split(improvement_opportunities, ', ')), 0)
                = least(2, {" + ".join(f"coalesce({name}_score < 100, false)::INTEGER" for name in COMPONENTS)})""",
            "improvement_opportunities names two components, or as many as are below 100.",
        ),
        holds(
            mart,
            "trend_30d.matches",
            ratio("trend_30d", "health_score - former_score"),
            "trend_30d is health_score less that of the as-of date 26 to 33 days before.",
            rows=f"""
                SELECT later.*, (
                    SELECT max(former.health_score)
                    FROM {table(mart)} AS former
                    WHERE former.account_id = later.account_id AND later.as_of_date - former.as_of_date BETWEEN 26 AND 33
                ) AS former_score
                FROM {table(mart)} AS later""",
        ),
        *_as_of(context, mart),
    ]


def _listed(condition: str) -> str:
    """SQL for the names of the components that satisfy a condition, separated by commas; NULL for none."""
    names = ", ".join(f"CASE WHEN {condition.format(name=name)} THEN '{name}' END" for name in COMPONENTS)
    return f"nullif(concat_ws(', ', {names}), '')"


INDICATORS = ("usage_decline", "support_tickets", "feature_adoption", "engagement_score", "payment_issues", "contract_proximity")
LEVELS = ("low", "medium", "high", "critical")

CHURN = "mart_churn__account"


def churn(context: Context, spec: Declared) -> list[Check]:
    """Return the checks of `mart_churn__account`."""
    mart = CHURN
    ranked = f"""
        SELECT *, row_number() OVER (ORDER BY intervention_priority) AS place,
            lag(churn_probability * mrr) OVER (ORDER BY intervention_priority) AS before
        FROM {table(mart)}"""
    level = " ".join(f"WHEN {literal(name)} THEN {number}" for number, name in enumerate(LEVELS))
    levels = f"""
        SELECT level, lead(lowest) OVER (ORDER BY level) AS next_lowest, highest
        FROM (
            SELECT CASE risk_level {level} END AS level, min(churn_probability) AS lowest, max(churn_probability) AS highest
            FROM {table(mart)} GROUP BY ALL
        )"""
    signed = "|".join(INDICATORS)
    one = f"[+-]({signed})"
    return [
        *common.of(context, spec),
        in_set("risk_level", LEVELS),
        between("churn_probability", 0, 1),
        *(between(name, 0, 1) for name in INDICATORS),
        between("mrr", 0),
        between("intervention_priority", 1),
        holds(
            mart,
            "as_of_date.scored",
            f"as_of_date = {literal(context.data_through)}",
            "Accounts are scored as of the last complete day.",
        ),
        holds(
            mart,
            "risk_level.ordered",
            "level IS NOT NULL AND (next_lowest IS NULL OR highest < next_lowest)",
            "Nobody of a lower level is more likely to leave than anybody of a higher one.",
            rows=levels,
        ),
        holds(
            mart,
            "key_indicators.known",
            f"coalesce(regexp_full_match(key_indicators, '{one}(, {one}){{0,2}}'), true)",
            "At most three of the indicators are key, each with its sign.",
        ),
        holds(
            mart,
            "recommended_actions.present",
            "(recommended_actions IS NOT NULL) = coalesce(contains(key_indicators, '+'), false)",
            "There is something to do exactly where a key indicator raises the probability.",
        ),
        holds(
            mart,
            "mrr_at_risk.matches",
            "abs(mrr_at_risk - churn_probability * mrr) <= 0.005 + 1e-9",
            "mrr_at_risk is churn_probability × mrr, to the cent.",
        ),
        holds(
            mart,
            "intervention_priority.ranks",
            "intervention_priority = place AND coalesce(before >= churn_probability * mrr - 1e-9, true)",
            "Priorities count from 1 without a gap, the most revenue at risk first.",
            rows=ranked,
        ),
        holds(
            mart,
            "model_version.one",
            "versions = 1",
            "One model scored all accounts.",
            rows=f"SELECT count(DISTINCT model_version) AS versions FROM {table(mart)}",
        ),
    ]


def _as_of(context: Context, mart: str) -> list[Check]:
    """Return checks that the days are the last complete one and every 8th day before it, counted from 2000-01-01."""
    return [
        holds(
            mart,
            "as_of_date.current",
            f"newest {'<=' if mart in context.idle else '='} {literal(context.data_through)}",
            "The newest day is the last complete one, or the last on which an account paid or was on trial.",
            rows=f"SELECT max(as_of_date) AS newest FROM {table(mart)}",
        ),
        holds(
            mart,
            "as_of_date.grid",
            f"(as_of_date - DATE '2000-01-01') % 8 = 0 OR as_of_date = {literal(context.data_through)}",
            "Days before the last complete one lie on the grid of every 8th day, and so on all weekdays alike.",
        ),
    ]
