"""From the landing zone to the lake, and the fold plan."""
