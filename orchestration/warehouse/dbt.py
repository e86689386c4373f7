"""dbt in process: its manifest, and invocations that stream their results.

Belongs here: everything that calls dbt. Does not belong here: the models (`dbt_project`), or translating results into Dagster
events (`defs.transform`). dbt is imported inside functions: the import alone takes 3 s.
"""

import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib.metadata import version
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from orchestration.base import digests
from orchestration.base.counts import counted
from orchestration.base.errors import NorthstarError
from orchestration.base.sql import identifier
from orchestration.config.project import DBT_PROJECT
from orchestration.config.settings import Settings
from orchestration.warehouse import data_tests
from orchestration.warehouse.data_tests import DataTest
from orchestration.warehouse.node_result import NodeResult

if TYPE_CHECKING:
    from dbt.contracts.graph.manifest import Manifest

# Models that read ML scores are built after the scores are written, everything else before.
AFTER_SCORES = "source:ml+"

# "Runtime Error in model fct_orders (models/core/fct_orders.sql)": the heading above the actual error.
_HEADING = re.compile(r"[A-Z]\w+ Error in \w+ ")

# Materializations that leave a table behind.
_TABLES = frozenset({"table", "incremental", "seed"})

_WITHOUT_TESTS = ("--exclude-resource-type", "test", "--exclude-resource-type", "unit_test")

_SOURCES = ("**/*.sql", "**/*.py", "**/*.yml", "**/*.csv")


class BuildFailed(NorthstarError):  # noqa: N818 - says what happened
    """Models or tests of dbt failed; the published release is unchanged."""


def manifest_path(settings: Settings) -> Path:
    """Path of the manifest that the code location reads."""
    return settings.dbt_target / "manifest.json"


def is_prepared(settings: Settings) -> bool:
    """Whether the manifest exists and matches the project's current files and variables."""
    stamp = _stamp(settings)
    made = stamp.is_file() and all(path.is_file() for path in _files(settings))
    return made and stamp.read_text(errors="replace") == _made(settings) and _is_written(settings)


def _is_written(settings: Settings) -> bool:
    """Whether the files have contents: after a power failure they may be all zeros."""
    begun = []
    for path in _files(settings):
        with path.open("rb") as file:
            begun.append(file.read(1))
    return begun[0] == b"{" and begun[1] == b"[" and begun[2] not in {b"", b"\0"}


def prepare(settings: Settings) -> "Manifest | None":
    """Parse the project and compile its tests, unless that was done for its current files and variables.

    Returns the parsed project, to spare this process another parse.
    """
    if is_prepared(settings):
        return None
    # A kill must not leave an incomplete manifest that looks current.
    _stamp(settings).unlink(missing_ok=True)
    result = _invoke(settings, ["parse"])
    shutil.copyfile(settings.dbt_target / "partial_parse.msgpack", _parsed_path(settings))
    parsed: Manifest = result
    data_tests.write(_tests_path(settings), _compiled_tests(settings, parsed))
    _stamp(settings).write_text(_made(settings))
    return parsed


def _compiled_tests(settings: Settings, parsed: "Manifest") -> list[DataTest]:
    arguments = ["compile", "--select", "resource_type:test", "--no-populate-cache", "--no-write-json"]
    return [data_tests.from_node(result.node) for result in _invoke(settings, arguments, parsed=parsed).results]


def read_tests(settings: Settings) -> list[DataTest]:
    """The project's data tests, compiled by `prepare`; NorthstarError when there are none for the current project."""
    require_prepared(settings)
    try:
        return data_tests.read(_tests_path(settings))
    except ValueError as error:
        raise _damaged(settings, _tests_path(settings), error) from None


def require_prepared(settings: Settings) -> None:
    """Raise NorthstarError when nothing was prepared for the current project."""
    if not is_prepared(settings):
        raise NorthstarError(f"{manifest_path(settings)} is missing or older than {DBT_PROJECT.name}; run `northstar prepare`")


def _damaged(settings: Settings, path: Path, error: ValueError) -> NorthstarError:
    # Otherwise it would still look current.
    _stamp(settings).unlink(missing_ok=True)
    return NorthstarError(f"{path} is damaged ({error}); `northstar prepare` makes it anew")


def read_manifest(settings: Settings) -> Mapping[str, Any]:
    """Read the prepared manifest; NorthstarError when there is none for the current project."""
    require_prepared(settings)
    path = manifest_path(settings)
    try:
        return _read(path, path.stat().st_mtime_ns)
    except ValueError as error:
        raise _damaged(settings, path, error) from None


def read_parsed(settings: Settings) -> "Manifest | None":
    """The project as `prepare` parsed it, if current.

    dbt could read it itself, but would parse everything again (10 s) when the home has another path or memory limit: its
    profile takes them from the environment, although the manifest does not depend on them.
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
) -> Iterator[NodeResult]:
    """Build seeds and models in one invocation; yields each result as soon as it is known. Tests are not run (`data_tests`).

    selection, exclusion: dbt's selectors; everything selected (default: all) and not excluded is built. parsed: the result of
    `prepare` or `read_parsed`; without it, dbt parses the project.
    Failures are among the results; BuildFailed is raised only when dbt itself could not run. Skipped nodes come last.
    """
    # Nothing reads dbt's artifacts of a build, and writing them takes 2 s.
    arguments = ["build", "--no-write-json", *_WITHOUT_TESTS, *(["--full-refresh"] if full_refresh else [])]
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
            return _invoke(settings, arguments, parsed=parsed, listener=listen)
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


def after_scores(manifest: Mapping[str, Any]) -> set[str]:
    """Ids of the nodes that `AFTER_SCORES` selects: tables of ML steps and everything that reads them."""
    children: Mapping[str, Sequence[str]] = manifest["child_map"]
    waiting = [source_id for source_id in manifest["sources"] if source_id.split(".")[2] == "ml"]
    found: set[str] = set()
    while waiting:
        node_id = waiting.pop()
        if node_id not in found:
            found.add(node_id)
            waiting += children.get(node_id, ())
    return found


def explain(failures: Sequence[NodeResult]) -> str:
    """Failed nodes as one readable block."""
    lines = [f"{len(failures)} of the warehouse's models and tests failed:"]
    for failure in failures:
        found = counted(failure.failures, "wrong row") if failure.failures else _fault(failure.message)
        lines.append(f"  {failure.resource_type} {failure.name}: {found}")
    return "\n".join(lines)


def _fault(message: str) -> str:
    """The line of dbt's message with the actual error, between its heading and the statement with a caret."""
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

    # The variables are the same on every call: a change would make dbt parse the whole project again.
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
    """The result of a node that has just finished; called in dbt's thread while its connection is open."""
    told, node = data.run_result, data.node_info
    is_table = node.materialized in _TABLES and told.status == "success"
    return NodeResult(
        node.unique_id,
        node.node_name,
        node.resource_type,
        told.status,
        told.execution_time,
        told.num_failures or None,
        told.message,
        _count_rows(node.node_relation.schema, node.node_relation.alias) if is_table else None,
    )


def _count_rows(schema: str, table: str) -> int:
    """Rows of a table, on dbt's own connection: no other can open the build file now."""
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager

    cursor = DuckDBConnectionManager.env().conn.cursor()
    try:
        [(rows,)] = cursor.execute(f"select count(*) from {identifier(schema)}.{identifier(table)}").fetchall()
    finally:
        cursor.close()
    return int(rows)


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
    """A copy of the parsed project: dbt's own, `partial_parse.msgpack`, changes whenever somebody runs dbt by hand."""
    return settings.dbt_target / "parsed.msgpack"


def _tests_path(settings: Settings) -> Path:
    return settings.dbt_target / "tests.json"


def _files(settings: Settings) -> tuple[Path, Path, Path]:
    """What `prepare` writes."""
    return manifest_path(settings), _tests_path(settings), _parsed_path(settings)


def _made(settings: Settings) -> str:
    """Contents of the stamp for complete files: a digest of their inputs, and their sizes."""
    sizes = [path.stat().st_size for path in _files(settings)]
    return f"{_fingerprint(settings)} {sizes}"


def _fingerprint(settings: Settings) -> str:
    """Digest of the manifest's inputs: files, variables, dbt itself, and the folder that seeds are read from."""
    files = [
        path for pattern in _SOURCES for path in DBT_PROJECT.glob(pattern) if "target" not in path.relative_to(DBT_PROJECT).parts
    ]
    beside = [settings.dbt_vars(), version("dbt-core"), version("dbt-duckdb"), str(DBT_PROJECT)]
    return digests.of_files(DBT_PROJECT, files, beside=json.dumps(beside, sort_keys=True))


@cache
def _read(path: Path, _modified: int) -> Mapping[str, Any]:
    manifest: Mapping[str, Any] = json.loads(path.read_bytes())
    return manifest
