"""Marts omitted from a release, and marts that are legitimately empty or idle, each with the reason.

Belongs here: deciding this from declarations and from the facts behind each mart. Does not belong here: counting those facts
(`warehouse.inputs`).
"""

from collections.abc import Collection
from datetime import date, datetime

from orchestration.ml_steps.registry import step_of, store_of
from orchestration.ml_steps.step import SCHEMA
from orchestration.night.run import Night
from orchestration.warehouse import inputs


def left_out(night: Night) -> dict[str, str]:
    """Marts omitted from the release, each with the reason."""
    today = datetime.now(night.settings.timezone).date()
    reasons = {}
    with night.warehouse.kept_open():
        landed = night.warehouse.landed_sources()
        for name, spec in night.specs.items():
            if spec.published_until is not None and spec.published_until < today:
                reasons[name] = f"it was published until {spec.published_until}"
            elif landed.isdisjoint(spec.requires):
                reasons[name] = f"none of {', '.join(spec.requires)} has landed"
            elif reason := _unscored(night, spec.reads_of(SCHEMA)):
                reasons[name] = reason
        return reasons | _soundly_empty(night, reasons)


def _unscored(night: Night, tables: Collection[str]) -> str | None:
    """Why a table of an ML step that a mart reads is empty; None if none is or the step gives no reason."""
    counts = night.warehouse.row_counts((SCHEMA, table) for table in tables)
    for table in tables:
        step = step_of(table)
        if step is not None and not counts.get((SCHEMA, table)):
            reason = step.absence(store_of(night.settings.home, step))
            if reason is not None:
                return reason
    return None


def _soundly_empty(night: Night, omitted: Collection[str]) -> dict[str, str]:
    """Empty marts without any facts behind them, each with the reason; excludes marts emptied by a defect."""
    filled = _inputs(night)
    empty = [name for name in _empty_marts(night) if name not in omitted and name in filled]
    current = night.releases.current()
    before = {} if current is None else current.manifest.marts
    with night.warehouse.connect(read_only=True) as connection:
        reasons = {
            name: inputs.absence(
                connection,
                filled[name],
                inputs.count(connection, filled[name]),
                rows_before=before[name].rows if name in before else 0,
            )
            for name in empty
        }
    return {name: reason for name, reason in reasons.items() if reason is not None}


def _empty_marts(night: Night) -> list[str]:
    counts = night.warehouse.row_counts(("marts", name) for name in night.specs)
    return [name for name in night.specs if counts.get(("marts", name)) == 0]


def _inputs(night: Night) -> dict[str, str]:
    return {name: spec.filled_by for name, spec in night.specs.items() if spec.filled_by is not None}


def idle(night: Night, published: Collection[str], unchanged: Collection[str]) -> frozenset[str]:
    """Published marts without a fact on the newest day: among unchanged marts and those of subscribed accounts."""
    filled = _inputs(night)
    asked = [name for name in published if name in filled and (name in unchanged or filled[name] == "subscribers")]
    with night.warehouse.connect(read_only=True) as connection:
        newest = {facts: inputs.count(connection, facts).newest for facts in {filled[name] for name in asked}}
    return frozenset(name for name in asked if newest[filled[name]] == 0)


def awaited(night: Night, published: Collection[str]) -> dict[str, str]:
    """Names of the facts that are missing behind empty published marts."""
    filled = _inputs(night)
    with night.warehouse.connect(read_only=True) as connection:
        counted = {
            name: (inputs.count(connection, filled[name]), inputs.INPUTS[filled[name]].facts)
            for name in _empty_marts(night)
            if name in published and name in filled
        }
    return {name: f"{facts.usable or facts.excluded:,} {words}" for name, (facts, words) in counted.items()}


def late(night: Night) -> dict[str, tuple[date, date]]:
    """Sources whose newest arrival day has almost no facts of that day: the last fact's day, and that arrival day."""
    from expectations.checks import LATE_SHARE

    with night.warehouse.connect(read_only=True) as connection:
        return inputs.late_sources(connection, LATE_SHARE)
