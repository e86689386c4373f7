"""Comparing two versions of the marts: rows, schemas, and figures of closed periods, with the cause of each change.

Belongs here: code that needs two releases, or a release and a candidate. Does not belong here: building or promoting either.
"""
