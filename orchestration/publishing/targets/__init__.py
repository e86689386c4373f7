"""Targets of releases other than the files of a home.

Belongs here: one module per system that releases are loaded into. Does not belong here: what to publish, and when (`night`).
"""
