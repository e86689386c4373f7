"""Published figures counted again from the lake's own files, by a path that leaves the models out.

Belongs here: sums over the lake that the gate holds a mart against. Does not belong here: the comparison and its tolerance
(`expectations`).
"""

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal

import duckdb

from orchestration.landing.contract import CONTRACT

OF_ADVERTISING = ("ad_spend", "fx_rates")


def advertised(
    connection: duckdb.DuckDBPyConnection, files: Mapping[str, Sequence[str]], *, currency: str, through: date
) -> dict[str, int | Decimal]:
    """What the lake says of advertising up to a day: impressions, clicks and, in the reporting currency, spend.

    files: paths of the lake by source, for each of `OF_ADVERTISING`. The first row of each key counts, as it does for facts;
    costs are converted row by row at the last rate before or on their day.
    """
    if not files["ad_spend"]:
        return {"impressions": 0, "clicks": 0, "spend": Decimal(0)}
    first = {
        source: f"SELECT DISTINCT ON ({', '.join(CONTRACT[source].key)}) *"
        f" FROM read_parquet(${source}, hive_partitioning = false) ORDER BY arrived_date, landed_file, landed_row"
        for source in OF_ADVERTISING
    }
    known = f"SELECT currency, rate_date, usd_rate FROM ({first['fx_rates']}) WHERE currency <> 'USD' UNION ALL"
    [(impressions, clicks, spend)] = connection.execute(
        f"""WITH costs AS (SELECT *, $currency AS reporting FROM ({first["ad_spend"]}) WHERE spend_date <= $through),
        rates AS ({known if files["fx_rates"] else ""} SELECT 'USD', DATE '0001-01-01', 1)
        SELECT coalesce(sum(impressions), 0)::BIGINT, coalesce(sum(clicks), 0)::BIGINT, sum(CASE
            WHEN costs.currency = reporting THEN cost
            ELSE cost * (own.usd_rate / base.usd_rate)::DECIMAL(20, 10) END::DECIMAL(18, 4))
        FROM costs
        ASOF LEFT JOIN rates AS own(currency, rate_date, usd_rate)
            ON costs.currency = own.currency AND spend_date >= own.rate_date
        ASOF LEFT JOIN rates AS base(currency, rate_date, usd_rate)
            ON reporting = base.currency AND spend_date >= base.rate_date""",
        {**{source: list(found) for source, found in files.items() if found}, "currency": currency, "through": through},
    ).fetchall()
    return {"impressions": impressions, "clicks": clicks, "spend": spend or Decimal(0)}
