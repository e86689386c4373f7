"""Facts about a run's sources: partitions, rows, and the days on which their facts end.

Belongs here: figures from the lake's manifests for the release and the gate. Does not belong here: notices for people
(`notices`).
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from itertools import pairwise

from orchestration.base.sql import exact
from orchestration.landing.contract import CONTRACT
from orchestration.landing.lake import Partition
from orchestration.night.run import Night
from orchestration.publishing.manifest import SourceRecord
from orchestration.warehouse import reconciliation

# A manifest keeps only the digits of a partition's SHA-256 that name its file in the lake: 128 bits, half the size.
_DIGEST_LENGTH = 32

# Sources that continually have new facts in an active company, and the number of days without any that is normal.
_GO_ON = (
    "events",
    "users",
    "subscriptions",
    "payments",
    "orders",
    "ad_spend",
    "tickets",
    "surveys",
    "feedback",
    "wecom",
    "fx_rates",
)
_LONGEST_PAUSE = 30


def records(night: Night) -> dict[str, SourceRecord]:
    """The release's record of each source of the contract."""
    found = {}
    for source in CONTRACT:
        partitions = night.partitions(source)
        found[source] = SourceRecord(
            partitions=len(partitions),
            rows=sum(partition.accepted for partition in partitions),
            first_dt=min((partition.arrived_date for partition in partitions), default=None),
            last_dt=max((partition.arrived_date for partition in partitions), default=None),
            digest=night.source_digest(source),
            days={part.arrived_date: part.digest[:_DIGEST_LENGTH] for part in partitions},
            unknown_columns=unknown_columns(source, partitions),
            ended=ended_source(night, source, night.plan.data_through),
        )
    return found


def with_unconverted(night: Night) -> dict[str, SourceRecord]:
    """`records` with the rows of each currency that could not be converted."""
    rows = unconverted(night)
    return {
        name: replace(record, unconverted={currency: count for source, currency, _, count in rows if source == name})
        for name, record in records(night).items()
    }


def unconverted(night: Night) -> list[tuple[str, str, date, int]]:
    """Source, currency, first day and number of the rows that could not be converted."""
    with night.warehouse.connect(read_only=True) as connection:
        return connection.execute("from intermediate.int_quality__unconverted order by all").fetchall()


def arrived(night: Night) -> dict[str, tuple[int, int, int]]:
    """Rows landed, accepted and refused by source, from its partitions' manifests."""
    return {
        source: (
            sum(file.rows for partition in partitions for file in partition.landed),
            sum(partition.accepted for partition in partitions),
            sum(partition.quarantined for partition in partitions),
        )
        for source in CONTRACT
        if (partitions := night.partitions(source))
    }


def advertised(night: Night) -> dict[str, int | Decimal]:
    """Advertising in the lake, counted without the models."""
    files = {
        source: [exact(path) for partition in night.partitions(source) for path in night.lake.data_files(partition)]
        for source in reconciliation.OF_ADVERTISING
    }
    with night.warehouse.connect(read_only=True) as connection:
        return reconciliation.advertised(
            connection,
            files,
            currency=night.settings.config.reporting_currency,
            through=night.plan.data_through,
            times={
                (partition.arrived_date, file.name): file.mtime_ns
                for partition in night.partitions("ad_spend")
                for file in partition.landed
            },
        )


def ended_source(night: Night, source: str, data_through: date) -> date | None:
    """The last day of a source whose facts end long before a day; None if it continues or need not."""
    if source not in _GO_ON:
        return None
    return ended([date.fromisoformat(day) for part in night.partitions(source) for day in part.happened], data_through)


def ended(days: Sequence[date], data_through: date) -> date | None:
    """The last of a source's days if it lies further back than its pauses explain, else None.

    The limit is more than 30 days and more than ten times the usual (median) pause between days with facts.
    """
    if not days:
        return None
    known = sorted(set(days))
    pauses = sorted((after - before).days for before, after in pairwise(known))
    usual = pauses[len(pauses) // 2] if pauses else 1
    return known[-1] if (data_through - known[-1]).days > max(_LONGEST_PAUSE, 10 * usual) else None


def unknown_columns(source: str, partitions: Sequence[Partition]) -> dict[str, str | None]:
    """Landed columns that are not in the contract, each with the contract's most similar column."""
    names = sorted({name for partition in partitions for name in partition.unknown_columns})
    return {name: CONTRACT[source].nearest_column(name) for name in names}
