"""The dbt project under both configurations, as the directed tests of single marts have it."""

from tests.dbt.conftest import compiled, new_york, shanghai

__all__ = ["compiled", "new_york", "shanghai"]
