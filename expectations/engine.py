"""Great Expectations on DuckDB: the only place that imports it, with the adaptations that DuckDB needs.

Belongs here: the SQLAlchemy dialect, the ephemeral context, and the translation of GX results into verdicts with counts but no
values. Does not belong here: the expectations (`suites`) or the use of verdicts (`gate`).
"""

import functools
import logging
import os
import re
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import duckdb
import sqlalchemy
from duckdb_engine import ConnectionWrapper, Dialect

from expectations.checks import DATABASE, Expectation, Verdict, literal, table

_DIALECT = "northstar_duckdb"

# Never lists of unexpected values: the contents of GX results can end up in logs and pages. Any richer format also costs one
# more query per expectation, which only failed ones are worth.
_VERDICTS = {"result_format": "BOOLEAN_ONLY"}
_COUNTS = {"result_format": "BASIC", "partial_unexpected_count": 0}

_PASSED = Verdict("passed")

_RAISED = re.compile(r"^([A-Za-z_][\w.]*(?:Error|Exception))\b", re.MULTILINE)


class CandidateDialect(Dialect):  # type: ignore[misc]  # the base class is untyped
    """DuckDB for SQLAlchemy on connections opened by the gate, without transactions.

    GX rolls back between running a query and fetching its rows, and DuckDB drops an unread result when its transaction ends:
    with the stock dialect every expectation fails with "list index out of range". A read-only file needs no transactions.
    """

    supports_statement_cache = False
    _opened: dict[str, tuple[duckdb.DuckDBPyConnection, list[duckdb.DuckDBPyConnection]]] = {}  # noqa: RUF012 (shared on purpose)

    def connect(self, *_: object, database: str, **__: object) -> ConnectionWrapper:
        """Return another connection to the database lent under the name `database`."""
        owner, cursors = self._opened[database]
        cursors.append(owner.cursor())
        cursors[-1].execute(f"USE {DATABASE}")
        return ConnectionWrapper(cursors[-1])

    def do_begin(self, connection: object) -> None:
        """Do nothing."""

    def do_rollback(self, connection: object) -> None:
        """Do nothing."""

    def do_commit(self, connection: object) -> None:
        """Do nothing."""

    def get_columns(self, connection: Any, table_name: str, schema: str | None = None, **_: object) -> list[dict[str, Any]]:
        """List the columns of a table of the candidate; the stock dialect needs 0.125 s for that.

        Types are omitted: the checks compare DuckDB's own type names in SQL.
        """
        del schema  # the candidate has one
        names = connection.exec_driver_sql(
            f"SELECT column_name FROM duckdb_columns() WHERE database_name = '{DATABASE}' AND table_name = {literal(table_name)}"
            " ORDER BY column_index"
        ).fetchall()
        if not names:
            raise sqlalchemy.exc.NoSuchTableError(table_name)
        return [{"name": name, "type": sqlalchemy.types.NullType(), "nullable": True, "default": None} for (name,) in names]

    def get_pk_constraint(self, *_: object, **__: object) -> dict[str, Any]:
        """Return none: tables of a release have no keys; suites check uniqueness."""
        return {"constrained_columns": [], "name": None}

    @classmethod
    @contextmanager
    def lend(cls, connection: duckdb.DuckDBPyConnection) -> Iterator[str]:
        """Yield the connection string by which SQLAlchemy reaches `connection`; everything it opened is closed at the end.

        GX keeps its own engines alive; an open handle would make the next open of the same path return the old file.
        """
        name = uuid.uuid4().hex
        cursors: list[duckdb.DuckDBPyConnection] = []
        cls._opened[name] = (connection, cursors)
        try:
            yield f"{_DIALECT}:///{name}"
        finally:
            del cls._opened[name]
            for cursor in cursors:
                cursor.close()


sqlalchemy.dialects.registry.register(_DIALECT, __name__, CandidateDialect.__name__)


@functools.cache
def _great_expectations() -> ModuleType:
    """Import GX once, without analytics and without log lines, which quote statements and values."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    import great_expectations

    # Some of its loggers set their own level, so records are stopped at the package's logger.
    logger = logging.getLogger("great_expectations")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    module: ModuleType = great_expectations
    return module


@contextmanager
def evaluator(
    connection: duckdb.DuckDBPyConnection,
) -> Iterator[Callable[[str, Sequence[Expectation]], dict[str, Verdict]]]:
    """Yield a function that evaluates expectations on one table of the candidate.

    It returns a verdict per expectation name. An exception, in GX or below it, is the verdict "error" and never a failed value;
    a name without a GX result is absent. `connection` has the candidate attached read-only, and stays open.
    """
    gx = _great_expectations()
    context: Any = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False, "metric_calculations": False}
    with CandidateDialect.lend(connection) as connection_string:
        source = context.data_sources.add_sql("candidate", connection_string=connection_string)

        def run(batch: Any, mart: str, expectations: Sequence[Expectation], result_format: dict[str, Any]) -> dict[str, Verdict]:
            suite = gx.ExpectationSuite(name=mart, expectations=[_declare(gx, check) for check in expectations])
            results = batch.validate(suite, result_format=result_format).results
            return {result.expectation_config.meta["check"]: _verdict(result) for result in results}

        def evaluate(mart: str, expectations: Sequence[Expectation]) -> dict[str, Verdict]:
            try:
                asset = source.add_table_asset(mart, table_name=mart)
                batch = asset.add_batch_definition_whole_table("all").get_batch()
                verdicts = run(batch, mart, expectations, _VERDICTS)
                if failed := [check for check in expectations if verdicts.get(check.name, _PASSED).status == "failed"]:
                    verdicts |= run(batch, mart, failed, _COUNTS)
                rows = connection.execute(f"SELECT count(*) FROM {table(mart)}").fetchall()[0][0]
            except Exception as error:  # noqa: BLE001 (whatever went wrong, the suite could not be evaluated, and the report says so)
                verdict = Verdict("error", reason=type(error).__name__)
                return {check.name: verdict for check in expectations}
            return verdicts | {
                check.name: _PASSED._replace(observed=_as_expected(check, rows))
                for check in expectations
                if verdicts.get(check.name) == _PASSED
            }

        yield evaluate


def _declare(gx: Any, check: Expectation) -> Any:
    """Return the GX object of a declared expectation; its name travels in the metadata."""
    return getattr(gx.expectations, check.kind)(**check.arguments, meta={"check": check.name})


def _verdict(result: Any) -> Verdict:
    """Translate a GX result, using only its counts."""
    info = result.exception_info or {}
    # One entry for the expectation, or one per metric that could not be computed.
    raised = [info] if "raised_exception" in info else list(info.values())
    raised = [entry for entry in raised if entry.get("raised_exception", True)]
    if raised:
        found = _RAISED.search(str(raised[0].get("exception_traceback")))
        # The message may quote a value of a row, the exception's name cannot.
        return Verdict("error", reason=found.group(1).rsplit(".", 1)[-1] if found else "exception")
    return _PASSED if result.success is True else Verdict("failed", _observed(result.result))


def _as_expected(check: Expectation, rows: int) -> str:
    """The observed text of a passed check, for a table of `rows` rows."""
    columns = check.arguments.get("column_list", ())
    if check.kind == "ExpectTableColumnsToMatchOrderedList" and isinstance(columns, Sequence):
        return f"{len(columns)} columns, 0 out of place"
    return str(rows) if check.kind == "ExpectTableRowCountToBeBetween" else f"0 of {rows} rows"


def _observed(result: dict[str, Any]) -> str:
    if "unexpected_count" in result:
        return f"{result['unexpected_count']} of {result['element_count']} rows"
    value = result.get("observed_value")
    if isinstance(value, list):
        return f"{len(value)} columns, {len(result.get('details', {}).get('mismatched', ()))} out of place"
    return str(value) if isinstance(value, int) else ""
