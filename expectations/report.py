"""The gate's report: the checks of a candidate and their results.

Belongs here: the report as frozen data, its JSON form, the conditions for passing, and its summary for a terminal. Does not
belong
here: evaluating checks (`gate`) or the page for people (`page`).
"""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any, get_args

from expectations.checks import Severity, Status

# One absent table makes every check of its mart an error; the first few name the cause.
_ERRORS_SHOWN = 3


@dataclass(frozen=True)
class CheckResult:
    """Result of one check; `observed` and `expected` are counts, sums, days or types, never a value of a row.

    `waived`: last day, author and reason of the waiver of a critical failure; empty without one.
    """

    mart: str
    name: str
    kind: str
    severity: Severity
    status: Status
    observed: str
    expected: str
    explanation: str
    waived: str = ""

    def __post_init__(self) -> None:
        if self.status not in get_args(Status) or self.severity not in get_args(Severity):
            raise ValueError(f"check {self.mart}.{self.name}: unknown status {self.status!r} or severity {self.severity!r}")
        if self.waived and (self.status, self.severity) != ("failed", "critical"):
            raise ValueError(f"check {self.mart}.{self.name}: only a critical failure can be waived")

    @property
    def qualified_name(self) -> str:
        """The unique name in the report, `<mart>.<name>`."""
        return f"{self.mart}.{self.name}"

    @property
    def refuses(self) -> bool:
        """Whether this check alone refuses the release: a critical failure without a waiver, or an error in the evaluation."""
        return self.status == "error" or (self.status == "failed" and self.severity == "critical" and not self.waived)

    @property
    def label(self) -> str:
        """Its status as one word for people: a failure may be a warning or waived."""
        if self.status != "failed":
            return self.status
        return "waived" if self.waived else "warning" if self.severity == "warning" else "failed"


@dataclass(frozen=True)
class MartReport:
    """The checks of one mart: numbers of declared and evaluated checks, and each result."""

    mart: str
    declared: int
    evaluated: int
    checks: tuple[CheckResult, ...]

    @property
    def passed(self) -> bool:
        """True when there is at least one check, every declared one is listed with a verdict, and none refuses."""
        verdicts = sum(check.status != "error" for check in self.checks)
        complete = self.declared == self.evaluated == verdicts == len(self.checks)
        return complete and self.declared > 0 and not any(check.refuses for check in self.checks)


@dataclass(frozen=True)
class GateReport:
    """The gate's report on one candidate file, identified by its SHA-256; `release_id`: None unless the file names exactly one.

    `notes` explain waivers without effect: expired, not needed, or for unknown checks.
    """

    release_id: str | None
    candidate_sha256: str
    data_through: date
    marts: tuple[MartReport, ...]
    notes: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """True when there is at least one mart and every mart passed."""
        return bool(self.marts) and all(mart.passed for mart in self.marts)

    @property
    def checks(self) -> Iterator[CheckResult]:
        """All checks, mart by mart."""
        return (check for mart in self.marts for check in mart.checks)

    def to_json(self) -> str:
        """Return the report as JSON, including `passed` for readers that do not load this class."""
        return json.dumps(
            asdict(self) | {"data_through": self.data_through.isoformat(), "passed": self.passed}, ensure_ascii=False, indent=2
        )

    @classmethod
    def from_json(cls, text: str) -> "GateReport":
        """Return the report written by `to_json`; ValueError when it is invalid or its verdict contradicts its checks."""
        try:
            data: dict[str, Any] = json.loads(text)
            report = cls(
                data["release_id"],
                data["candidate_sha256"],
                date.fromisoformat(data["data_through"]),
                tuple(
                    MartReport(
                        mart["mart"], mart["declared"], mart["evaluated"], tuple(CheckResult(**check) for check in mart["checks"])
                    )
                    for mart in data["marts"]
                ),
                tuple(data.get("notes", ())),
            )
            stated = data["passed"]
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a gate report: {error}") from error
        if stated is not report.passed:
            raise ValueError("gate report: what it says of itself does not follow from its checks")
        return report


def summary_lines(report: GateReport) -> list[str]:
    """Return the report as text: the verdict, then per mart the counts, and every check that did not pass with both numbers."""
    verdict = "passed" if report.passed else "refused"
    release = report.release_id or "(unnamed)"
    lines = [f"Gate {verdict}: release {release}, data through {report.data_through}, file {report.candidate_sha256[:12]}"]
    for mart in report.marts:
        counts = Counter(check.status for check in mart.checks)
        parts = [f"{counts[status]} {status}" for status in get_args(Status) if counts[status]]
        incomplete = "" if mart.evaluated == mart.declared else f", only {mart.evaluated} of {mart.declared} evaluated"
        lines.append(f"  {'ok  ' if mart.passed else 'FAIL'} {mart.mart}: {', '.join(parts) or 'no checks'}{incomplete}")
        errors = [check for check in mart.checks if check.status == "error"]
        for check in mart.checks:
            if check.status == "failed":
                numbers = f"Observed {check.observed or 'nothing'}, expected {check.expected}."
                waiver = f" Waived {check.waived}" if check.waived else ""
                lines.append(f"         {check.label}: {check.qualified_name}. {check.explanation} {numbers}{waiver}")
        lines += [f"         error: {check.qualified_name}. {check.explanation}" for check in errors[:_ERRORS_SHOWN]]
        if len(errors) > _ERRORS_SHOWN:
            lines.append(f"         error: checks that cannot be evaluated and are not shown: {len(errors) - _ERRORS_SHOWN}")
    return lines + [f"  note: {note}" for note in report.notes]
