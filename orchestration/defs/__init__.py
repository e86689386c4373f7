"""Dagster: every stage of a night as assets and checks, thin over `orchestration.night`.

Belongs here: keys, groups, owners, metadata, jobs, schedules. Does not belong here: what can be said without Dagster.
"""
