"""Data from other systems: the landing contract, ingest into the lake, and erasure of persons.

Belongs here: the landing zone, the lake, and ingest from one into the other. Does not belong here: outside shapes (`adapters`)
and the simulated company (`simulator`), which write landing zones like any other system.
"""
