"""What the contract tests share: the libraries on whose private behaviour Northstar relies, and what to do when it changes."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version


@dataclass(frozen=True)
class Library:
    """A pinned library. tested: the version that the code was written against. used_in: the one module that relies on it."""

    name: str
    tested: str
    used_in: str

    @contextmanager
    def contract(self, behaviour: str) -> Iterator[None]:
        """Turn whatever goes wrong inside into a failure that names the version, the behaviour and the module to look at."""
        try:
            yield
        except Exception as error:
            raise AssertionError(
                f"{self.name} {version(self.name)} (works with {self.tested}) breaks the contract {behaviour!r}: {error!r};"
                f" look at {self.used_in}"
            ) from error


DAGSTER = Library("dagster", "1.13.27", "orchestration/event_log.py")
DBT = Library("dbt-core", "1.11.16", "orchestration/warehouse/dbt.py")
DBT_DUCKDB = Library("dbt-duckdb", "1.11.1", "orchestration/warehouse/dbt.py")
GREAT_EXPECTATIONS = Library("great-expectations", "1.24.1", "expectations/engine.py")
DUCKDB_ENGINE = Library("duckdb-engine", "0.17.0", "expectations/engine.py")
SCIKIT_LEARN = Library("scikit-learn", "1.9.1", "ml/churn/trees.py")

LIBRARIES = (DAGSTER, DBT, DBT_DUCKDB, GREAT_EXPECTATIONS, DUCKDB_ENGINE, SCIKIT_LEARN)
