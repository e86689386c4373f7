"""From the landing zone to a plan: ingest, erasure and planning.

Belongs here: the stages before dbt starts. Does not belong here: judging files (`landing`), and comparing the lake with the
build file (`warehouse.fold_plan`).
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

from orchestration.base.counts import counted
from orchestration.base.errors import NorthstarError, UserError
from orchestration.landing import erasure
from orchestration.landing.lake import Partition
from orchestration.night import notices
from orchestration.night.run import Night
from orchestration.warehouse.fold_plan import FoldPlan

_logger = logging.getLogger("northstar.night")


@dataclass(frozen=True)
class Ingested:
    """Partitions that a night read from the landing zone, by source."""

    partitions: Mapping[str, Sequence[Partition]]

    @property
    def days(self) -> list[date]:
        """Arrival days of the partitions read."""
        return sorted({partition.arrived_date for found in self.partitions.values() for partition in found})

    @property
    def accepted(self) -> int:
        """Rows that entered the lake."""
        return sum(partition.accepted for found in self.partitions.values() for partition in found)

    @property
    def quarantined(self) -> int:
        """Rows that were refused."""
        return sum(partition.quarantined for found in self.partitions.values() for partition in found)


def ingest(night: Night, days: Sequence[date] | None = None, *, as_of: date | None = None) -> Ingested:
    """Ingest landed partitions into the lake: the given arrival days again, or all missing ones up to a day."""
    from orchestration.landing import arrivals
    from orchestration.landing import ingest as landing

    settings = night.settings
    with night.stage("ingest") as stage:
        if days is None:
            waiting = arrivals.pending(settings.landing, night.lake)
            wanted = {source: [day for day in found if as_of is None or day <= as_of] for source, found in waiting.items()}
        else:
            there = arrivals.landed(settings.landing)
            wanted = {source: [day for day in found if day in set(days)] for source, found in there.items()}
            if not any(wanted.values()):
                raise UserError(f"nothing has landed from {min(days)} to {max(days)} in {settings.landing}")
        partitions: dict[str, list[Partition]] = {}
        refused: list[landing.IngestError] = []
        # Requests first: rows landing with them are erased at ingest. If they are refused, nothing else is ingested.
        for source, found in sorted(wanted.items(), key=lambda item: item[0] != erasure.REQUESTS):
            try:
                partitions[source] = landing.ingest(
                    settings.landing,
                    night.lake,
                    source,
                    found,
                    timezone=settings.config.reporting_timezone,
                    max_quarantine_ratio=settings.config.max_quarantine_ratio,
                    partition_start=settings.config.partition_start,
                    ledger=night.ledger,
                    memory_limit=settings.config.memory_limit,
                )
            except landing.IngestError as error:
                if source == erasure.REQUESTS:
                    raise
                refused.append(error)
        notices.announce_landed(night, partitions)
        # All sources are judged before the night fails, so that all faulty files are reported at once.
        if refused:
            raise NorthstarError("\n".join(map(str, refused)))
        result = Ingested(partitions)
        stage.rows = result.accepted
        stage.detail = f"{counted(len(result.days), 'arrival day')}, {counted(result.quarantined, 'row')} in quarantine"
    return result


def erase(night: Night) -> erasure.Erased:
    """Erase persons with an open request from lake, quarantine and build file.

    If a night is killed here, the next one completes the work. Releases that hold these persons are removed after the next
    release.
    """
    if not night.ledger.pending:
        return erasure.Erased()
    with night.stage("erase") as stage:
        erased = erasure.rewrite(night.lake, night.ledger, memory_limit=night.settings.config.memory_limit)
        night.planner.forget()
        night.ledger.mark_applied(erased)
        stage.rows, stage.detail = erased.rows, str(erased)
    if erased.warning:
        _logger.warning("%s", erased.warning)
    return erased


def plan(night: Night, *, as_of: date | None = None, anew: bool = False) -> FoldPlan:
    """Plan what the run folds in; `anew` discards the build file first. Resets the decisions of later stages."""
    with night.stage("plan") as stage:
        night.start_over(as_of)
        made = night.planner.plan(as_of, anew=anew, run_id=night.state.run_id)
        persons = night.ledger.unpublished.persons
        if made.is_rebuild and persons and not anew and night.releases.current() is not None:
            made = replace(made, rebuild_reason=f"{counted(persons, 'person')} erased")
        night.state.plan = made
        night.state.config_digest, night.state.lake_digest = night.settings.digest, night.lake_digest
        notices.announce_ended(night, made.data_through)
        stage.detail = f"{counted(made.affected_days, 'event day')} affected"
        if made.rebuild_reason:
            stage.detail += f", everything is built ({made.rebuild_reason})"
    return made


def planned(night: Night) -> FoldPlan:
    """The run's plan; made now if the run was started at a later stage, for example for one model."""
    return plan(night) if night.state.plan is None else night.plan
