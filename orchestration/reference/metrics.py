"""The reference page of the metric tree.

Belongs here: its text. Does not belong here: facts about metrics, stated in the seeds.
"""

from collections.abc import Iterable, Mapping

from orchestration.reference.markdown import NOTE, table


def metrics_page(table: str) -> str:
    """Return the page of the metric tree around its table."""
    return f"""{NOTE}
# Metrics

Metrics form a tree: each one drives the metric in the last column. [`mart_metric__daily`](marts.md#mart_metric__daily) holds
values, targets and traffic lights by period. [`mart_metric_tree__current`](marts.md#mart_metric_tree__current) holds the newest
complete period of each metric, and `missing_reason` where one cannot be computed. A metric whose source, column or event never
arrived is unknown, not 0. `[targets]` in `northstar.toml` replaces a target, in the same unit.

{table}"""


def metrics(definitions: Iterable[Mapping[str, str]], targets: Iterable[Mapping[str, str]]) -> str:
    """Return the table of the metric tree, from its seeds: name, target, definition or why not yet, driven metric."""
    aims = {row["metric"]: row for row in targets}
    return table(
        ("metric", "name", "target", "period", "counted", "drives"),
        (
            (
                f"`{row['metric']}`",
                f"{labels['label_en']} ({labels['label_zh']})",
                _target(aims[row["metric"]]) if row["metric"] in aims else "",
                row["period"],
                f"not yet: {row['missing']}" if row["missing"] else _counted(row),
                f"`{row['parent']}`" if row["parent"] else "",
            )
            for row in definitions
            for labels in (aims.get(row["metric"], row),)
        ),
    )


def _target(row: Mapping[str, str]) -> str:
    note = f" ({row['note']})" if row["note"] else ""
    return f"{'≥' if row['direction'] == 'at_least' else '≤'} {row['target']} {row['unit']}{note}"


def _counted(row: Mapping[str, str]) -> str:
    how = f"{row['numerator']} / {row['denominator']}" if row["denominator"] else row["numerator"]
    matures = f"; known {row['lag_days']} days later" if row["lag_days"] != "0" else ""
    return {"median": "median of ", "score": "100 × ", "growth": "", "ratio": "", "count": ""}[row["kind"]] + how + matures
