"""The candidate release, the published marts, and their copy in PostgreSQL as assets."""

from collections.abc import Iterator, Mapping

import dagster as dg

from orchestration.defs.ml_steps.assets import outputs
from orchestration.defs.owners import Owner, of_team
from orchestration.defs.resources import WAREHOUSE_POOL
from orchestration.marts import MartSpec
from orchestration.night import postgres as postgres_stage
from orchestration.night import releasing
from orchestration.night.run import Night

CANDIDATE = dg.AssetKey(["release", "candidate"])
CURRENT = dg.AssetKey(["release", "current"])


def build(specs: Mapping[str, MartSpec]) -> list[dg.AssetsDefinition]:
    """The assets of this area, for the marts that dbt declares, by name."""

    @dg.asset(
        key=CANDIDATE,
        deps=[*(dg.AssetKey(["marts", mart]) for mart in specs), *outputs()],
        description="The marts as they would be published: one DuckDB file and a Parquet file each, not yet visible to readers.",
        group_name="release",
        kinds={"duckdb", "parquet"},
        owners=[Owner.PLATFORM],
        pool=WAREHOUSE_POOL,
    )
    def candidate(night: dg.ResourceParam[Night]) -> dg.MaterializeResult[None]:
        built = releasing.candidate(night)
        rows = {mart: record.rows for mart, record in built.marts.items()}
        return dg.MaterializeResult(
            metadata={
                "release": built.release_id,
                "rows": rows,
                "left out": night.state.left_out or {},
                "sha256": built.marts_sha256,
            }
        )

    @dg.multi_asset(
        name="release",
        specs=[
            *map(_published_spec, specs.values()),
            # Assets downstream of a release depend on this one: an omitted mart is skipped, and so are assets that depend on
            # it.
            dg.AssetSpec(
                CURRENT,
                deps=[CANDIDATE],
                description="Which release readers get: the link `marts.duckdb` and `current.json`.",
                group_name="release",
                kinds={"duckdb"},
                owners=[Owner.PLATFORM],
            ),
        ],
        pool=WAREHOUSE_POOL,
    )
    def release(context: dg.AssetExecutionContext, night: dg.ResourceParam[Night]) -> Iterator[dg.MaterializeResult[None]]:
        published = releasing.publish(night)
        context.log.info(f"published release {published.release_id}")
        for change in published.manifest.schema_changes:
            context.log.info(f"schema: {change.detail}")
        for mart, record in published.manifest.marts.items():
            yield dg.MaterializeResult(
                asset_key=dg.AssetKey(["published", mart]),
                metadata={
                    "dagster/row_count": record.rows,
                    "release": published.release_id,
                    "data through": published.manifest.data_through.isoformat(),
                    "digest": record.digest,
                    "version": record.version,
                },
            )
        yield dg.MaterializeResult(
            asset_key=CURRENT,
            metadata={"release": published.release_id, "data through": published.manifest.data_through.isoformat()},
        )

    @dg.asset(
        key=dg.AssetKey(["release", "postgres"]),
        deps=[CURRENT],
        description="The release that stands, loaded into the configured PostgreSQL database and exchanged whole.",
        group_name="release",
        kinds={"postgres"},
        owners=[Owner.PLATFORM],
        pool=WAREHOUSE_POOL,
    )
    def postgres(night: dg.ResourceParam[Night]) -> dg.MaterializeResult[None]:
        done = postgres_stage.publish(night)
        if done is None:
            return dg.MaterializeResult(metadata={"postgres": "not configured"})
        return dg.MaterializeResult(
            metadata={
                "release": done.release_id,
                "postgres": done.action,
                "dagster/row_count": done.rows,
                "notes": list(done.notes),
            }
        )

    return [candidate, release, postgres]


def _published_spec(spec: MartSpec) -> dg.AssetSpec:
    columns = [dg.TableColumn(column.name, column.type.lower(), column.description) for column in spec.columns]
    return dg.AssetSpec(
        dg.AssetKey(["published", spec.name]),
        deps=[CANDIDATE, dg.AssetKey(["marts", spec.name])],
        description=spec.description,
        group_name="release",
        kinds={"duckdb", "parquet"},
        owners=[of_team(spec.owner)],
        # A mart whose sources have not landed is omitted from the release and listed in the manifest.
        skippable=True,
        metadata={"dagster/column_schema": dg.TableSchema(columns)},
    )
