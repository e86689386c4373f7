"""The gate: the checks of a release candidate, run on the exact bytes to be published.

Belongs here: opening the candidate, running every mart's suite, and putting the verdicts into a report. Does not belong here:
the rules (`suites`), Great Expectations (`engine`), or the handling of a refused candidate.
"""

import difflib
import hashlib
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path

import duckdb

from expectations.checks import (
    DATABASE,
    Check,
    Context,
    Expectation,
    Late,
    PreviousColumn,
    Query,
    SourceCounts,
    Verdict,
    Waiver,
    literal,
)
from expectations.common import Declared
from expectations.registry import suite_for
from expectations.report import CheckResult, GateReport, MartReport, summary_lines
from expectations.suites import publication

__all__ = [
    "CandidateError",
    "CheckResult",
    "Context",
    "GateReport",
    "Late",
    "MartReport",
    "PreviousColumn",
    "SourceCounts",
    "Waiver",
    "summary_lines",
    "validate",
]

# Errors that DuckDB raises before reading a row: their first line names tables and columns, never values.
_BINDING_ERRORS = (duckdb.BinderException, duckdb.CatalogException, duckdb.ParserException)

_LONGEST = 200


class CandidateError(ValueError):
    """The candidate is not a closed DuckDB file, or changed during validation, so it cannot be judged."""


def validate(candidate: Path, specs: Sequence[Declared], context: Context, waivers: Sequence[Waiver] = ()) -> GateReport:
    """Run every check of the declared marts and of `_publication` on the DuckDB file `candidate`, which is opened read-only.

    The report covers exactly the bytes identified by its SHA-256. Until it expires, a waiver permits the critical failure of
    its named check, but neither a check without a verdict nor an incomplete suite.

    A check that cannot be evaluated is an error in the report, not an exception. Raises CandidateError when the file cannot be
    opened, has a write-ahead log beside it or changes meanwhile, UnknownMartError for a mart without a suite, and ValueError
    when `specs` is empty or contains a mart twice.
    """
    marts = [spec.name for spec in specs]
    if not marts:
        raise ValueError("the gate was given no marts: an empty release has nothing to stand for")
    suites = {spec.name: _named_once(spec.name, suite_for(spec.name)(context, spec)) for spec in specs}
    if len(suites) < len(marts):
        raise ValueError(f"the gate was given a mart twice: {', '.join(marts)}")
    suites[publication.TABLE] = _named_once(publication.TABLE, publication.publication(context, marts))

    digest = _sha256(candidate)
    with _open(candidate) as connection:
        reports = tuple(_run(connection, suites))
        release_id = _release_id(connection)
    if _sha256(candidate) != digest:
        raise CandidateError(f"candidate {candidate} changed while the gate was reading it")
    valid = {waiver.qualified_name: waiver for waiver in waivers if waiver.until >= context.as_of}
    waived = tuple(replace(report, checks=tuple(_waived(check, valid) for check in report.checks)) for report in reports)
    return GateReport(release_id, digest, context.data_through, waived, tuple(_idle(waivers, waived, context.as_of)))


def _waived(check: CheckResult, waivers: Mapping[str, Waiver]) -> CheckResult:
    if check.qualified_name in waivers and check.status == "failed" and check.severity == "critical":
        return replace(check, waived=str(waivers[check.qualified_name]))
    return check


def _idle(waivers: Sequence[Waiver], reports: Sequence[MartReport], as_of: date) -> Iterator[str]:
    """Explain why each unused waiver had no effect."""
    found = {check.qualified_name: check for report in reports for check in report.checks}
    for waiver in waivers:
        name = waiver.qualified_name
        if name not in found:
            nearest = difflib.get_close_matches(name, found, n=1)
            meant = f"; did you mean {nearest[0]}?" if nearest else ""
            yield f"the waiver of {name} names no check of this release{meant}"
        elif waiver.until < as_of:
            yield f"the waiver of {name} expired on {waiver.until} and has no effect"
        elif not found[name].waived:
            yield f"the waiver of {name} has no effect: the check is {found[name].label}"


def _named_once(mart: str, checks: list[Check]) -> list[Check]:
    """Return `checks` if their names are unique; verdicts are matched by name, so a duplicate would hide one of them."""
    twice = [name for name, count in Counter(check.name for check in checks).items() if count > 1]
    if twice:
        raise ValueError(f"suite of {mart}: check names used twice: {', '.join(twice)}")
    return checks


def _sha256(candidate: Path) -> str:
    try:
        with candidate.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise CandidateError(f"candidate {candidate} cannot be read: {error.strerror}") from error


@contextmanager
def _open(candidate: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Attach the candidate read-only, without access to anything else; data spill to a temporary folder, not beside it.

    If it were opened as the main database, DuckDB would return the file that this process had open under the path before.
    """
    if candidate.with_name(candidate.name + ".wal").exists():
        raise CandidateError(f"candidate {candidate} has a write-ahead log beside it: checkpoint and close it first")
    with tempfile.TemporaryDirectory(prefix="northstar-gate-") as spill, duckdb.connect() as connection:
        try:
            connection.execute(f"ATTACH {literal(str(candidate))} AS {DATABASE} (READ_ONLY)")
        except duckdb.Error as error:
            reason = str(error).splitlines()[0]
            raise CandidateError(f"candidate {candidate} cannot be opened as a DuckDB file: {reason}") from error
        for setting in (
            f"USE {DATABASE}",
            "SET GLOBAL TimeZone = 'UTC'",
            "SET memory_limit = '1GB'",
            f"SET temp_directory = {literal(spill)}",
            "SET max_temp_directory_size = '10GB'",
            "SET autoinstall_known_extensions = false",
            "SET enable_external_access = false",
        ):
            connection.execute(setting)
        yield connection


def _release_id(connection: duckdb.DuckDBPyConnection) -> str | None:
    try:
        rows = connection.execute(f"SELECT release_id::VARCHAR FROM marts.{publication.TABLE} LIMIT 2").fetchall()
    except duckdb.Error:
        return None
    return rows[0][0] if len(rows) == 1 else None


def _run(connection: duckdb.DuckDBPyConnection, suites: Mapping[str, Sequence[Check]]) -> Iterator[MartReport]:
    """Evaluate each suite; a report has one result per declared check, and counts those with a verdict."""
    expectations = {mart: [check for check in checks if isinstance(check, Expectation)] for mart, checks in suites.items()}
    with ExitStack() as stack:
        if any(expectations.values()):
            from expectations.engine import evaluator

            evaluate = stack.enter_context(evaluator(connection))
        for mart, checks in suites.items():
            verdicts = evaluate(mart, expectations[mart]) if expectations[mart] else {}
            verdicts |= {check.name: _query(connection, check) for check in checks if isinstance(check, Query)}
            evaluated = sum(verdict.status != "error" for verdict in verdicts.values())
            yield MartReport(
                mart, len(checks), evaluated, tuple(_result(mart, check, verdicts.get(check.name)) for check in checks)
            )


def _query(connection: duckdb.DuckDBPyConnection, check: Query) -> Verdict:
    """Run a query check, which must return exactly one row with a count of violations."""
    try:
        rows = connection.execute(check.sql).fetchall()
    except duckdb.Error as error:
        reason = str(error).splitlines()[0] if isinstance(error, _BINDING_ERRORS) else type(error).__name__
        return Verdict("error", reason=reason)
    if len(rows) != 1 or len(rows[0]) != 3 or type(rows[0][0]) is not int or rows[0][0] < 0:
        return Verdict("error", reason="the query gave no count of violations")
    violations, observed, expected = rows[0]
    return Verdict("failed" if violations else "passed", _short(observed), _short(expected))


def _result(mart: str, check: Check, verdict: Verdict | None) -> CheckResult:
    verdict = verdict or Verdict("error", reason="no result came back")
    expected = check.expected if isinstance(check, Expectation) else verdict.expected
    explanation = check.explanation
    if verdict.status == "error":
        explanation = f"Cannot be evaluated: {_short(verdict.reason)}. {explanation}"
    return CheckResult(mart, check.name, check.kind, check.severity, verdict.status, verdict.observed, expected, explanation)


def _short(value: object) -> str:
    text = "" if value is None else str(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
