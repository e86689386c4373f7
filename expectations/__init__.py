"""The gate: what must hold in a release candidate before it may be published, and the report that says whether it does."""
