"""dbt's data tests on the build file, as the SQL that dbt compiled once.

Belongs here: compiled tests, and running them. Does not belong here: compiling (`warehouse.dbt`), or the tests themselves
(`dbt_project`). Run by dbt, each of the 250 costs 25 ms of Python around a query of one; compiled when the project changes and
run as they are, a night's tests cost their queries.
"""

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
from pydantic import TypeAdapter

from orchestration.base.durable import replace_text
from orchestration.base.errors import NorthstarError
from orchestration.warehouse.build_file import Warehouse
from orchestration.warehouse.node_result import NodeResult


@dataclass(frozen=True)
class DataTest:
    """A compiled test. sql: selects the wrong rows. parents: ids of the nodes it reads. is_warning: does not stop a night."""

    unique_id: str
    name: str
    sql: str
    parents: tuple[str, ...]
    is_warning: bool


_ADAPTER = TypeAdapter(list[DataTest])


def from_node(node: Any) -> DataTest:
    """The test that dbt compiled. Raises NorthstarError when it counts by rules that are not kept here."""
    config = node.config
    if (config.fail_calc, config.warn_if, config.error_if, config.limit) != ("count(*)", "!= 0", "!= 0", None):
        raise NorthstarError(f"{node.name}: a test counts its wrong rows; fail_calc, warn_if, error_if and limit are not heeded")
    return DataTest(
        node.unique_id, node.name, node.compiled_code, tuple(node.depends_on.nodes), config.severity.lower() == "warn"
    )


def write(path: Path, tests: Sequence[DataTest]) -> None:
    """Store compiled tests."""
    replace_text(path, _ADAPTER.dump_json(list(tests)).decode())


def read(path: Path) -> list[DataTest]:
    """Read what `write` stored; ValueError when the file is damaged."""
    return _ADAPTER.validate_json(path.read_bytes())


def run(warehouse: Warehouse, tests: Sequence[DataTest], built: Mapping[str, str]) -> Iterator[NodeResult]:
    """Run tests; yields each result as soon as it is known.

    built: statuses of the nodes that were to be built before them, by id. A test of a node that failed, or was skipped for
    another's failure, is skipped.
    """
    missing = {unique_id for unique_id, status in built.items() if status != "success"}
    skipped = [test for test in tests if not missing.isdisjoint(test.parents)]
    yield from _run(warehouse, [test for test in tests if missing.isdisjoint(test.parents)])
    for test in skipped:
        yield NodeResult(test.unique_id, test.name, "test", "skipped", 0, None, "")


def _run(warehouse: Warehouse, tests: Collection[DataTest]) -> Iterator[NodeResult]:
    if not tests:
        return
    with warehouse.connect(read_only=True) as connection:
        for test in tests:
            started = time.monotonic()
            try:
                [(failures,)] = connection.execute(f"select count(*) from ({test.sql}\n) as wrong_rows").fetchall()
            except duckdb.Error as error:
                status, failures, message = "error", None, str(error)
            else:
                status = "pass" if not failures else "warn" if test.is_warning else "fail"
                message = f"{failures:,} rows are wrong" if failures else ""
            yield NodeResult(test.unique_id, test.name, "test", status, time.monotonic() - started, failures or None, message)
