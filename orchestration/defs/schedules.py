"""The schedules: one night a day."""

import dagster as dg

from orchestration.base.errors import NorthstarError
from orchestration.config.settings import Settings
from orchestration.night import JOB
from orchestration.night.run import Night
from orchestration.night.unchanged import standing


def nightly(settings: Settings) -> dg.ScheduleDefinition:
    """03:30 in the reporting time zone: clocks change between 00:00 and 03:00, so this time exists exactly once every day.

    A night that would publish the same again is skipped.
    """

    @dg.schedule(
        name="nightly_at_0330",
        job_name=JOB,
        cron_schedule="30 3 * * *",
        execution_timezone=settings.config.reporting_timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )
    def schedule() -> dg.RunRequest | dg.SkipReason:
        try:
            with Night(settings, purpose="schedule") as night:
                release = standing(night)
        except NorthstarError:
            # The run says what is wrong, where people look for it.
            return dg.RunRequest()
        if release is None:
            return dg.RunRequest()
        return dg.SkipReason(f"nothing has changed since release {release.release_id}, which stands")

    return schedule
