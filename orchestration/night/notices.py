"""Notices of a run for operators, with remedies.

Belongs here: the texts. Does not belong here: decisions.
"""

import logging
from collections.abc import Mapping, Sequence
from datetime import date

from orchestration.base.counts import counted
from orchestration.base.sql import exact
from orchestration.landing.contract import CONTRACT
from orchestration.landing.lake import Partition
from orchestration.night import sources
from orchestration.night.run import Night
from orchestration.publishing.release import Release
from orchestration.warehouse import inputs

_logger = logging.getLogger("northstar.night")

# Outcomes of `int_money__order_refunds` that a night explains.
_LEFT_OUT_REFUNDS = {
    "ambiguous": "they name no order, and another order of their payers was refunded, canceled or returned: the money may be the"
    " same. Fill order_id, or name the order in refund_of",
    "nothing_bought": "they name no order, and their payers had bought nothing. Fill order_id, or name the order in refund_of",
    "order_unknown": "the orders that they name have not landed in orders",
    "unlinked": "they name neither an order nor a payment. Fill order_id or refund_of",
}

# Number of accounts with a refused subscription change that a night names.
_NAMED_ACCOUNTS = 5


def announce_landed(night: Night, partitions: Mapping[str, Sequence[Partition]]) -> None:
    """Name unknown columns, with the most similar one of the contract, and facts out of scope."""
    from orchestration.landing import judging

    _announce_broken_chains(night, partitions.get("subscriptions", ()))
    for source, found in partitions.items():
        if rows := sum(map(judging.out_of_scope, found)):
            start = night.settings.config.partition_start
            remedy = "if they are real, set an earlier partition_start in northstar.toml and run `northstar backfill`"
            _logger.warning("%s: quarantined %s from before %s; %s", source, counted(rows, "row"), start, remedy)
    for source, found in partitions.items():
        for name, meant in sources.unknown_columns(source, found).items():
            hint = f"; did you mean {meant}?" if meant else ""
            _logger.warning("%s: unknown column %s, its values are kept in `extra`%s", source, name, hint)


def _announce_broken_chains(night: Night, partitions: Sequence[Partition]) -> None:
    """Name accounts with a refused subscription change: until it is corrected, the previous state continues."""
    files = [exact(path) for partition in partitions for path in night.lake.refused_files(partition)]
    if not files:
        return
    with night.lake.connect() as connection:
        rows = connection.execute(
            "SELECT coalesce(json_extract_string(\"row\", '$.account_id'), '(no account)') AS account, count(*) "
            "FROM read_parquet(?, hive_partitioning = false) GROUP BY ALL ORDER BY ALL",
            [files],
        ).fetchall()
    named = ", ".join(account for account, _ in rows[:_NAMED_ACCOUNTS]) + (", …" if len(rows) > _NAMED_ACCOUNTS else "")
    _logger.warning(
        "subscriptions: %s of %s (%s): what they paid before goes on until the changes are mended"
        " and landed again; the quarantine says what is wrong with each",
        *(counted(sum(count for _, count in rows), "refused change"), counted(len(rows), "account"), named),
    )


def announce_ended(night: Night, data_through: date) -> None:
    """Name sources whose facts end long before the last complete day; their marts count later days as days without facts."""
    for source in CONTRACT:
        if last := sources.ended_source(night, source, data_through):
            _logger.warning(
                "%s: the last fact is of %s, %s days before %s, through which data count as complete. Check what lands of it;"
                " named in required_sources it holds that day back",
                *(source, last, f"{(data_through - last).days:,}", data_through),
            )


def announce_built(night: Night) -> None:
    """Name contradictory rows of the newest day, funnel steps that were never sent, and amounts without an exchange rate."""
    currency = night.settings.config.reporting_currency
    with night.warehouse.connect(read_only=True) as connection:
        unsent = inputs.unsent_steps(connection)
        differing = connection.execute(
            "select source, arrived_date, conflict_count from intermediate.int_quality__repeats"
            " where conflict_count > 0 and arrived_date = ? order by all",
            [night.plan.data_through],
        ).fetchall()
    for source, day, count in differing:
        _logger.info(
            "%s: not counted: %s of %s, each different from the row of its key that counts", source, counted(count, "row"), day
        )
    _announce_refunds(night)
    for funnel, step, event in unsent:
        _logger.warning(
            "funnel %s: how many reach %s and what follows is unknown (NULL): nobody ever sent the event %s. Map your"
            " name for it in [event_names], or define the funnel under [[funnels]] without it",
            *(funnel, step, event),
        )
    rows = sources.unconverted(night)
    if not rows:
        return
    remedy = "Land it in fx_rates, or set reporting_currency in northstar.toml to the currency of most amounts"
    earned = {landed for source, landed, _, _ in rows if source != "ad_spend"}
    if len(earned) == 1 and not _has_revenue(night):
        [only] = earned
        remedy = f'All revenue is in {only}: set reporting_currency = "{only}" in northstar.toml, or land it in fx_rates'
    for source, landed, first_day, count in rows:
        _logger.warning(
            "%s: left out of every amount: %s in %s, the first of %s. There is no rate from %s to %s on or before that day. %s",
            *(source, counted(count, "row"), landed, first_day, landed, currency, remedy),
        )


def _announce_refunds(night: Night) -> None:
    """Name order refunds among the payments that are not counted anywhere, with the reason and the remedy."""
    with night.warehouse.connect(read_only=True) as connection:
        found = connection.execute(
            "select outcome, min(cash_date), count(*) from intermediate.int_money__order_refunds group by outcome order by all"
        ).fetchall()
    for outcome, first_day, count in found:
        if outcome in _LEFT_OUT_REFUNDS:
            _logger.warning(
                "payments: left out of revenue: %s, the first of %s: %s",
                *(counted(count, "order refund"), first_day, _LEFT_OUT_REFUNDS[outcome]),
            )


def _has_revenue(night: Night) -> bool:
    """Whether any revenue is in the reporting currency or could be converted into it."""
    with night.warehouse.connect(read_only=True) as connection:
        [(has_any,)] = connection.execute(
            "select exists(from intermediate.int_money__orders where amount is not null)"
            " or exists(from intermediate.int_money__payments where amount is not null)"
            " or exists(from intermediate.int_money__paying_states)"
        ).fetchall()
    return bool(has_any)


def announce_release(release: Release) -> None:
    """Report the changes that readers will see, and deprecated marts."""
    for change in release.manifest.schema_changes:
        _logger.info("schema: %s", change.detail)
    for mart, record in release.manifest.marts.items():
        if record.published_until is not None:
            _logger.info("schema: %s is published until %s", mart, record.published_until)
