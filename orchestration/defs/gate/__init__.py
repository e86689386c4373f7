"""The gate between a candidate and its readers, as blocking checks."""
