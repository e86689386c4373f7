"""The schedules: one night a day."""

import dagster as dg

from orchestration.config.settings import Settings
from orchestration.night import JOB


def nightly(settings: Settings) -> dg.ScheduleDefinition:
    """03:30 in the reporting time zone: clocks change between 00:00 and 03:00, so this time exists exactly once every day."""
    return dg.ScheduleDefinition(
        name="nightly_at_0330",
        job_name=JOB,
        cron_schedule="30 3 * * *",
        execution_timezone=settings.config.reporting_timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )
