"""The planted hazards of churn, worked out for account-days from the build file: what the simulator drew from, by what landed.

Belongs here: the formula of `CHURN_LOGIT` (the simulator's parameters say what each term is) in SQL, and the hazards beside the
features. Does not belong here: what is done with them (the tests').
"""

import json
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd

LOCAL = "at time zone 'UTC' at time zone 'Asia/Shanghai'"


def build_file(home: Path) -> duckdb.DuckDBPyConnection:
    """Connect to memory, with the build file attached read-only as the place in which names are looked for."""
    connection = duckdb.connect()
    connection.execute("set TimeZone = 'UTC'")
    connection.execute(f"attach '{home}/warehouse.duckdb' as warehouse (read_only)")
    connection.execute("use warehouse")
    return connection


def plant(connection: duckdb.DuckDBPyConnection, truth: dict[str, Any], paying: str) -> None:
    """Make the table `hazards`: day, account_id, hazard_30d, the probability planted on that day of leaving within 30 days.

    paying: a query that gives day, account_id, plan, seats, renews_at of the account-days asked for, one row each.
    """
    given = truth["parameters"]
    logit = given["churn_logit"]
    connection.execute("create temp table features (feature varchar, place integer)")
    connection.executemany("insert into features values (?, ?)", [(name, n) for n, name in enumerate(given["features"], 1)])
    connection.execute("create temp table severities (severity varchar, weight double)")
    connection.executemany("insert into severities values (?, ?)", [(k, v[1]) for k, v in given["ticket_severities"].items()])
    connection.execute(f"create temp table paying as {paying}")
    connection.execute(
        f"""
        create temp table hazards as
        with
          persons as (
            select account_id, event_date, count(distinct user_id) as count
            from intermediate.int_events__unique where account_id is not null and user_id is not null group by all
          ),
          uses as (
            select
              paying.day, paying.account_id,
              coalesce(sum(persons.count) filter (persons.event_date > paying.day - 14), 0) as recent,
              coalesce(sum(persons.count) filter (persons.event_date <= paying.day - 14), 0) / 2 as before
            from paying
            left join persons
              on paying.account_id = persons.account_id and persons.event_date between paying.day - 41 and paying.day
            group by all
          ),
          -- Features are used from the most liked one on, so the last one used says how many are known.
          known as (
            select account_id, max(place) as count
            from intermediate.int_events__unique inner join features using (feature) group by account_id
          ),
          failures as (
            select distinct paying.day, paying.account_id
            from paying
            inner join staging.stg_payments as payments
              on paying.account_id = payments.account_id and payments.status = 'failed'
              and (payments.paid_at {LOCAL})::date between paying.day - 29 and paying.day
          ),
          troubles as (
            select
              paying.day, paying.account_id,
              sum(severities.weight) as weight, max((tickets.resolved_at is null)::integer) as unsolved
            from paying
            inner join staging.stg_tickets as tickets
              on paying.account_id = tickets.account_id and tickets.arrived_date <= paying.day
              and (tickets.opened_at {LOCAL})::date between paying.day - 29 and paying.day
            inner join severities using (severity)
            group by all
          )
        select
          paying.day, paying.account_id,
          1 / (1 + exp(-(
            {logit["intercept"]}
            + {logit["usage_decline"]} * greatest(0, 1 - (uses.recent + 1) / (uses.before + 1))
            + {logit["engagement"]} * least(1, uses.recent / (5 * paying.seats))
            + {logit["failed_payment"]} * (failures.day is not null)::integer
            + {logit["contract_proximity"]}
              * coalesce(greatest(0, 1 - greatest(0, (paying.renews_at {LOCAL})::date - paying.day) / 30), 0)
            + {logit["feature_adoption"]} * coalesce(known.count, 1) / {len(given["features"])}
            + {logit["enterprise"]} * (paying.plan in ('enterprise', 'custom'))::integer
            + {logit["tickets"]} * least(1, coalesce(troubles.weight, 0))
            + {logit["unsolved"]} * coalesce(troubles.unsolved, 0)
          ))) as hazard_30d
        from paying
        inner join uses using (day, account_id)
        left join known using (account_id)
        left join failures using (day, account_id)
        left join troubles using (day, account_id)
        """
    )


def with_hazards(home: Path) -> pd.DataFrame:
    """Features and label of every closed as-of date, with the hazard that was planted on it."""
    truth = json.loads((home / "landing" / "truth.json").read_text())
    with build_file(home) as connection:
        plant(
            connection,
            truth,
            # As the account was when the day ended, whatever of it arrived later.
            """
            select features.as_of_date as day, features.account_id, states.plan, states.seats, states.renews_at
            from intermediate.int_churn__features as features
            inner join staging.stg_subscriptions as states
              on features.account_id = states.account_id and states.changed_date <= features.as_of_date
            qualify row_number() over (partition by day, features.account_id order by states.changed_at desc) = 1
            """,
        )
        return connection.execute(
            """
            select features.*, labels.churned, hazards.hazard_30d as hazard
            from intermediate.int_churn__features as features
            inner join intermediate.int_churn__labels as labels using (as_of_date, account_id)
            inner join hazards on features.as_of_date = hazards.day and features.account_id = hazards.account_id
            order by as_of_date, account_id
            """
        ).df()
