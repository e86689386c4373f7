"""What other systems drop: its contract, how it enters the lake, and how a person is erased from it.

Belongs here: the landing zone, the lake, and the way from one to the other. Does not belong here: outside shapes (`adapters`)
and the simulated company (`simulator`), which write landing zones like any other system.
"""
