"""The gate: the checks that a release candidate must pass before it is published, and their report."""
