"""The stages of a night, in plain Python: ingest, plan, build, model, candidate, gate, release, PostgreSQL.

Belongs here: the order of work within each stage, and what it tells whoever watches. Does not belong here: Dagster (`defs` makes
each stage an asset), and the work itself (`landing`, `transform`, `ml`, `expectations`, `publishing`).

A `Night` lives as long as one run and holds the writer's lock all that time: a second one says so and leaves.
"""

import hashlib
import json
import logging
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from functools import cached_property
from importlib.metadata import version
from itertools import pairwise
from types import TracebackType
from typing import TYPE_CHECKING, Any

from orchestration import inputs, model_page, reconciliation, transform
from orchestration.base import digests
from orchestration.base.errors import NorthstarError, UserError
from orchestration.base.pseudonyms import Key, load_key
from orchestration.base.sql import exact
from orchestration.base.timing import Stage, timed
from orchestration.churn import SCORES, Churn, Scored, Trained
from orchestration.config.project import PROJECT
from orchestration.config.settings import Settings
from orchestration.landing import erasure
from orchestration.landing.contract import CONTRACT
from orchestration.landing.lake import Lake, Partition
from orchestration.marts import MartSpec, read_specs
from orchestration.model_store import CHURN, ModelStore
from orchestration.publishing import changes, restatements
from orchestration.publishing.candidate import Candidate
from orchestration.publishing.layout import new_release_id
from orchestration.publishing.lock import WriterLock
from orchestration.publishing.manifest import Changes, ErasureRecord, GateRecord, SourceRecord
from orchestration.publishing.promotion import Verdict
from orchestration.publishing.release import Release
from orchestration.publishing.store import ReleaseStore
from orchestration.warehouse import FoldPlan, Warehouse

if TYPE_CHECKING:
    from dbt.contracts.graph.manifest import Manifest as DbtManifest

    from expectations.report import GateReport
    from ml.clv.cohorts import Valued
    from orchestration.publishing.targets.postgres import Postgres, Published

_logger = logging.getLogger("northstar.night")

JOB = "nightly"
# Tags by which a run of the job is narrowed: facts that arrived up to a day; arrival days again; the warehouse from nothing.
AS_OF_TAG = "northstar/as_of"
FROM_TAG = "northstar/from"
TO_TAG = "northstar/to"
REBUILD_TAG = "northstar/rebuild"

# Of a partition's SHA-256 a manifest repeats what the lake names its file by: 128 bits, half the size for years of days.
_DIGEST_LENGTH = 32

# Sources of which a company that lives has new facts all the time, and the days without any that are nothing to speak of.
_GO_ON = (
    "events",
    "users",
    "subscriptions",
    "payments",
    "orders",
    "ad_spend",
    "tickets",
    "surveys",
    "feedback",
    "wecom",
    "fx_rates",
)
_LONGEST_PAUSE = 30

# Outcomes of `int_money__order_refunds` that a night explains.
_LEFT_OUT_REFUNDS = {
    "ambiguous": "they name no order, and another order of their payers was refunded, canceled or returned: the money may be the"
    " same. Fill order_id, or name the order in refund_of",
    "nothing_bought": "they name no order, and their payers had bought nothing. Fill order_id, or name the order in refund_of",
    "order_unknown": "the orders that they name have not landed in orders",
    "unlinked": "they name neither an order nor a payment. Fill order_id or refund_of",
}

# Accounts with a refused change of a subscription that a night names.
_NAMED_ACCOUNTS = 5

# Tables that lifetime values are written to, by the frame of `ml.clv.cohorts.Valued` that each holds.
_VALUES = {"ltv_customers": "customers", "ltv_cohorts": "cohorts"}


class GateRefused(NorthstarError):  # noqa: N818 - says what happened
    """The candidate did not pass the gate; the current release stands."""


@dataclass(frozen=True)
class Ingested:
    """What a night took from the landing zone: per source the partitions that it read."""

    partitions: Mapping[str, Sequence[Partition]]

    @property
    def days(self) -> list[date]:
        """Arrival days of which anything was read."""
        return sorted({partition.arrived_date for found in self.partitions.values() for partition in found})

    @property
    def accepted(self) -> int:
        """Rows that entered the lake."""
        return sum(partition.accepted for found in self.partitions.values() for partition in found)

    @property
    def quarantined(self) -> int:
        """Rows that were refused."""
        return sum(partition.quarantined for found in self.partitions.values() for partition in found)


class Night:
    """One run over one home, from `with Night(...)` to its end. Stages are called in order; each builds on those before.

    parsed: the dbt project where this process has just parsed it, so that it is not parsed twice.
    """

    def __init__(self, settings: Settings, *, purpose: str = JOB, parsed: "DbtManifest | None" = None) -> None:
        self.settings = settings
        self.lake = Lake(settings.home)
        self.warehouse = Warehouse(settings, self.lake)
        self.models = ModelStore(settings.home, CHURN)
        self._churn = Churn(self.models, self.warehouse, settings.config)
        self.releases = ReleaseStore(settings.home, memory_limit=settings.config.memory_limit)
        self.lock = WriterLock(settings.home, purpose)
        self.ledger = erasure.Ledger(
            settings.home,
            lambda: self.key,
            denied=settings.config.identity_deny_list,
            max_links=settings.config.max_identity_links,
        )
        self.timings: dict[str, float] = {}
        self.row_counts: dict[str, int] = {}
        self._parsed = parsed
        self._plan: FoldPlan | None = None
        self._scored: Scored | None = None
        self._candidate: Candidate | None = None
        self._changes: Changes | None = None
        self._report: GateReport | None = None
        self._as_of: date | None = None

    def __enter__(self) -> "Night":
        self.lock.acquire()
        try:
            for repaired in self.releases.recover(self.lock):
                _logger.info("repaired after an interrupted run: %s", repaired)
        except BaseException:
            self.lock.release()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.lock.release()

    @contextmanager
    def stage(self, name: str) -> Iterator[Stage]:
        """Time a stage and tell the watcher when it is over."""
        with timed(name) as stage:
            yield stage
        self.timings[name] = round(stage.seconds, 3)
        _logger.info("stage", extra={"stage": stage})

    # Facts

    def ingest(self, days: Sequence[date] | None = None, *, as_of: date | None = None) -> Ingested:
        """Take landed partitions into the lake: the given arrival days again, or all that are not there yet up to a day."""
        from orchestration.landing import arrivals, ingest

        settings = self.settings
        with self.stage("ingest") as stage:
            if days is None:
                waiting = arrivals.pending(settings.landing, self.lake)
                wanted = {source: [day for day in found if as_of is None or day <= as_of] for source, found in waiting.items()}
            else:
                there = arrivals.landed(settings.landing)
                wanted = {source: [day for day in found if day in set(days)] for source, found in there.items()}
                if not any(wanted.values()):
                    raise UserError(f"nothing has landed from {min(days)} to {max(days)} in {settings.landing}")
            partitions: dict[str, list[Partition]] = {}
            refused: list[ingest.IngestError] = []
            # Requests first: what lands with them is erased on its way in, so that nothing goes on when they are refused.
            for source, found in sorted(wanted.items(), key=lambda item: item[0] != erasure.REQUESTS):
                try:
                    partitions[source] = ingest.ingest(
                        settings.landing,
                        self.lake,
                        source,
                        found,
                        timezone=settings.config.reporting_timezone,
                        max_quarantine_ratio=settings.config.max_quarantine_ratio,
                        partition_start=settings.config.partition_start,
                        ledger=self.ledger,
                        memory_limit=settings.config.memory_limit,
                    )
                except ingest.IngestError as error:
                    if source == erasure.REQUESTS:
                        raise
                    refused.append(error)
            self._announce_landed(partitions)
            # All sources are judged before the night ends: whoever mends the files sees everything at once.
            if refused:
                raise NorthstarError("\n".join(map(str, refused)))
            result = Ingested(partitions)
            stage.rows = result.accepted
            stage.detail = f"{len(result.days)} arrival days, {result.quarantined:,} rows in quarantine"
        return result

    def _announce_landed(self, partitions: Mapping[str, Sequence[Partition]]) -> None:
        """Name columns that the contract does not know, with the nearest that it does, and facts out of scope."""
        from orchestration.landing import judging

        self._announce_broken_chains(partitions.get("subscriptions", ()))
        for source, found in partitions.items():
            if rows := sum(map(judging.out_of_scope, found)):
                start = self.settings.config.partition_start
                remedy = "if they are real, set an earlier partition_start in northstar.toml and run `northstar backfill`"
                _logger.warning("%s: %s rows from before %s are in quarantine; %s", source, f"{rows:,}", start, remedy)
        for source, found in partitions.items():
            for name, meant in _unknown_columns(source, found).items():
                hint = f"; did you mean {meant}?" if meant else ""
                _logger.warning("%s: unknown column %s, its values are kept in `extra`%s", source, name, hint)

    def _announce_broken_chains(self, partitions: Sequence[Partition]) -> None:
        """Name accounts with a refused change of a subscription: until it is mended, the state before it goes on."""
        files = [exact(path) for partition in partitions for path in self.lake.refused_files(partition)]
        if not files:
            return
        with self.lake.connect() as connection:
            rows = connection.execute(
                "SELECT coalesce(json_extract_string(\"row\", '$.account_id'), '(no account)') AS account, count(*) "
                "FROM read_parquet(?, hive_partitioning = false) GROUP BY ALL ORDER BY ALL",
                [files],
            ).fetchall()
        named = ", ".join(account for account, _ in rows[:_NAMED_ACCOUNTS]) + (", …" if len(rows) > _NAMED_ACCOUNTS else "")
        _logger.warning(
            "subscriptions: %s refused changes of %s accounts (%s): what they paid before goes on until the changes are mended"
            " and landed again; the quarantine says what is wrong with each",
            *(f"{sum(count for _, count in rows):,}", f"{len(rows):,}", named),
        )

    def erase(self) -> erasure.Erased:
        """Take persons who asked for it, and are not erased yet, out of lake, quarantine and build file.

        A night that was killed in here is finished by the next one. The releases that hold them go when the next one stands.
        """
        if not self.ledger.pending:
            return erasure.Erased()
        with self.stage("erase") as stage:
            erased = erasure.rewrite(self.lake, self.ledger, memory_limit=self.settings.config.memory_limit)
            # Freed blocks of a DuckDB file keep what they held: it goes whole, with what it spilled, and is built anew.
            self.warehouse.path.unlink(missing_ok=True)
            self.warehouse.path.with_suffix(".duckdb.wal").unlink(missing_ok=True)
            shutil.rmtree(self.settings.home / "tmp", ignore_errors=True)
            self.ledger.mark_applied(erased)
            stage.rows, stage.detail = erased.rows, str(erased)
        if erased.warning:
            _logger.warning("%s", erased.warning)
        return erased

    def plan(self, *, as_of: date | None = None, anew: bool = False) -> FoldPlan:
        """Decide what the night folds in; `anew` throws the build file away first."""
        with self.stage("plan") as stage:
            self._as_of = as_of
            self._plan = self.warehouse.plan(as_of, anew=anew)
            persons = self.ledger.unpublished.persons
            if self._plan.is_rebuild and persons and not anew and self.releases.current() is not None:
                reason = f"{persons:,} {'person' if persons == 1 else 'persons'} erased"
                self._plan = replace(self._plan, rebuild_reason=reason)
            self._announce_ended(self._plan.data_through)
            stage.detail = f"{self._plan.affected_days:,} event days affected"
            if self._plan.rebuild_reason:
                stage.detail += f", everything is built ({self._plan.rebuild_reason})"
        return self._plan

    def _announce_ended(self, data_through: date) -> None:
        """Name sources whose facts end long before the last complete day, which their marts count as days without any."""
        for source in CONTRACT:
            if last := self._ended(source, data_through):
                _logger.warning(
                    "%s: the last fact is of %s, %s days before %s, through which data count as complete. Check what lands of it;"
                    " named in required_sources it holds that day back",
                    *(source, last, f"{(data_through - last).days:,}", data_through),
                )

    def _ended(self, source: str, data_through: date) -> date | None:
        if source not in _GO_ON:
            return None
        return ended([date.fromisoformat(day) for part in self._partitions(source) for day in part.happened], data_through)

    def build(self, selection: Sequence[str] = ()) -> list[transform.NodeResult]:
        """Run dbt on the plan, all of it or the models and seeds named. Failures are in the results, rows in `row_counts`.

        What reads the scores of models is not among it: `build_scored` does that. Only when everything else was built and nothing
        failed does the plan count as folded in.
        """
        results = self._build("build", selection, exclusion=[transform.AFTER_SCORES])
        if not selection and not any(result.is_failure for result in results):
            self.warehouse.mark_folded()
            self._announce_built()
        return results

    def _announce_built(self) -> None:
        """Name rows of the newest day that contradict others, steps that were never sent, and amounts left out without a rate."""
        currency = self.settings.config.reporting_currency
        with self.warehouse.connect(read_only=True) as connection:
            unsent = inputs.unsent_steps(connection)
            differing = connection.execute(
                "select source, arrived_date, conflict_count from intermediate.int_quality__repeats"
                " where conflict_count > 0 and arrived_date = ? order by all",
                [self._planned.data_through],
            ).fetchall()
        for source, day, count in differing:
            _logger.info(
                "%s: %s rows of %s differ from another row of their key, which counts instead", source, f"{count:,}", day
            )
        self._announce_refunds()
        for funnel, step, event in unsent:
            _logger.warning(
                "funnel %s: how many reach %s and what follows is unknown (NULL): nobody ever sent the event %s. Map your"
                " name for it in [event_names], or define the funnel under [[funnels]] without it",
                *(funnel, step, event),
            )
        rows = self._unconverted()
        if not rows:
            return
        remedy = "Land it in fx_rates, or set reporting_currency in northstar.toml to the currency of most amounts"
        earned = {landed for source, landed, _, _ in rows if source != "ad_spend"}
        if len(earned) == 1 and not self._has_revenue():
            [only] = earned
            remedy = f'All revenue is in {only}: set reporting_currency = "{only}" in northstar.toml, or land it in fx_rates'
        for source, landed, first_day, count in rows:
            _logger.warning(
                "%s: %s rows in %s are left out of every amount, the first of %s: there is no rate from %s to %s on or before"
                " their days. %s",
                *(source, f"{count:,}", landed, first_day, landed, currency, remedy),
            )

    def _announce_refunds(self) -> None:
        """Name the order refunds among the payments that count nowhere, with the reason and the remedy."""
        with self.warehouse.connect(read_only=True) as connection:
            found = connection.execute(
                "select outcome, min(cash_date), count(*) from intermediate.int_money__order_refunds"
                " group by outcome order by all"
            ).fetchall()
        for outcome, first_day, count in found:
            if outcome in _LEFT_OUT_REFUNDS:
                _logger.warning(
                    "payments: %s order refunds are left out of revenue, the first of %s: %s",
                    *(f"{count:,}", first_day, _LEFT_OUT_REFUNDS[outcome]),
                )

    def _unconverted(self) -> list[tuple[str, str, date, int]]:
        """Source, currency, first day and number of the rows that could not be converted."""
        with self.warehouse.connect(read_only=True) as connection:
            return connection.execute("from intermediate.int_quality__unconverted order by all").fetchall()

    def _has_revenue(self) -> bool:
        """Whether anything that was earned is in the reporting currency or could be converted into it."""
        with self.warehouse.connect(read_only=True) as connection:
            [(has_any,)] = connection.execute(
                "select exists(from intermediate.int_money__orders where amount is not null)"
                " or exists(from intermediate.int_money__payments where amount is not null)"
                " or exists(from intermediate.int_money__paying_states)"
            ).fetchall()
        return bool(has_any)

    def build_scored(self, selection: Sequence[str] = ()) -> list[transform.NodeResult]:
        """Run dbt on what reads the scores of models, all of it or the models named, once they are written."""
        return self._build("marts", selection or [transform.AFTER_SCORES])

    def _build(self, name: str, selection: Sequence[str], exclusion: Sequence[str] = ()) -> list[transform.NodeResult]:
        plan = self._planned
        with self.stage(name) as stage:
            results = transform.build(
                self.settings, full_refresh=plan.is_rebuild, parsed=self._parsed, selection=selection, exclusion=exclusion
            )
            self.row_counts = self._count_rows()
            built = {result.unique_id for result in results}
            stage.rows = sum(rows for unique_id, rows in self.row_counts.items() if unique_id in built)
            models = sum(result.resource_type == "model" for result in results)
            tests = sum(result.resource_type == "test" for result in results)
            stage.detail = f"{models} models, {tests} tests"
        return results

    def _count_rows(self) -> dict[str, int]:
        """Rows of every table that dbt builds, by unique_id."""
        nodes = {
            unique_id: (node["schema"], node["alias"])
            for unique_id, node in self.manifest["nodes"].items()
            if node["resource_type"] in ("model", "seed")
        }
        counts = self.warehouse.row_counts(nodes.values())
        return {unique_id: counts[relation] for unique_id, relation in nodes.items() if relation in counts}

    # The churn model

    def train(self) -> Trained:
        """Train the churn model when there is reason to, as `Churn.train` does."""
        with self.stage("train") as stage:
            trained = self._churn.train(self._planned.data_through)
            stage.rows, stage.detail = trained.rows, trained.outcome
        return trained

    def score(self) -> Scored:
        """Score every account that pays on the last complete day with the champion, into `ml.churn_scores`."""
        with self.stage("score") as stage:
            self._scored = self._churn.score()
            stage.rows = self._scored.rows
            stage.detail = f"model {self._scored.model_version}" if self._scored.model_version else "no model yet"
        return self._scored

    @property
    def scored(self) -> Scored:
        """What this run scored; NorthstarError when it has not."""
        if self._scored is None:
            raise NorthstarError("nothing was scored in this run; run the scores with their checks")
        return self._scored

    # Lifetime value

    def value(self) -> "Valued":
        """Predict the lifetime value of every customer and cohort, into `ml.ltv_customers` and `ml.ltv_cohorts`.

        Where there is no model, for want of customers or of a fit, nothing is predicted, and what is returned says why.
        """
        from ml.clv import cohorts

        with self.stage("value") as stage:
            names = {
                "int_clv__shop_customers": "person_id",
                "int_clv__subscription_tenures": "plan, channel, period",
                "int_clv__account_customers": "customer_id",
            }
            with self.warehouse.connect(read_only=True) as connection:
                frames = [connection.execute(f"from intermediate.{name} order by {key}").df() for name, key in names.items()]
            valued = cohorts.value(*frames, monthly_discount_rate=self.settings.config.monthly_discount_rate)
            with self.warehouse.connect() as connection:
                connection.execute("create schema if not exists ml")
                for table, frame in _VALUES.items():
                    connection.register("valued", getattr(valued, frame))
                    columns = ", ".join(
                        f'"{column["name"]}"::{column["data_type"]} as "{column["name"]}"'
                        for column in self.manifest["sources"][f"source.northstar.ml.{table}"]["columns"].values()
                    )
                    connection.execute(f"create or replace table ml.{table} as select {columns} from valued")
                    connection.unregister("valued")
            stage.rows = len(valued.customers)
            stage.detail = f"{len(valued.cohorts):,} cohorts; shop: {valued.shop}; subscriptions: {valued.subscriptions}"
        return valued

    # The release

    def candidate(self) -> Candidate:
        """Compare the marts whose sources have landed with the last release, and copy them into a candidate."""
        marts = self.published_marts
        if not marts:
            raise NorthstarError("there is no mart to publish: " + "; ".join(self.left_out.values()))
        last = self.releases.current()
        release_id = new_release_id(self._code_version, self._planned.data_through)
        self._restate(release_id, last)
        with self.stage("candidate") as stage:
            champion = self.models.champion()
            self._candidate = self.releases.build(
                self.warehouse.path,
                [self._specs[name] for name in marts],
                data_through=self._planned.data_through,
                code_version=self._code_version,
                model_version=None if champion is None else champion.model_id,
                key=lambda: self.key,
                release_id=release_id,
            )
            self._changes = None if last is None else self._changes_since(last, self._candidate)
            stage.rows = sum(record.rows for record in self._candidate.marts.values())
            stage.detail = f"{len(marts)} marts" + ("" if self._changes is None else f", {self._changes}")
        return self._candidate

    def _restate(self, release_id: str, last: Release | None) -> None:
        """Write the ledger of what the release to come restates, which is one of its marts."""
        with self.stage("compare") as stage, self.warehouse.connect() as connection:
            tonight = restatements.Tonight(
                release_id=release_id,
                data_through=self._planned.data_through,
                days={source: record.days for source, record in self._sources.items()},
                config_digest=self.settings.digest,
                dbt_manifest_digest=self._dbt_manifest_digest,
                erased_persons=self.ledger.unpublished.persons,
            )
            stage.rows = restatements.write(connection, self._specs, self.published_marts, last, tonight)
            stage.detail = "there is no release yet" if last is None else f"with release {last.release_id}"

    def _changes_since(self, last: Release, candidate: Candidate) -> Changes:
        """What the candidate's files say that changed."""
        with self.releases.opened({"before": last.database, "after": candidate.database}) as connection:
            sides = changes.Side.of_release("before", last.manifest), changes.Side.of_release("after", candidate)
            rows = changes.count_rows(connection, self._specs, *sides)
            return restatements.summary(connection, sides[1], rows, candidate.release_id)

    def validate(self) -> "GateReport":
        """Run the gate on the candidate's bytes and lay its report and page beside them; the report says whether it passed."""
        from expectations.gate import Arrived, Before, Context, Late, Waiver, validate
        from expectations.page import render

        candidate = self._built
        with self.stage("gate") as stage:
            current = self.releases.current()
            unchanged = _unchanged(candidate, current)
            context = Context(
                data_through=self._planned.data_through,
                as_of=max(datetime.now(self.settings.timezone).date(), self._planned.data_through),
                is_first_release=current is None,
                previous_row_counts={} if current is None else {name: mart.rows for name, mart in current.manifest.marts.items()},
                arrived={source: Arrived(*counts) for source, counts in self._arrived().items()},
                advertised=self._advertised(),
                previous_columns={}
                if current is None
                else {
                    mart: {name: Before(*cell) for name, cell in columns.items()}
                    for mart, columns in self.releases.columns(current).items()
                },
                unchanged=unchanged,
                idle=self._idle(unchanged),
                awaited=self._awaited(),
                late={source: Late(*told) for source, told in self._late().items()},
            )
            waivers = [Waiver(**waiver.model_dump()) for waiver in self.settings.waivers]
            report = validate(candidate.database, [self._specs[name] for name in candidate.marts], context, waivers)
            for note in report.notes:
                _logger.warning("%s", note)
            documents = candidate.path / "data_docs"
            documents.mkdir(exist_ok=True)
            (documents / "index.html").write_text(render(report), encoding="utf-8")
            if self._scored is not None and self._scored.model_version is not None:
                page = model_page.render(self._scored.card, self._scored.drift)
                (documents / "churn_model.html").write_text(page, encoding="utf-8")
            (candidate.path / "gate.json").write_text(report.to_json(), encoding="utf-8")
            self._report = report
            self._store_report(report)
            stage.rows = sum(record.rows for record in candidate.marts.values())
            stage.detail = f"{sum(mart.evaluated for mart in report.marts)} checks"
        return report

    def require_passed(self) -> "GateReport":
        """The gate's report on this run's candidate. Raises GateRefused, with all that failed in words, when it did not pass."""
        from expectations.report import summary_lines

        if self._report is None:
            raise NorthstarError("nothing is published: the gate has not judged a candidate in this run")
        if not self._report.passed:
            raise GateRefused("\n".join(summary_lines(self._report)))
        return self._report

    def publish(self) -> Release:
        """Promote the candidate on the gate's verdict about its very bytes, and prune. Raises GateRefused if it did not pass."""
        candidate, report = self._built, self.require_passed()
        with self.stage("release") as stage:
            current = self.releases.current()
            checks = list(report.checks)
            # They are named in the manifest before they go: a night that is killed in between finds them again.
            holding = self.releases.holding(self.ledger.published_pseudonyms, lambda: self.key, self.ledger.is_named)
            erased = self.ledger.unpublished
            manifest = candidate.manifest(
                previous_release_id=None if current is None else current.release_id,
                config_digest=self.settings.digest,
                dbt_manifest_digest=self._dbt_manifest_digest,
                sources=self._with_unconverted(self._sources),
                left_out=self.left_out,
                gate=GateRecord(
                    passed=report.passed,
                    declared=sum(mart.declared for mart in report.marts),
                    evaluated=sum(mart.evaluated for mart in report.marts),
                    failed=sum(check.refuses for check in checks),
                    warnings=sum(check.label == "warning" for check in checks),
                    warned=tuple(check.qualified_name for check in checks if check.label == "warning"),
                    waived={check.qualified_name: check.waived for check in checks if check.waived},
                ),
                timings=self.timings,
                previous_key=None if current is None else current.manifest.key_fingerprint,
                erasure=ErasureRecord(erased.persons, erased.partitions, tuple(holding), erased.unknown)
                if erased.persons or erased.unknown or holding
                else None,
                schema_changes=self.releases.schema_changes(candidate, self.left_out),
                changes=self._changes,
            )
            if manifest.pseudonyms is not None and manifest.pseudonyms.previous_key is not None:
                _logger.warning("the pseudonym key is another one: ids cannot be joined with those of earlier releases")
            verdict = Verdict(report.passed, report.candidate_sha256, "the gate passed")
            release = self.releases.promote(candidate, verdict, manifest, self.lock)
            pruned = self.releases.remove(holding, self.lock)
            self.ledger.mark_published()
            config = self.settings.config
            pruned += self.releases.prune(
                config.keep_releases, self.lock, months=config.keep_monthly_releases, timezone=self.settings.timezone
            )
            self._announce(release)
            stage.detail = release.release_id + (f", {len(pruned)} old ones pruned" if pruned else "")
        return release

    def _announce(self, release: Release) -> None:
        """Tell whoever watches what readers will find changed, and which marts are going."""
        for change in release.manifest.schema_changes:
            _logger.info("schema: %s", change.detail)
        for mart, record in release.manifest.marts.items():
            if record.published_until is not None:
                _logger.info("schema: %s is published until %s", mart, record.published_until)

    def publish_to_postgres(self) -> "Published | None":
        """Bring PostgreSQL to the release that stands; None when none is configured. Raises as `publish_to_postgres` does."""
        if self.settings.postgres_url is None:
            return None
        release = self.releases.current()
        if release is None:
            raise UserError("there is no release yet; run `northstar nightly`")
        with self.stage("postgres") as stage:
            published = publish_to_postgres(self.settings, self.releases, release)
            stage.rows = published.rows
            stage.detail = f"{published.release_id} {published.action}"
        for note in published.notes:
            _logger.warning("PostgreSQL: %s", note)
        return published

    @cached_property
    def manifest(self) -> Mapping[str, Any]:
        """The dbt manifest of this run."""
        return transform.read_manifest(self.settings)

    @cached_property
    def key(self) -> Key:
        """The key of published pseudonyms; made for this home, when there is none yet."""
        configured = self.settings.pseudonym_key
        return load_key(self.settings.home, None if configured is None else configured.get_secret_value())

    @cached_property
    def published_marts(self) -> list[str]:
        """Marts that this release has, in the order of their names."""
        return [name for name in self._specs if name not in self.left_out]

    @cached_property
    def left_out(self) -> dict[str, str]:
        """Marts that this release does not have, each with the reason."""
        landed = self.warehouse.landed_sources()
        is_scored = any(self.warehouse.row_counts([SCORES]).values())
        today = datetime.now(self.settings.timezone).date()
        reasons = {}
        for name, spec in self._specs.items():
            if spec.published_until is not None and spec.published_until < today:
                reasons[name] = f"it was published until {spec.published_until}"
            elif landed.isdisjoint(spec.requires):
                reasons[name] = f"none of {', '.join(spec.requires)} has landed"
            elif spec.reads(SCORES) and not is_scored and self.models.champion() is None:
                reasons[name] = "no churn model has earned its place yet"
        return reasons | self._soundly_empty(reasons)

    def _soundly_empty(self, left_out: Collection[str]) -> dict[str, str]:
        """Marts without a row of which no fact exists either, each with the reason; what a defect emptied is not among them."""
        empty = [name for name in self._empty_marts if name not in left_out and name in self._inputs]
        current = self.releases.current()
        before = {} if current is None else current.manifest.marts
        with self.warehouse.connect(read_only=True) as connection:
            reasons = {
                name: inputs.absence(
                    connection,
                    self._inputs[name],
                    inputs.count(connection, self._inputs[name]),
                    rows_before=before[name].rows if name in before else 0,
                )
                for name in empty
            }
        return {name: reason for name, reason in reasons.items() if reason is not None}

    @cached_property
    def _empty_marts(self) -> list[str]:
        counts = self.warehouse.row_counts(("marts", name) for name in self._specs)
        return [name for name in self._specs if counts.get(("marts", name)) == 0]

    @cached_property
    def _inputs(self) -> dict[str, str]:
        return {name: spec.filled_by for name, spec in self._specs.items() if spec.filled_by is not None}

    def _idle(self, unchanged: Collection[str]) -> frozenset[str]:
        """Marts of which no fact lies on the newest day: of those that did not change, and of those of subscribed accounts."""
        asked = [
            name
            for name in self.published_marts
            if name in self._inputs and (name in unchanged or self._inputs[name] == "subscribers")
        ]
        with self.warehouse.connect(read_only=True) as connection:
            return frozenset(name for name in asked if inputs.count(connection, self._inputs[name]).newest == 0)

    def _awaited(self) -> dict[str, str]:
        """Facts of published marts that are empty, in words: what they should have been made of."""
        with self.warehouse.connect(read_only=True) as connection:
            counted = {
                name: (inputs.count(connection, self._inputs[name]), inputs.INPUTS[self._inputs[name]].facts)
                for name in self._empty_marts
                if name in self.published_marts and name in self._inputs
            }
        return {name: f"{facts.usable or facts.excluded:,} {words}" for name, (facts, words) in counted.items()}

    def _late(self) -> dict[str, tuple[date, date]]:
        from expectations.checks import LATE_SHARE

        with self.warehouse.connect(read_only=True) as connection:
            return inputs.late_sources(connection, LATE_SHARE)

    @property
    def _dbt_manifest_digest(self) -> str:
        return digests.of_file(transform.manifest_path(self.settings))

    @cached_property
    def _specs(self) -> dict[str, MartSpec]:
        return read_specs(self.manifest)

    @property
    def _planned(self) -> FoldPlan:
        # A run that someone started below the plan, for one model, say, has none yet.
        return self._plan or self.plan()

    @property
    def _built(self) -> Candidate:
        if self._candidate is None:
            raise NorthstarError("no candidate was built in this run; run the whole job, which builds, judges and publishes one")
        return self._candidate

    @property
    def _code_version(self) -> str:
        packages = ("orchestration", "ml", "expectations", "dbt_project")
        suffixes = ("py", "sql", "yml", "csv")
        files = [path for package in packages for suffix in suffixes for path in (PROJECT / package).rglob(f"*.{suffix}")]
        return f"{version('northstar')}+{digests.of_files(PROJECT, files)[:12]}"

    def _partitions(self, source: str) -> list[Partition]:
        """What the lake holds of a source up to the night's horizon."""
        return [partition for day, partition in self.lake.partitions(source).items() if self._as_of is None or day <= self._as_of]

    def _arrived(self) -> dict[str, tuple[int, int, int]]:
        """Rows landed, accepted and refused by source, as its partitions' manifests say."""
        return {
            source: (
                sum(file.rows for partition in partitions for file in partition.landed),
                sum(partition.accepted for partition in partitions),
                sum(partition.quarantined for partition in partitions),
            )
            for source in CONTRACT
            if (partitions := self._partitions(source))
        }

    def _advertised(self) -> dict[str, int | Decimal]:
        files = {
            source: [exact(path) for partition in self._partitions(source) for path in self.lake.data_files(partition)]
            for source in reconciliation.OF_ADVERTISING
        }
        with self.warehouse.connect(read_only=True) as connection:
            return reconciliation.advertised(
                connection,
                files,
                currency=self.settings.config.reporting_currency,
                through=self._planned.data_through,
                times={
                    (partition.arrived_date, file.name): file.mtime_ns
                    for partition in self._partitions("ad_spend")
                    for file in partition.landed
                },
            )

    @cached_property
    def _sources(self) -> dict[str, SourceRecord]:
        records = {}
        for source in CONTRACT:
            partitions = self._partitions(source)
            digest = hashlib.sha256(json.dumps([(str(part.arrived_date), part.digest) for part in partitions]).encode())
            records[source] = SourceRecord(
                partitions=len(partitions),
                rows=sum(partition.accepted for partition in partitions),
                first_dt=min((partition.arrived_date for partition in partitions), default=None),
                last_dt=max((partition.arrived_date for partition in partitions), default=None),
                digest=digest.hexdigest(),
                days={part.arrived_date: part.digest[:_DIGEST_LENGTH] for part in partitions},
                unknown_columns=_unknown_columns(source, partitions),
                ended=self._ended(source, self._planned.data_through),
            )
        return records

    def _with_unconverted(self, records: Mapping[str, SourceRecord]) -> dict[str, SourceRecord]:
        found = self._unconverted()
        return {
            name: replace(record, unconverted={currency: rows for source, currency, _, rows in found if source == name})
            for name, record in records.items()
        }

    def _store_report(self, report: "GateReport") -> None:
        """Keep the newest verdict where it outlives a refused candidate."""
        folder = self.settings.home / "gate"
        folder.mkdir(exist_ok=True)
        (folder / "latest.json").write_text(report.to_json(), encoding="utf-8")
        shutil.copy(self._built.path / "data_docs" / "index.html", folder / "latest.html")


def postgres(settings: Settings) -> "Postgres | None":
    """The configured database; None when there is none. NorthstarError when what it takes is not installed."""
    if settings.postgres_url is None:
        return None
    try:
        from orchestration.publishing.targets.postgres import Postgres
    except ImportError as error:
        raise NorthstarError(
            f"publishing to PostgreSQL needs the extra postgres, and {error.name or 'a library of it'} is missing: run"
            " `pip install 'northstar[postgres]'`"
        ) from error
    return Postgres(settings.postgres_url, scratch=settings.home / "tmp", memory_limit=settings.config.memory_limit)


def publish_to_postgres(settings: Settings, releases: ReleaseStore, release: Release) -> "Published":
    """Bring the configured PostgreSQL to a release of this home; the caller holds the writer's lock.

    Raises NorthstarError that says which release readers get there, and how to try again. The files are not touched.
    """
    try:
        target = postgres(settings)
        if target is None:
            raise UserError("no PostgreSQL database is configured; set NORTHSTAR_POSTGRES_URL or publish.postgres_url")
        grains = {name: spec.grain for name, spec in read_specs(transform.read_manifest(settings)).items()}
        return target.publish(release, keys=grains, kept=[kept.release_id for kept in releases.releases()])
    except UserError:
        raise
    except NorthstarError as error:
        raise NorthstarError(f"{error}. `northstar publish` tries to bring it to release {release.release_id} again") from None


def ended(days: Sequence[date], data_through: date) -> date | None:
    """The last of a source's days when it lies further back than its pauses explain; None when it does not.

    That is more than 30 days and ten times the usual (median) pause between days with facts.
    """
    if not days:
        return None
    known = sorted(set(days))
    pauses = sorted((after - before).days for before, after in pairwise(known))
    usual = pauses[len(pauses) // 2] if pauses else 1
    return known[-1] if (data_through - known[-1]).days > max(_LONGEST_PAUSE, 10 * usual) else None


def _unknown_columns(source: str, partitions: Sequence[Partition]) -> dict[str, str | None]:
    """Landed columns that the contract does not know, each with the contract's column that was probably meant."""
    names = sorted({name for partition in partitions for name in partition.unknown_columns})
    return {name: CONTRACT[source].nearest_column(name) for name in names}


def _unchanged(candidate: Candidate, current: Release | None) -> frozenset[str]:
    """Marts whose rows are those of the current release, when that one's data end earlier."""
    if current is None or current.manifest.data_through >= candidate.data_through:
        return frozenset()
    before = current.manifest.marts
    return frozenset(name for name, record in candidate.marts.items() if name in before and before[name].digest == record.digest)
