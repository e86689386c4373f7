"""Everything that moves data through a night: what is read, built, checked and published, and the commands that start it."""
