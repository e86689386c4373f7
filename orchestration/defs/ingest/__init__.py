"""From the landing zone to the lake, and the plan of what is folded in."""
