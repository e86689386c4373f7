"""Assets of the lake: one, partitioned by arrival day, that ingests, and one per source that shows its contents.

Partitions are the arrival days of all sources together. One asset per source and day would each cost an event of 12 ms in
Dagster's log: more than two minutes for 15 sources over two years.
"""

from collections.abc import Iterator
from datetime import date

import dagster as dg

from orchestration.config.settings import Settings
from orchestration.defs.owners import Owner
from orchestration.defs.partitions import arrival_days
from orchestration.defs.resources import WAREHOUSE_POOL
from orchestration.landing.contract import CONTRACT, LAKE_COLUMNS
from orchestration.landing.erasure import Erased
from orchestration.landing.source import Source
from orchestration.night import AS_OF_TAG, FROM_TAG, REBUILD_TAG, TO_TAG, intake
from orchestration.night.intake import Ingested
from orchestration.night.run import Night

ARRIVALS = dg.AssetKey(["lake", "arrivals"])
PLAN = dg.AssetKey(["control", "plan"])


def source_key(source: str) -> dg.AssetKey:
    """Asset key of a source's relation in the schema `lake`."""
    return dg.AssetKey(["lake", source])


def build(settings: Settings) -> list[dg.AssetsDefinition]:
    """The assets of this area."""

    @dg.asset(
        key=ARRIVALS,
        description="Landed files, judged by the contract: good rows in the lake, bad ones in quarantine with a reason.",
        group_name="ingest",
        kinds={"duckdb", "parquet"},
        owners=[Owner.PLATFORM],
        partitions_def=arrival_days(settings),
        backfill_policy=dg.BackfillPolicy.single_run(),
        pool=WAREHOUSE_POOL,
    )
    def arrivals(context: dg.AssetExecutionContext, night: dg.ResourceParam[Night]) -> None:
        if REBUILD_TAG in context.run.tags:
            context.log.info("the warehouse is built from the lake as it is")
            context.add_output_metadata(_erasure_metadata(intake.erase(night)))
            return
        days = _days_of_run(context)
        result = intake.ingest(night, days, as_of=_as_of(context))
        erased = intake.erase(night)
        # A run without a partition is a night: it ingests everything new and reports the days.
        if not context.has_partition_key and not context.has_partition_key_range:
            for day in result.days:
                context.log_event(
                    dg.AssetMaterialization(ARRIVALS, partition=day.isoformat(), metadata=_day_metadata(result, day))
                )
        context.add_output_metadata(
            {"accepted rows": result.accepted, "quarantined rows": result.quarantined, **_erasure_metadata(erased)}
        )

    @dg.multi_asset(
        name="plan",
        specs=[
            *(_source_spec(source) for source in CONTRACT.values()),
            dg.AssetSpec(
                PLAN,
                deps=[ARRIVALS],
                description="What the night decides before dbt starts: configuration as tables, visitor days to replace.",
                group_name="ingest",
                kinds={"duckdb"},
                owners=[Owner.PLATFORM],
            ),
        ],
        pool=WAREHOUSE_POOL,
    )
    def plan(context: dg.AssetExecutionContext, night: dg.ResourceParam[Night]) -> Iterator[dg.MaterializeResult[None]]:
        found = intake.plan(night, as_of=_as_of(context), anew=REBUILD_TAG in context.run.tags)
        for source in CONTRACT:
            yield dg.MaterializeResult(asset_key=source_key(source), metadata=_source_metadata(night, source))
        yield dg.MaterializeResult(
            asset_key=PLAN,
            metadata={
                "data through": found.data_through.isoformat(),
                "affected event days": found.affected_days,
                "changed partitions": dict(found.changed),
                "rebuild": found.rebuild_reason or "no",
            },
        )

    return [arrivals, plan]


def _source_spec(source: Source) -> dg.AssetSpec:
    columns = [
        *(
            dg.TableColumn(
                column.name,
                column.type.sql,
                column.description,
                constraints=dg.TableColumnConstraints(nullable=not column.required),
            )
            for column in source.columns
        ),
        *(dg.TableColumn(name, type_, description) for name, type_, description in LAKE_COLUMNS),
    ]
    return dg.AssetSpec(
        source_key(source.name),
        deps=[ARRIVALS],
        description=f"Accepted rows of {source.name}: {source.description}.",
        group_name="ingest",
        kinds={"parquet"},
        owners=[Owner.PLATFORM],
        metadata={"dagster/column_schema": dg.TableSchema(columns), "key": ", ".join(source.key)},
    )


def _source_metadata(night: Night, source: str) -> dict[str, dg.MetadataValue]:
    partitions = night.lake.partitions(source)
    metadata: dict[str, dg.MetadataValue] = {
        "dagster/row_count": dg.MetadataValue.int(sum(partition.accepted for partition in partitions.values())),
        "quarantined rows": dg.MetadataValue.int(sum(partition.quarantined for partition in partitions.values())),
        "arrival days": dg.MetadataValue.int(len(partitions)),
    }
    if partitions:
        newest = partitions[max(partitions)]
        metadata["newest arrival day"] = dg.MetadataValue.text(newest.arrived_date.isoformat())
        metadata["unknown columns"] = dg.MetadataValue.text(", ".join(newest.unknown_columns) or "none")
        metadata["missing columns"] = dg.MetadataValue.text(", ".join(newest.missing_columns) or "none")
    return metadata


def _erasure_metadata(erased: Erased) -> dict[str, int]:
    return {"erased persons": erased.persons, "rewritten partitions": erased.partitions}


def _day_metadata(result: Ingested, day: date) -> dict[str, int]:
    return {
        source: partition.accepted
        for source, partitions in result.partitions.items()
        for partition in partitions
        if partition.arrived_date == day
    }


def _as_of(context: dg.AssetExecutionContext) -> date | None:
    text = context.run.tags.get(AS_OF_TAG)
    return date.fromisoformat(text) if text else None


def _days_of_run(context: dg.AssetExecutionContext) -> list[date] | None:
    """Arrival days that the run was started for; None for a night, which ingests everything new."""
    tags = context.run.tags
    if context.has_partition_key or context.has_partition_key_range:
        return [date.fromisoformat(key) for key in context.partition_keys]
    if FROM_TAG in tags:
        first, last = date.fromisoformat(tags[FROM_TAG]), date.fromisoformat(tags[TO_TAG])
        return [date.fromordinal(day) for day in range(first.toordinal(), last.toordinal() + 1)]
    return None
