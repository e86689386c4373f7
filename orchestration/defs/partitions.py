"""Northstar's only partitions definition: the arrival day of files, in the reporting time zone.

Belongs here: that definition. Does not belong here: event days, which a night determines itself (`warehouse`).
"""

import dagster as dg

from orchestration.config.settings import Settings


def arrival_days(settings: Settings) -> dg.DailyPartitionsDefinition:
    """Arrival days from the configured start to today: a file that lands today is in today's partition.

    Start and time zone are constants of the installation; a moving start would orphan every partition that ever ran.
    """
    return dg.DailyPartitionsDefinition(
        start_date=settings.config.partition_start.isoformat(),
        timezone=settings.config.reporting_timezone,
        end_offset=1,
    )
