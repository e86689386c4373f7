"""Published figures counted again from the lake's files, without the models.

Belongs here: sums over the lake that the gate compares with a mart. Does not belong here: the comparison and its tolerance
(`expectations`).
"""

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal

import duckdb

from orchestration.landing.contract import CONTRACT

OF_ADVERTISING = ("ad_spend", "fx_rates")


def advertised(
    connection: duckdb.DuckDBPyConnection,
    files: Mapping[str, Sequence[str]],
    *,
    currency: str,
    through: date,
    times: Mapping[tuple[date, str], int],
) -> dict[str, int | Decimal]:
    """Advertising in the lake up to a day: impressions, clicks and, in the reporting currency, spend.

    files: paths of the lake by source, for each of `OF_ADVERTISING`. times: modification times of landed files of advertising,
    by (arrival day, name). The latest state of a key counts, with all its rows that differ; of a rate the first row. Each row's
    cost is converted at the last rate above 0 on or before its day; rows without a rate are skipped.
    """
    if not files["ad_spend"]:
        return {"impressions": 0, "clicks": 0, "spend": Decimal(0)}
    spend = CONTRACT["ad_spend"]
    columns = ", ".join(f"NULL::{column.type.sql} AS {column.name}" for column in spend.columns)
    # Files written before a column joined the contract lack it.
    landed = (
        f"(SELECT {columns} LIMIT 0) UNION ALL BY NAME"
        " FROM read_parquet($ad_spend, hive_partitioning = false, union_by_name = true)"
    )
    written = "coalesce(updated_at, arrived_date::TIMESTAMP)"
    at = "($moments::BIGINT[])[list_position($names::VARCHAR[], arrived_date::VARCHAR || '/' || landed_file)]"
    place = f"({written}, arrived_date, coalesce(({at}), 0), landed_file)"
    state = f"SELECT *, {place} AS place FROM ({landed})"
    newest = f"SELECT {', '.join(spend.key)}, max(place) AS place FROM ({state}) GROUP BY ALL"
    same = " AND ".join(f"state.{name} IS NOT DISTINCT FROM newest.{name}" for name in spend.key)
    latest = (
        f"SELECT DISTINCT state.* EXCLUDE (landed_row, updated_at) FROM ({state}) AS state"
        f" INNER JOIN ({newest}) AS newest ON {same} AND state.place = newest.place"
    )
    first_rates = (
        f"SELECT DISTINCT ON ({', '.join(CONTRACT['fx_rates'].key)}) *"
        " FROM read_parquet($fx_rates, hive_partitioning = false) ORDER BY arrived_date, landed_file, landed_row"
    )
    known = f"SELECT currency, rate_date, usd_rate FROM ({first_rates}) WHERE currency <> 'USD' AND usd_rate > 0 UNION ALL"
    [(impressions, clicks, spend)] = connection.execute(
        f"""WITH costs AS (SELECT *, $currency AS reporting FROM ({latest}) WHERE spend_date <= $through),
        rates AS ({known if files["fx_rates"] else ""} SELECT 'USD', DATE '0001-01-01', 1)
        SELECT coalesce(sum(impressions), 0)::BIGINT, coalesce(sum(clicks), 0)::BIGINT, sum(CASE
            WHEN costs.currency = reporting THEN cost
            ELSE cost * (own.usd_rate / base.usd_rate)::DECIMAL(20, 10) END::DECIMAL(18, 4))
        FROM costs
        ASOF LEFT JOIN rates AS own(currency, rate_date, usd_rate)
            ON costs.currency = own.currency AND spend_date >= own.rate_date
        ASOF LEFT JOIN rates AS base(currency, rate_date, usd_rate)
            ON reporting = base.currency AND spend_date >= base.rate_date
        WHERE costs.currency = reporting OR own.usd_rate / base.usd_rate IS NOT NULL""",
        {
            **{source: list(found) for source, found in files.items() if found},
            "currency": currency,
            "through": through,
            "names": [f"{day}/{name}" for day, name in times],
            "moments": list(times.values()),
        },
    ).fetchall()
    return {"impressions": impressions, "clicks": clicks, "spend": spend or Decimal(0)}
