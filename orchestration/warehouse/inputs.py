"""Facts behind each mart, counted without the mart's own SQL: an empty mart is sound only if there are none.

Belongs here: one query per input over core facts, staging and the control tables, and the explanation of its absence. Does not
belong here: the inputs of each mart (its YAML's `meta.filled_by`), or judging a candidate (`expectations`).
"""

from dataclasses import dataclass
from datetime import date

import duckdb

# A mart with more rows than this does not become empty by excluding bots or internal users: that indicates a defect.
_MOST_EXCLUDED_ROWS = 1_000

_THROUGH = "(SELECT data_through FROM control.run)"
_IS_INTERNAL_USER = """EXISTS (
  SELECT 1 FROM intermediate.int_identity__users AS identities
  JOIN intermediate.int_identity__internal_persons AS internal USING (person_id)
  WHERE identities.user_id = {user_id})"""
_VISITS = """
  FROM intermediate.int_events__unique AS facts
  JOIN intermediate.int_identity__visitors AS visitors
    ON facts.anonymous_id IS NOT DISTINCT FROM visitors.anonymous_id AND facts.user_id IS NOT DISTINCT FROM visitors.user_id
  LEFT JOIN intermediate.int_identity__internal_persons AS internal ON visitors.person_id = internal.person_id"""

_EVENTS = f"SELECT event_date AS day, facts.is_bot OR internal.person_id IS NOT NULL AS is_excluded {_VISITS}"
_PURCHASES = f"""
SELECT ordered_date AS day, {_IS_INTERNAL_USER.format(user_id="orders.user_id")} AS is_excluded
FROM intermediate.int_money__orders AS orders WHERE is_purchase AND user_id IS NOT NULL"""
_SIGNUPS = f"""
SELECT signed_up_date AS day, {_IS_INTERNAL_USER.format(user_id="users.user_id")} AS is_excluded
FROM staging.stg_users AS users WHERE signed_up_date IS NOT NULL"""
# A payment belongs to its account, else to its user's account, else to the user.
_PAYMENTS = f"""
SELECT original_paid_date AS day, coalesce(payments.account_id, users.account_id) AS account_id,
  CASE WHEN coalesce(payments.account_id, users.account_id) IS NULL THEN {_IS_INTERNAL_USER.format(user_id="payments.user_id")}
    ELSE accounts.account_id IS NOT NULL END AS is_excluded
FROM intermediate.int_money__payments AS payments
LEFT JOIN intermediate.int_identity__signups AS users ON payments.user_id = users.user_id
LEFT JOIN intermediate.int_identity__internal_accounts AS accounts
  ON coalesce(payments.account_id, users.account_id) = accounts.account_id
WHERE payments.status = 'succeeded' AND payments.kind IN ('subscription', 'service')
  AND coalesce(payments.account_id, payments.user_id) IS NOT NULL"""
# A first step's conditions are evaluated where its events are matched.
_ENTRANCES = f"""
WITH steps AS (SELECT funnel, event FROM intermediate.int_funnel__steps WHERE step_number = 1),
conditioned AS (SELECT DISTINCT funnel FROM control.funnel_conditions WHERE step_number = 1)
SELECT event_date AS day, facts.is_bot OR internal.person_id IS NOT NULL AS is_excluded {_VISITS}
JOIN steps ON steps.event IN (facts.event, facts.landed_event) AND steps.funnel NOT IN (FROM conditioned)
UNION ALL
SELECT event_date, internal.person_id IS NOT NULL
{_VISITS.replace("intermediate.int_events__unique", "intermediate.int_funnel__step_events")}
WHERE facts.step_number = 1 AND facts.funnel IN (FROM conditioned)
UNION ALL
SELECT milestones.occurred_at::DATE, internal.person_id IS NOT NULL
FROM intermediate.int_funnel__milestones AS milestones JOIN steps USING (event)
LEFT JOIN intermediate.int_identity__internal_persons AS internal ON milestones.person_id = internal.person_id"""
# A person who stopped in a week entered the funnel and did not reach the last step, according to the funnel's own mart.
_STOPS = f"""
SELECT {_THROUGH} AS day, false AS is_excluded FROM (
  SELECT max(person_count) - arg_max(person_count, step_number) AS stopped FROM marts.mart_funnel__entry
  WHERE entry_grain = 'week' AND dimension = 'all' GROUP BY funnel, entry_start
), range(stopped::BIGINT)"""
# Events show whether users return, subscriptions whether accounts still pay: those who joined before the month of the first
# event or subscription are in no cohort.
_JOINED = f"""
SELECT day, is_excluded FROM ({_SIGNUPS})
WHERE day >= (SELECT date_trunc('month', min(event_date)) FROM intermediate.int_events__unique)
UNION ALL
SELECT min(day) AS first_day, bool_or(is_excluded) FROM ({_PAYMENTS}) WHERE account_id IS NOT NULL GROUP BY account_id
HAVING first_day >= (SELECT date_trunc('month', min(changed_date)) FROM staging.stg_subscriptions)"""
# A cohort table shows persons on their first day; an old person's return may lie beyond its periods.
_NEWCOMERS = f"""
SELECT first_seen_date AS day, false AS is_excluded FROM core.dim_persons WHERE first_seen_date IS NOT NULL
UNION ALL
SELECT min(ordered_date), false FROM core.fct_orders WHERE is_purchase AND person_id IS NOT NULL GROUP BY person_id
UNION ALL {_JOINED}"""
# The state of each subscription on each as-of date, from the facts that had happened and arrived by then.
_SUBSCRIBED = """
SELECT as_of_date AS day, false AS is_excluded FROM (
  SELECT dates.as_of_date, arg_max({{'status': status, 'mrr': mrr}}, changed_at) AS state
  FROM intermediate.int_accounts__as_of_dates AS dates JOIN staging.stg_subscriptions AS changes
    ON changes.changed_date <= dates.as_of_date AND changes.arrived_date <= dates.as_of_date
  GROUP BY dates.as_of_date, subscription_id
) WHERE {kept}"""
_PAYING = "state.status IN ('active', 'past_due') AND state.mrr > 0"


@dataclass(frozen=True)
class Input:
    """An input of marts. sql: one row (day, is_excluded) per fact. facts: their name. absent: why there may be none.

    newest: the same for only the facts that appear in the mart on their own day, if not all of them do.
    """

    sql: str
    facts: str
    absent: str
    newest: str = ""


INPUTS = {
    "events": Input(
        _EVENTS, "events of persons", "no event of a person who is neither a bot nor an internal user has happened yet"
    ),
    "arrivals": Input(
        "SELECT arrived_date AS day, false AS is_excluded FROM control.arrivals", "arrivals", "nothing has arrived"
    ),
    "entrances": Input(_ENTRANCES, "first steps of a funnel", "nobody has entered a funnel"),
    "stops": Input(
        _STOPS,
        "persons who stopped in a funnel",
        "everybody who entered a funnel got through it, as far as its steps were ever sent",
    ),
    "persons": Input(
        f"SELECT * FROM ({_EVENTS}) UNION ALL SELECT * FROM ({_PURCHASES}) UNION ALL {_JOINED}",
        "events, purchases, and signups and paying accounts that can be followed",
        "nobody was seen or bought anything, and signups without events and payments without subscriptions cannot be followed",
        newest=_NEWCOMERS,
    ),
    "customers": Input(
        f"SELECT * FROM ({_PURCHASES}) UNION ALL SELECT day, is_excluded FROM ({_PAYMENTS})",
        "purchases and payments",
        "nobody has bought or paid anything",
    ),
    "shoppers": Input(
        f"SELECT * FROM ({_PURCHASES}) UNION ALL SELECT day, is_excluded FROM ({_PAYMENTS}) WHERE account_id IS NULL",
        "purchases by persons",
        "no person has bought anything: there are no orders, and accounts pay the payments",
    ),
    "advertising": Input(
        f"SELECT spend_date AS day, false AS is_excluded FROM core.fct_ad_spend UNION ALL SELECT * FROM ({_SIGNUPS})"
        f" UNION ALL SELECT * FROM ({_PURCHASES}) UNION ALL SELECT day, is_excluded FROM ({_PAYMENTS})",
        "advertisements, signups and customers",
        "nothing was advertised, and nobody signed up or paid",
    ),
    "subscribers": Input(
        _SUBSCRIBED.format(kept=f"({_PAYING}) OR state.status = 'trialing'"),
        "paying or trialing subscriptions",
        "no account pays or is on trial on any day that is scored",
    ),
    "payers": Input(
        f"SELECT * FROM ({_SUBSCRIBED.format(kept=_PAYING)}) WHERE day = {_THROUGH}",
        "paying subscriptions",
        "no account pays on the last complete day",
    ),
}


@dataclass(frozen=True)
class Facts:
    """Facts of one input up to the last complete day: counted ones, those of bots and internal users, those of that day."""

    usable: int
    excluded: int
    newest: int


def count(connection: duckdb.DuckDBPyConnection, name: str) -> Facts:
    """Count the facts of an input in the build file."""
    counted = INPUTS[name]
    [(usable, excluded, newest)] = connection.execute(
        "SELECT count(*) FILTER (NOT is_excluded), count(*) FILTER (is_excluded),"
        f" count(*) FILTER (day = {_THROUGH} AND NOT is_excluded) FROM ({counted.sql}) WHERE day <= {_THROUGH}"
    ).fetchall()
    if counted.newest:
        [(newest,)] = connection.execute(
            f"SELECT count(*) FROM ({counted.newest}) WHERE day = {_THROUGH} AND NOT is_excluded"
        ).fetchall()
    return Facts(usable, excluded, newest)


def absence(connection: duckdb.DuckDBPyConnection, name: str, facts: Facts, *, rows_before: int) -> str | None:
    """Explain why an empty mart with this input is sound; None if it is not.

    rows_before: of the mart in the last release. A mart with many rows is not empty merely because all its facts are excluded.
    """
    if facts.usable or (facts.excluded and rows_before > _MOST_EXCLUDED_ROWS):
        return None
    if facts.excluded:
        return f"all {facts.excluded:,} {INPUTS[name].facts} are of bots or internal users"
    if name == "stops" and connection.execute("SELECT count(*) FROM marts.mart_funnel__entry").fetchall() == [(0,)]:
        # Without entrances nobody can stop; that mart alone does not prove it.
        return absence(connection, "entrances", count(connection, "entrances"), rows_before=rows_before)
    if name == "entrances":
        return unmapped(connection) or INPUTS[name].absent
    return INPUTS[name].absent


def unmapped(connection: duckdb.DuckDBPyConnection) -> str:
    """Say where to map unknown event names when no step of any funnel occurs; empty otherwise."""
    steps = [
        event
        for (event,) in connection.execute(
            "SELECT event FROM intermediate.int_funnel__steps WHERE event NOT IN ('active_on_third_day', 'subscription_paid')"
            " GROUP BY event ORDER BY min(step_number), event"
        ).fetchall()
    ]
    names = connection.execute(
        "SELECT landed_event, event, count(*) AS n FROM intermediate.int_events__unique"
        " GROUP BY ALL ORDER BY n DESC, landed_event"
    ).fetchall()
    if not names or any({landed, event} & set(steps) for landed, event, _ in names):
        return ""
    listed = ", ".join(steps[:4]) + (", …" if len(steps) > 4 else "")
    frequent = ", ".join(f"'{landed}' ({n:,})" for landed, _, n in names[:3]) + (", …" if len(names) > 3 else "")
    return f"no event is called {listed}: map your names in [event_names]; the most frequent unmapped names are {frequent}"


def unsent_steps(connection: duckdb.DuckDBPyConnection) -> list[tuple[str, str, str]]:
    """List (funnel, step, event): for each funnel with entrances, its first step whose event was never sent."""
    return connection.execute(
        """SELECT funnel, arg_min(step, step_number), arg_min(event, step_number)
        FROM intermediate.int_funnel__known_steps
        WHERE NOT is_known AND funnel IN (SELECT funnel FROM intermediate.int_funnel__entries)
        GROUP BY funnel ORDER BY funnel"""
    ).fetchall()


def late_sources(connection: duckdb.DuckDBPyConnection, share: float) -> dict[str, tuple[date, date]]:
    """Sources whose newest arrival day has almost no facts of that day: source → (last fact's day, newest arrival day).

    share: of the rows that arrived on the last complete day, the largest share that happened on it.
    """
    rows = connection.execute(
        f"""SELECT source, max(happened_date) FILTER (happened_date < arrived_date), arrived_date
        FROM control.happened WHERE arrived_date = {_THROUGH} GROUP BY ALL
        HAVING coalesce(sum(row_count) FILTER (happened_date >= arrived_date), 0) <= ? * sum(row_count)
            AND max(happened_date) FILTER (happened_date < arrived_date) IS NOT NULL""",
        [share],
    ).fetchall()
    return {source: (last, arrived) for source, last, arrived in rows}
