"""From finished marts to a release: candidate, gate and promotion.

Belongs here: the stages after the last model is built. Does not belong here: copying and promoting (`publishing`), and judging
(`expectations`).
"""

import logging
import shutil
from datetime import datetime
from typing import TYPE_CHECKING

from orchestration.base.counts import counted
from orchestration.base.errors import NorthstarError
from orchestration.ml_steps.registry import STEPS, model_versions, store_of
from orchestration.night import intake, notices, omissions, sources
from orchestration.night.run import Night
from orchestration.publishing.candidate import Candidate
from orchestration.publishing.comparison import changes, restatements
from orchestration.publishing.facts import NightRecord, RunFacts
from orchestration.publishing.layout import new_release_id
from orchestration.publishing.manifest import Changes, ErasureRecord, GateRecord
from orchestration.publishing.promotion import Verdict
from orchestration.publishing.release import Release

if TYPE_CHECKING:
    from expectations.report import GateReport

_logger = logging.getLogger("northstar.night")

_REPORT = "gate.json"


class GateRefused(NorthstarError):  # noqa: N818 - says what happened
    """The candidate did not pass the gate; the current release is unchanged."""


def candidate(night: Night) -> Candidate:
    """Copy the marts whose sources have landed into a candidate, and compare it with the last release."""
    data_through = intake.planned(night).data_through
    omitted = omissions.left_out(night)
    specs = [spec for name, spec in night.specs.items() if name not in omitted]
    if not specs:
        raise NorthstarError("there is no mart to publish: " + "; ".join(omitted.values()))
    last = night.releases.current()
    with night.stage("candidate") as stage:
        if night.state.candidate is not None:
            night.releases.discard(night.state.candidate, night.lock)
        facts = RunFacts(
            release_id=new_release_id(night.code_version, data_through),
            data_through=data_through,
            code_version=night.code_version,
            model_version=model_versions(night.settings.home),
            days={source: record.days for source, record in sources.records(night).items()},
            config_digest=night.settings.digest,
            dbt_manifest_digest=night.manifest_digest,
            erased_persons=night.ledger.unpublished.persons,
        )
        built = night.releases.build(night.warehouse.path, specs, facts, key=lambda: night.key)
        night.state.candidate, night.state.left_out = built, omitted
        stage.rows = sum(record.rows for record in built.marts.values())
        stage.detail = counted(len(specs), "mart")
    with night.stage("compare") as stage:
        night.state.changes = None if last is None else _changes_since(night, last, built)
        stage.detail = (
            "there is no release yet" if last is None else f"with release {last.release_id}; restatements: {night.state.changes}"
        )
    return built


def _changes_since(night: Night, last: Release, built: Candidate) -> Changes:
    """Count the candidate's changes, from both files."""
    with night.releases.opened({"before": last.database, "after": built.database}) as connection:
        before = changes.Snapshot.of_release("before", last.manifest)
        after = changes.Snapshot.of_release("after", built)
        rows = changes.count_rows(connection, night.specs, before, after)
        return restatements.summary(connection, after, rows, built.release_id)


def _built(night: Night) -> Candidate:
    built = night.state.candidate
    if built is None:
        raise NorthstarError("no candidate was built in this run; run the whole job, which builds, judges and publishes one")
    if not built.database.is_file():
        raise NorthstarError(
            f"the candidate {built.release_id} of this run is gone: it was published, or another run has cleared it away;"
            " start a new run, `northstar nightly` for example"
        )
    return built


def validate(night: Night) -> "GateReport":
    """Run the gate on the candidate's bytes and write its report and page beside them; the report tells whether it passed."""
    from expectations.gate import Context, Late, PreviousColumn, SourceCounts, Waiver, validate
    from expectations.page import render

    built = _built(night)
    with night.stage("gate") as stage:
        current = night.releases.current()
        unchanged = _unchanged(built, current)
        with night.warehouse.kept_open():
            context = Context(
                data_through=night.plan.data_through,
                as_of=max(datetime.now(night.settings.timezone).date(), night.plan.data_through),
                is_first_release=current is None,
                previous_row_counts={} if current is None else {name: mart.rows for name, mart in current.manifest.marts.items()},
                arrived={source: SourceCounts(*counts) for source, counts in sources.arrived(night).items()},
                advertised=sources.advertised(night),
                previous_columns={}
                if current is None
                else {
                    mart: {name: PreviousColumn(*cell) for name, cell in columns.items()}
                    for mart, columns in night.releases.columns(current).items()
                },
                unchanged=unchanged,
                idle=omissions.idle(night, built.marts, unchanged),
                awaited=omissions.awaited(night, built.marts),
                late={source: Late(*told) for source, told in omissions.late(night).items()},
            )
        waivers = [Waiver(**waiver.model_dump()) for waiver in night.settings.waivers]
        report = validate(built.database, [night.specs[name] for name in built.marts], context, waivers)
        for note in report.notes:
            _logger.warning("%s", note)
        documents = built.path / "data_docs"
        documents.mkdir(exist_ok=True)
        (documents / "index.html").write_text(render(report), encoding="utf-8")
        for step in STEPS:
            for name, page in step.pages(night.state.outcomes, store_of(night.settings.home, step)).items():
                (documents / name).write_text(page, encoding="utf-8")
        (built.path / _REPORT).write_text(report.to_json(), encoding="utf-8")
        _keep_report(night, report, built)
        stage.rows = sum(record.rows for record in built.marts.values())
        stage.detail = counted(sum(mart.evaluated for mart in report.marts), "check")
    return report


def _keep_report(night: Night, report: "GateReport", built: Candidate) -> None:
    """Copy the newest report to a place where it outlives a refused candidate."""
    folder = night.settings.home / "gate"
    folder.mkdir(exist_ok=True)
    (folder / "latest.json").write_text(report.to_json(), encoding="utf-8")
    shutil.copy(built.path / "data_docs" / "index.html", folder / "latest.html")


def require_passed(night: Night) -> "GateReport":
    """The gate's report on this run's candidate. Raises GateRefused, describing all failures, when it did not pass."""
    from expectations.report import GateReport, summary_lines

    try:
        report = GateReport.from_json((_built(night).path / _REPORT).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise NorthstarError("nothing is published: the gate has not judged a candidate in this run") from None
    except ValueError as error:
        raise NorthstarError(f"{_built(night).path / _REPORT}: {error}; judge the candidate again") from None
    if not report.passed:
        raise GateRefused("\n".join(summary_lines(report)))
    return report


def publish(night: Night) -> Release:
    """Promote the candidate on the gate's verdict about its exact bytes, and prune. Raises GateRefused if it did not pass."""
    built, report = _built(night), require_passed(night)
    omitted = night.state.left_out or {}
    with night.stage("release") as stage:
        current = night.releases.current()
        checks = list(report.checks)
        # The manifest names them before they are removed, so that after a kill the next night finds them again.
        holding = night.releases.holding(night.ledger.published_pseudonyms, lambda: night.key, night.ledger.is_named)
        erased = night.ledger.unpublished
        manifest = built.manifest(
            NightRecord(
                previous_release_id=None if current is None else current.release_id,
                config_digest=night.settings.digest,
                dbt_manifest_digest=night.manifest_digest,
                sources=sources.with_unconverted(night),
                left_out=omitted,
                gate=GateRecord(
                    passed=report.passed,
                    declared=sum(mart.declared for mart in report.marts),
                    evaluated=sum(mart.evaluated for mart in report.marts),
                    failed=sum(check.refuses for check in checks),
                    warnings=sum(check.label == "warning" for check in checks),
                    warned=tuple(check.qualified_name for check in checks if check.label == "warning"),
                    waived={check.qualified_name: check.waived for check in checks if check.waived},
                ),
                timings=night.state.timings,
                previous_key=None if current is None else current.manifest.key_fingerprint,
                erasure=ErasureRecord(erased.persons, erased.partitions, tuple(holding), erased.unknown)
                if erased.persons or erased.unknown or holding
                else None,
                schema_changes=night.releases.schema_changes(built, omitted),
                changes=night.state.changes,
            )
        )
        if manifest.pseudonyms is not None and manifest.pseudonyms.previous_key is not None:
            _logger.warning("the pseudonym key is another one: ids cannot be joined with those of earlier releases")
        verdict = Verdict(report.passed, report.candidate_sha256, "the gate passed")
        release = night.releases.promote(built, verdict, manifest, night.lock)
        pruned = night.releases.remove(holding, night.lock)
        night.ledger.mark_published()
        config = night.settings.config
        pruned += night.releases.prune(
            config.keep_releases, night.lock, months=config.keep_monthly_releases, timezone=night.settings.timezone
        )
        notices.announce_release(release)
        stage.detail = release.release_id + (f", {len(pruned)} old ones pruned" if pruned else "")
    return release


def _unchanged(candidate: Candidate, current: Release | None) -> frozenset[str]:
    """Marts with the same rows as the current release, although its data end earlier."""
    if current is None or current.manifest.data_through >= candidate.data_through:
        return frozenset()
    before = current.manifest.marts
    return frozenset(name for name, record in candidate.marts.items() if name in before and before[name].digest == record.digest)
