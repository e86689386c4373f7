"""One run over one home: the writer's lock, the order of stages, and the resources shared by all stages.

Belongs here: opening and closing a run, timing its stages, continuing an earlier run. Does not belong here: the stages
(`intake`, `building`, `releasing`).

A `Night` lives while one process works on a run and holds the writer's lock all that time; a second one fails at once.
"""

import logging
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from functools import cached_property
from importlib.metadata import version
from types import TracebackType
from typing import TYPE_CHECKING, Any

from orchestration.base import digests
from orchestration.base.errors import NorthstarError, UserError
from orchestration.base.pseudonyms import Key, load_key
from orchestration.base.timing import Stage, timed
from orchestration.config.project import PROJECT
from orchestration.config.settings import Settings
from orchestration.landing import erasure
from orchestration.landing.contract import CONTRACT
from orchestration.landing.lake import Lake, Partition
from orchestration.marts import MartSpec, read_specs
from orchestration.night import JOB
from orchestration.night.state import RunState, RunStates
from orchestration.publishing.lock import WriterLock
from orchestration.publishing.store import ReleaseStore
from orchestration.warehouse import dbt
from orchestration.warehouse.build_file import Warehouse
from orchestration.warehouse.fold_plan import FoldPlan, FoldPlanner
from orchestration.warehouse.incremental import Incremental
from orchestration.warehouse.standing import StandingResults

if TYPE_CHECKING:
    from dbt.contracts.graph.manifest import Manifest as DbtManifest

_logger = logging.getLogger("northstar.night")


class Night:
    """One run, from `with Night(...)` to its end. Stages are called in order; each builds on those before.

    run_id: of the run to start, or to continue after its completed stages; by default a new one. parsed: the dbt project if
    this process has just parsed it, so that it is not parsed twice.
    """

    def __init__(
        self, settings: Settings, *, purpose: str = JOB, run_id: str | None = None, parsed: "DbtManifest | None" = None
    ) -> None:
        self.settings = settings
        self.lake = Lake(settings.home)
        self.warehouse = Warehouse(settings)
        self.releases = ReleaseStore(settings.home, memory_limit=settings.config.memory_limit)
        self.lock = WriterLock(settings.home, purpose)
        self.ledger = erasure.Ledger(
            settings.home,
            lambda: self.key,
            denied=settings.config.identity_deny_list,
            max_links=settings.config.max_identity_links,
        )
        self._parsed = parsed
        self._states = RunStates(settings.home)
        self._is_current = False
        self._partitions: dict[str, list[Partition]] = {}
        self._run_id = run_id or uuid.uuid4().hex

    def __enter__(self) -> "Night":
        self.lock.acquire()
        try:
            self.state = self._states.read(self._run_id)
            waiting = [] if self.state.candidate is None else [self.state.candidate.release_id]
            for repaired in self.releases.recover(self.lock, keep=waiting):
                _logger.info("repaired after an interrupted run: %s", repaired)
        except BaseException:
            self.lock.release()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.lock.release()

    @contextmanager
    def stage(self, name: str) -> Iterator[Stage]:
        """Time a stage, save its decisions, and report when it is finished."""
        with timed(name) as stage:
            yield stage
        self.state.timings[name] = round(stage.seconds, 3)
        self.save()
        _logger.info("stage", extra={"stage": stage})

    def save(self) -> None:
        """Save the run's decisions so far, so that it can be continued."""
        self._states.write(self.state)

    @property
    def plan(self) -> FoldPlan:
        """The plan of this run. Raises UserError when the run was started earlier and its plan is no longer valid."""
        plan = self.state.plan
        if plan is None:
            raise NorthstarError("nothing was planned in this run; run the whole job")
        if not self._is_current:
            self._require_current()
            self._is_current = True
        return plan

    def _require_current(self) -> None:
        reason = None
        if self.warehouse.planned_by() != self.state.run_id:
            reason = f"{self.warehouse.path} holds what another run has built since"
        elif self.state.config_digest != self.settings.digest:
            reason = "the configuration has changed since"
        elif self.state.lake_digest != self.lake_digest:
            reason = f"what lies in {self.settings.home / 'lake'} has changed since"
        if reason is not None:
            raise UserError(f"this run cannot be continued: {reason}; start a new one, `northstar nightly` for example")

    @property
    def planner(self) -> FoldPlanner:
        """The planner of this run."""
        return FoldPlanner(self.settings, self.lake, self.warehouse, Incremental.read(self.manifest))

    @cached_property
    def standing(self) -> StandingResults:
        """Results of dbt's nodes that earlier nights left in the build file."""
        code = digests.of_value([self.code_version, version("duckdb"), self.manifest_digest, self.settings.digest])
        return StandingResults(self.warehouse, self.manifest, code)

    @property
    def lake_digest(self) -> str:
        """SHA-256 of the lake's partitions within this run's horizon and of their contents."""
        return digests.of_value([(source, self.source_digest(source)) for source in CONTRACT])

    def source_digest(self, source: str) -> str:
        """SHA-256 of the days and contents of a source's partitions within this run's horizon."""
        return digests.of_value([(str(partition.arrived_date), partition.digest) for partition in self.partitions(source)])

    def partitions(self, source: str) -> list[Partition]:
        """Partitions of a source up to the run's horizon; read once, since from its plan on a run leaves the lake as it is."""
        if source not in self._partitions:
            as_of, found = self.state.as_of, self.lake.partitions(source)
            self._partitions[source] = [partition for day, partition in found.items() if as_of is None or day <= as_of]
        return self._partitions[source]

    def start_over(self, as_of: date | None) -> None:
        """Forget all decisions of this run, and what it has read of the lake."""
        self.state = RunState(self.state.run_id, as_of=as_of, timings=self.state.timings)
        self._partitions.clear()

    @property
    def parsed(self) -> "DbtManifest | None":
        """The dbt project as it was parsed, for dbt to build; read once, for a night calls dbt twice and reading takes 2 s."""
        if self._parsed is None:
            self._parsed = dbt.read_parsed(self.settings)
        return self._parsed

    @cached_property
    def manifest(self) -> Mapping[str, Any]:
        """The dbt manifest of this run."""
        return dbt.read_manifest(self.settings)

    @property
    def manifest_digest(self) -> str:
        """SHA-256 of the dbt manifest."""
        return digests.of_file(dbt.manifest_path(self.settings))

    @cached_property
    def specs(self) -> dict[str, MartSpec]:
        """The project's declared marts, by name."""
        return read_specs(self.manifest)

    @cached_property
    def key(self) -> Key:
        """The key of published pseudonyms; generated for this home if there is none yet."""
        configured = self.settings.pseudonym_key
        return load_key(self.settings.home, None if configured is None else configured.get_secret_value())

    @property
    def code_version(self) -> str:
        """Version of Northstar, with a digest of the code files that releases depend on."""
        packages = ("orchestration", "ml", "expectations", "dbt_project")
        suffixes = ("py", "sql", "yml", "csv")
        files = [path for package in packages for suffix in suffixes for path in (PROJECT / package).rglob(f"*.{suffix}")]
        return f"{version('northstar')}+{digests.of_files(PROJECT, files)[:12]}"
