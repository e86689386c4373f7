"""Readers of the published marts as assets, so that the lineage ends at the reader.

Belongs here: one external asset per exposure of the dbt project. Does not belong here: the readers themselves.
"""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from orchestration.defs.owners import of_team


def build(manifest: Mapping[str, Any]) -> list[dg.AssetSpec]:
    """One external asset per exposure, downstream of the published marts."""
    return [_spec(exposure, manifest["nodes"]) for exposure in manifest["exposures"].values()]


def _spec(exposure: Mapping[str, Any], nodes: Mapping[str, Any]) -> dg.AssetSpec:
    return dg.AssetSpec(
        dg.AssetKey(["exposures", exposure["name"]]),
        deps=[dg.AssetKey(["published", nodes[unique_id]["name"]]) for unique_id in exposure["depends_on"]["nodes"]],
        description=" ".join(exposure["description"].split()),
        group_name="exposures",
        kinds={exposure["type"]},
        owners=[of_team(exposure["owner"]["name"])],
        metadata={"label": exposure["label"], "maturity": exposure["maturity"]},
    )
