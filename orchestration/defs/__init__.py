"""Dagster: every stage of a night as assets and checks, thin over `orchestration.night`.

Belongs here: keys, groups, owners, metadata, jobs and schedules. Does not belong here: anything that could be said without Dagster.
"""
