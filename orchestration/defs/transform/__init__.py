"""dbt's models as assets and its tests as checks."""
