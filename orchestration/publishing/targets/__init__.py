"""Where a release goes besides the files of its home.

Belongs here: one module per system that releases are loaded into. Does not belong here: what is published, and when (`night`).
"""
