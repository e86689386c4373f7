"""Great Expectations on DuckDB: what makes the dialect of `expectations.engine` necessary, and that it suffices."""

import duckdb
import pytest
from libraries import DUCKDB_ENGINE, GREAT_EXPECTATIONS

from expectations.checks import DATABASE, Expectation
from expectations.engine import CandidateDialect, evaluator


@pytest.fixture
def candidate(tmp_path):
    path = str(tmp_path / "marts.duckdb")
    with duckdb.connect(path) as connection:
        connection.execute("create table mart_x as select range as id, 'a' as name from range(5)")
    with duckdb.connect() as connection:
        connection.execute(f"attach '{path}' as {DATABASE} (read_only); use {DATABASE}")
        yield connection


def verdicts(connection) -> dict[str, str]:
    checks = [
        Expectation(name, kind, arguments, "", "")
        for name, kind, arguments in [
            ("whole", "ExpectColumnValuesToNotBeNull", {"column": "id"}),
            ("small", "ExpectColumnValuesToBeBetween", {"column": "id", "max_value": 3}),
            ("absent", "ExpectColumnValuesToNotBeNull", {"column": "nowhere"}),
        ]
    ]
    with evaluator(connection) as evaluate:
        found = evaluate("mart_x", checks)
    return {name: f"{verdict.status} {verdict.observed}".strip() for name, verdict in found.items()}


EXPECTED = {"whole": "passed 0 of 5 rows", "small": "failed 1 of 5 rows"}


def test_expectations_come_to_verdicts_with_counts_and_errors_are_no_failures(candidate) -> None:
    with GREAT_EXPECTATIONS.contract("results: success, meta, exception_info, unexpected_count and element_count"):
        found = verdicts(candidate)
        assert found.pop("absent").startswith("error")
        assert found == EXPECTED


def test_the_dialect_hooks_are_asked(candidate, monkeypatch) -> None:
    """Rolling back as the stock dialect does loses the rows that GX has not fetched: the hooks must be asked."""
    with DUCKDB_ENGINE.contract("do_rollback, do_begin, do_commit, connect and get_columns are the dialect's hooks"):
        asked = []
        for hook in ("do_rollback", "get_columns", "connect"):
            original = getattr(CandidateDialect, hook)
            monkeypatch.setattr(
                CandidateDialect,
                hook,
                lambda *arguments, _hook=hook, _original=original, **named: asked.append(_hook) or _original(*arguments, **named),
            )
        verdicts(candidate)
        assert {"do_rollback", "get_columns", "connect"} <= set(asked)


def test_a_dialect_with_transactions_breaks_the_contract(candidate, monkeypatch) -> None:
    monkeypatch.setattr(CandidateDialect, "do_rollback", lambda _self, connection: connection.rollback())
    monkeypatch.setattr(CandidateDialect, "do_begin", lambda _self, connection: connection.begin())
    broken = pytest.raises(AssertionError, match="look at expectations/engine")
    with broken, GREAT_EXPECTATIONS.contract("verdicts"):
        assert {name: said for name, said in verdicts(candidate).items() if name in EXPECTED} == EXPECTED
