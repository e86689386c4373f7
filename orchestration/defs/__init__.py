"""Dagster: every stage of a night as assets and checks, thin over `orchestration.night`.

Belongs here: keys, groups, owners, metadata, jobs, schedules. Does not belong here: anything that does not need Dagster.
"""
