"""dbt in process: its manifest, and invocations whose results arrive while dbt runs.

Belongs here: everything that calls dbt. Does not belong here: what dbt computes (`dbt_project`) or how its results become Dagster
events (`defs.transform`). dbt is imported inside functions: the import alone takes 3 s.
"""

import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from orchestration.base import digests
from orchestration.base.errors import NorthstarError
from orchestration.config.project import DBT_PROJECT
from orchestration.config.settings import Settings

if TYPE_CHECKING:
    from dbt.contracts.graph.manifest import Manifest

# What reads the scores of a night's models is built after they are written, everything else before.
AFTER_SCORES = "source:ml+"

# "Runtime Error in model fct_orders (models/core/fct_orders.sql)": above what is wrong.
_HEADING = re.compile(r"[A-Z]\w+ Error in \w+ ")

# Materializations that leave a table behind.
_TABLES = frozenset({"table", "incremental", "seed"})

_SOURCES = ("**/*.sql", "**/*.py", "**/*.yml", "**/*.csv")


class BuildFailed(NorthstarError):  # noqa: N818 - says what happened
    """Models or tests of dbt failed; what had been published stands."""


@dataclass(frozen=True)
class NodeResult:
    """Outcome of one model, seed or test. status: success, pass, fail, error, warn or skipped. rows: of a table built."""

    unique_id: str
    name: str
    resource_type: str
    status: str
    seconds: float
    failures: int | None
    message: str
    rows: int | None = None

    @property
    def is_failure(self) -> bool:
        """Whether the night must stop for it."""
        return self.status in ("fail", "error", "runtime error")


def manifest_path(settings: Settings) -> Path:
    """Where the manifest that the code location reads lies."""
    return settings.dbt_target / "manifest.json"


def is_prepared(settings: Settings) -> bool:
    """Whether the manifest is there and was made from the project's files and variables as they are now."""
    stamp = _stamp(settings)
    made = manifest_path(settings).is_file() and _parsed_path(settings).is_file() and stamp.is_file()
    return made and stamp.read_text(errors="replace") == _made(settings) and _is_written(settings)


def _is_written(settings: Settings) -> bool:
    """Whether the files hold what their sizes promise: after a power failure they may be zeros."""
    with manifest_path(settings).open("rb") as manifest, _parsed_path(settings).open("rb") as parsed:
        return manifest.read(1) == b"{" and parsed.read(1) not in {b"", b"\0"}


def prepare(settings: Settings) -> "Manifest | None":
    """Parse the project unless its manifest is current; returns what was parsed, to spare this process another parse."""
    if is_prepared(settings):
        return None
    # Killed in the middle, nothing half made may look current.
    _stamp(settings).unlink(missing_ok=True)
    result = _invoke(settings, ["parse"])
    shutil.copyfile(settings.dbt_target / "partial_parse.msgpack", _parsed_path(settings))
    _stamp(settings).write_text(_made(settings))
    parsed: Manifest = result
    return parsed


def read_manifest(settings: Settings) -> Mapping[str, Any]:
    """Read the prepared manifest; NorthstarError when there is none for the project as it is."""
    if not is_prepared(settings):
        raise NorthstarError(f"{manifest_path(settings)} is missing or older than {DBT_PROJECT.name}; run `northstar prepare`")
    path = manifest_path(settings)
    try:
        return _read(path, path.stat().st_mtime_ns)
    except ValueError as error:
        # Else it would go on looking current.
        _stamp(settings).unlink(missing_ok=True)
        raise NorthstarError(f"{path} is damaged ({error}); `northstar prepare` makes it anew") from None


def read_parsed(settings: Settings) -> "Manifest | None":
    """What `prepare` parsed, where it is current.

    dbt would read the same, and would parse all again (10 s) when the home has another path or memory limit: those are in the
    environment that its profile names, and the manifest has nothing of it.
    """
    if not is_prepared(settings):
        return None
    from dbt.contracts.graph.manifest import Manifest
    from dbt.parser.manifest import extended_mashumuro_decoder

    parsed: Manifest = Manifest.from_msgpack(_parsed_path(settings).read_bytes(), decoder=extended_mashumuro_decoder)
    parsed.build_flat_graph()
    return parsed


def build(
    settings: Settings,
    *,
    full_refresh: bool,
    parsed: "Manifest | None" = None,
    selection: Sequence[str] = (),
    exclusion: Sequence[str] = (),
    only_named: bool = False,
) -> Iterator[NodeResult]:
    """Build seeds and models and run the data tests in one invocation; yields each result as soon as dbt has it.

    Unit tests are not run: they belong to the project's own test suite.
    selection, exclusion: dbt's selectors; all that is selected (default: everything) and not excluded is built. only_named: run
    no test that the selection does not name. parsed: what `prepare` returned; without it the file that `prepare` wrote is read.
    Failures are among the results; BuildFailed is raised only when dbt itself could not run. What dbt skipped comes last.
    """
    # Nothing reads dbt's artifacts of a build: writing them takes 2 s.
    arguments = [
        "build",
        "--no-write-json",
        "--exclude-resource-type",
        "unit_test",
        *(["--full-refresh"] if full_refresh else []),
        *(["--indirect-selection", "empty"] if only_named else []),
    ]
    if selection:
        arguments += ["--select", *selection]
    if exclusion:
        arguments += ["--exclude", *exclusion]
    results: SimpleQueue[NodeResult | None] = SimpleQueue()
    seen: set[str] = set()

    def listen(event: Any) -> None:
        if event.info.name == "NodeFinished":
            results.put(_from_event(event.data))

    def run() -> Any:
        try:
            return _invoke(settings, arguments, parsed=parsed or read_parsed(settings), listener=listen)
        finally:
            results.put(None)

    with ThreadPoolExecutor(1, thread_name_prefix="dbt") as pool:
        outcome = pool.submit(run)
        while (result := results.get()) is not None:
            seen.add(result.unique_id)
            yield result
        for skipped in outcome.result().results:
            if skipped.node.unique_id not in seen:
                yield _from_result(skipped)


def explain(failures: Sequence[NodeResult]) -> str:
    """Failed nodes as one readable block."""
    lines = [f"{len(failures)} of the warehouse's models and tests failed:"]
    for failure in failures:
        found = f"{failure.failures:,} rows are wrong" if failure.failures else _fault(failure.message)
        lines.append(f"  {failure.resource_type} {failure.name}: {found}")
    return "\n".join(lines)


def _fault(message: str) -> str:
    """The line of dbt's message that says what is wrong, behind its heading and before the statement with its caret."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    said = [line for line in lines if not _HEADING.match(line)]
    return next((line for line in said if "Error" in line), (said or lines or ["it failed without a message"])[0])


def _invoke(
    settings: Settings,
    arguments: Sequence[str],
    *,
    parsed: "Manifest | None" = None,
    listener: Callable[[Any], None] | None = None,
) -> Any:
    settings.export()
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager
    from dbt.cli.main import dbtRunner

    # The variables are the same on every call: other ones would make dbt parse the whole project again.
    common = ["--vars", json.dumps(settings.dbt_vars()), "--log-level", "none", "--log-level-file", "none"]
    try:
        result = dbtRunner(manifest=parsed, callbacks=[] if listener is None else [listener]).invoke([*arguments, *common])
    finally:
        # dbt keeps the build file locked for as long as the process lives.
        DuckDBConnectionManager.close_all_connections()
    if result.exception is not None:
        said = str(result.exception).strip() or type(result.exception).__name__
        raise BuildFailed(f"dbt {arguments[0]} could not run: {said}") from result.exception
    return result.result


def _from_event(data: Any) -> NodeResult:
    """The result of a node that has just finished; called by dbt's own thread while its connection is open."""
    told, node = data.run_result, data.node_info
    return NodeResult(
        node.unique_id,
        node.node_name,
        node.resource_type,
        told.status,
        told.execution_time,
        told.num_failures or None,
        told.message,
        _count_rows(node.node_relation.schema, node.node_relation.alias) if node.materialized in _TABLES else None,
    )


def _count_rows(schema: str, table: str) -> int | None:
    """Rows of a table, on the connection that dbt holds to the build file: nobody else can open it now."""
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager

    cursor = DuckDBConnectionManager.env().conn.cursor()
    try:
        rows = cursor.execute(
            "select estimated_size from duckdb_tables() where schema_name = ? and table_name = ?", [schema, table]
        ).fetchone()
    finally:
        cursor.close()
    return None if rows is None else int(rows[0])


def _from_result(result: Any) -> NodeResult:
    node = result.node
    return NodeResult(
        node.unique_id,
        node.name,
        str(node.resource_type),
        str(result.status),
        result.execution_time,
        result.failures,
        result.message or "",
    )


def _stamp(settings: Settings) -> Path:
    return settings.dbt_target / "manifest.sha256"


def _parsed_path(settings: Settings) -> Path:
    """A copy of what dbt parsed: its own, `partial_parse.msgpack`, is another one as soon as somebody calls dbt by hand."""
    return settings.dbt_target / "parsed.msgpack"


def _made(settings: Settings) -> str:
    """What the stamp says of files that are whole: what they were made from, and their sizes."""
    sizes = [path.stat().st_size for path in (manifest_path(settings), _parsed_path(settings))]
    return f"{_fingerprint(settings)} {sizes}"


def _fingerprint(settings: Settings) -> str:
    """Digest of all that the manifest is made from: files, variables, dbt itself, and the folder, which seeds are read from."""
    files = [
        path for pattern in _SOURCES for path in DBT_PROJECT.glob(pattern) if "target" not in path.relative_to(DBT_PROJECT).parts
    ]
    beside = [settings.dbt_vars(), version("dbt-core"), version("dbt-duckdb"), str(DBT_PROJECT)]
    return digests.of_files(DBT_PROJECT, files, beside=json.dumps(beside, sort_keys=True))


@cache
def _read(path: Path, _modified: int) -> Mapping[str, Any]:
    manifest: Mapping[str, Any] = json.loads(path.read_bytes())
    return manifest
